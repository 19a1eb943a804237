//! What can be done to shards.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use trellis_api::id::{BUCKETS, Bucket};

/// Shards: the databases that share the records of a service.
///
/// The user and the order service can each have several databases, listed with spaces in
/// between in `TRELLIS_USER_DATABASE` and `TRELLIS_ORDER_DATABASE`. Customers, with all that is
/// theirs, belong to one of 4,096 buckets, and each bucket to one database. A database that
/// is added at the end of a list begins without buckets; `move` gives it some.
#[derive(Clone, Debug, Subcommand)]
pub enum Shard {
    /// Show which database has which buckets.
    Status {
        /// Of these services [default: both].
        #[arg(value_enum, value_name = "SERVICE")]
        services: Vec<Sharded>,
    },
    /// Move buckets to another database, while the shop is open.
    ///
    /// Each bucket is copied, compared, and then handed over, for which those who write to
    /// it wait up to half a second. Ctrl-C stops this at any time; the same command goes on
    /// where it was. The old database keeps a copy, so that a move back is quick, until
    /// `trellis shard clean`.
    Move {
        /// Which buckets.
        #[command(flatten)]
        which: Which,
        /// The number of the database in the list, from 0.
        #[arg(long, value_name = "NUMBER")]
        to: usize,
    },
    /// Leave buckets where they are whose move was begun and not ended.
    Abort {
        /// Which buckets.
        #[command(flatten)]
        which: Which,
    },
    /// Delete the copies that old owners of buckets keep.
    Clean {
        /// Which buckets.
        #[command(flatten)]
        which: Which,
    },
}

/// Which buckets of which services.
#[derive(Clone, Debug, Args)]
pub struct Which {
    /// From the first to the last, both included, of 0 to 4095.
    #[arg(long = "bucket", value_name = "FIRST..LAST")]
    pub buckets: Buckets,
    /// Of these services [default: both].
    #[arg(value_enum, value_name = "SERVICE")]
    pub services: Vec<Sharded>,
}

/// A service that can have several databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Sharded {
    /// Accounts and sessions.
    User,
    /// Carts, orders and their sagas.
    Order,
}

/// Some buckets in a row, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets(pub Vec<Bucket>);

impl FromStr for Buckets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| text.trim().parse().ok().filter(|number| *number < BUCKETS);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {
                Ok(Self((first..=last).filter_map(Bucket::new).collect()))
            }
            _ => Err("must be two numbers from 0 to 4095, such as 0..63, or one".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_given_by_the_first_and_the_last() {
        let count = |text: &str| text.parse::<Buckets>().map(|buckets| buckets.0.len());
        assert_eq!(count("0..63"), Ok(64));
        assert_eq!(count("4095"), Ok(1));
        assert_eq!(count("0..4095"), Ok(4096));
        for text in ["", "..", "1..", "5..4", "0..4096", "-1..4", "a..b", "0..1..2"] {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
