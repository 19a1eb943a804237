//! Which shard has which buckets.

use std::ops::RangeInclusive;

use trellis_api::id::{BUCKETS, Bucket};

use crate::{
    Error, Shards, Tx,
    shards::{map::shard_number, state::State},
};

/// What all shards say of all buckets.
#[derive(Clone, Debug, Default)]
pub struct Census {
    shards: Vec<Vec<Row>>,
    /// For each shard, how many changes wait to be carried to whoever has a copy.
    pub changes: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Row {
    bucket: u16,
    state: State,
    epoch: i64,
    peer: Option<usize>,
}

/// Asks all shards.
pub async fn census(shards: &Shards) -> Result<Census, Error> {
    let mut census = Census::default();
    for shard in shards.each() {
        let (rows, changes) = shard.read(look).await?;
        census.shards.push(rows);
        census.changes.push(changes);
    }
    Ok(census)
}

async fn look(mut tx: Tx) -> Result<(Vec<Row>, u64), Error> {
    let rows: Vec<(i16, String, i64, Option<i16>)> =
        sqlx::query_as("SELECT bucket, state, epoch, peer FROM shard_buckets ORDER BY bucket")
            .fetch_all(&mut *tx)
            .await?;
    let changes: i64 =
        sqlx::query_scalar("SELECT count(*) FROM shard_changes").fetch_one(&mut *tx).await?;
    let row = |(bucket, state, epoch, peer): (i16, String, i64, Option<i16>)| {
        let (state, peer) = (State::parse(&state)?, peer.map(shard_number));
        Ok::<_, Error>(Row { bucket: bucket.cast_unsigned(), state, epoch, peer })
    };
    let rows = rows.into_iter().map(row).collect::<Result<_, _>>()?;
    Ok((rows, changes.unsigned_abs()))
}

impl Census {
    /// Who has the bucket, or has given it to one that does not know it yet.
    pub fn owner(&self, bucket: Bucket) -> Option<usize> {
        let is_owner = |rows: &Vec<Row>| find(rows, bucket).is_some_and(|row| row.state.is_owner());
        self.shards.iter().position(is_owner).or_else(|| self.heir(bucket).map(|(heir, _)| heir))
    }

    /// Where a bucket is on its way to. A mover that died early has told the goal alone.
    pub(super) fn goal(&self, bucket: Bucket) -> Option<usize> {
        let owner = self.owner(bucket)?;
        let comes = |rows: &Vec<Row>| {
            find(rows, bucket)
                .is_some_and(|row| row.state == State::Arriving && row.peer == Some(owner))
        };
        self.shards.iter().position(comes)
    }

    /// Whom a bucket without an owner was given to, and which owner that is, counted from
    /// the first.
    pub(super) fn heir(&self, bucket: Bucket) -> Option<(usize, i64)> {
        self.shards.iter().enumerate().find_map(|(number, rows)| {
            let given = find(rows, bucket).filter(|row| row.state == State::Given)?;
            let peer = given.peer?;
            let arriving = find(self.shards.get(peer)?, bucket)?;
            let is_heir = arriving.state == State::Arriving && arriving.peer == Some(number);
            is_heir.then_some((peer, given.epoch))
        })
    }

    /// Those that keep an old copy of a bucket.
    pub(super) fn copies(&self, bucket: Bucket) -> impl Iterator<Item = usize> + '_ {
        let has = move |(number, rows): (usize, &Vec<Row>)| {
            find(rows, bucket).filter(|row| row.state == State::Given).map(|_| number)
        };
        self.shards.iter().enumerate().filter_map(has)
    }

    /// The buckets of a shard in a state, as ranges.
    pub fn ranges(&self, shard: usize, state: State) -> Vec<RangeInclusive<u16>> {
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        let rows = self.shards.get(shard).into_iter().flatten();
        for row in rows.filter(|row| row.state == state) {
            match ranges.last_mut() {
                Some(last) if last.end() + 1 == row.bucket => *last = *last.start()..=row.bucket,
                _ => ranges.push(row.bucket..=row.bucket),
            }
        }
        ranges
    }

    /// How many buckets nobody has, which should be none.
    pub fn orphans(&self) -> usize {
        let buckets = (0..BUCKETS).filter_map(Bucket::new);
        buckets.filter(|bucket| self.owner(*bucket).is_none()).count()
    }
}

fn find(rows: &[Row], bucket: Bucket) -> Option<&Row> {
    let place = rows.binary_search_by_key(&bucket.get(), |row| row.bucket).ok()?;
    rows.get(place)
}
