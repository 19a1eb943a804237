//! What a customer does is one trace, from the gateway to the last consumer.
//!
//! The processes export to a collector of the test, and when they have stopped,
//! everything is there: so a span too many is seen as well as one that is missing.

mod tree;

use std::time::Duration;

use futures::TryStreamExt as _;
use tonic::{Request, Response, Status};
use trellis_api::shop::v1 as pb;
use trellis_telemetry::receiver::{Received, Receiver, SpanKind};

use crate::kit::{Customer, Shop, Topology, keeps_files, purchase};

use tree::{is_database, of_one_process, tree};

/// How long a test waits for what must come; then it shows what came.
const PATIENCE: Duration = Duration::from_secs(30);

const CHECKOUT: &str = "\
gateway server trellis.shop.v1.ShopService/Checkout
  gateway client trellis.order.v1.OrderService/Checkout
    order server trellis.order.v1.OrderService/Checkout
      order client trellis.inventory.v1.InventoryService/BatchGetProducts
        inventory server trellis.inventory.v1.InventoryService/BatchGetProducts
      order internal checkout
        order internal authorize
          order client trellis.payment.v1.PaymentService/AuthorizePayment
            payment server trellis.payment.v1.PaymentService/AuthorizePayment
              payment client payment.processor.authorize
                payment internal resilience.attempt
        order internal capture
          order client trellis.payment.v1.PaymentService/CapturePayment
            payment server trellis.payment.v1.PaymentService/CapturePayment
              payment client payment.processor.capture
                payment internal resilience.attempt
        order internal commit
          order client trellis.inventory.v1.InventoryService/CommitReservation
            inventory server trellis.inventory.v1.InventoryService/CommitReservation
        order internal reserve
          order client trellis.inventory.v1.InventoryService/ReserveStock
            inventory server trellis.inventory.v1.InventoryService/ReserveStock
        order producer publish order.confirmed
          recommendation consumer process order.confirmed
  gateway client trellis.user.v1.UserService/AuthenticateSession
    user server trellis.user.v1.UserService/AuthenticateSession
";

const DECLINED: &str = "\
gateway server trellis.shop.v1.ShopService/Checkout
  gateway client trellis.order.v1.OrderService/Checkout
    order server trellis.order.v1.OrderService/Checkout
      order client trellis.inventory.v1.InventoryService/BatchGetProducts
        inventory server trellis.inventory.v1.InventoryService/BatchGetProducts
      order internal checkout
        order internal authorize
          order client trellis.payment.v1.PaymentService/AuthorizePayment
            payment server trellis.payment.v1.PaymentService/AuthorizePayment
              payment client payment.processor.authorize
                payment internal resilience.attempt
        order internal release
          order client trellis.inventory.v1.InventoryService/ReleaseReservation
            inventory server trellis.inventory.v1.InventoryService/ReleaseReservation
        order internal reserve
          order client trellis.inventory.v1.InventoryService/ReserveStock
            inventory server trellis.inventory.v1.InventoryService/ReserveStock
        order internal void
          order client trellis.payment.v1.PaymentService/VoidPayment
            payment server trellis.payment.v1.PaymentService/VoidPayment
        order producer publish order.cancelled
  gateway client trellis.user.v1.UserService/AuthenticateSession
    user server trellis.user.v1.UserService/AuthenticateSession
";

const SIGN_UP: &str = "\
gateway server trellis.shop.v1.ShopService/SignUp
  gateway client trellis.user.v1.UserService/CreateUser
    user server trellis.user.v1.UserService/CreateUser
