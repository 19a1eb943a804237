//! What every process needs, whatever its business: tasks that end, a clock,
//! deadlines, roads to peers, listeners, an admin port and settings.
//!
//! Nothing here knows a service. Retries, breakers, limits and balancing are those of
//! the resilience crate, which roads and doors are made of.

pub mod shutdown;

pub mod clock;

pub mod deadline;

pub mod trace;

pub mod transport;

pub mod listen;

pub mod admin;

pub mod config;

mod consistency;
mod measure;
mod server;

pub use clock::{Clock, ManualClock, SystemClock};
pub use server::Front;
pub use shutdown::Shutdown;
pub use transport::Transport;
