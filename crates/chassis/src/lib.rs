//! What every process needs, whatever its business: tasks that end, a clock,
//! deadlines, roads to peers, listeners, an admin port and settings.
//!
//! Nothing here knows a service. Retries, breakers and balancing are not here
//! either: they are layers over a [`Transport`].

pub mod shutdown;

pub mod clock;

pub mod deadline;

pub mod trace;

pub mod transport;

pub mod listen;

pub mod admin;

pub mod config;

mod client;
mod server;

pub use clock::{Clock, ManualClock, SystemClock};
pub use shutdown::Shutdown;
pub use transport::Transport;
