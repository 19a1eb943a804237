//! Which database has which buckets, for people.

use std::ops::RangeInclusive;

use trellis_storage::shards::State;
use trellis_storage::shards::mover::census;

use super::Sharded;
use crate::commands::say;
use crate::config::Config;

/// What a state of a bucket is called here.
const STATES: [(&str, State); 5] = [
    ("has", State::Owned),
    ("is giving away", State::Moving),
    ("is handing over", State::Frozen),
    ("is taking in", State::Arriving),
    ("keeps a copy of", State::Given),
];
/// So many ranges are told one by one.
const TOLD: usize = 8;

pub(super) async fn show(service: Sharded, config: &Config) -> anyhow::Result<()> {
    let urls = service.urls(config)?;
    let (shards, _) = service.open(config).await?;
    let census = census(&shards).await?;
    for (number, url) in urls.iter().enumerate() {
        say(&format!("{} shard {number}  {url}", service.name()));
        for (name, state) in STATES {
            let ranges = census.ranges(number, state);
            if !ranges.is_empty() {
                say(&format!("  {name} {}", told(&ranges)));
            }
        }
        if let Some(waiting @ 1..) = census.changes.get(number) {
            say(&format!("  {waiting} changes wait for the copies that others keep"));
        }
    }
    match census.orphans() {
        0 => {}
        orphans => say(&format!("{} WITHOUT OWNER: {orphans} buckets", service.name())),
    }
    Ok(())
}

fn told(ranges: &[RangeInclusive<u16>]) -> String {
    let count: usize = ranges.iter().map(ExactSizeIterator::len).sum();
    let range = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}..{last}"),
    };
    let mut texts: Vec<_> = ranges.iter().take(TOLD).map(range).collect();
    if TOLD < ranges.len() {
        texts.push("…".to_owned());
    }
    format!("{count} buckets: {}", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_told_as_ranges() {
        assert_eq!(told(&[0..=2047, 4095..=4095]), "2049 buckets: 0..2047, 4095");
        let many: Vec<_> = (0..20).map(|number| 2 * number..=2 * number).collect();
        assert_eq!(told(&many), "20 buckets: 0, 2, 4, 6, 8, 10, 12, 14, …");
    }
}
