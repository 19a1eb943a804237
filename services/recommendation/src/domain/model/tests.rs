use proptest::prelude::*;
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::domain::{Hour, View};

const MONDAY: OffsetDateTime = datetime!(2026-11-23 09:30 UTC);

fn limits() -> Limits {
    Limits {
        half_life: Duration::days(30),
        trending_half_life: Duration::days(2),
        neighbours: 8,
        products: 1_000,
    }
}

fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

fn basket(sequence: i64, create_time: OffsetDateTime, skus: &[&str]) -> LearnedBasket {
    LearnedBasket { sequence, skus: skus.iter().map(|text| sku(text)).collect(), create_time }
}

fn learned(baskets: &[&[&str]]) -> Model {
    let mut model = Model::new(limits());
    for (sequence, skus) in (1..).zip(baskets) {
        model.learn(&basket(sequence, MONDAY, skus));
    }
    model
}

fn views(version: i64, text: &str, time: OffsetDateTime, count: u32) -> HourViews {
    HourViews { version, view: View { sku: sku(text), hour: Hour::of(time) }, count }
}

fn suggest(model: &Model, context: &[&str], count: usize) -> Vec<String> {
    let context: Vec<Sku> = context.iter().map(|text| sku(text)).collect();
    model.suggest(&context, count).into_iter().map(String::from).collect()
}

fn weight(model: &Model, one: &str, other: &str) -> f64 {
    let other = model.ids[&sku(other)];
    let neighbours = &model.products[model.ids[&sku(one)] as usize].neighbours;
    neighbours.iter().find(|neighbour| neighbour.product == other).map_or(0.0, |found| found.weight)
}

#[test]
fn what_was_bought_together_is_suggested_together() {
    let model = learned(&[&["MUG", "TEA"], &["MUG", "TEA"], &["MUG", "SPOON"], &["LAMP", "BULB"]]);

    assert_eq!(suggest(&model, &["MUG"], 2), ["TEA", "SPOON"]);
    assert_eq!(suggest(&model, &["LAMP"], 1), ["BULB"]);
}

#[test]
fn a_bestseller_is_not_everybodys_neighbour() {
    let with_everything: Vec<String> = (0..50).map(|number| format!("SKU-{number}")).collect();
    let mut baskets: Vec<Vec<&str>> =
        with_everything.iter().map(|other| vec!["BAG", other.as_str()]).collect();
    baskets.extend([
        vec!["PEN", "BAG"],
        vec!["PEN", "BAG"],
        vec!["PEN", "INK"],
        vec!["PEN", "INK"],
    ]);
    let baskets: Vec<&[&str]> = baskets.iter().map(Vec::as_slice).collect();

    let model = learned(&baskets);

    assert_eq!(suggest(&model, &["PEN"], 2), ["INK", "BAG"]);
}

#[test]
fn one_basket_is_weaker_evidence_than_many() {
    let model =
        learned(&[&["MUG", "ODD"], &["MUG", "TEA"], &["MUG", "TEA"], &["MUG", "TEA"], &["TEA"]]);

    assert_eq!(suggest(&model, &["MUG"], 2), ["TEA", "ODD"]);
}

#[test]
fn a_basket_counts_half_after_a_half_life() {
    let mut model = Model::new(limits());
    model.learn(&basket(1, MONDAY, &["MUG", "TEA"]));
    model.learn(&basket(2, MONDAY + Duration::days(30), &["MUG", "SPOON"]));

    assert_eq!(weight(&model, "MUG", "SPOON"), weight(&model, "MUG", "TEA") * 2.0);
    assert_eq!(suggest(&model, &["MUG"], 2), ["SPOON", "TEA"]);
}

#[test]
fn demand_counts_half_after_its_own_half_life() {
    let mut model = Model::new(limits());
    for sequence in 1..=3 {
        model.learn(&basket(sequence, MONDAY, &["OLD"]));
    }
    model.learn(&basket(4, MONDAY + Duration::days(2), &["NEW"]));
    assert_eq!(suggest(&model, &[], 2), ["OLD", "NEW"]);

    model.learn(&basket(5, MONDAY + Duration::days(2), &["NEW"]));

    assert_eq!(suggest(&model, &[], 2), ["NEW", "OLD"]);
}

#[test]
fn years_of_learning_overflow_nothing() {
    let mut model = Model::new(limits());
    for year in 0..30 {
        let time = MONDAY + Duration::days(365 * year);
        model.learn(&basket(year + 1, time, &["MUG", if year < 29 { "TEA" } else { "SPOON" }]));
        model.observe(&views(year + 1, "LAMP", time, 1));
    }

    assert_eq!(suggest(&model, &["MUG"], 2), ["SPOON", "TEA"]);
    assert_eq!(suggest(&model, &[], 4), ["MUG", "SPOON", "LAMP", "TEA"]);
}

#[test]
fn what_is_looked_at_much_is_in_demand() {
    let mut model = learned(&[&["MUG"]]);
    model.observe(&views(1, "LAMP", MONDAY, 9));
    assert_eq!(suggest(&model, &[], 2), ["MUG", "LAMP"]);

    model.observe(&views(2, "LAMP", MONDAY, 12));
    model.observe(&views(2, "LAMP", MONDAY, 12));

    assert_eq!(suggest(&model, &[], 2), ["LAMP", "MUG"]);
}

