//! The last stretch of a span: from the queue to the collector.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstDecoder;
use tonic_types::StatusExt as _;

use super::otlp::Envelope;
use super::queue::{Batch, Queue};
use crate::settings::Export;
use crate::tally::Tally;

const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// What an answer of the collector may weigh: it says what it did not like.
const MAX_ANSWER: usize = 64 * 1024;
/// How often a batch is sent again at most, with pauses that begin with this one and
/// double, and of which up to a half is left out by chance.
const REPETITIONS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// Sends what is in the queue until it is stopped.
pub(super) struct Exporter {
    client: Grpc<Channel>,
    settings: Export,
    envelope: Envelope,
    queue: Arc<Queue>,
    tally: Arc<Tally>,
}

impl Exporter {
    pub(super) fn new(
        settings: Export,
        envelope: Envelope,
        queue: Arc<Queue>,
        tally: Arc<Tally>,
    ) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(settings.endpoint.clone())?
            .user_agent(concat!("trellis/", env!("CARGO_PKG_VERSION")))?
            .timeout(settings.timeout);
        let mut client = Grpc::new(connect(&endpoint)).max_decoding_message_size(MAX_ANSWER);
        if settings.gzip {
            let gzip = CompressionEncoding::Gzip;
            client = client.send_compressed(gzip).accept_compressed(gzip);
        }
        Ok(Self { client, settings, envelope, queue, tally })
    }

    /// Once it is stopped, it sends all that waits, and ends.
    pub(super) async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                batch = self.queue.next(self.settings.delay) => self.export(batch).await,
                _ = &mut stopped => break,
            }
        }
        while let batch @ Some(_) = self.queue.take() {
            self.export(batch).await;
        }
    }

    async fn export(&mut self, batch: Option<Batch>) {
        let Some(Batch { spans, bytes }) = batch else { return };
        let head = self.envelope.head(bytes.len());
        let message = Message { head: head.into(), spans: bytes.into() };
        let limit = self.settings.give_up;
        let outcome = match timeout(limit, self.send(message)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Status::deadline_exceeded("the collector takes too long")),
        };
        let (sent, rejected) = (spans as u64, outcome.as_ref().map_or(0, |rejected| *rejected));
        match outcome {
            Ok(_) => self.tally.sent(sent.saturating_sub(rejected), None),
            Err(error) => self.tally.sent(sent, Some(&error)),
        }
        if 0 < rejected {
            let error = Status::invalid_argument("the collector does not like some of a batch");
            self.tally.sent(rejected.min(sent), Some(&error));
        }
    }

    /// Says how many spans were rejected.
    async fn send(&mut self, message: Message) -> Result<u64, Status> {
        let mut pause = PAUSE;
        for _ in 0..REPETITIONS {
            let outcome = self.send_once(message.clone()).await;
            let Some(asked) = outcome.as_ref().err().and_then(may_be_repeated) else {
                return outcome;
            };
            tokio::time::sleep(asked.max(jittered(pause))).await;
            pause *= 2;
        }
        self.send_once(message).await
    }

    async fn send_once(&mut self, message: Message) -> Result<u64, Status> {
        let unavailable = |error| Status::unavailable(format!("no collector: {error}"));
        self.client.ready().await.map_err(unavailable)?;
        let mut request = Request::new(message);
        *request.metadata_mut() = self.settings.headers.clone();
        let method = PathAndQuery::from_static(METHOD);
        let answer = self.client.unary(request, method, Raw).await?.into_inner();
        let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or_default())
    }
}

#[expect(clippy::disallowed_methods, reason = "each batch has a deadline, one at a time")]
fn connect(endpoint: &Endpoint) -> Channel {
    endpoint.connect_lazy()
}

/// Whether OTLP lets a batch be sent again, and after what pause at least.
/// <https://opentelemetry.io/docs/specs/otlp/#failures>
fn may_be_repeated(error: &Status) -> Option<Duration> {
    let asked = error.get_details_retry_info().and_then(|info| info.retry_delay);
    match error.code() {
        Code::ResourceExhausted => asked,
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Some(asked.unwrap_or_default()),
        _ => None,
    }
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

/// What a call sends, written already.
#[derive(Clone)]
struct Message {
    head: Bytes,
    spans: Bytes,
}

/// Sends messages as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Message;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = ProstDecoder<ExportTraceServiceResponse>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for Raw {
    type Item = Message;
    type Error = Status;

    fn encode(&mut self, message: Message, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message.head);
        out.put(message.spans);
        Ok(())
    }
}
