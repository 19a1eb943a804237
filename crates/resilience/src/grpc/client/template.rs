//! What is kept of a request, so that it can be sent again.

use std::cell::RefCell;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use tonic::GrpcMethod;

use super::peer::Request;
use crate::grpc::body::RequestBody;
use crate::grpc::timeout;

/// The request of every attempt but the first. It is the same request, also in what
/// makes the peer know it again, such as an idempotency key.
///
/// It is kept apart from its call, which is moved about, in memory that is used again.
#[derive(Debug)]
pub(super) struct Template(Option<Box<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    uri: Uri,
    version: Version,
    /// Which of the [`USUAL`] headers there are.
    usual: [bool; USUAL.len()],
    /// The others, in a list: its memory is used again, unlike that of a map.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Extensions of other kinds are for the first attempt only: most are about where
    /// it came from.
    grpc_method: Option<GrpcMethod<'static>>,
    body: Bytes,
}

/// What every request of gRPC has need not be copied.
static USUAL: [(HeaderName, HeaderValue); 2] = [
    (header::TE, HeaderValue::from_static("trailers")),
    (header::CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
];

/// What an attempt adds to the caller's headers.
const ADDED: usize = 4;

/// So many are kept for a thread to use again, each with room for so many headers.
const SPARE: usize = 32;
const HEADERS: usize = 32;

thread_local! {
    #[expect(clippy::vec_box, reason = "they are moved between here and the calls")]
    static UNUSED: RefCell<Vec<Box<Kept>>> = const { RefCell::new(Vec::new()) };
}

impl Template {
    pub(super) fn of(parts: &Parts, body: Option<&Bytes>) -> Self {
        // A thread that is ending has none.
        let unused = UNUSED.try_with(|unused| unused.borrow_mut().pop());
        let mut kept = unused.ok().flatten().unwrap_or_default();
        kept.uri.clone_from(&parts.uri);
        kept.version = parts.version;
        kept.usual = [false; USUAL.len()];
        for (name, value) in &parts.headers {
            if let Some(usual) = USUAL.iter().position(|(n, v)| n == name && v == value) {
                kept.usual[usual] = true;
            } else if *name != timeout::HEADER {
                kept.headers.push((name.clone(), value.clone()));
            }
        }
        kept.grpc_method = parts.extensions.get().cloned();
        kept.body = body.cloned().unwrap_or_default();
        Self(Some(kept))
    }

    pub(super) fn request(&self) -> Request {
        let kept = self.0.as_deref().expect("it is there until it is dropped");
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = Method::POST;
        head.uri = kept.uri.clone();
        head.version = kept.version;
        head.headers = kept.headers();
        if let Some(grpc_method) = &kept.grpc_method {
            head.extensions.insert(grpc_method.clone());
        }
        Request { head, body: RequestBody::whole(kept.body.clone()) }
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        let Some(mut kept) = self.0.take().filter(|kept| kept.headers.capacity() <= HEADERS) else {
            return;
        };
        // What a call is about does not outlive it.
        kept.headers.clear();
        kept.body = Bytes::new();
        let _ = UNUSED.try_with(|unused| {
            let mut unused = unused.borrow_mut();
            if unused.len() < SPARE {
                unused.push(kept);
            }
        });
    }
}

impl Kept {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(USUAL.len() + self.headers.len() + ADDED);
        for ((name, value), is_there) in USUAL.iter().zip(self.usual) {
            if is_there {
                headers.append(name, value.clone());
            }
        }
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn it_is_the_same_request_but_for_the_time_that_is_left() {
        let body = Bytes::from_static(b"\0\0\0\0\x01!");
        let request = http::Request::post("http://peer/shop.Stock/Reserve")
            .version(Version::HTTP_2)
            .header("te", "trailers")
            .header("content-type", "application/grpc+json")
            .header("idempotency-key", "k1")
            .header("x-many", "1")
            .header("x-many", "2")
            .header("grpc-timeout", "1S")
            .extension(GrpcMethod::new("shop.Stock", "Reserve"))
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let template = Template::of(&parts, Some(&body));

        for _ in 0..2 {
            let Request { head: again, body: content } = template.request();

            assert_eq!(again.method, Method::POST);
            assert_eq!((again.uri, again.version), (parts.uri.clone(), parts.version));
            assert_eq!(again.headers["te"], "trailers");
            assert_eq!(again.headers["content-type"], "application/grpc+json");
            assert_eq!(again.headers["idempotency-key"], "k1");
            assert_eq!(again.headers.len(), 5);
            let many: Vec<_> = again.headers.get_all("x-many").iter().collect();
            assert_eq!(many, ["1", "2"]);
            assert!(!again.headers.contains_key("grpc-timeout"));
            let method = again.extensions.get::<GrpcMethod<'static>>().unwrap();
            assert_eq!(method.method(), "Reserve");
            assert_eq!(content.collect().await.unwrap().to_bytes(), body);
        }
    }
}
