//! A copy of a request, in case the original is overtaken by the end of its connection.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use smallvec::SmallVec;

use crate::grpc::body::RequestBody;

/// Shares names, values and the body with the original, and lives where the call does,
/// so that it costs no allocation. Only what goes over the wire is in it: extensions
/// are not.
#[derive(Debug)]
pub(super) struct Spare {
    method: Method,
    uri: Uri,
    headers: SmallVec<[(HeaderName, HeaderValue); 8]>,
    body: Bytes,
}

impl Spare {
    /// `None` if the body can be read only once.
    pub(super) fn of(request: &Request<RequestBody>) -> Option<Self> {
        let RequestBody::Whole(Some(body)) = request.body() else { return None };
        Some(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request
                .headers()
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            body: body.clone(),
        })
    }
}

impl From<Spare> for Request<RequestBody> {
    fn from(spare: Spare) -> Self {
        let mut headers = HeaderMap::with_capacity(spare.headers.len());
        for (name, value) in spare.headers {
            headers.append(name, value);
        }
        let mut request = Self::new(RequestBody::whole(spare.body));
        *request.method_mut() = spare.method;
        *request.uri_mut() = spare.uri;
        *request.headers_mut() = headers;
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_what_the_original_was() {
        let original = || {
            let mut request = Request::post("http://inventory:50051/a.B/C");
            for number in 0..20 {
                request = request.header("x-many", number).header(format!("x-{number}"), "one");
            }
            request.body(RequestBody::whole(Bytes::from_static(b"six mugs"))).unwrap()
        };
        let copy: Request<RequestBody> = Spare::of(&original()).unwrap().into();

        let original = original();
        assert_eq!(copy.method(), original.method());
        assert_eq!(copy.uri(), original.uri());
        assert_eq!(copy.headers(), original.headers());
        assert!(matches!(copy.body(), RequestBody::Whole(Some(body)) if body == "six mugs"));
    }

    #[test]
    fn what_can_be_read_only_once_has_no_copy() {
        let body = RequestBody::streamed(tonic::body::Body::empty());
        assert!(Spare::of(&Request::new(body)).is_none());
    }
}
