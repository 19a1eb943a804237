//! The queue beside a plain list that is searched from end to end.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Action {
    Push { class: usize, level: u8, patience: Option<u64> },
    Pop,
    Remove(usize),
    Pass(u64),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0_usize..4, 0_u8..3, proptest::option::of(0_u64..300))
            .prop_map(|(class, level, patience)| Action::Push { class, level, patience }),
        3 => Just(Action::Pop),
        1 => any::<usize>().prop_map(Action::Remove),
        2 => (0_u64..80).prop_map(Action::Pass),
    ]
}

/// One who waits, as a list without any index knows it.
#[derive(Clone, Debug)]
struct Known {
    item: u32,
    rank: Rank,
    end: Time,
    ticket: Ticket,
}

/// Who must be served, or dropped, of those who wait.
fn expected(known: &[Known], is_standing: bool, is_worst: bool) -> Option<u32> {
    let ranks = known.iter().map(|one| one.rank);
    let rank = if is_worst { ranks.max() } else { ranks.min() }?;
    let mut of_rank = known.iter().filter(|one| one.rank == rank);
    // The worst is the one who would be served last.
    let one = if is_standing == is_worst { of_rank.next() } else { of_rank.next_back() };
    one.map(|one| one.item)
}

proptest! {
    #[test]
    fn it_does_what_a_plain_list_would_do(
        bound in 0_usize..12,
        actions in proptest::collection::vec(action(), 1..200),
    ) {
        let mut line = Line::new(bound);
        let mut known: Vec<Known> = Vec::new();
        for (item, action) in actions.into_iter().enumerate() {
            let item = u32::try_from(item).unwrap();
            match action {
                Action::Pass(millis) => drop(line.after(MS * u32::try_from(millis).unwrap())),
                Action::Remove(_) if known.is_empty() => {}
                Action::Remove(index) => {
                    let one = known.remove(index % known.len());
                    prop_assert_eq!(line.queue.remove(one.ticket), Some(one.item));
                }
                Action::Push { class, level, patience } => {
                    let deadline = patience.map(|millis| line.now + Duration::from_millis(millis));
                    let criticality = CLASSES[class];
                    let ticket = line.put(item, Entry { criticality, level, deadline, patience: None });
                    let longest = line.now + Duration::from_secs(1);
                    let end = deadline.map_or(longest, |deadline| deadline.min(longest));
                    let gone = leave(&mut known, &mut line)?;
                    known.push(Known { item, rank: (criticality, level), end, ticket });
                    for dropped in gone {
                        let worst = expected(&known, line.queue.is_standing(), true);
                        prop_assert_eq!(Some(dropped), worst);
                        known.retain(|one| one.item != dropped);
                    }
                }
                Action::Pop => {
                    let served = line.pop();
                    for dropped in leave(&mut known, &mut line)? {
                        // The state after the last drop may be another than before it.
                        let worst = [true, false].map(|standing| expected(&known, standing, true));
                        prop_assert!(worst.contains(&Some(dropped)));
                        known.retain(|one| one.item != dropped);
                    }
                    prop_assert_eq!(served, expected(&known, line.queue.is_standing(), false));
                    known.retain(|one| Some(one.item) != served);
                }
            }
            prop_assert_eq!(line.queue.len(), known.len());
            prop_assert!(known.len() <= bound);
        }
    }
}

/// Takes out of `known` whose time was over, and gives the others who were dropped.
fn leave(known: &mut Vec<Known>, line: &mut Line) -> Result<Vec<u32>, TestCaseError> {
    let now = line.now;
    let (late, rest): (Vec<_>, Vec<_>) = known.drain(..).partition(|one| one.end <= now);
    *known = rest;
    let late: HashSet<u32> = late.into_iter().map(|one| one.item).collect();
    let (gone, other): (Vec<_>, Vec<_>) =
        line.dropped.drain(..).partition(|dropped| late.contains(&dropped.item));
    prop_assert_eq!(gone.len(), late.len());
    prop_assert!(gone.iter().all(|one| matches!(one.cause, Cause::Expired | Cause::TooLong)));
    Ok(other.into_iter().map(|dropped| dropped.item).collect())
}
