//! Who took the earlier attempts of a call.

use smallvec::SmallVec;

use crate::policy::MAX_ATTEMPTS;

/// One endpoint of one balancer. It is never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub(super) u64);

/// The endpoints that one call was at. As many as a call has attempts fit without
/// allocating.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried(SmallVec<[EndpointId; MAX_ATTEMPTS as usize]>);

impl Tried {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn insert(&mut self, endpoint: EndpointId) {
        if !self.contains(endpoint) {
            self.0.push(endpoint);
        }
    }

    pub fn contains(&self, endpoint: EndpointId) -> bool {
        self.0.contains(&endpoint)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}
