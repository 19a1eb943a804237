//! The word that says how calls are treated: generation, mode, state and two flags.
//!
//! Every change of the state or the mode takes the next generation, so two words of
//! one generation agree about both.

use super::{Mode, State};

/// Bits 0–1: state. 2–3: mode. 4–5: flags. 8–11: the place of a probe, which only the
/// copy that an admission keeps has. 16–63: generation, which at a million changes a
/// second would last for nine years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

const MODE: u32 = 2;
const PLACE: u32 = 8;
const GENERATION: u32 = 16;
const RAMPING: u64 = 1 << 4;
const TOLD: u64 = 1 << 5;

impl Word {
    pub(super) const FIRST: Self = Self(0);

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn state(self) -> State {
        match self.0 & 0b11 {
            0 => State::Closed,
            1 => State::Open,
            _ => State::HalfOpen,
        }
    }

    pub(super) const fn mode(self) -> Mode {
        match (self.0 >> MODE) & 0b11 {
            0 => Mode::Normal,
            1 => Mode::ForcedOpen,
            2 => Mode::Disabled,
            _ => Mode::MetricsOnly,
        }
    }

    pub(super) const fn generation(self) -> u64 {
        self.0 >> GENERATION
    }

    /// Whether both were made between the same two changes.
    #[inline]
    pub(super) const fn same_generation(self, other: Self) -> bool {
        self.generation() == other.generation()
    }

    /// Closed, in the normal mode, and without a ramp: a call needs no second thought.
    #[inline]
    pub(super) const fn is_plain(self) -> bool {
        self.0 & ((1 << GENERATION) - 1) == 0
    }

    /// The word of the next generation, without flags.
    pub(super) const fn next(self, mode: Mode, state: State) -> Self {
        let mode = match mode {
            Mode::Normal => 0,
            Mode::ForcedOpen => 1,
            Mode::Disabled => 2,
            Mode::MetricsOnly => 3,
        };
        let state = match state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
        };
        Self((self.generation().wrapping_add(1) << GENERATION) | (mode << MODE) | state)
    }

    /// After it closed, only a growing share of the calls is admitted.
    pub(super) const fn is_ramping(self) -> bool {
        self.0 & RAMPING != 0
    }

    pub(super) const fn ramping(self, ramping: bool) -> Self {
        Self(if ramping { self.0 | RAMPING } else { self.0 & !RAMPING })
    }

    /// In the mode "metrics only", it was told that the breaker would have opened, and
    /// the cause of that has not passed.
    pub(super) const fn is_told(self) -> bool {
        self.0 & TOLD != 0
    }

    pub(super) const fn told(self, told: bool) -> Self {
        Self(if told { self.0 | TOLD } else { self.0 & !TOLD })
    }

    pub(super) const fn place(self) -> usize {
        ((self.0 >> PLACE) & 0b1111) as usize
    }

    pub(super) const fn with_place(self, place: usize) -> Self {
        Self(self.0 | ((place as u64 & 0b1111) << PLACE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 3] = [State::Closed, State::Open, State::HalfOpen];
    const MODES: [Mode; 4] = [Mode::Normal, Mode::ForcedOpen, Mode::Disabled, Mode::MetricsOnly];

    #[test]
    fn a_word_says_what_was_put_in() {
        let mut word = Word::FIRST;
        for (generation, (mode, state)) in
            MODES.into_iter().flat_map(|mode| STATES.map(|state| (mode, state))).enumerate()
        {
            word = word.next(mode, state).ramping(true).told(true);
            assert_eq!((word.mode(), word.state()), (mode, state));
            assert_eq!(word.generation(), generation as u64 + 1);
            assert_eq!(word.with_place(14).place(), 14);
            assert!(word.same_generation(word.with_place(14).ramping(false)));
            assert!(!word.is_plain());
            let plain = mode == Mode::Normal && state == State::Closed;
            assert_eq!(word.ramping(false).told(false).is_plain(), plain);
        }
    }
}