";

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_is_one_tree_from_the_gateway_to_the_last_consumer() {
    both(CHECKOUT, async |customer| trace_id(&buy(&customer, "tok_ok").await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_shows_what_was_undone() {
    both(DECLINED, async |customer| {
        let declined = buy(&customer, "tok_declined").await.unwrap_err();
        declined.metadata().get("trace-id").unwrap().to_str().unwrap().to_owned()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_is_one_tree() {
    both(SIGN_UP, async |customer| {
        let request = Request::new(pb::SignUpRequest {
            email: "trace@example.com".into(),
            password: "correct horse".into(),
            display_name: "Trace".into(),
        });
        trace_id(&customer.shop.clone().sign_up(request).await.unwrap())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_writes_is_a_part_of_it() {
    let receiver = Receiver::start().await.unwrap();
    let mut shop = exporting(Topology::Fleet, &receiver);
    let customer = shop.customer().await;
    let trace_id = trace_id(&buy(&customer, "tok_ok").await.unwrap());
    shop.stop();

    let spans = receiver.spans();
    let checkout = spans.iter().find(|span| {
        (&*span.trace_id, &*span.service) == (&trace_id, "order")
            && span.name == "trellis.order.v1.OrderService/Checkout"
    });
    let checkout = checkout.expect("the order service takes the call");
    let of_order = |name: &str| name.starts_with("write ") && name.contains("order");
    let is_write = |span: &&Received| span.parent == checkout.span_id && of_order(&span.name);
    let write = spans.iter().find(is_write).expect("it writes the order down");
    assert_eq!((write.kind, &*write.service), (SpanKind::Client, "order"));
    let system = if keeps_files() { "sqlite" } else { "postgresql" };
    assert_eq!(write.attributes["db.system.name"], system);
}

const RETRIED: &str = "\
gateway server trellis.shop.v1.ShopService/ListProducts
  gateway client trellis.inventory.v1.InventoryService/ListProducts
  gateway client trellis.inventory.v1.InventoryService/ListProducts
  gateway client trellis.inventory.v1.InventoryService/ListProducts
";

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_of_a_call_is_seen() {
    let receiver = Receiver::start().await.unwrap();
    let mut shop = exporting(Topology::Fleet, &receiver);
    let rule = r#"[{"target": "gateway.inventory", "fault": {"error": "UNAVAILABLE"}}]"#;
    shop.gateway().debug("PUT", "/chaos", rule).await;
    let request = pb::ListProductsRequest::default();
    let failed = shop.client().list_products(request).await.unwrap_err();
    let trace_id = failed.metadata().get("trace-id").unwrap().to_str().unwrap();
    shop.stop();

    let spans = receiver.spans();
    assert_eq!(tree(&spans, trace_id), RETRIED);
    let attempts = spans.iter().filter(|span| span.trace_id == trace_id && !span.parent.is_empty());
    let mut attempts: Vec<(&str, bool)> =
        attempts.map(|span| (span.attributes["attempt"].as_str(), span.error.is_some())).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [("1", true), ("2", true), ("3", true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_breaker_refuses_is_an_event_of_its_caller() {
    let receiver = Receiver::start().await.unwrap();
    let mut shop = exporting(Topology::Fleet, &receiver);
    let open = r#"{"mode": "forced_open"}"#;
    shop.gateway().debug("POST", "/breakers/gateway.inventory", open).await;
    let request = pb::ListProductsRequest::default();
    let refused = shop.client().list_products(request).await.unwrap_err();
    let trace_id = refused.metadata().get("trace-id").unwrap().to_str().unwrap();
    shop.stop();

    let spans = receiver.spans();
    let serving = spans.iter().find(|span| span.trace_id == trace_id && span.parent.is_empty());
    let events = &serving.expect("the call was served").events;
    let refusal = events.iter().find(|(name, _)| name == "call was not answered");
    let (_, attributes) = refusal.expect("the span has the event");
    assert_eq!(attributes["peer"], "gateway.inventory");
    assert_eq!(attributes["reason"], "BREAKER_OPEN");
}

/// A saga that another process goes on with is a trace of its own, since the first one
/// may be long over, and refers to the call that began it.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_that_outlives_its_process_refers_to_where_it_began() {
    let receiver = Receiver::start().await.unwrap();
    let mut shop = exporting(Topology::Fleet, &receiver);
    let customer = shop.customer().await;
    shop.process("payment").freeze();
    let mut request = customer.sign(purchase("MUG-350ML-BLUE", 1));
    request.set_timeout(Duration::from_secs(2));
    let pending = customer.shop.clone().checkout(request).await.unwrap();
    let trace_id = trace_id(&pending);
    let order_id = pending.into_inner().order.unwrap().order_id;

    shop.process("order").kill();
    shop.process("payment").thaw();
    shop.process("order").restart();
    let mut watch = customer.sign(pb::WatchOrderRequest { order_id: order_id.clone() });
    // On a server, what the dead process held is due when its lease has lapsed.
    let patience = if keeps_files() { PATIENCE } else { 2 * PATIENCE };
    watch.set_timeout(patience);
    let states = shop.client().watch_order(watch).await.unwrap().into_inner();
    let end = states.try_for_each(async |_| Ok(()));
    tokio::time::timeout(patience, end).await.expect("the saga goes on").unwrap();
    shop.stop();

    let spans = receiver.spans();
    let recovered: Vec<&Received> = spans
        .iter()
        .filter(|span| span.attributes.get("trellis.saga.origin").is_some_and(|o| o == "recovered"))
        .filter(|span| span.attributes["trellis.order.id"] == order_id)
        .collect();
    assert!(!recovered.is_empty(), "nobody went on with {order_id}");
    for span in recovered {
        assert_ne!(span.trace_id, trace_id);
        assert_eq!((span.parent.as_str(), span.links.len()), ("", 1));
        assert_eq!(span.links[0].0, trace_id);
    }
}

/// What one customer does, as one process and as a fleet, and what it must look like.
async fn both(fleet: &str, act: impl AsyncFn(Customer) -> String) {
    for topology in [Topology::OneProcess, Topology::Fleet] {
        let receiver = Receiver::start().await.unwrap();
        let mut shop = exporting(topology, &receiver);
        let trace_id = act(shop.customer().await).await;
        let expected = match topology {
            Topology::Fleet => fleet.to_owned(),
            _ => of_one_process(fleet),
        };
        // What is done after the answer.
        let all = expected.lines().count();
        let is_of_it = |span: &&Received| span.trace_id == trace_id && !is_database(span);
        let of_it = |spans: &[Received]| spans.iter().filter(is_of_it).count();
        let enough = receiver.wait_for(|spans| all <= of_it(spans));
        let _ = tokio::time::timeout(PATIENCE, enough).await;
        shop.stop();
        assert_eq!(tree(&receiver.spans(), &trace_id), expected, "{topology:?}");
    }
}

fn exporting(topology: Topology, receiver: &Receiver) -> Shop {
    Shop::start_with(topology, |command| {
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
            .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    })
}

async fn buy(customer: &Customer, token: &str) -> Result<Response<pb::CheckoutResponse>, Status> {
    let purchase =
        pb::CheckoutRequest { payment_token: token.into(), ..purchase("MUG-350ML-BLUE", 1) };
    customer.shop.clone().checkout(customer.sign(purchase)).await
}

fn trace_id<T>(response: &Response<T>) -> String {
    response.metadata().get("trace-id").unwrap().to_str().unwrap().to_owned()
}
