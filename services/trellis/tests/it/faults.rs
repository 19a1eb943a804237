//! A fleet under load, while something happens to it.

mod black_hole;
mod decoration;
mod replicas;
mod retry_collapse;
mod rolling;
