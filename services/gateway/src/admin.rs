//! What those who run the shop can do.

use std::sync::Arc;

use futures::StreamExt as _;
use secrecy::SecretString;
use tonic::{Code, Request, Response, Status, Streaming};
use trellis_api::error::{self, Violation};
use trellis_api::event::v1 as event;
use trellis_api::inventory::v1 as inventory;
use trellis_api::limits;
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::admin_service_server::AdminService;
use trellis_chassis::Clock;
use trellis_events::consumer;

use crate::peers::Peers;
use crate::{audit, identity};

/// How many products are written at a time, if they fit into a message.
const IMPORT_BATCH: usize = 500;

/// The back office.
#[derive(Debug)]
pub(crate) struct Admin {
    peers: Peers,
    token: SecretString,
    clock: Arc<dyn Clock>,
}

impl Admin {
    pub(crate) fn new(peers: Peers, token: SecretString, clock: Arc<dyn Clock>) -> Self {
        Self { peers, token, clock }
    }

    /// Writes a batch of products, and adds up what came of it.
    async fn write(
        &self,
        products: Vec<inventory::ProductImport>,
        totals: &mut pb::ImportProductsResponse,
    ) -> Result<(), Status> {
        let request = inventory::UpsertProductsRequest { products };
        let written = self.peers.inventory.clone().upsert_products(request).await?.into_inner();
        totals.created += written.created;
        totals.updated += written.updated;
        Ok(())
    }

    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        identity::admin(&self.token, request.metadata())
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn import_products(
        &self,
        request: Request<Streaming<pb::ImportProductsRequest>>,
    ) -> Result<Response<pb::ImportProductsResponse>, Status> {
        self.admit(&request)?;
        let mut imports = request.into_inner();
        let mut totals = pb::ImportProductsResponse::default();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(import) = imports.next().await {
            let pb::ImportProductsRequest { product, stock } = import?;
            let import = inventory::ProductImport { product, on_hand: stock };
            let size = limits::len_in_list(&import);
            if batch.len() == IMPORT_BATCH || !limits::list_fits(bytes + size) {
                self.write(std::mem::take(&mut batch), &mut totals).await?;
                bytes = 0;
            }
            bytes += size;
            batch.push(import);
        }
        if !batch.is_empty() {
            self.write(batch, &mut totals).await?;
        }
        Ok(Response::new(totals))
    }

    async fn adjust_stock(
        &self,
        request: Request<pb::AdjustStockRequest>,
    ) -> Result<Response<pb::AdjustStockResponse>, Status> {
        self.admit(&request)?;
        let pb::AdjustStockRequest { sku, delta, request_id } = request.into_inner();
        let request = inventory::AdjustStockRequest { sku, delta, request_id };
        let inventory::AdjustStockResponse { on_hand, available } =
            self.peers.inventory.clone().adjust_stock(request).await?.into_inner();
        Ok(Response::new(pb::AdjustStockResponse { on_hand, available }))
    }

    async fn list_dead_letters(
        &self,
        request: Request<pb::ListDeadLettersRequest>,
    ) -> Result<Response<pb::ListDeadLettersResponse>, Status> {
        self.admit(&request)?;
        let pb::ListDeadLettersRequest { consumer: wanted, page_size } = request.into_inner();
        if !wanted.is_empty() {
            self.consumer(&wanted)?;
        }
        let mut dead_letters = Vec::new();
        for (name, client) in &self.peers.consumers {
            if wanted.is_empty() || wanted == *name {
                let mut request = Request::new(event::ListDeadLettersRequest { page_size });
                consumer::address(&mut request, name);
                let found = client.clone().list_dead_letters(request).await?.into_inner();
                let found = found.dead_letters.into_iter();
                dead_letters.extend(found.map(|letter| shown(name, letter)));
            }
        }
        Ok(Response::new(pb::ListDeadLettersResponse { dead_letters }))
    }

    async fn replay_dead_letters(
        &self,
        request: Request<pb::ReplayDeadLettersRequest>,
    ) -> Result<Response<pb::ReplayDeadLettersResponse>, Status> {
        self.admit(&request)?;
        let pb::ReplayDeadLettersRequest { consumer: wanted, event_ids } = request.into_inner();
        let (name, mut client) = self.consumer(&wanted)?;
        let mut request = Request::new(event::ReplayDeadLettersRequest { event_ids });
        consumer::address(&mut request, name);
        let event::ReplayDeadLettersResponse { replayed, failed } =
            client.replay_dead_letters(request).await?.into_inner();
        Ok(Response::new(pb::ReplayDeadLettersResponse { replayed, failed }))
    }

    async fn audit(
        &self,
        request: Request<pb::AuditRequest>,
    ) -> Result<Response<pb::AuditResponse>, Status> {
        self.admit(&request)?;
        let checks =
            audit::run(&self.peers, self.clock.now()).await.map_err(|error| match error {
                audit::Error::Unreachable { source, .. } => source,
                error @ audit::Error::Malformed(_) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the audit failed");
                    error::status(Code::Internal, "AUDIT_FAILED", error.to_string(), &[])
                }
            })?;
        Ok(Response::new(audit::answer(checks)))
    }
}

type Consumer =
    event::consumer_service_client::ConsumerServiceClient<trellis_chassis::transport::Transport>;

impl Admin {
    fn consumer(&self, wanted: &str) -> Result<(&'static str, Consumer), Violation> {
        let found = self.peers.consumers.iter().find(|(name, _)| *name == wanted);
        found.cloned().ok_or_else(|| {
            let names = self.peers.consumers.each_ref().map(|(name, _)| *name).join(" or ");
            Violation::new("consumer", format!("must be {names}"))
        })
    }
}

/// A dead letter without its payload, which can be personal.
fn shown(consumer: &str, letter: event::DeadLetter) -> pb::DeadLetter {
    let event::DeadLetter { event, attempts, error, create_time } = letter;
    let event::Event { event_id, r#type, subject, .. } = event.unwrap_or_default();
    let consumer = consumer.to_owned();
    pb::DeadLetter { event_id, consumer, r#type, subject, attempts, error, create_time }
}
