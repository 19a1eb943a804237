//! What browsers and proxies may keep.

use std::fmt::Write as _;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use sha2::{Digest as _, Sha256};

/// Who may keep an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Anybody, for a minute, and while a newer one is fetched.
    Public,
    /// Nobody: it is about a person, or it changes something.
    Private,
}

/// The policy of an RPC, by its full name. What is not listed is private.
pub(crate) fn policy(method: &str) -> Policy {
    match method {
        "trellis.shop.v1.ShopService.ListProducts"
        | "trellis.shop.v1.ShopService.GetProduct"
        | "trellis.shop.v1.ShopService.ListRecommendations" => Policy::Public,
        _ => Policy::Private,
    }
}

/// Adds the caching headers, and answers 304 when the caller has the same bytes.
pub(crate) async fn apply(
    policy: Policy,
    response: Response<Body>,
    if_none_match: Option<&HeaderValue>,
) -> Response<Body> {
    // A handler that knows better has said so, as for a degraded page.
    if response.headers().contains_key(header::CACHE_CONTROL) {
        return response;
    }
    if policy == Policy::Private || response.status() != StatusCode::OK {
        let mut response = response;
        let private = HeaderValue::from_static("private, no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, private);
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The body is in memory already: public answers are never streams.
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let tag = entity_tag(&body);
    let same = if_none_match.and_then(|known| known.to_str().ok()).is_some_and(|known| {
        known.split(',').map(str::trim).any(|known| known == "*" || known == tag)
    });
    parts.headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=60, stale-while-revalidate=300"),
    );
    parts
        .headers
        .insert(header::ETAG, HeaderValue::from_str(&tag).expect("a tag is quoted hexadecimal"));
    if same {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(body))
}

fn entity_tag(body: &[u8]) -> String {
    let mut tag = String::from("\"");
    for byte in &Sha256::digest(body)[..12] {
        write!(tag, "{byte:02x}").expect("a string grows");
    }
    tag.push('"');
    tag
}
