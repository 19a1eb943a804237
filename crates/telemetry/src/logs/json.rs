//! JSON that is written as it is said, with nothing kept in between.

use std::fmt::{self, Debug, Write};

use serde_json::Number;
use tracing::field::{Field, Visit};

/// A string, in its quotes.
pub(super) fn string(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    Escaped(out).write_str(text)?;
    out.write_char('"')
}

/// What is between the quotes of a string.
struct Escaped<'a, W>(&'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.bytes().all(is_plain) {
            return self.0.write_str(text);
        }
        let quoted = serde_json::to_string(text).map_err(|_| fmt::Error)?;
        self.0.write_str(&quoted[1..quoted.len() - 1])
    }
}

/// The members of an object that is open.
pub(super) struct Members<'a, W> {
    out: &'a mut W,
    is_first: bool,
    outcome: fmt::Result,
}

impl<'a, W: Write> Members<'a, W> {
    /// The first of them.
    pub(super) fn first(out: &'a mut W) -> Self {
        Self { out, is_first: true, outcome: Ok(()) }
    }

    /// Those behind others.
    pub(super) fn more(out: &'a mut W) -> Self {
        Self { out, is_first: false, outcome: Ok(()) }
    }

    /// Whether all of them could be written.
    pub(super) fn end(self) -> fmt::Result {
        self.outcome
    }

    fn push(&mut self, field: &Field, value: impl FnOnce(&mut W) -> fmt::Result) {
        if self.outcome.is_ok() {
            self.outcome = self.try_push(field, value);
        }
    }

    fn try_push(
        &mut self,
        field: &Field,
        value: impl FnOnce(&mut W) -> fmt::Result,
    ) -> fmt::Result {
        if !self.is_first {
            self.out.write_char(',')?;
        }
        self.is_first = false;
        string(self.out, name(field))?;
        self.out.write_char(':')?;
        value(self.out)
    }
}

/// A raw identifier is written `r#type`.
pub(super) fn name(field: &Field) -> &'static str {
    let name = field.name();
    name.strip_prefix("r#").unwrap_or(name)
}

impl<W: Write> Visit for Members<'_, W> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, |out| match Number::from_f64(value) {
            Some(number) => write!(out, "{number}"),
            // JSON has finite ones only.
            None => out.write_str("null"),
        });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, |out| write!(out, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, |out| write!(out, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, |out| out.write_str(if value { "true" } else { "false" }));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, |out| string(out, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.push(field, |out| {
            out.write_char('"')?;
            write!(Escaped(out), "{value:?}")?;
            out.write_char('"')
        });
    }
}
