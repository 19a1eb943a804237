//! From an HTTP request to the message of an RPC.

use axum::body::Body;
use http::request::Parts;
use prost_reflect::{
    Cardinality, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
};
use serde_json::{Map, Value};
use tonic::{Code, Status};
use trellis_api::error::{self, Violation};
use trellis_api::limits::MAX_PUBLIC_MESSAGE;

use super::binding::{BodyRule, Bound};

/// The header that names a purchase (IETF draft idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Reads a body that is not too large.
pub(super) async fn read(body: Body) -> Result<bytes::Bytes, Status> {
    axum::body::to_bytes(body, MAX_PUBLIC_MESSAGE).await.map_err(|_| {
        let limit = MAX_PUBLIC_MESSAGE.to_string();
        let message = format!("the body must be at most {limit} bytes");
        error::status(Code::OutOfRange, "BODY_TOO_LARGE", message, &[("max_bytes", &limit)])
    })
}

/// Builds the request message from the body, the query and the path.
///
/// They are merged as JSON, so that every value is read by protobuf's own rules.
pub(super) fn message(bound: &Bound, parts: &Parts, body: &[u8]) -> Result<DynamicMessage, Status> {
    let input = bound.method.input();
    let mut fields = body_fields(&bound.body, body)?;
    if bound.body != BodyRule::Everything {
        for (name, text) in form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()) {
            put(&mut fields, &input, &name, &text)?;
        }
    }
    for (name, text) in &bound.path {
        put(&mut fields, &input, name, text)?;
    }
    if let (Some(key), Some(field)) =
        (parts.headers.get(IDEMPOTENCY_KEY), input.get_field_by_name("request_id"))
    {
        let key = key.to_str().map_err(|_| Violation::new("request_id", "must be a UUID"))?;
        // Structured-field syntax quotes the key; plain ones are what people send.
        let key = Value::from(key.trim_matches('"'));
        fields.entry(spelling(&fields, &field)).or_insert(key);
    }
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    DynamicMessage::deserialize_with_options(input, Value::Object(fields), &options)
        .map_err(|error| bad_json(&error))
}

/// Reads the body as the rule says.
fn body_fields(rule: &BodyRule, body: &[u8]) -> Result<Map<String, Value>, Status> {
    match rule {
        // A body that nothing asks for is ignored, as HTTP has it for GET.
        BodyRule::Nothing => Ok(Map::new()),
        BodyRule::Everything if body.is_empty() => Ok(Map::new()),
        BodyRule::Everything => match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) => Err(not_json("the body must be a JSON object")),
            Err(error) => Err(bad_json(&error)),
        },
        BodyRule::Field(field) => {
            let value = serde_json::from_slice(body).map_err(|error| bad_json(&error))?;
            Ok(Map::from_iter([(field.clone(), value)]))
        }
    }
}

/// Puts a value of the path or the query where its dotted name says.
fn put(
    fields: &mut Map<String, Value>,
    message: &MessageDescriptor,
    name: &str,
    text: &str,
) -> Result<(), Status> {
    let unknown = || Status::from(Violation::new(name, "is not a field of this call"));
    let (head, rest) = name.split_once('.').map_or((name, None), |(head, rest)| (head, Some(rest)));
    let field = message
        .get_field_by_name(head)
        .or_else(|| message.get_field_by_json_name(head))
        .ok_or_else(unknown)?;
    let key = spelling(fields, &field);
    match (rest, field.kind()) {
        (Some(rest), Kind::Message(inner)) if field.cardinality() != Cardinality::Repeated => {
            let value = fields.entry(key).or_insert_with(|| Value::Object(Map::new()));
            put(value.as_object_mut().ok_or_else(unknown)?, &inner, rest, text)
        }
        (Some(_), _) => Err(unknown()),
        (None, kind) if field.is_list() => {
            let list = fields.entry(key).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().ok_or_else(unknown)?.push(scalar(&kind, text));
            Ok(())
        }
        (None, kind) => {
            fields.insert(key, scalar(&kind, text));
            Ok(())
        }
    }
}

/// The name by which `fields` already has this field, else its own: a message
/// may be spelt `order_id` or `orderId`, and must not hold both.
fn spelling(fields: &Map<String, Value>, field: &FieldDescriptor) -> String {
    let name =
        if fields.contains_key(field.json_name()) { field.json_name() } else { field.name() };
    name.to_owned()
}

/// Numbers, enums and well-known types are read from strings; booleans are not.
fn scalar(kind: &Kind, text: &str) -> Value {
    match (kind, text) {
        (Kind::Bool, "true") => Value::Bool(true),
        (Kind::Bool, "false") => Value::Bool(false),
        _ => Value::from(text),
    }
}

fn bad_json(error: &serde_json::Error) -> Status {
    not_json(&error.to_string())
}

fn not_json(message: &str) -> Status {
    error::status(Code::InvalidArgument, "INVALID_JSON", message, &[])
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;
    use crate::json::binding::Bindings;

    fn transcode(http: &str, target: &str, body: &str) -> Result<Value, Status> {
        let pool = DescriptorPool::decode(trellis_api::FILE_DESCRIPTOR_SET).unwrap();
        let request = http::Request::builder().method(http).uri(target);
        let (parts, ()) =
            request.header("idempotency-key", "\"key\"").body(()).unwrap().into_parts();
        let bindings = Bindings::read(&pool).unwrap();
        let bound = bindings.find(&parts.method, parts.uri.path()).ok().unwrap();
        message(&bound, &parts, body.as_bytes())
            .map(|message| serde_json::to_value(message).unwrap())
    }

    #[test]
    fn the_query_fills_numbers_and_lists() {
        let products = transcode("GET", "/v1/products?query=blue%20mug&page_size=5", "").unwrap();
        let context = transcode("GET", "/v1/recommendations?skus=A&skus=B&pageSize=2", "").unwrap();

        assert_eq!(products, serde_json::json!({"query": "blue mug", "pageSize": 5}));
        assert_eq!(context, serde_json::json!({"skus": ["A", "B"], "pageSize": 2}));
    }

    #[test]
    fn the_path_wins_over_the_body_and_both_spellings_are_one_field() {
        let cancel = transcode(
            "POST",
            "/v1/orders/order_1:cancel",
            r#"{"orderId": "order_2", "requestId": "mine"}"#,
        );

        assert_eq!(cancel.unwrap(), serde_json::json!({"orderId": "order_1", "requestId": "mine"}));
    }

    #[test]
    fn the_idempotency_key_names_the_request() {
        let checkout = transcode("POST", "/v1/orders", r#"{"payment_token": "tok_ok"}"#).unwrap();

        assert_eq!(checkout["requestId"], "key");
    }

    #[test]
    fn a_body_can_fill_one_field() {
        let update =
            transcode("PATCH", "/v1/profile?update_mask=displayName", r#"{"displayName": "Ada"}"#);

        let expected =
            serde_json::json!({"user": {"displayName": "Ada"}, "updateMask": "displayName"});
        assert_eq!(update.unwrap(), expected);
    }

    #[test]
    fn what_is_unknown_or_malformed_is_refused() {
        for (http, target, body) in [
            ("GET", "/v1/products?colour=blue", ""),
            ("GET", "/v1/products?page_size=many", ""),
            ("GET", "/v1/products?query.inner=x", ""),
            ("POST", "/v1/users", "{"),
            ("POST", "/v1/users", "[]"),
            ("POST", "/v1/users", r#"{"mail": "a@b.c"}"#),
            ("POST", "/v1/users", r#"{"email": 7}"#),
        ] {
            let error = transcode(http, target, body).unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument, "{target} {body}");
        }
    }
}
