use proptest::prelude::*;

use super::*;

/// What the participants hold, as far as the answers so far tell.
#[derive(Debug, Default, PartialEq, Eq)]
struct World {
    stock: Stock,
    money: Money,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stock {
    #[default]
    Free,
    Held,
    Sold,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Money {
    #[default]
    Free,
    Authorized,
    Captured,
}

impl World {
    /// Answers a step as honest participants in this state could; `choice` picks one.
    fn answer(&mut self, step: Step, choice: u8) -> Answer {
        let no = choice.is_multiple_of(3);
        match step {
            Step::Reserve if no => {
                return Answer::Refused(Refusal::OutOfStock { sku: "MUG".to_owned() });
            }
            Step::Authorize if no => {
                return Answer::Refused(Refusal::Declined { code: "no".to_owned() });
            }
            Step::Commit if no => {
                self.stock = Stock::Free;
                return Answer::Refused(Refusal::NotHeld);
            }
            Step::Capture if no => {
                self.money = Money::Free;
                return Answer::Refused(Refusal::CaptureFailed);
            }
            Step::Release if self.stock == Stock::Sold => {
                return Answer::Refused(Refusal::Committed);
            }
            Step::Reserve => self.stock = Stock::Held,
            Step::Commit => self.stock = Stock::Sold,
            Step::Release | Step::Restock => self.stock = Stock::Free,
            Step::Authorize => self.money = Money::Authorized,
            Step::Capture => self.money = Money::Captured,
            Step::Void | Step::Refund => self.money = Money::Free,
        }
        Answer::Done
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
                        let answer = world.answer(step, choice);
                        after(Kind::Checkout, turned_back.as_ref(), step, answer).unwrap()
                    }
                }
                Next::TurnBack(why) => {
                    turned_back = Some(why);
                    first(Kind::Checkout, turned_back.as_ref())
                }
                Next::Confirm => {
                    let sold = World { stock: Stock::Sold, money: Money::Captured };
                    prop_assert_eq!(world, sold);
                    return Ok(());
                }
                Next::Cancel(_) => {
                    prop_assert_eq!(world, World::default());
                    return Ok(());
                }
                Next::Refund => unreachable!("a checkout refunds nothing"),
            };
        }
        prop_assert!(false, "no end in sight: {next:?}");
    }

    #[test]
    fn a_late_change_of_mind_never_undoes_a_sale(steps_done in 0..4_usize) {
        let mut world = World::default();
        for step in [Step::Reserve, Step::Authorize, Step::Commit, Step::Capture].into_iter().take(steps_done) {
            world.answer(step, 1);
        }
        let why = Cancellation::from(Reason::CancelledByCustomer);

        let mut next = first(Kind::Checkout, Some(&why));
        while let Next::Do(step) = next {
            let answer = world.answer(step, 1);
            next = after(Kind::Checkout, Some(&why), step, answer).unwrap();
        }

        let is_past_the_pivot = 3 <= steps_done;
        prop_assert_eq!(next == Next::Confirm, is_past_the_pivot);
        prop_assert_eq!(world.stock == Stock::Sold, is_past_the_pivot);
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
