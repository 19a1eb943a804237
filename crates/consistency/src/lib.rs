//! What a caller must see of databases that have replicas.
//!
//! A write answers with its [`Position`] in the log of its database. A read of the same
//! caller asks for a server that is at least as far, and so sees what was written. The
//! positions of one caller are its [`Tokens`], which travel with its calls as
//! [`METADATA`]; while a call is served they are in its [`context`].
//!
//! Nothing here talks to a database or to a network.

pub mod context;

mod position;
mod tokens;

pub use position::Position;
pub use tokens::{MAX_LENGTH, MAX_TOKENS, Tokens, TokensError};

/// The key of the metadata in which tokens travel, on a call and on its answer.
pub const METADATA: &str = "trellis-consistency";
