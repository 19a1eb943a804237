//! Calls to the payment service, and its own calls to the processor.

use std::time::Duration;

use trellis_payment::processor::Calls;
use trellis_resilience::exec::Operation;
use trellis_resilience::policy::{Criticality, MethodPolicy};

use super::{Line, audit, line, seconds};

pub(super) fn from_gateway() -> Vec<Line> {
    vec![audit("/trellis.payment.v1.PaymentService/AuditPayments")]
}

pub(super) fn from_order() -> Vec<Line> {
    // A card network is behind them. The saga repeats its steps, and what is unknown
    // is asked again with the same key, never charged anew.
    let step = MethodPolicy::with_key().timeout(seconds(8)).attempts(1);
    let pivoted = step.clone().criticality(Criticality::CriticalPlus);
    let saga = "the saga goes on later; the customer sees `PENDING`";
    vec![
        line("/trellis.payment.v1.PaymentService/AuthorizePayment", step, saga),
        line("/trellis.payment.v1.PaymentService/CapturePayment", pivoted.clone(), saga),
        line("/trellis.payment.v1.PaymentService/VoidPayment", pivoted.clone(), saga),
        line("/trellis.payment.v1.PaymentService/RefundPayment", pivoted, saga),
    ]
}

/// How the processor is called, each time for up to `timeout`, as the settings say.
pub(super) fn to_processor(timeout: Duration) -> Calls {
    // All that may change something carries a key, and finding out what became of an
    // authorization may repeat it. The saga and the reconciler repeat what has no answer.
    let keyed = |name| Operation::with_key(name).timeout(timeout).attempts(1);
    Calls {
        authorize: keyed("authorize"),
        capture: keyed("capture"),
        void: keyed("void"),
        refund: keyed("refund"),
        find: keyed("find"),
        tally: Operation::safe("tally").timeout(seconds(30)).attempts(1),
    }
}

/// Each of the `calls` to the processor, and what is done instead.
pub(super) fn without_processor(calls: Calls) -> [(Operation, &'static str); 6] {
    let Calls { authorize, capture, void, refund, find, tally } = calls;
    let saga = "the outcome is unknown, never a decline; the saga asks again later";
    [
        (authorize, saga),
        (capture, saga),
        (void, saga),
        (refund, saga),
        (find, "the reconciler asks again later"),
        (tally, "the audit fails and says so"),
    ]
}
