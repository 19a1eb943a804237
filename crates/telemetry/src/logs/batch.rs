//! Lines that are written together.

/// How many bytes wait at most.
pub(crate) const BYTES: usize = 1024 * 1024;

/// How many lines wait at most: what is known of each is eight bytes more.
pub(crate) const LINES: usize = 16_384;

/// Lines one behind another. Its memory is kept when it is cleared.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl Batch {
    pub(crate) fn has_room(&self, line: &[u8]) -> bool {
        self.ends.len() < LINES && line.len() <= BYTES.saturating_sub(self.bytes.len())
    }

    pub(crate) fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many lines it has.
    pub(crate) fn lines(&self) -> usize {
        self.ends.len()
    }

    /// How many lines are whole within the first `bytes`.
    pub(crate) fn lines_within(&self, bytes: usize) -> usize {
        self.ends.partition_point(|end| *end <= bytes)
    }

    /// Whether the first `bytes` end within a line.
    pub(crate) fn is_torn_at(&self, bytes: usize) -> bool {
        bytes > 0 && self.ends.binary_search(&bytes).is_err()
    }
}
