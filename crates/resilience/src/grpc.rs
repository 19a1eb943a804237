//! gRPC at the level of HTTP, where it can still be seen whether a peer answered or
//! the connection died.

pub mod body;
pub mod classify;
pub mod client;
pub mod code;
pub mod headers;
mod lookup;
pub mod replay;
pub mod server;
pub mod status;
pub mod timeout;
