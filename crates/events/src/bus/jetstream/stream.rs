//! The stream that keeps the events.

use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{Context, ErrorCode};

use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};

use super::subject;
use crate::consumer::chain;
use crate::relay;

/// Its name.
pub(super) const NAME: &str = "events";

/// How long it recognises what is published again.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(10);
/// What an outbox takes of a payload, and room for what is around it.
const MAX_MESSAGE: i32 = (256 + 16) * 1024;

/// Makes the stream, or makes it what it should be; what others have set besides stays.
pub(super) async fn ensure(context: &Context, replicas: usize) -> Result<Info, String> {
    let Some(found) = find(context).await? else {
        let made = context.create_stream(config(Config::default(), replicas)).await;
        let made = made.map_err(|error| chain(&error))?;
        tracing::info!(stream = NAME, "stream was made");
        return Ok(made.cached_info().clone());
    };
    let wanted = config(found.config.clone(), replicas);
    if wanted == found.config {
        return Ok(found);
    }
    tracing::warn!(stream = NAME, "stream is not as it should be, and is changed");
    context.update_stream(wanted).await.map_err(|error| chain(&error))
}

/// What the server says of it; `None` where there is none.
pub(super) async fn find(context: &Context) -> Result<Option<Info>, String> {
    match context.get_stream(NAME).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) if is_missing(&error.kind()) => Ok(None),
        Err(error) => Err(chain(&error)),
    }
}

/// `DiscardPolicy::New`: a stream that is full must not drop what nobody has heard yet.
fn config(base: Config, replicas: usize) -> Config {
    Config {
        name: NAME.to_owned(),
        subjects: vec![subject::ALL.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: replicas,
        max_age: relay::RETENTION,
        discard: DiscardPolicy::New,
        duplicate_window: DUPLICATE_WINDOW,
        max_message_size: MAX_MESSAGE,
        ..base
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    let GetStreamErrorKind::JetStream(error) = kind else { return false };
    error.error_code() == ErrorCode::STREAM_NOT_FOUND
}
