use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(timeline: u32, lsn: u64) -> Position {
    Position { timeline, lsn }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where silence may, too")]
fn primary(timeline: u32, lsn: u64) -> Result<Answer, Silence> {
    Ok(Answer { is_replica: false, at: at(timeline, lsn) })
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where silence may, too")]
fn replica(timeline: u32, lsn: u64) -> Result<Answer, Silence> {
    Ok(Answer { is_replica: true, at: at(timeline, lsn) })
}

/// A primary and two replicas that have all of it.
fn board(now: Instant) -> Board {
    let mut board = Board::new(3);
    board.hear(0, primary(1, 100), now);
    for server in [1, 2] {
        assert_eq!(board.hear(server, replica(1, 100), now), Some(Change::Reinstated));
    }
    board
}

#[test]
fn nobody_is_read_from_before_it_was_heard() {
    let mut board = Board::new(2);
    assert_eq!(board.route(Position::default()), Route::None);
    assert!(!board.is_heard());
    board.hear(0, primary(1, 100), Instant::now());
    assert_eq!(board.route(Position::default()), Route::None);
    board.hear(1, replica(1, 1), Instant::now());
    assert!(board.is_heard());
    assert_eq!(board.route(Position::default()), Route::Replica(1));
}

#[test]
fn reads_take_turns_and_go_only_where_what_they_need_is() {
    let now = Instant::now();
    let mut board = board(now);
    let turns = [(); 4].map(|()| board.route(at(1, 100)));
    assert_eq!(turns.iter().filter(|turn| **turn == Route::Replica(1)).count(), 2);
    assert_eq!(turns.iter().filter(|turn| **turn == Route::Replica(2)).count(), 2);

    board.hear(2, replica(1, 101), now);
    for _ in 0..3 {
        assert_eq!(board.route(at(1, 101)), Route::Replica(2), "the other is not that far");
        assert_eq!(board.route(at(1, 102)), Route::Wait);
    }
}

#[test]
fn a_replica_is_out_when_it_is_far_behind_and_late_but_not_by_one_alone() {
    let began = Instant::now();
    let mut board = board(began);
    let far = 100 + MAX_BYTES + 1;
    board.hear(0, primary(1, far), began + SECOND);
    assert_eq!(board.hear(1, replica(1, 100), began + 2 * SECOND), None, "far, but not late");
    assert_eq!(board.hear(2, replica(1, far - 1), began + 9 * SECOND), None, "late, but not far");
    assert_eq!(board.lag(2), Lag { bytes: 1, time: 8 * SECOND });

    let change = board.hear(1, replica(1, 100), began + 4 * SECOND);

    assert_eq!(change, Some(Change::Ejected(Ejection::Lag)));
    assert_eq!(board.route(Position::default()), Route::Replica(2));
    for _ in 1..MIN_GOOD {
        assert_eq!(board.hear(1, replica(1, far), began + 5 * SECOND), None);
    }
    let change = board.hear(1, replica(1, far), began + 5 * SECOND);
    assert_eq!(change, Some(Change::Reinstated));
}

#[test]
fn a_replica_of_an_idle_primary_is_not_late() {
    let began = Instant::now();
    let mut board = board(began);
    let later = began + 3600 * SECOND;
    board.hear(0, primary(1, 100), later);
    board.hear(1, replica(1, 100), later);
    assert_eq!(board.lag(1), Lag::default());
}

#[test]
fn a_replica_is_out_after_three_questions_without_an_answer() {
    let now = Instant::now();
    let mut board = board(now);
    assert_eq!(board.hear(1, Err(Silence::Slow), now), None);
    assert_eq!(board.route(at(1, 100)), Route::Replica(2), "what it has is not known now");
    assert_eq!(board.hear(1, Err(Silence::Gone), now), None);
    let change = board.hear(1, Err(Silence::Slow), now);
    assert_eq!(change, Some(Change::Ejected(Ejection::Unreachable)));
    assert!(board.is_out(1));
}

#[test]
fn the_primary_is_who_has_the_highest_timeline_whatever_others_say() {
    let now = Instant::now();
    let mut board = board(now);
    assert_eq!(board.hear(2, primary(2, 101), now), Some(Change::FailedOver));
    assert_eq!(board.primary(), Some(2));
    assert!(board.is_deposed(0));
    assert!(board.is_outdated(at(1, 500)));

    board.hear(0, primary(1, 500), now);

    assert_eq!(board.primary(), Some(2));
    assert!(board.is_deposed(0), "it is on the older timeline");
    let change = board.hear(1, replica(1, 500), now);
    assert_eq!(change, Some(Change::Ejected(Ejection::Timeline)), "it follows the old one");
    for _ in 0..3 {
        board.hear(2, Err(Silence::Gone), now);
        board.hear(0, primary(1, 501), now);
    }
    assert_eq!(board.primary(), None, "none is better than the old one");
}

#[test]
fn a_primary_that_failed_is_asked_before_anybody_goes_there_again() {
    let now = Instant::now();
    let mut board = board(now);
    board.doubt(0);
    assert_eq!(board.primary(), None);
    assert!(!board.is_deposed(0), "those who wait for a connection may go on");
    board.hear(0, primary(1, 100), now);
    assert_eq!(board.primary(), Some(0));

    board.hear(0, replica(1, 100), now);
    assert_eq!(board.primary(), None);
    assert!(board.is_deposed(0), "it was started again as a replica");
}

#[test]
fn a_primary_that_is_slow_stays_and_one_that_is_gone_does_not() {
    let now = Instant::now();
    let mut board = board(now);
    for _ in 0..5 {
        board.hear(0, Err(Silence::Slow), now);
    }
    assert_eq!(board.primary(), Some(0));
    board.hear(0, primary(1, 100), now);
    board.hear(0, Err(Silence::Gone), now);
    assert_eq!(board.primary(), None);
}

#[test]
fn what_was_asked_for_is_outstanding_until_all_that_are_well_have_it() {
    let now = Instant::now();
    let mut board = board(now);
    assert!(!board.want(at(1, 100)));
    assert!(board.wrote(at(1, 150)));
    board.hear(1, replica(1, 150), now);
    assert!(!board.is_outstanding(1) && board.is_outstanding(2));
    for _ in 0..MAX_FAILED {
        board.hear(2, Err(Silence::Gone), now);
    }
    assert!(!board.is_outstanding(2), "nobody waits for one that is out");
    assert_eq!(board.written(), at(1, 150));
}

#[test]
fn below_the_floor_nobody_is_read_from_whatever_is_needed() {
    let now = Instant::now();
    let mut board = board(now);
    assert!(board.raise_floor(at(1, 120)));
    assert_eq!(board.route(Position::default()), Route::Wait);
    board.hear(2, replica(1, 120), now);
    assert_eq!(board.route(Position::default()), Route::Replica(2));
    board.raise_floor(at(1, 110));
    assert_eq!(board.route(at(1, 100)), Route::Replica(2), "it does not sink");
}
