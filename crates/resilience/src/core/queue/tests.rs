mod list;

use super::*;
use Criticality::{Critical, CriticalPlus, Sheddable, SheddablePlus};

const MS: Duration = Duration::from_millis(1);
const CLASSES: [Criticality; 4] = [CriticalPlus, Critical, SheddablePlus, Sheddable];

struct Line {
    queue: Queue<u32>,
    bound: usize,
    now: Time,
    dropped: Vec<Dropped<u32>>,
}

impl Line {
    fn new(bound: usize) -> Self {
        let queue = Queue::new(Settings::default());
        Self { queue, bound, now: Time::ZERO, dropped: Vec::new() }
    }

    /// One that is standing, and empty.
    fn standing(bound: usize) -> Self {
        let mut line = Self::new(1000);
        for item in 0..200 {
            line.push(item, Critical);
        }
        for _ in 0..30 {
            line.after(10 * MS).pop();
        }
        line.after(5 * MS);
        assert!(line.queue.is_standing());
        let rest: Vec<_> = line.queue.ranks.keys().copied().collect();
        for ticket in rest {
            line.queue.remove(ticket);
        }
        line.dropped.clear();
        line.bound = bound;
        line
    }

    fn after(&mut self, time: Duration) -> &mut Self {
        self.now = self.now + time;
        self
    }

    fn push(&mut self, item: u32, criticality: Criticality) -> Ticket {
        self.put(item, Entry { criticality, ..Entry::default() })
    }

    fn put(&mut self, item: u32, entry: Entry) -> Ticket {
        self.queue.push(entry, item, self.bound, self.now, &mut self.dropped)
    }

    fn pop(&mut self) -> Option<u32> {
        self.queue.pop(self.now, &mut self.dropped).map(|served| served.item)
    }

    fn dropped(&self) -> Vec<(u32, Cause)> {
        self.dropped.iter().map(|dropped| (dropped.item, dropped.cause)).collect()
    }
}

#[test]
fn the_most_critical_go_first_and_among_equals_the_oldest() {
    let mut line = Line::new(10);
    for (item, class) in [Sheddable, Critical, CriticalPlus, Critical].into_iter().enumerate() {
        line.push(u32::try_from(item).unwrap(), class);
    }

    let order: Vec<_> = std::iter::from_fn(|| line.pop()).collect();

    assert_eq!(order, [2, 1, 3, 0]);
}

#[test]
fn when_it_is_full_the_least_critical_goes() {
    let mut line = Line::new(2);
    line.push(0, Sheddable);
    line.push(1, Critical);

    line.push(2, CriticalPlus);
    line.push(3, Sheddable);

    assert_eq!(line.dropped(), [(0, Cause::Full), (3, Cause::Full)]);
    assert_eq!(line.queue.len(), 2);
}

#[test]
fn among_the_least_critical_the_highest_level_goes() {
    let mut line = Line::new(2);
    for (item, level) in [3, 7, 5].into_iter().enumerate() {
        line.put(u32::try_from(item).unwrap(), Entry { level, ..Entry::default() });
    }

    assert_eq!(line.dropped(), [(1, Cause::Full)]);
}

#[test]
fn a_short_queue_keeps_those_who_came_first() {
    let mut line = Line::new(2);
    for item in 0..3 {
        line.push(item, Critical);
    }

    assert_eq!(line.dropped(), [(2, Cause::Full)]);
    assert_eq!(line.pop(), Some(0));
}

#[test]
fn while_the_queue_stands_the_newest_goes_first_and_the_oldest_makes_room() {
    let mut line = Line::standing(3);
    for item in 0..4 {
        line.push(item, Critical);
    }

    line.after(6 * MS);

    assert_eq!(line.dropped(), [(0, Cause::Full)]);
    assert_eq!(line.pop(), Some(3));
    assert_eq!(line.pop(), Some(2));
}

#[test]
fn when_the_queue_is_short_again_the_oldest_goes_first_again() {
    let mut line = Line::standing(10);
    assert_eq!(line.pop(), None);

    for item in 0..3 {
        line.push(item, Critical);
    }

    assert_eq!(line.pop(), Some(0));
}

#[test]
fn a_standing_queue_is_thinned_out_from_the_least_critical() {
    let mut line = Line::new(1000);
    for item in 0..50 {
        line.push(item, CLASSES[item as usize % 4]);
    }

    for _ in 0..21 {
        line.after(10 * MS).pop();
    }

    assert_eq!(line.dropped(), [(3, Cause::Standing), (7, Cause::Standing)]);
}

#[test]
fn nobody_waits_longer_than_its_deadline_or_the_longest_time() {
    let mut line = Line::new(10);
    let deadline = Some(line.now + 20 * MS);
    line.put(0, Entry { deadline, ..Entry::default() });
    line.push(1, Critical);

    line.after(20 * MS);
    line.queue.expire(line.now, &mut line.dropped);
    assert_eq!(line.dropped(), [(0, Cause::Expired)]);

    line.put(2, Entry { patience: Some(50 * MS), ..Entry::default() });
    line.after(50 * MS);
    assert_eq!(line.queue.len(), 2);
    line.queue.expire(line.now, &mut line.dropped);
    assert_eq!(line.dropped()[1..], [(2, Cause::TooLong)]);

    line.after(930 * MS);
    assert_eq!(line.pop(), None);
    assert_eq!(line.dropped()[2..], [(1, Cause::TooLong)]);
}

#[test]
fn whoever_goes_leaves_no_trace() {
    let mut line = Line::new(10);
    let ticket = line.push(0, Critical);

    assert_eq!(line.queue.remove(ticket), Some(0));
    assert_eq!(line.queue.remove(ticket), None);

    assert!(line.queue.is_empty() && line.queue.ranks.is_empty() && line.queue.ends.is_empty());
    assert_eq!(line.pop(), None);
}

/// For the queue.
///
/// Behaviour 48.
#[test]
fn a_million_calls_that_end_in_every_way_leave_nothing_behind() {
    let random = crate::core::random::Random::seeded(48);
    let mut line = Line::new(20);
    let mut tickets = Vec::new();
    let mut ended = 0;
    for item in 0..1_000_000 {
        let deadline = (random.below(4) == 0).then(|| line.now + random.between(MS, 100 * MS));
        let criticality = CLASSES[random.below(4)];
        let level = u8::try_from(random.below(4)).unwrap();
        tickets.push(line.put(item, Entry { criticality, level, deadline, patience: None }));
        match random.below(8) {
            0..3 => ended += usize::from(line.pop().is_some()),
            3..5 => {
                let ticket = tickets.swap_remove(random.below(tickets.len()));
                ended += usize::from(line.queue.remove(ticket).is_some());
            }
            5 => drop(line.after(MS / 4)),
            _ => tickets.truncate(100),
        }
        ended += line.dropped.drain(..).len();
    }

    line.after(Duration::from_secs(1));
    line.queue.expire(line.now, &mut line.dropped);

    assert_eq!(ended + line.dropped.len(), 1_000_000);
    assert!(line.queue.is_empty() && line.queue.ranks.is_empty() && line.queue.ends.is_empty());
}
