//! Readable, typed, routable ids.
//!
//! The text form is a TypeID (jetify-com/typeid, version 0.3): a prefix that
//! says what the id names, then a UUIDv7 in 26 letters of Crockford's base32,
//! such as `order_01h455vb4pex5vsknk084sn02q`.
//! The UUID's 12 `rand_a` bits hold the owner's [`Bucket`], so an id finds its
//! shard without a look-up.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use uuid::Uuid;

/// How many buckets there are, for ever: users are spread over shards by them.
pub const BUCKETS: u16 = 4096;

/// What an id names.
pub trait Kind {
    /// What its text begins with.
    const PREFIX: &'static str;
}

/// Names one thing of kind `K`.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

/// A customer's account.
pub type UserId = Id<User>;
/// A purchase.
pub type OrderId = Id<Order>;
/// The stock held for an order.
pub type ReservationId = Id<Reservation>;
/// The money of an order.
pub type PaymentId = Id<Payment>;

/// One of [`BUCKETS`] groups of users; a user and all that they own share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(u16);

/// A text that is not an id of the wanted kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `{prefix}_` and 26 letters or digits of base32")]
pub struct ParseIdError {
    prefix: &'static str,
}

macro_rules! kinds {
    ($($kind:ident = $prefix:literal),* $(,)?) => {
        $(
            #[doc = concat!("Prefix `", $prefix, "`.")]
            #[derive(Debug)]
            pub enum $kind {}

            impl Kind for $kind {
                const PREFIX: &'static str = $prefix;
            }
        )*
    };
}

kinds! {
    User = "user",
    Order = "order",
    Reservation = "reservation",
    Payment = "payment",
}

/// Returns the id of an event: a bare UUIDv7 that carries its owner's bucket.
pub fn event_id(now: OffsetDateTime, bucket: Bucket) -> Uuid {
    let milliseconds = now.unix_timestamp_nanos() / 1_000_000;
    let mut bytes: [u8; 16] = rand::random();
    let time = u64::try_from(milliseconds).unwrap_or(0).to_be_bytes();
    bytes[..6].copy_from_slice(&time[2..]);
    let [high, low] = bucket.0.to_be_bytes();
    bytes[6] = 0x70 | high;
    bytes[7] = low;
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}

impl Bucket {
    /// Returns bucket `number`, if there is one.
    pub fn new(number: u16) -> Option<Self> {
        (number < BUCKETS).then_some(Self(number))
    }

    /// Picks a bucket for a new user.
    pub fn random() -> Self {
        Self(rand::random::<u16>() % BUCKETS)
    }

    /// The bucket that is part of a UUID made by [`event_id`] or [`Id::new`].
    pub fn of(uuid: Uuid) -> Self {
        let bytes = uuid.as_bytes();
        Self(u16::from_be_bytes([bytes[6] & 0x0f, bytes[7]]))
    }

    /// The bucket's number, 0 to 4095.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl<K: Kind> Id<K> {
    /// Makes an id that nobody can guess: 62 of its bits are random.
    pub fn new(now: OffsetDateTime, bucket: Bucket) -> Self {
        Self::from_uuid(event_id(now, bucket))
    }

    /// The id that has this UUID.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }

    /// The id without its prefix.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The bucket of whoever owns the thing.
    pub fn bucket(&self) -> Bucket {
        Bucket::of(self.uuid)
    }

    /// The id of another kind that shares this one's UUID.
    ///
    /// An order's reservation and its payment are siblings of the order, so one
    /// suffix finds all three, and a repeated step names the same thing again.
    pub fn sibling<L: Kind>(&self) -> Id<L> {
        Id::from_uuid(self.uuid)
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = base32::encode(self.uuid.as_u128());
        f.write_str(K::PREFIX)?;
        f.write_str("_")?;
        f.write_str(std::str::from_utf8(&suffix).map_err(|_| fmt::Error)?)
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .and_then(base32::decode)
            .map(Uuid::from_u128)
            .filter(|uuid| uuid.get_version_num() == 7)
            .map(Self::from_uuid)
            .ok_or(ParseIdError { prefix: K::PREFIX })
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}

impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Crockford's base32 of 128 bits, as TypeID fixes it: 26 lower-case letters,
/// the first of which holds only three bits.
mod base32 {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    pub(super) fn encode(mut value: u128) -> [u8; 26] {
        let mut text = [0; 26];
        for letter in text.iter_mut().rev() {
            *letter = ALPHABET[(value & 31) as usize];
            value >>= 5;
        }
        text
    }

    pub(super) fn decode(text: &str) -> Option<u128> {
        let bytes: &[u8; 26] = text.as_bytes().try_into().ok()?;
        if bytes[0] > b'7' {
            return None;
        }
        bytes.iter().try_fold(0_u128, |value, letter| {
            let digit = ALPHABET.iter().position(|known| known == letter)?;
            Some(value << 5 | digit as u128)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_text_form_is_that_of_the_typeid_specification() {
        let uuid = Uuid::parse_str("01890a5d-ac96-774b-bcce-b302099a8057").unwrap();

        let id = UserId::from_uuid(uuid);

        assert_eq!(id.to_string(), "user_01h455vb4pex5vsknk084sn02q");
        assert_eq!("user_01h455vb4pex5vsknk084sn02q".parse(), Ok(id));
    }

    #[test]
    fn an_id_of_another_kind_or_shape_is_refused() {
        let other_kind = "order_01h455vb4pex5vsknk084sn02q";
        let too_large = "user_81h455vb4pex5vsknk084sn02q";
        let not_version_7 = "user_00000000000000000000000000";
        for text in
            ["", "user_", other_kind, too_large, not_version_7, "user_01H455VB4PEX5VSKNK084SN02Q"]
        {
            assert!(text.parse::<UserId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_id_survives_its_text_and_keeps_its_bucket(number in 0..BUCKETS) {
            let bucket = Bucket::new(number).unwrap();
            let id = OrderId::new(datetime!(2026-11-22 10:00 UTC), bucket);

            prop_assert_eq!(id.to_string().parse::<OrderId>().unwrap(), id);
            prop_assert_eq!(id.bucket(), bucket);
            prop_assert_eq!(id.sibling::<Payment>().bucket(), bucket);
        }
    }
}
