//! What the customers of each bucket must see, as far as this gateway knows.
//!
//! Customers who share a bucket only ask for more than they need. Nothing is forgotten,
//! as there is never more than this; what is old is long on all replicas.

use std::sync::{Mutex, PoisonError};

use trellis_api::id::{BUCKETS, Bucket};
use trellis_consistency::Tokens;

#[derive(Debug)]
pub(super) struct Users(Vec<Mutex<Tokens>>);

impl Default for Users {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| Mutex::default()).collect())
    }
}

impl Users {
    pub(super) fn known(&self, bucket: Bucket) -> Tokens {
        self.with(bucket, |tokens| tokens.clone())
    }

    pub(super) fn note(&self, bucket: Bucket, seen: &Tokens) {
        self.with(bucket, |tokens| tokens.merge(seen));
    }

    fn with<T>(&self, bucket: Bucket, work: impl FnOnce(&mut Tokens) -> T) -> T {
        let tokens = &self.0[usize::from(bucket.get())];
        work(&mut tokens.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
