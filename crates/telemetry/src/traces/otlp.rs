//! Spans in the protobuf of OTLP, written as they happen: what would be kept as a message
//! of many small parts, to be read and freed by another thread, is a few bytes at once.
//!
//! Tags are those of `opentelemetry/proto/trace/v1/trace.proto`; the tests read what is
//! written with the code that is generated from it.

use opentelemetry::trace::SpanContext;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::SpanFlags;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// The value of an attribute.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Float(f64),
}

pub(super) fn message(out: &mut Vec<u8>, tag: u32, message: &[u8]) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(message.len() as u64, out);
    out.extend_from_slice(message);
}

pub(super) fn text(out: &mut Vec<u8>, tag: u32, text: &str) {
    message(out, tag, text.as_bytes());
}

pub(super) fn number(out: &mut Vec<u8>, tag: u32, number: u32) {
    encode_key(tag, WireType::Varint, out);
    encode_varint(number.into(), out);
}

/// Nanoseconds of Unix time.
pub(super) fn time(out: &mut Vec<u8>, tag: u32, nanos: u64) {
    encode_key(tag, WireType::SixtyFourBit, out);
    out.extend_from_slice(&nanos.to_le_bytes());
}

/// A `KeyValue`.
pub(super) fn attribute(out: &mut Vec<u8>, tag: u32, key: &str, value: Value<'_>) {
    let of_length = |length: usize| 1 + encoded_len_varint(length as u64) + length;
    let any = match value {
        Value::Text(text) => of_length(text.len()),
        Value::Bool(_) => 2,
        Value::Int(value) => 1 + encoded_len_varint(value.cast_unsigned()),
        Value::Float(_) => 9,
    };
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint((of_length(key.len()) + of_length(any)) as u64, out);
    text(out, 1, key);
    encode_key(2, WireType::LengthDelimited, out);
    encode_varint(any as u64, out);
    match value {
        Value::Text(value) => text(out, 1, value),
        Value::Bool(value) => number(out, 2, value.into()),
        Value::Int(value) => {
            encode_key(3, WireType::Varint, out);
            encode_varint(value.cast_unsigned(), out);
        }
        Value::Float(value) => {
            encode_key(4, WireType::SixtyFourBit, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// The ids of a span, or of one that it is linked to; both have the same tags.
pub(super) fn ids(out: &mut Vec<u8>, span: &SpanContext) {
    message(out, 1, &span.trace_id().to_bytes());
    message(out, 2, &span.span_id().to_bytes());
    let state = span.trace_state().header();
    if !state.is_empty() {
        text(out, 3, &state);
    }
}

/// The flags of `span`, and whether `other`, its parent or itself, is of another process.
pub(super) fn flags(out: &mut Vec<u8>, tag: u32, span: &SpanContext, is_remote: bool) {
    let remote = if is_remote { SpanFlags::ContextIsRemoteMask as u32 } else { 0 };
    let known = SpanFlags::ContextHasIsRemoteMask as u32;
    encode_key(tag, WireType::ThirtyTwoBit, out);
    let flags = u32::from(span.trace_flags().to_u8()) | known | remote;
    out.extend_from_slice(&flags.to_le_bytes());
}

/// What is around the spans of a request: whose they are.
#[derive(Debug)]
pub(super) struct Envelope {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Envelope {
    /// The tag of spans, among which these are.
    pub(super) const SPANS: u32 = 2;

    pub(super) fn new(resource: &opentelemetry_sdk::Resource) -> Self {
        let attributes = crate::resource::attributes(resource).into_iter();
        let attributes = attributes.map(|(key, value)| KeyValue {
            key,
            value: Some(AnyValue { value: Some(Any::StringValue(value)) }),
            ..Default::default()
        });
        let resource = Resource { attributes: attributes.collect(), ..Default::default() };
        let scope = InstrumentationScope { name: "trellis".to_owned(), ..Default::default() };
        let mut envelope = Self { resource: Vec::new(), scope: Vec::new() };
        message(&mut envelope.resource, 1, &resource.encode_to_vec());
        message(&mut envelope.scope, 1, &scope.encode_to_vec());
        envelope
    }

    /// What comes before spans of so many bytes.
    pub(super) fn head(&self, spans: usize) -> Vec<u8> {
        let scope_spans = self.scope.len() + spans;
        let length = 1 + encoded_len_varint(scope_spans as u64) + scope_spans;
        let mut head = Vec::with_capacity(self.resource.len() + self.scope.len() + 32);
        encode_key(1, WireType::LengthDelimited, &mut head);
        encode_varint((self.resource.len() + length) as u64, &mut head);
        head.extend_from_slice(&self.resource);
        encode_key(2, WireType::LengthDelimited, &mut head);
        encode_varint(scope_spans as u64, &mut head);
        head.extend_from_slice(&self.scope);
        head
    }
}
