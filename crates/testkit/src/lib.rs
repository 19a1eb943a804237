//! Real servers for tests, started from the programs that are on the machine.
//!
//! A server listens on a free port of the loopback, keeps its files in a folder of its
//! own, and ends with the process of the tests, however that ends. Where a program is
//! missing, the tests that need it say so and pass; with `TRELLIS_TEST_SERVERS=require`
//! they fail. With `TRELLIS_TEST_DATABASE=postgres`, the tests of services use Postgres
//! instead of SQLite, and with `shards` two databases where a service can have several.
//!
//! Whatever goes wrong in here is a failed test, so it panics.

pub mod postgres;

mod database;
mod nats;
mod process;
mod program;
mod redis;
mod server;

/// Makes two tests of each function: one on SQLite, and one on Postgres.
///
/// `open` makes what the functions take of a `&Database` that outlives it. With `and shards`
/// there is a third, on two databases that share what is kept.
#[macro_export]
macro_rules! on_each_database {
    ($open:ident, and shards: $($name:ident),* $(,)?) => {
        $crate::on_each_database! { $open: $($name),* }

        mod shards {
            $(
                #[tokio::test]
                async fn $name() {
                    let Some(database) = $crate::Database::shards().await else { return };
                    super::$name(super::$open(&database).await).await;
                }
            )*
        }
    };
    ($open:ident: $($name:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    let database = $crate::Database::sqlite("test");
                    super::$name(super::$open(&database).await).await;
                }
            )*
        }

        mod postgres {
            $(
                #[tokio::test]
                async fn $name() {
                    let Some(database) = $crate::Database::postgres().await else { return };
                    super::$name(super::$open(&database).await).await;
                }
            )*
        }
    };
}

pub use database::Database;
pub use nats::Nats;
pub use postgres::Postgres;
pub use redis::Redis;
