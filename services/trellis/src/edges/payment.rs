//! Calls to the payment service.

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
