//! What a read must see.

/// What a read must see of a database that has replicas. Where there are none, all of
/// them are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// All that was ever committed: the primary is asked. Whatever decides a write is read
    /// so, as replicas may show two commits in another order than the primary did.
    Primary,
    /// All that the caller has written or been shown, and maybe nothing newer: a replica
    /// is asked that has it. Outside of a call that is what this process wrote.
    Session,
    /// What any replica has that is well: it is not more than 1 MiB or not more than 2 s
    /// behind.
    Any,
}
