//! The model: which products go together, and which are in demand.
//!
//! Two products go together as far as they share baskets, measured by the
//! cosine of the baskets that hold them, so that a bestseller is not
//! everybody's neighbour ("Amazon.com Recommendations: Item-to-Item
//! Collaborative Filtering", Linden, Smith and York, IEEE Internet Computing
//! 2003). Each product carries one imaginary basket of its own, so that a
//! single basket is weaker evidence than ten.
//!
//! The model is a function of what it has learned and of the order of that; it
//! asks no clock. It forgets by decay alone: what retention has removed from the
//! store stays, as light as it has become, until the next start.

mod suggest;

use std::collections::HashMap;

use time::Duration;
use trellis_api::Sku;

use super::decay::Decay;
use super::product::Product;
use super::top::Top;
use super::{HourViews, LearnedBasket, Position};

/// How the model weighs, and how large it may grow.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// After which a shared basket counts half.
    pub half_life: Duration,
    /// After which an order or a view counts half as demand.
    pub trending_half_life: Duration,
    /// Neighbours of a product that are kept; up to twice as many for a while.
    pub neighbours: usize,
    /// Products that are kept; beyond, the least popular tenth is forgotten.
    pub products: usize,
}

/// What has been learned so far.
#[derive(Clone, Debug)]
pub struct Model {
    limits: Limits,
    affinity: Decay,
    demand: Decay,
    ids: HashMap<Sku, u32>,
    /// By id.
    products: Vec<Product>,
    top: Top,
    /// What the newest basket weighs: the measure of one basket today.
    basket: f64,
    position: Position,
    learned: i64,
}

impl Model {
    /// A model that knows nothing.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            affinity: Decay::new(limits.half_life),
            demand: Decay::new(limits.trending_half_life),
            ids: HashMap::new(),
            products: Vec::new(),
            top: Top::default(),
            basket: 0.0,
            position: Position::default(),
            learned: 0,
        }
    }

    /// How far it has read.
    pub fn position(&self) -> Position {
        self.position
    }

    /// How many baskets it has learned from.
    pub fn learned(&self) -> i64 {
        self.learned
    }

    /// Learns from a basket, unless it has done so before.
    pub fn learn(&mut self, basket: &LearnedBasket) {
        if basket.sequence <= self.position.baskets {
            return;
        }
        self.position.baskets = basket.sequence;
        self.learned += 1;

        let affinity = self.affinity.weigh(basket.create_time);
        if let Some(factor) = affinity.rescale {
            self.basket *= factor;
            self.products.iter_mut().for_each(|product| product.scale_affinity(factor));
        }
        self.basket = self.basket.max(affinity.value);
        let demand = self.weigh_demand(basket.create_time);

        let ids: Vec<u32> = basket.skus.iter().map(|sku| self.intern(sku)).collect();
        for &id in &ids {
            let product = &mut self.products[id as usize];
            product.popularity += affinity.value;
            product.orders += demand;
            for &other in ids.iter().filter(|&&other| other != id) {
                product.meet(other, affinity.value);
            }
            self.top.raise(id, &self.products);
        }
        for id in ids {
            self.prune(id);
        }
        self.evict();
    }

    /// Learns how often a product was looked at in an hour.
    pub fn observe(&mut self, views: &HourViews) {
        self.position.views = self.position.views.max(views.version);
        let id = self.intern(&views.view.sku);
        let news = self.products[id as usize].count_views(views.view.hour, views.count);
        if 0 < news {
            let weight = self.weigh_demand(views.view.hour.start());
            self.products[id as usize].views += f64::from(news) * weight;
            self.top.raise(id, &self.products);
        }
        self.evict();
    }

    fn weigh_demand(&mut self, time: time::OffsetDateTime) -> f64 {
        let demand = self.demand.weigh(time);
        if let Some(factor) = demand.rescale {
            self.products.iter_mut().for_each(|product| product.scale_demand(factor));
            // The lightest have become nothing, and so equals.
            self.top = Top::of(&self.products);
        }
        demand.value
    }

    fn intern(&mut self, sku: &Sku) -> u32 {
        if let Some(&id) = self.ids.get(sku) {
            return id;
        }
        let id = u32::try_from(self.products.len()).expect("the limit of products is 32 bits");
        self.products.push(Product::new(sku.clone()));
        self.ids.insert(sku.clone(), id);
        id
    }

    /// Cuts a product's neighbours to the nearest, once there are twice as many
    /// as wanted: a newcomer has time to prove itself, and most baskets cut
    /// nothing.
    fn prune(&mut self, id: u32) {
        let kept = self.limits.neighbours;
        let product = &self.products[id as usize];
        if product.neighbours.len() <= kept * 2 {
            return;
        }
        let mut ranked: Vec<(f64, u32)> =
            self.similarities(product).map(|(other, similarity)| (similarity, other)).collect();
        ranked.sort_unstable_by(|one, other| self.nearer(one, other));
        let mut nearest: Vec<u32> = ranked.into_iter().take(kept).map(|(_, other)| other).collect();
        nearest.sort_unstable();
        let neighbours = &mut self.products[id as usize].neighbours;
        neighbours.retain(|neighbour| nearest.binary_search(&neighbour.product).is_ok());
        neighbours.shrink_to(kept * 2);
    }

    /// Forgets the least popular tenth of the products once there are too many,
    /// such as those that are sold no more.
    fn evict(&mut self) {
        if self.products.len() <= self.limits.products {
            return;
        }
        let mut ranked: Vec<usize> = (0..self.products.len()).collect();
        ranked.sort_unstable_by(|&one, &other| {
            let (one, other) = (&self.products[one], &self.products[other]);
            other
                .popularity
                .total_cmp(&one.popularity)
                .then_with(|| other.demand().total_cmp(&one.demand()))
                .then_with(|| one.sku.cmp(&other.sku))
        });
        ranked.truncate(self.limits.products - self.limits.products / 10);
        ranked.sort_unstable();

        let mut renamed: Vec<Option<u32>> = vec![None; self.products.len()];
        for (new, &old) in (0..).zip(&ranked) {
            renamed[old] = Some(new);
        }
        let mut old = 0;
        self.products.retain(|_| {
            old += 1;
            renamed[old - 1].is_some()
        });
        for product in &mut self.products {
            product.neighbours.retain_mut(|neighbour| {
                let new = renamed[neighbour.product as usize];
                neighbour.product = new.unwrap_or_default();
                new.is_some()
            });
        }
        self.ids =
            (0..).zip(&self.products).map(|(id, product)| (product.sku.clone(), id)).collect();
        self.top = Top::of(&self.products);
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "weights are exact")]
mod tests;