#[test]
fn a_basket_is_learned_once() {
    let mut model = learned(&[&["MUG", "TEA"]]);

    model.learn(&basket(1, MONDAY, &["MUG", "TEA"]));

    assert_eq!(model.learned(), 1);
    assert_eq!(weight(&model, "MUG", "TEA"), model.products[0].popularity);
}

#[test]
fn a_page_is_filled_with_what_is_in_demand() {
    let model = learned(&[&["MUG", "TEA"], &["LAMP"], &["LAMP"], &["BULB"]]);

    assert_eq!(suggest(&model, &["MUG"], 10), ["TEA", "LAMP", "BULB"]);
    assert_eq!(suggest(&model, &["UNKNOWN"], 2), ["LAMP", "BULB"]);
    assert_eq!(suggest(&model, &["LAMP", "BULB", "TEA"], 10), ["MUG"]);
}

#[test]
fn an_empty_model_suggests_nothing() {
    assert!(suggest(&Model::new(limits()), &["MUG"], 10).is_empty());
}

#[test]
fn what_is_sold_no_more_makes_room() {
    let mut model = Model::new(Limits { products: 100, ..limits() });
    model.learn(&basket(1, MONDAY, &["MUG", "TEA"]));
    model.learn(&basket(2, MONDAY, &["MUG", "TEA"]));
    model.observe(&views(1, "LAMP", MONDAY, 5));

    for sequence in 3..500 {
        let name = format!("SKU-{sequence}");
        model.learn(&basket(sequence, MONDAY, &[&name, "MUG"]));
        assert!(model.products.len() <= 100);
        assert_eq!(model.ids.len(), model.products.len());
    }

    assert_eq!(suggest(&model, &["TEA"], 1), ["MUG"]);
    assert_eq!(suggest(&model, &[], 2), ["MUG", "TEA"]);
    assert!(!model.ids.contains_key(&sku("LAMP")));
}

/// Baskets of up to 6 out of 40 products, within two months.
fn baskets() -> impl Strategy<Value = Vec<LearnedBasket>> {
    let skus = prop::collection::btree_set(0_u8..40, 1..6);
    prop::collection::vec((skus, 0_i64..5_000_000), 0..120).prop_map(|baskets| {
        let numbered = (1..).zip(baskets);
        numbered
            .map(|(sequence, (skus, seconds))| LearnedBasket {
                sequence,
                skus: skus.into_iter().map(|number| sku(&format!("SKU-{number}"))).collect(),
                create_time: MONDAY + Duration::seconds(seconds),
            })
            .collect()
    })
}

fn model_of(limits: Limits, baskets: &[LearnedBasket]) -> Model {
    let mut model = Model::new(limits);
    for basket in baskets {
        model.learn(basket);
    }
    model
}

proptest! {
    #[test]
    fn no_product_keeps_more_than_twice_its_neighbours(baskets in baskets()) {
        let model = model_of(limits(), &baskets);

        for product in &model.products {
            prop_assert!(product.neighbours.len() <= limits().neighbours * 2);
        }
    }

    #[test]
    fn two_products_are_as_near_from_either_side(baskets in baskets()) {
        let model = model_of(Limits { neighbours: 40, ..limits() }, &baskets);

        for one in &model.products {
            for (other, similarity) in model.similarities(one) {
                let other = &model.products[other as usize];
                let back = model
                    .similarities(other)
                    .find(|&(id, _)| model.products[id as usize].sku == one.sku);
                prop_assert_eq!(back.map(|(_, similarity)| similarity), Some(similarity));
                prop_assert!(similarity < 1.0);
            }
        }
    }

    #[test]
    fn suggestions_are_new_to_the_customer_and_different(
        baskets in baskets(),
        context in prop::collection::vec(0_u8..50, 0..6),
        count in 1_usize..50,
    ) {
        let model = model_of(limits(), &baskets);
        let mut context: Vec<Sku> =
            context.into_iter().map(|number| sku(&format!("SKU-{number}"))).collect();

        let suggested = model.suggest(&context, count);

        let known = model.ids.keys().filter(|&sku| !context.contains(sku)).count();
        prop_assert_eq!(suggested.len(), known.min(count));
        let different: std::collections::BTreeSet<&Sku> = suggested.iter().collect();
        prop_assert_eq!(different.len(), suggested.len());
        prop_assert!(!suggested.iter().any(|sku| context.contains(sku)));
        context.reverse();
        prop_assert_eq!(model.suggest(&context, count), suggested);
    }

    #[test]
    fn the_order_of_learning_changes_no_answer_while_no_neighbour_is_cut(baskets in baskets()) {
        let limits = Limits { neighbours: 40, ..limits() };
        let mut backwards = baskets.clone();
        backwards.reverse();
        for (sequence, basket) in (1..).zip(&mut backwards) {
            basket.sequence = sequence;
        }

        let one = model_of(limits, &baskets);
        let other = model_of(limits, &backwards);

        prop_assert_eq!(one.suggest(&[], 100), other.suggest(&[], 100));
        for sku in one.ids.keys() {
            let context = std::slice::from_ref(sku);
            prop_assert_eq!(one.suggest(context, 100), other.suggest(context, 100));
        }
    }
}
