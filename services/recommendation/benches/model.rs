//! How long the model takes to learn and to answer.
//!
//! `cargo bench -p trellis-recommendation`

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use trellis_api::Sku;
use trellis_recommendation::domain::{LearnedBasket, Limits, Model};

const MONDAY: OffsetDateTime = datetime!(2026-11-23 09:30 UTC);
const PRODUCTS: u64 = 5_000;
const LIMITS: Limits = Limits {
    half_life: Duration::days(30),
    trending_half_life: Duration::days(2),
    neighbours: 64,
    products: 200_000,
};

fn main() {
    divan::main();
}

/// Baskets of `size` products, of which a few sell much better than most.
fn baskets(count: i64, size: usize) -> Vec<LearnedBasket> {
    // A fixed sequence (Knuth's MMIX generator), so that runs can be compared.
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    (1..=count)
        .map(|sequence| {
            let mut skus: Vec<Sku> = (0..size)
                .map(|_| sku((next() % PRODUCTS) * (next() % PRODUCTS) / PRODUCTS))
                .collect();
            skus.sort_unstable();
            skus.dedup();
            LearnedBasket { sequence, skus, create_time: MONDAY + Duration::seconds(sequence) }
        })
        .collect()
}

fn sku(number: u64) -> Sku {
    format!("SKU-{number:05}").parse().expect("it is a SKU")
}

fn learned() -> Model {
    let mut model = Model::new(LIMITS);
    for basket in &baskets(100_000, 5) {
        model.learn(basket);
    }
    model
}

#[divan::bench(args = [0, 1, 5, 50])]
fn suggest(bencher: Bencher<'_, '_>, context: u64) {
    let model = learned();
    let context: Vec<Sku> = (0..context).map(|number| sku(number * 7)).collect();
    bencher.bench_local(|| model.suggest(black_box(&context), 10));
}

#[divan::bench(args = [1, 5, 25], sample_count = 10)]
fn learn(bencher: Bencher<'_, '_>, size: usize) {
    let baskets = baskets(20_000, size);
    bencher.counter(ItemsCount::new(baskets.len())).bench_local(|| {
        let mut model = Model::new(LIMITS);
        for basket in &baskets {
            model.learn(basket);
        }
        model
    });
}
