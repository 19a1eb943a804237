//! What may be done with a call, method by method.
//!
//! A table is made by hand, once for each edge of a system, and read by every call.

use std::collections::HashMap;
use std::time::Duration;

use crate::core::backoff::Backoff;

/// The default limit of a unary call.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// The default longest silence of a stream.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Attempts of one call, the first included; more are never made.
pub const MAX_ATTEMPTS: u32 = 5;

/// The policies of one edge: who calls whom.
#[derive(Clone, Debug, Default)]
pub struct PolicyTable {
    default: MethodPolicy,
    methods: HashMap<&'static str, MethodPolicy>,
}

/// What may be done with the calls of one method.
#[derive(Clone, Debug)]
pub struct MethodPolicy {
    /// Default [`Kind::Unary`].
    pub kind: Kind,
    /// Default [`Idempotency::NonIdempotent`].
    pub idempotency: Idempotency,
    /// From the call to the end of its response, over all attempts. A caller's own
    /// `grpc-timeout` replaces it; what is left of the call that is being served
    /// always limits it. `None`: only the latter, and the silence, limit it. Default
    /// [`DEFAULT_TIMEOUT`]; `None` for streams.
    pub timeout: Option<Duration>,
    /// The longest silence between two pieces of a stream. Default
    /// [`DEFAULT_IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// The limit of one attempt. `None`: half of what the call had when it began, so
    /// that two fit, if there may be more than one; else all of it.
    pub attempt_timeout: Option<Duration>,
    /// The first included; `1..=MAX_ATTEMPTS`. Default 3, of which what must not be
    /// repeated only makes use if it provably was not processed.
    pub attempts: u32,
    /// The waits between attempts. Default: [`Backoff::default`].
    pub backoff: Backoff,
    /// Whether INTERNAL may be tried again, if the call is idempotent. Default false.
    pub retry_internal: bool,
    /// Default [`Hedge::Never`].
    pub hedge: Hedge,
    /// Default [`Criticality::Critical`].
    pub criticality: Criticality,
    /// Whether a call waits, as long as its time allows, while no endpoint of its target
    /// has a connection, as when the only instance is being restarted. Otherwise it is
    /// answered UNAVAILABLE at once. Default true; false for what can be left out.
    pub wait_for_ready: bool,
    /// Calls that take longer count as slow for the breaker. `None`: none does.
    pub slow: Option<Duration>,
}

/// What goes through a call, message by message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One message each way.
    #[default]
    Unary,
    /// One message to the peer, and any number from it.
    ServerStream,
    /// Any number to the peer, and one from it.
    ClientStream,
    /// Any number each way.
    Bidirectional,
}

/// What a second arrival of the same call does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Idempotency {
    /// It changes nothing, so it may even be sent twice at once.
    Safe,
    /// The request carries a key by which the peer knows the repetition.
    IdempotentWithKey,
    /// Doing it twice is as doing it once.
    Idempotent,
    /// It would be done twice. Only what was provably not processed is sent again.
    #[default]
    NonIdempotent,
}

/// Whether a second attempt is sent while the first is still out. Only for calls that
/// are [`Idempotency::Safe`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hedge {
    /// There is no second attempt beside the first.
    #[default]
    Never,
    /// After the 95th percentile of the method's own latency, once that is known from
    /// 100 calls, and never before `at_least`.
    AfterP95 { at_least: Duration },
    /// After a fixed time.
    After(Duration),
}

/// How bad it is to refuse a call, worst first. When there is too much to do, the
/// last go first (Google SRE, "Handling Overload").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Criticality {
    /// A refusal costs money or data: the later steps of a checkout.
    CriticalPlus,
    /// A user waits for it.
    #[default]
    Critical,
    /// It can be asked for again soon: what runs in the background.
    SheddablePlus,
    /// It can be left out: what only decorates a page.
    Sheddable,
}

impl Criticality {
    /// The worst first.
    pub const ALL: [Self; 4] =
        [Self::CriticalPlus, Self::Critical, Self::SheddablePlus, Self::Sheddable];

