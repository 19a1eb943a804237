//! How many calls a second are let through, by all processes together.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use trellis_resilience::exec::Operation;

use crate::redis::{Redis, Unavailable};

/// Says how many microseconds too early a call is, and takes its place if that is none.
///
/// What is kept is when the next call would be due if all came at the steady pace (GCRA,
/// ITU-T I.371, annex A), by the clock of Redis, so that no two clocks have to agree.
static CHECK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
        local early = due - now
        if early > tolerance then
            return math.ceil(early - tolerance)
        end
        local next = due + interval
        local millis = math.ceil((next - now) / 1000)
        redis.call('SET', KEYS[1], string.format('%.2f', next), 'PX', string.format('%.0f', millis))
        return 0
        ",
    )
});

/// A steady rate with a burst after a pause for each of many keys, kept in Redis.
///
/// It is as [`Gcra`](trellis_resilience::core::rate::Gcra), but one for all processes. A key
/// whose burst is whole again takes no memory.
#[derive(Clone, Debug)]
pub struct SharedRate {
    redis: Redis,
    name: &'static str,
    operation: Operation,
    /// Microseconds between two calls.
    interval: f64,
    /// By how many microseconds a call may be too early.
    tolerance: f64,
}

impl SharedRate {
    /// `name` tells it from other rates in the same Redis. `per_second` is cut to
    /// `1e-3..=1e6`; `burst` is how many may come at once after a pause, at least 1.
    pub fn new(redis: Redis, name: &'static str, per_second: f64, burst: u32) -> Self {
        let interval = 1e6 / per_second.clamp(1e-3, 1e6);
        let tolerance = interval * f64::from(burst.max(1) - 1);
        let operation = redis.operation("rate.check");
        Self { redis, name, operation, interval, tolerance }
    }

    /// Lets a call through, or says how long until one would be if no other came in
    /// between. Fails within 60 ms if Redis does not say.
    pub async fn check(&self, key: &str) -> Result<Result<(), Duration>, Unavailable> {
        let mut script = CHECK.prepare_invoke();
        script.key(format!("trellis:rate:1:{}:{key}", self.name));
        script.arg(self.interval).arg(self.tolerance);
        let wait: u64 = self.redis.invoke(&self.operation, &script).await?;
        Ok(if wait == 0 { Ok(()) } else { Err(Duration::from_micros(wait)) })
    }
}
