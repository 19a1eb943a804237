//! The steps that a promise of units can take.
//!
//! ```text
//!            ┌─ rejected
//! (reserve) ─┤        ┌─ committed ── restocked
//!            └─ held ─┼─ released
//!                     └─ expired
//! ```
//!
//! Only `held` units are reserved in the stock, and only `committed` ones have
//! left it.

/// What became of the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Held until they lapse.
    Held,
    /// Not all of them were there.
    Rejected,
    /// Sold.
    Committed,
    /// Given back by the holder.
    Released,
    /// Given back by the clock.
    Expired,
    /// Sold, then put back on the shelf.
    Restocked,
}

/// Whether a step is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is: units move.
    Take(Movement),
    /// It was taken before, or there is nothing to do; the answer is the same.
    Done,
}

/// Why a step cannot be taken any more, or not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The clock has given the units back, or is about to.
    #[error("the reservation has expired")]
    Expired,
    /// The holder has given the units back.
    #[error("the reservation was released")]
    Released,
    /// The units were never held.
    #[error("the reservation was rejected")]
    Rejected,
    /// The units are sold.
    #[error("the reservation is committed")]
    Committed,
    /// The units are not sold.
    #[error("the reservation is not committed")]
    NotCommitted,
}

/// Why units move: what a ledger entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// The catalogue says how many there are.
    Import,
    /// Someone has counted.
    Adjust,
    /// Units are held.
    Reserve,
    /// Held units are sold.
    Commit,
    /// Held units are given back by the holder.
    Release,
    /// Held units are given back by the clock.
    Expire,
    /// Sold units are put back.
    Restock,
}

impl State {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::Held,
        Self::Rejected,
        Self::Committed,
        Self::Released,
        Self::Expired,
        Self::Restocked,
    ];

    /// The word for it, as stores keep it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Rejected => "rejected",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Restocked => "restocked",
        }
    }

    /// What a repeated reserve is told: the first answer, or why it no longer holds.
    ///
    /// A lapsed reservation is expired even while the clock's visit is due: its
    /// commit would be refused, so nobody may build on it.
    pub fn reserve_again(self, lapsed: bool) -> Result<(), Refusal> {
        match self {
            Self::Held if lapsed => Err(Refusal::Expired),
            Self::Held | Self::Committed | Self::Restocked => Ok(()),
            Self::Rejected => Err(Refusal::Rejected),
            Self::Released => Err(Refusal::Released),
            Self::Expired => Err(Refusal::Expired),
        }
    }

    /// Sells what is held. This is the pivot of a checkout.
    pub fn commit(self, lapsed: bool) -> Result<Step, Refusal> {
        match self {
            Self::Held if lapsed => Err(Refusal::Expired),
            Self::Held => Ok(Step::Take(Movement::Commit)),
            Self::Committed | Self::Restocked => Ok(Step::Done),
            Self::Rejected => Err(Refusal::Rejected),
            Self::Released => Err(Refusal::Released),
            Self::Expired => Err(Refusal::Expired),
        }
    }

    /// Gives back what is held.
    pub fn release(self) -> Result<Step, Refusal> {
        match self {
            Self::Held => Ok(Step::Take(Movement::Release)),
            Self::Rejected | Self::Released | Self::Expired => Ok(Step::Done),
            Self::Committed | Self::Restocked => Err(Refusal::Committed),
        }
    }

    /// Puts back what was sold.
    pub fn restock(self) -> Result<Step, Refusal> {
        match self {
            Self::Committed => Ok(Step::Take(Movement::Restock)),
            Self::Restocked => Ok(Step::Done),
            Self::Held | Self::Rejected | Self::Released | Self::Expired => {
                Err(Refusal::NotCommitted)
            }
        }
    }
}

impl Movement {
    /// The word for it, as ledgers keep it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Adjust => "adjust",
            Self::Reserve => "reserve",
            Self::Commit => "commit",
            Self::Release => "release",
            Self::Expire => "expire",
            Self::Restock => "restock",
        }
    }

    /// What moving one unit does to the units on hand, and to the reserved ones.
    pub fn per_unit(self) -> (i64, i64) {
        match self {
            Self::Import | Self::Adjust | Self::Restock => (1, 0),
            Self::Reserve => (0, 1),
            Self::Commit => (-1, -1),
            Self::Release | Self::Expire => (0, -1),
        }
    }

    /// The state of a reservation whose units have moved so, if it is one's.
    pub fn leads_to(self) -> Option<State> {
        match self {
            Self::Import | Self::Adjust => None,
            Self::Reserve => Some(State::Held),
            Self::Commit => Some(State::Committed),
            Self::Release => Some(State::Released),
            Self::Expire => Some(State::Expired),
            Self::Restock => Some(State::Restocked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_sells_units_that_are_not_held() {
        for state in State::ALL {
            let sold = state.commit(false);
            assert_eq!(sold == Ok(Step::Take(Movement::Commit)), state == State::Held, "{state:?}");
            assert_ne!(state.commit(true), Ok(Step::Take(Movement::Commit)), "{state:?}");
        }
    }

    #[test]
    fn a_step_is_done_once_it_is_taken() {
        for state in State::ALL {
            for step in [state.commit(false), state.release(), state.restock()] {
                let Ok(Step::Take(movement)) = step else { continue };
                let after = movement.leads_to().unwrap();
                let again = match movement {
                    Movement::Commit => after.commit(true),
                    Movement::Release => after.release(),
                    _ => after.restock(),
                };
                assert_eq!(again, Ok(Step::Done), "{movement:?}");
            }
        }
    }

    #[test]
    fn every_way_out_gives_back_the_reserved_unit() {
        for movement in [Movement::Commit, Movement::Release, Movement::Expire] {
            assert_eq!(Movement::Reserve.per_unit().1 + movement.per_unit().1, 0, "{movement:?}");
        }
        assert_eq!(Movement::Commit.per_unit().0 + Movement::Restock.per_unit().0, 0);
    }
}
