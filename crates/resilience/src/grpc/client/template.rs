//! What is kept of a request, so that it can be sent again.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use smallvec::SmallVec;
use tonic::GrpcMethod;

use super::peer::Request;
use crate::grpc::body::RequestBody;
use crate::grpc::timeout;

/// The request of every attempt but the first. It is the same request, also in what
/// makes the peer know it again, such as an idempotency key.
///
/// Headers are kept in a list, which for a usual call takes no allocation, unlike a
/// copy of their map.
#[derive(Debug)]
pub(super) struct Template {
    uri: Uri,
    version: Version,
    headers: SmallVec<[(HeaderName, HeaderValue); INLINE]>,
    /// Extensions of other kinds are for the first attempt only: most are about where
    /// it came from.
    grpc_method: Option<GrpcMethod<'static>>,
    body: Bytes,
}

const INLINE: usize = 4;

/// What an attempt adds to the caller's headers.
const ADDED: usize = 4;

impl Template {
    pub(super) fn of(parts: &Parts, body: Option<&Bytes>) -> Self {
        let pair = |(name, value): (&HeaderName, &HeaderValue)| (name.clone(), value.clone());
        let kept = |(name, _): &(&HeaderName, &HeaderValue)| *name != timeout::HEADER;
        Self {
            uri: parts.uri.clone(),
            version: parts.version,
            headers: parts.headers.iter().filter(kept).map(pair).collect(),
            grpc_method: parts.extensions.get().cloned(),
            body: body.cloned().unwrap_or_default(),
        }
    }

    pub(super) fn request(&self) -> Request {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = Method::POST;
        head.uri = self.uri.clone();
        head.version = self.version;
        head.headers = self.headers();
        if let Some(grpc_method) = &self.grpc_method {
            head.extensions.insert(grpc_method.clone());
        }
        Request { head, body: RequestBody::whole(self.body.clone()) }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + ADDED);
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
            assert_eq!(again.headers["idempotency-key"], "k1");
            let many: Vec<_> = again.headers.get_all("x-many").iter().collect();
            assert_eq!(many, ["1", "2"]);
            assert!(!again.headers.contains_key("grpc-timeout"));
            let method = again.extensions.get::<GrpcMethod<'static>>().unwrap();
            assert_eq!(method.method(), "Reserve");
            assert_eq!(content.collect().await.unwrap().to_bytes(), body);
        }
    }
}
