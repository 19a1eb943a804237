//! Ids as hex digits, without the machinery of formatting: every line of the log, every
//! answer and every call to a peer has some.

use opentelemetry::trace::{SpanId, TraceId};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The digits of an id.
pub(crate) struct Hex<const DIGITS: usize>([u8; DIGITS]);

impl<const DIGITS: usize> Hex<DIGITS> {
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("hex digits are text")
    }
}

impl From<TraceId> for Hex<32> {
    fn from(id: TraceId) -> Self {
        Self(of(id.to_bytes()))
    }
}

impl From<SpanId> for Hex<16> {
    fn from(id: SpanId) -> Self {
        Self(of(id.to_bytes()))
    }
}

fn of<const BYTES: usize, const TWICE: usize>(bytes: [u8; BYTES]) -> [u8; TWICE] {
    let mut digits = [0; TWICE];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0xf)];
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_digits_that_they_display() {
        let traces = [0, 1, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, u128::MAX];
        for trace in traces.map(TraceId::from) {
            assert_eq!(Hex::from(trace).as_str(), trace.to_string());
        }
        for span in [0, 1, 0x00f0_67aa_0ba9_02b7, u64::MAX].map(SpanId::from) {
            assert_eq!(Hex::from(span).as_str(), span.to_string());
        }
    }
}
