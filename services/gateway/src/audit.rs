//! Says whether the records of all services agree.
//!
//! Each service checks its own invariants; what only shows between services is
//! checked here. Orders are read before and after what they should agree with,
//! so a shop at work gives no false alarm: what is under way is left out.

mod facts;
mod rules;

use time::OffsetDateTime;
use tonic::Status;
use trellis_api::r#type::v1::AuditCheck;

use crate::peers::Peers;

pub(crate) use facts::Facts;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A service did not answer.
    #[error("the {service} service did not answer")]
    Unreachable {
        /// Which one.
        service: &'static str,
        /// What it said instead.
        source: Status,
    },
    /// A record is not what its service promises.
    #[error("a record cannot be read: {0}")]
    Malformed(String),
}

/// Reads every service's records, and returns each invariant with what breaks it.
pub async fn run(peers: &Peers, now: OffsetDateTime) -> Result<Vec<AuditCheck>, Error> {
    let facts = Facts::read(peers, now).await?;
    let mut checks = rules::check(&facts);
    checks.extend(facts.checks);
    Ok(checks)
}
