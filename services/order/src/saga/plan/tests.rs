use proptest::prelude::*;

use super::*;

/// What the participants hold, as far as the answers so far tell.
#[derive(Debug, Default)]
struct World {
    held: bool,
    sold: bool,
    authorized: bool,
    captured: bool,
}

/// Answers a step as honest participants in a state could; `choice` picks one.
fn answer(world: &mut World, step: Step, choice: u8) -> Answer {
    let refused = Answer::Refused;
    let no = choice.is_multiple_of(3);
    match step {
        Step::Reserve if no => refused(Refusal::OutOfStock { sku: "MUG".to_owned() }),
        Step::Reserve if choice.is_multiple_of(7) => refused(Refusal::NotHeld),
        Step::Reserve => {
            world.held = true;
            Answer::Done
        }
        Step::Authorize if no => refused(Refusal::Declined { code: "no".to_owned() }),
        Step::Authorize => {
            world.authorized = true;
            Answer::Done
        }
        Step::Commit if no => {
            world.held = false;
            refused(Refusal::NotHeld)
        }
        Step::Commit => {
            (world.held, world.sold) = (false, true);
            Answer::Done
        }
        Step::Capture if no => {
            world.authorized = false;
            refused(Refusal::CaptureFailed)
        }
        Step::Capture => {
            (world.authorized, world.captured) = (false, true);
            Answer::Done
        }
        Step::Release if world.sold => refused(Refusal::Committed),
        Step::Release => {
            world.held = false;
            Answer::Done
        }
        Step::Void => {
            world.authorized = false;
            Answer::Done
        }
        Step::Restock => {
            world.sold = false;
            Answer::Done
        }
        Step::Refund => {
            world.captured = false;
            Answer::Done
        }
    }
}

proptest! {
    #[test]
    fn every_checkout_ends_and_its_end_is_true(
        choices in prop::collection::vec(any::<u8>(), 16),
        impatient_at in prop::option::of(0..6_usize),
    ) {
        let mut world = World::default();
        let mut turned_back = None;
        let mut next = first(Kind::Checkout, None);
        for (turn, choice) in choices.into_iter().enumerate() {
            next = match next {
                Next::Do(step) => {
                    let impatient = impatient_at.is_some_and(|at| at <= turn);
                    if impatient && turned_back.is_none() && step.is_before_pivot() {
                        Next::TurnBack(Reason::CheckoutTimedOut.into())
                    } else {
                        let answer = answer(&mut world, step, choice);
                        after(Kind::Checkout, turned_back.as_ref(), step, answer).unwrap()
                    }
                }
                Next::TurnBack(why) => {
                    turned_back = Some(why);
                    first(Kind::Checkout, turned_back.as_ref())
                }
                Next::Confirm => {
                    prop_assert!(world.sold && world.captured, "{world:?}");
                    return Ok(());
                }
                Next::Cancel(_) => {
                    let World { held, sold, authorized, captured } = world;
                    prop_assert!(!held && !sold && !authorized && !captured, "{world:?}");
                    return Ok(());
                }
                Next::Refund => unreachable!("a checkout refunds nothing"),
            };
        }
        prop_assert!(false, "no end in sight: {next:?}");
    }
}

#[test]
fn a_late_release_sends_the_saga_forward() {
    let why = Cancellation::from(Reason::CancelledByCustomer);

    let next =
        after(Kind::Checkout, Some(&why), Step::Release, Answer::Refused(Refusal::Committed));

    assert_eq!(next, Ok(Next::Do(Step::Capture)));
}

#[test]
fn an_answer_out_of_place_decides_nothing() {
    let refused = Answer::Refused(Refusal::OutOfStock { sku: "MUG".to_owned() });
    for step in [Step::Capture, Step::Release, Step::Void, Step::Restock, Step::Refund] {
        assert!(after(Kind::Checkout, None, step, refused.clone()).is_err(), "{step:?}");
        assert!(after(Kind::Refund, None, step, refused.clone()).is_err(), "{step:?}");
    }
}

#[test]
fn a_refund_gives_the_money_back_before_the_goods() {
    let restock = after(Kind::Refund, None, Step::Refund, Answer::Done);
    let refunded = after(Kind::Refund, None, Step::Restock, Answer::Done);

    assert_eq!(first(Kind::Refund, None), Next::Do(Step::Refund));
    assert_eq!(restock, Ok(Next::Do(Step::Restock)));
    assert_eq!(refunded, Ok(Next::Refund));
}
