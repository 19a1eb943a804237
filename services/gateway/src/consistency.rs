//! What customers must see of what they have done: they read their own writes, whichever
//! replicas answer.
//!
//! It is remembered here for each bucket of customers, and told to the client, who may
//! show it to another gateway. Without either, a customer who comes to another gateway
//! sees what they did a moment ago with the delay of the replicas.

mod signed;
mod users;

use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Extensions, HeaderName, HeaderValue};
use secrecy::SecretString;
use trellis_api::id::{Bucket, UserId};
use trellis_consistency::context;

use self::signed::Signer;
use self::users::Users;

/// Where clients find it in an answer, and show it with their next call.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("consistency-token");

/// What a gateway remembers. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Consistency {
    signer: Arc<Signer>,
    users: Arc<Users>,
}

/// Whose call it is, once that is known.
#[derive(Clone, Debug, Default)]
struct Caller(Arc<OnceLock<Bucket>>);

impl Consistency {
    /// Gateways with the same admin token believe each other.
    pub(crate) fn new(admin_token: &SecretString) -> Self {
        Self { signer: Arc::new(Signer::new(admin_token)), users: Arc::default() }
    }

    /// The call with these extensions is that of a user: it must see what they have done,
    /// and they must see what it does.
    pub(crate) fn is_of(&self, extensions: &Extensions, user_id: &str) {
        let (Some(Caller(caller)), Ok(user)) = (extensions.get(), user_id.parse::<UserId>()) else {
            return;
        };
        let bucket = *caller.get_or_init(|| user.bucket());
        context::merge(&self.users.known(bucket));
    }
}

/// Goes around every call, in whichever form it came. What the fleet says to itself in
/// the calls' metadata is not believed of a client.
pub(crate) async fn layer(
    State(consistency): State<Consistency>,
    mut request: Request,
    next: Next,
) -> Response {
    let shown = request.headers().get(HEADER);
    let shown = shown.and_then(|shown| consistency.signer.read(shown.as_bytes()));
    let shown = shown.unwrap_or_default();
    let caller = Caller::default();
    request.extensions_mut().insert(caller.clone());
    let (mut response, seen) = context::scope(shown.clone(), next.run(request)).await;
    if let Some(bucket) = caller.0.get() {
        consistency.users.note(*bucket, &seen);
    }
    if seen != shown
        && let Ok(value) = HeaderValue::try_from(consistency.signer.write(&seen))
    {
        response.headers_mut().insert(HEADER, value);
    }
    response
}
