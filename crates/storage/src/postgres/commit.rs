//! The end of a unit of work that writes.

use std::time::Duration;

use sqlx::PgConnection;

use super::session::ask;
use crate::{Error, Faults};

/// A COMMIT of a transaction in which a statement has failed undoes it, and reports no
/// error. The query before it does.
const COMMIT: &str = "SELECT 1; COMMIT";

pub(super) async fn commit(
    connection: &mut PgConnection,
    faults: &Faults,
    limit: Duration,
) -> Result<(), Error> {
    if !faults.are_planned() || !has_written(connection).await? {
        return ask(connection, COMMIT, limit).await;
    }
    faults.commit_with(ask(connection, COMMIT, limit)).await
}

async fn has_written(connection: &mut PgConnection) -> Result<bool, Error> {
    let id = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL";
    Ok(sqlx::query_scalar(id).fetch_one(connection).await?)
}
