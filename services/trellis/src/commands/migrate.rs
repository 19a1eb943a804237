//! Brings every database up to date.

use std::process::ExitCode;

use anyhow::Context as _;

use super::say;
use crate::config::Config;
use crate::role::Role;

pub(super) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let options = trellis_storage::Options::default();
    for role in Role::ALL {
        let Some(database) = config.database(role) else { continue };
        // Opening a database for writing migrates it.
        match role {
            Role::Gateway => Ok(()),
            Role::User => {
                trellis_user::store::open(&database, &options).await.map(drop).map_err(Into::into)
            }
            Role::Inventory => trellis_inventory::store::open(&database, &options).await.map(drop),
            Role::Payment => trellis_payment::store::open(&database, &options).await.map(drop),
            Role::Order => trellis_order::store::open(&database, &options).await.map(drop),
            Role::Recommendation => {
                trellis_recommendation::store::open(&database, &options).await.map(drop)
            }
        }
        .with_context(|| format!("the {role} database could not be brought up to date"))?;
        let role = role.name();
        say(&format!("{role:<15} up to date  {database}"));
    }
    Ok(ExitCode::SUCCESS)
}
