//! One word of the window: how many outcomes of one kind there were in one bucket of
//! time.

use super::BUCKETS;

/// From the top: 4 bits of the generation, 32 of the bucket's number, 28 of the count.
/// Those hold 268 million, more than four million a second make in the longest bucket
/// of 60 s; more are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally(u64);

/// The generation and the bucket that are counted, as far as a [`Tally`] keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u64);

const COUNT_BITS: u32 = 28;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const BUCKET_BITS: u32 = 32;
const BUCKET: u64 = (1 << BUCKET_BITS) - 1;
const GENERATION: u64 = (1 << (u64::BITS - BUCKET_BITS - COUNT_BITS)) - 1;

impl Tally {
    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// With one more outcome of the bucket that it counts already; else, and when it is
    /// full, `None`.
    #[inline]
    pub(super) const fn one_more(self, tag: Tag) -> Option<Self> {
        if self.tag().0 == tag.0 && self.count() != COUNT { Some(Self(self.0 + 1)) } else { None }
    }

    /// With one more outcome, or for the first one of another bucket. `None` if it
    /// counts later ones by now, or is full.
    pub(super) fn with(self, tag: Tag) -> Option<Self> {
        if self.tag() == tag {
            return self.one_more(tag);
        }
        let is_later =
            self.tag().same_generation(tag) && self.count() != 0 && self.tag().age(tag).is_none();
        (!is_later).then_some(Self((tag.0 << COUNT_BITS) | 1))
    }

    /// What it adds to the window that ends with the bucket of `tag`. A thread whose
    /// time is a little behind counts what others have recorded since.
    pub(super) fn in_window(self, tag: Tag) -> u64 {
        let is_recent = self.tag().age(tag).is_none_or(|age| age < BUCKETS as u64);
        if self.tag().same_generation(tag) && is_recent { self.count() } else { 0 }
    }

    #[inline]
    const fn tag(self) -> Tag {
        Tag(self.0 >> COUNT_BITS)
    }

    #[inline]
    const fn count(self) -> u64 {
        self.0 & COUNT
    }
}

impl Tag {
    #[inline]
    pub(super) const fn new(generation: u64, bucket: u64) -> Self {
        Self(((generation & GENERATION) << BUCKET_BITS) | (bucket & BUCKET))
    }

    const fn same_generation(self, other: Self) -> bool {
        self.0 >> BUCKET_BITS == other.0 >> BUCKET_BITS
    }

    /// By how many buckets it is older than `now`; `None` if it is newer, up to half
    /// the range of the number.
    const fn age(self, now: Self) -> Option<u64> {
        let age = now.0.wrapping_sub(self.0) & BUCKET;
        if age <= BUCKET / 2 { Some(age) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_do_not_overflow_into_each_other() {
        let tag = Tag::new(3, 77);
        let last = Tally((tag.0 << COUNT_BITS) | (COUNT - 1));
        let full = last.with(tag).unwrap();
        assert_eq!((full.tag(), full.count()), (tag, COUNT));
        assert_eq!((full.one_more(tag), full.with(tag)), (None, None));
        assert_eq!(full.in_window(tag), COUNT);
        // Four million calls a second in the longest bucket.
        const { assert!(4_000_000 * 60 < COUNT) }
    }

    #[test]
    fn a_number_of_a_bucket_that_comes_round_again_is_another_bucket() {
        let first = Tally(0).with(Tag::new(1, BUCKET - 3)).unwrap();
        assert_eq!(first.in_window(Tag::new(1, BUCKET + 6)), 1);
        assert_eq!(first.in_window(Tag::new(1, BUCKET + 7)), 0);
        let next = Tag::new(1, BUCKET + 7);
        assert_eq!(first.with(next).map(Tally::tag), Some(next));
    }
}
