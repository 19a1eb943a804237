//! Answers out of the model.

use std::cmp::Ordering;

use trellis_api::Sku;

use super::Model;
use crate::domain::product::Product;

impl Model {
    /// Suggests up to `count` products that go with those in `context`, best
    /// first, and fills up with what is in demand; never one of the context.
    ///
    /// Equally good ones come in the order of their SKUs, and neither the order
    /// of the context nor a repetition in it matters.
    pub fn suggest(&self, context: &[Sku], count: usize) -> Vec<Sku> {
        let mut context: Vec<&Sku> = context.iter().collect();
        context.sort_unstable();
        context.dedup();
        let known: Vec<u32> =
            context.iter().filter_map(|&sku| self.ids.get(sku).copied()).collect();

        let mut chosen = self.companions(&known);
        if count < chosen.len() {
            chosen.select_nth_unstable_by(count, |one, other| self.nearer(one, other));
            chosen.truncate(count);
        }
        chosen.sort_unstable_by(|one, other| self.nearer(one, other));

        let mut ids: Vec<u32> = chosen.into_iter().map(|(_, id)| id).collect();
        for id in self.top.iter() {
            if count <= ids.len() {
                break;
            }
            if !known.contains(&id) && !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids.into_iter().map(|id| self.products[id as usize].sku.clone()).collect()
    }

    /// All neighbours of `context` with their similarities added up.
    fn companions(&self, context: &[u32]) -> Vec<(f64, u32)> {
        let mut parts: Vec<(u32, f64)> = context
            .iter()
            .flat_map(|&id| self.similarities(&self.products[id as usize]))
            .filter(|(id, _)| !context.contains(id))
            .collect();
        // Stable, so sums are made in the order of the context.
        parts.sort_by_key(|&(id, _)| id);
        let sum = |parts: &[(u32, f64)]| parts.iter().map(|&(_, part)| part).sum();
        parts
            .chunk_by(|one, other| one.0 == other.0)
            .map(|parts| (sum(parts), parts[0].0))
            .collect()
    }

    /// A product's neighbours with how near each is, 0 to 1.
    pub(super) fn similarities(&self, product: &Product) -> impl Iterator<Item = (u32, f64)> {
        let own = product.popularity + self.basket;
        product.neighbours.iter().map(move |neighbour| {
            let other = self.products[neighbour.product as usize].popularity + self.basket;
            (neighbour.product, neighbour.weight / (own.sqrt() * other.sqrt()))
        })
    }

    /// Puts the nearer first, and equals in the order of their SKUs.
    pub(super) fn nearer(&self, one: &(f64, u32), other: &(f64, u32)) -> Ordering {
        let sku = |id: u32| &self.products[id as usize].sku;
        other.0.total_cmp(&one.0).then_with(|| sku(one.1).cmp(sku(other.1)))
    }
}