    /// The name in headers and metrics, such as `critical-plus`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CriticalPlus => "critical-plus",
            Self::Critical => "critical",
            Self::SheddablePlus => "sheddable-plus",
            Self::Sheddable => "sheddable",
        }
    }
}

impl PolicyTable {
    /// `default` is for the methods that are not named.
    pub fn new(default: MethodPolicy) -> Self {
        Self { default, methods: HashMap::new() }
    }

    /// `path` is that of the call, such as `/trellis.user.v1.UserService/GetUser`.
    #[must_use]
    pub fn method(mut self, path: &'static str, policy: MethodPolicy) -> Self {
        debug_assert!(path.starts_with('/'), "{path} is not the path of a call");
        self.methods.insert(path, policy);
        self
    }

    /// The policy of a call by its path: that of its method, or the default.
    pub fn get(&self, path: &str) -> &MethodPolicy {
        self.methods.get(path).unwrap_or(&self.default)
    }

    /// That of all that are not named.
    pub fn default_policy(&self) -> &MethodPolicy {
        &self.default
    }

    /// The named methods, in no order.
    pub fn methods(&self) -> impl Iterator<Item = (&'static str, &MethodPolicy)> {
        self.methods.iter().map(|(path, policy)| (*path, policy))
    }
}

impl MethodPolicy {
    /// A unary call that changes nothing: three attempts within a second.
    pub fn safe() -> Self {
        Self { idempotency: Idempotency::Safe, attempts: 3, ..Self::default() }
    }

    /// A unary call that may arrive twice: three attempts within a second.
    pub fn idempotent() -> Self {
        Self { idempotency: Idempotency::Idempotent, attempts: 3, ..Self::default() }
    }

    /// A unary call whose request carries an idempotency key: three attempts within a
    /// second.
    pub fn with_key() -> Self {
        Self { idempotency: Idempotency::IdempotentWithKey, attempts: 3, ..Self::default() }
    }

    /// A stream from the peer: no limit but what is inherited, and the silence.
    pub fn server_stream() -> Self {
        Self { kind: Kind::ServerStream, timeout: None, ..Self::default() }
    }

    /// A stream to the peer: no limit but what is inherited, and the silence.
    pub fn client_stream() -> Self {
        Self { kind: Kind::ClientStream, timeout: None, ..Self::default() }
    }

    /// From the call to the end of its response, over all attempts; see the field.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The limit of one attempt; see the field.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Cut to `1..=MAX_ATTEMPTS`.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.clamp(1, MAX_ATTEMPTS);
        self
    }

    /// Only of use for what is [`Idempotency::Safe`] and unary.
    #[must_use]
    pub fn hedge(mut self, hedge: Hedge) -> Self {
        self.hedge = hedge;
        self
    }

    /// How bad it is to refuse a call.
    #[must_use]
    pub fn criticality(mut self, criticality: Criticality) -> Self {
        self.criticality = criticality;
        self
    }

    /// See [`Self::wait_for_ready`].
    #[must_use]
    pub fn fail_fast(mut self) -> Self {
        self.wait_for_ready = false;
        self
    }

    /// From when an attempt counts as slow for the breaker.
    #[must_use]
    pub fn slow(mut self, slow: Duration) -> Self {
        self.slow = Some(slow);
        self
    }

    /// Whether the same request may reach the peer again after it may have been
    /// processed.
    pub fn is_repeatable(&self) -> bool {
        self.idempotency != Idempotency::NonIdempotent
    }
}

impl Default for MethodPolicy {
    /// A unary call of which nothing is known: within a second, and sent again only if
    /// it provably did not arrive.
    fn default() -> Self {
        Self {
            kind: Kind::Unary,
            idempotency: Idempotency::NonIdempotent,
            timeout: Some(DEFAULT_TIMEOUT),
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            attempt_timeout: None,
            attempts: 3,
            backoff: Backoff::default(),
            retry_internal: false,
            hedge: Hedge::Never,
            criticality: Criticality::Critical,
            wait_for_ready: true,
            slow: None,
        }
    }
}
