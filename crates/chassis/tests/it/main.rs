//! What the chassis promises, through a generated client on both roads.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod deadlines;
mod listening;
mod probe;
mod roads;
mod shutdown;
