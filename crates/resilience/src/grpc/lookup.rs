//! Looking into headers.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The first value of `name`.
///
/// Names that HTTP does not define are hashed byte by byte, which takes longer than to
/// compare them with a few others, most of which have another length.
pub(super) fn get<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    const FEW: usize = 4;
    if headers.len() <= FEW {
        return headers.iter().find_map(|(known, value)| (known == name).then_some(value));
    }
    headers.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_is_found_among_few_and_among_many() {
        const NAME: HeaderName = HeaderName::from_static("grpc-status");
        let mut headers = HeaderMap::new();
        headers.insert("te", HeaderValue::from_static("trailers"));
        assert_eq!(get(&headers, &NAME), None);

        headers.append(NAME, HeaderValue::from_static("0"));
        headers.append(NAME, HeaderValue::from_static("14"));
        for more in ["x-a", "x-b", "x-c", "x-d", "x-e"] {
            assert_eq!(get(&headers, &NAME).unwrap(), "0");
            headers.insert(more, HeaderValue::from_static("1"));
        }
        assert_eq!(get(&headers, &NAME).unwrap(), "0");
    }
}
