//! Checks that the records of all services agree.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::SecretString;
use trellis_api::shop::v1 as pb;
use trellis_api::r#type::v1::{AuditCheck, AuditViolation};
use trellis_chassis::transport::Roads;
use trellis_chassis::{Clock, Shutdown, SystemClock};
use trellis_resilience::policy::PolicyTable;
use trellis_storage::{Options, Url};

use super::say;
use crate::cli::Audit;
use crate::compose::{self, World};
use crate::config::Config;
use crate::role::{Role, Roles};
use crate::session::{Admin, explain};
use crate::statistics::{Column, Table, grouped};

/// How many violations are listed.
const EXAMPLES: usize = 20;
/// Reading all records of a big shop takes a while.
const TIMEOUT: Duration = Duration::from_mins(10);

pub(super) async fn run(audit: Audit, config: Config) -> anyhow::Result<ExitCode> {
    let checks = match &audit.endpoint {
        Some(endpoint) => ask(endpoint, &config).await?,
        None => read(config).await?,
    };
    Ok(report(&checks))
}

/// Asks a running shop.
async fn ask(endpoint: &str, config: &Config) -> anyhow::Result<Vec<AuditCheck>> {
    let admin = Admin::connect(endpoint, config)?;
    let mut request = admin.sign(pb::AuditRequest {});
    request.set_timeout(TIMEOUT);
    let answer = admin.client().audit(request).await.map_err(|status| explain(&status))?;
    Ok(answer.into_inner().checks)
}

/// Reads the databases, whether or not a shop is running on them.
///
/// The services are started on read-only databases and told to stop before they
/// begin, so they answer from their records and do no work of their own.
async fn read(config: Config) -> anyhow::Result<Vec<AuditCheck>> {
    for role in Role::ALL {
        config.database(role).map_or(Ok(()), |database| check_presence(&database))?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let storage = Options { read_only: true, ..Options::default() };
    let roads = Roads::new();
    let front = roads.front("audit", PolicyTable::default());
    let world = World { clock: Arc::clone(&clock), roads, front, storage };
    // Nobody calls this gateway, so it needs no secret of its own.
    let admin_token = Some(SecretString::default());
    let config = Config { sample_catalogue: false, admin_token, ..config };
    let shutdown = Shutdown::default();
    shutdown.request();
    let roles = Roles::new([]);
    let shop = compose::start(&roles, &config, &world, &shutdown).await?;
    let checks = trellis_gateway::audit::run(&shop.peers()?, clock.now()).await;
    checks.context("the audit failed")
}

pub(super) fn check_presence(database: &Url) -> anyhow::Result<()> {
    let Some(path) = database.path() else { return Ok(()) };
    anyhow::ensure!(
        path.exists(),
        "there is no {}: start the shop once with `trellis`, say with TRELLIS_DATA_DIR where \
         its records are, or ask a running shop with --endpoint",
        path.display(),
    );
    Ok(())
}

fn report(checks: &[AuditCheck]) -> ExitCode {
    say(&table(checks).to_string());
    let count: usize = checks.iter().map(|check| check.violations.len()).sum();
    if count == 0 {
        say("\nall records agree");
        return ExitCode::SUCCESS;
    }
    say(&format!("\n{}", violations(checks)));
    if EXAMPLES < count {
        say(&format!("and {} more", grouped((count - EXAMPLES) as u64)));
    }
    ExitCode::FAILURE
}

fn table(checks: &[AuditCheck]) -> Table {
    let mut table = Table::new(&[
        Column::Text("invariant"),
        Column::Number("examined"),
        Column::Number("violations"),
    ]);
    for AuditCheck { invariant, examined, violations } in checks {
        let verdict = match violations.len() {
            0 => "OK".to_owned(),
            count => grouped(count as u64),
        };
        table.row([invariant.clone(), grouped(examined.unsigned_abs()), verdict]);
    }
    table
}

/// The first violations, at least one of each invariant that is broken.
fn violations(checks: &[AuditCheck]) -> Table {
    let mut table =
        Table::new(&[Column::Text("violated"), Column::Text("by"), Column::Text("detail")]);
    let broken = checks.iter().filter(|check| !check.violations.is_empty());
    let share = EXAMPLES.checked_div(broken.clone().count()).unwrap_or_default().max(1);
    let firsts = broken.clone().flat_map(|check| rows(check).take(share));
    let others = broken.flat_map(|check| rows(check).skip(share));
    for row in firsts.chain(others).take(EXAMPLES) {
        table.row(row);
    }
    table
}

fn rows(check: &AuditCheck) -> impl Iterator<Item = [String; 3]> {
    check.violations.iter().map(|AuditViolation { subject, detail }| {
        [check.invariant.clone(), subject.clone(), detail.clone()]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(invariant: &str, violations: usize) -> AuditCheck {
        let violation = |number| AuditViolation {
            subject: format!("order_{number}"),
            detail: format!("{invariant} is broken"),
        };
        AuditCheck {
            invariant: invariant.to_owned(),
            examined: 1_000,
            violations: (0..violations).map(violation).collect(),
        }
    }

    #[test]
    fn each_invariant_has_a_verdict() {
        let table = table(&[check("no unit is oversold", 0), check("books balance", 2)]);

        let expected = "invariant            examined  violations\n\
                        no unit is oversold     1,000          OK\n\
                        books balance           1,000           2";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn no_broken_invariant_hides_behind_another() {
        let text = violations(&[check("one", 500), check("two", 0), check("three", 1)]).to_string();

        assert_eq!(text.lines().count(), 1 + EXAMPLES);
        assert!(text.contains("three is broken"), "{text}");
    }

    #[test]
    fn a_missing_database_is_told_with_what_to_do() {
        let error =
            check_presence(&"sqlite:/nowhere/order.db".parse().unwrap()).unwrap_err().to_string();

        assert!(error.contains("/nowhere/order.db") && error.contains("TRELLIS_DATA_DIR"));
    }
}
