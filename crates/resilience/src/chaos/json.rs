//! How times and codes stand in the JSON of rules.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::ser::{SerializeSeq as _, Serializer};
use serde::{Deserialize, Serialize};
use tonic::Code;

use super::Latency;
use crate::grpc::code;

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.from == self.to {
            return serializer.serialize_u64(millis(self.from));
        }
        let mut range = serializer.serialize_seq(Some(2))?;
        range.serialize_element(&millis(self.from))?;
        range.serialize_element(&millis(self.to))?;
        range.end()
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Range;

        impl<'de> Visitor<'de> for Range {
            type Value = Latency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("whole milliseconds, as 200 or as a range [100, 300]")
            }

            fn visit_u64<E: de::Error>(self, time: u64) -> Result<Latency, E> {
                let time = Duration::from_millis(time);
                Ok(Latency { from: time, to: time })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Latency, A::Error> {
                let mut next = |index| {
                    list.next_element()?.ok_or_else(|| de::Error::invalid_length(index, &Self))
                };
                let (from, to) = (next(0)?, next(1)?);
                if list.next_element::<de::IgnoredAny>()?.is_some() {
                    return Err(de::Error::invalid_length(3, &self));
                }
                Ok(Latency { from: Duration::from_millis(from), to: Duration::from_millis(to) })
            }
        }

        deserializer.deserialize_any(Range)
    }
}

pub(super) mod code_name {
    use super::{Code, Deserialize as _, Deserializer, Serializer, code, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(in crate::chaos) fn serialize<S: Serializer>(
        code: &Code,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(code::name(*code))
    }

    pub(in crate::chaos) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Code, D::Error> {
        let name = String::deserialize(from)?;
        let number = code::NAMES.iter().zip(0..).find(|(known, _)| **known == name);
        number
            .map(|(_, number)| Code::from_i32(number))
            .ok_or_else(|| de::Error::unknown_variant(&name, &code::NAMES[1..]))
    }
}

pub(super) mod optional_millis {
    use super::{Deserialize as _, Deserializer, Duration, Serializer, millis};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(in crate::chaos) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_some(&millis(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::chaos) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
