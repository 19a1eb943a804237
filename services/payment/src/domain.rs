//! The words and rules of payments.
//!
//! A value that exists is valid: parsing happens once, in [`crate::api`].
//! [`Payment::apply`] is the only place that knows which state follows which.
//! Nothing here knows about protobuf, SQL or the processor's protocol.

mod ledger;
mod payment;
mod token;

pub use ledger::{Account, Entry, EntryKind, ParseEntryKindError, Posting};
pub use payment::{Change, Intent, Payment, Refusal, State, Trace};
pub use token::{Code, ParseReferenceError, ParseTokenError, PaymentToken, Reference};
