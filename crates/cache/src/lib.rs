//! Values close at hand: a memory in each process, a Redis that processes share, and the
//! store behind both, which alone is the truth.
//!
//! A fault of the cache never fails a read, and what it holds only moves forward: see
//! [`Cache`].

mod cache;
mod rate;
pub mod redis;

pub use cache::{Cache, Caches, Change, Error, Fault, Key, Settings, Value, version_of};
pub use rate::SharedRate;
pub use redis::{Redis, RedisUrl};
