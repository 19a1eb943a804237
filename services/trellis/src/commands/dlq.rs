//! Looks at dead letters, and tries them again.

use std::process::ExitCode;

use trellis_api::shop::v1 as pb;
use trellis_api::timestamp;

use super::say;
use crate::cli::Dlq;
use crate::config::Config;
use crate::session::{Admin, explain};

/// How many dead letters of each consumer are shown.
const PAGE: i32 = 100;

pub(super) async fn run(dlq: Dlq, config: &Config) -> anyhow::Result<ExitCode> {
    match dlq {
        Dlq::List { consumer, shop } => {
            let admin = Admin::connect(&shop.endpoint, config)?;
            let consumer = consumer.unwrap_or_default();
            let request = pb::ListDeadLettersRequest { consumer, page_size: PAGE };
            let answer = admin.client().list_dead_letters(admin.sign(request)).await;
            list(&answer.map_err(|status| explain(&status))?.into_inner().dead_letters);
            Ok(ExitCode::SUCCESS)
        }
        Dlq::Replay { consumer, event_ids, shop } => {
            let admin = Admin::connect(&shop.endpoint, config)?;
            let request = pb::ReplayDeadLettersRequest { consumer, event_ids };
            let answer = admin.client().replay_dead_letters(admin.sign(request)).await;
            let answer = answer.map_err(|status| explain(&status))?.into_inner();
            let pb::ReplayDeadLettersResponse { replayed, failed } = answer;
            say(&format!("{replayed} handled, {failed} failed again"));
            Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn list(dead_letters: &[pb::DeadLetter]) {
    if dead_letters.is_empty() {
        return say("no dead letters");
    }
    for letter in dead_letters {
        let time = letter.create_time.as_ref().and_then(timestamp::from_proto);
        let time = time.map(|time| time.to_string()).unwrap_or_default();
        say(&format!(
            "{time}  {}  {}  {}  {}  {} attempts: {}",
            letter.consumer,
            letter.event_id,
            letter.r#type,
            letter.subject,
            letter.attempts,
            letter.error
        ));
    }
}
