//! Durable storage for services: units of work on an embedded SQLite file.
//!
//! [`Sqlite::write`] answers only after what it wrote is on the disk, and
//! shares that wait between all callers of the moment (group commit).
//! [`Sqlite::read`] sees one snapshot and never waits for a writer. A unit of
//! work is a synchronous closure, so nobody can hold a transaction open over a
//! network call.
//!
//! [`Postgres`] is the same on a server, or on a primary with replicas: a read says by its
//! [`Freshness`] whether a replica may answer it. [`Shards`] are several of these, which
//! share the users of a service by bucket.
//!
//! What a database counts goes to [`Options::metrics`], and each unit of work is a span
//! of its caller's trace, if that is sampled; with `TRELLIS_TRACE=trellis_storage=trace`
//! each statement in it is one too, with places where it has values.
//!
//! Around it: forward-only migrations, [`idempotency`] records and [`lease`]s
//! that commit together with the work they guard, and [`Faults`], which let a
//! test crash a database at an exact commit. No table of any service is known
//! here.

pub mod idempotency;
pub mod lease;

mod answer;
mod error;
mod fault;
mod freshness;
mod meters;
mod micros;
mod migration;
mod operation;
mod options;
mod postgres;
pub mod shards;
mod sqlite;
mod url;

pub use error::{Cause, Error};
pub use fault::{Faults, When};
pub use freshness::Freshness;
pub use micros::{from_micros, micros};
pub use migration::{Migration, Problem};
pub use options::Options;
pub use postgres::{Postgres, Tx};
pub use shards::{Shards, ShardsProblem};
pub use sqlite::Sqlite;
pub use url::{PostgresUrl, Url, UrlError};
