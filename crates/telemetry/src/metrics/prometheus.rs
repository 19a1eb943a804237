//! The text that Prometheus reads.
//!
//! The formats are Prometheus' text format 0.0.4 and `OpenMetrics` 1.0; they differ in
//! what a counter's family is called, in the unit, in exemplars and in the end.

use std::fmt::{self, Write as _};
use std::time::UNIX_EPOCH;

use super::definition::{About, Sort};
use super::exemplar::Exemplar;
use super::family::{Reading, Value};
use super::handle::Buckets;
use super::otlp::Attributes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Text,
    OpenMetrics,
}

pub(super) fn encode(readings: &[Reading], resource: &Attributes, dialect: Dialect) -> String {
    let mut text = String::new();
    write_target(&mut text, resource, dialect).expect("a string takes everything");
    for reading in readings {
        write(&mut text, reading, dialect).expect("a string takes everything");
    }
    if dialect == Dialect::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

/// What the process is, as OpenTelemetry's specification puts it for Prometheus.
fn write_target(out: &mut String, resource: &Attributes, dialect: Dialect) -> fmt::Result {
    if resource.is_empty() {
        return Ok(());
    }
    match dialect {
        Dialect::Text => out.push_str("# TYPE target_info gauge\n"),
        Dialect::OpenMetrics => out.push_str("# TYPE target info\n"),
    }
    let pair = |(key, value): &(String, String)| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let key: String = key.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        format!("{key}=\"{}\"", Escaped(value, true))
    };
    let pairs: Vec<_> = resource.iter().map(pair).collect();
    writeln!(out, "target_info{{{}}} 1", pairs.join(","))
}

fn write(out: &mut String, reading: &Reading, dialect: Dialect) -> fmt::Result {
    let about = &*reading.about;
    let name = about.prometheus_name();
    let (family, sort) = match dialect {
        Dialect::Text => (name.clone(), reading.sort()),
        Dialect::OpenMetrics => (about.prometheus_base(), reading.sort()),
    };
    let sort = match sort {
        Sort::Counter | Sort::Total => "counter",
        Sort::Gauge => "gauge",
        Sort::Histogram => "histogram",
    };
    writeln!(out, "# TYPE {family} {sort}")?;
    if let (Dialect::OpenMetrics, Some(unit)) = (dialect, about.unit.suffix()) {
        writeln!(out, "# UNIT {family} {unit}")?;
    }
    if !about.help.is_empty() {
        writeln!(out, "# HELP {family} {}", Escaped(&about.help, dialect == Dialect::OpenMetrics))?;
    }
    for (labels, value) in &reading.series {
        match value {
            Value::Count(count) => {
                writeln!(out, "{name}{} {count}", Labels(about, labels, None))?;
            }
            Value::Number(number) => {
                writeln!(out, "{name}{} {}", Labels(about, labels, None), Number(*number))?;
            }
            Value::Distribution(buckets) => {
                write_buckets(out, &name, about, labels, buckets, dialect)?;
            }
        }
    }
    Ok(())
}

fn write_buckets(
    out: &mut String,
    name: &str,
    about: &About,
    labels: &[String],
    buckets: &Buckets,
    dialect: Dialect,
) -> fmt::Result {
    let mut total = 0;
    let bounds = buckets.bounds.iter().copied().chain([f64::INFINITY]);
    let is_empty = buckets.counts.iter().all(|count| *count == 0);
    for ((bound, count), exemplar) in bounds.zip(&buckets.counts).zip(&buckets.exemplars) {
        // Where nothing was recorded yet, and that is most series, one says it.
        if is_empty && bound.is_finite() {
            continue;
        }
        total += count;
        write!(out, "{name}_bucket{} {total}", Labels(about, labels, Some(bound)))?;
        if let (Dialect::OpenMetrics, Some(exemplar)) = (dialect, exemplar) {
            write_exemplar(out, exemplar)?;
        }
        out.push('\n');
    }
    let labels = Labels(about, labels, None);
    writeln!(out, "{name}_sum{labels} {}", Number(buckets.sum))?;
    writeln!(out, "{name}_count{labels} {total}")
}

fn write_exemplar(out: &mut String, exemplar: &Exemplar) -> fmt::Result {
    let Exemplar { value, time, trace_id, span_id } = exemplar;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    write!(
        out,
        " # {{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}} {} {since:.3}",
        Number(*value)
    )
}

/// `{key="value",…}`. One that is empty means the same as one that is absent, and is
/// left out.
struct Labels<'a>(&'a About, &'a [String], Option<f64>);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(about, values, bound) = self;
        let mut separator = '{';
        for (key, value) in about.labels.iter().zip(*values).filter(|(_, value)| !value.is_empty())
        {
            write!(f, "{separator}{}=\"{}\"", key.replace('.', "_"), Escaped(value, true))?;
            separator = ',';
        }
        if let Some(bound) = bound {
            write!(f, "{separator}le=\"{}\"", Number(*bound))?;
            separator = ',';
        }
        if separator == ',' { f.write_char('}') } else { Ok(()) }
    }
}

struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == f64::INFINITY {
            f.write_str("+Inf")
        } else if self.0 == f64::NEG_INFINITY {
            f.write_str("-Inf")
        } else {
            write!(f, "{}", self.0)
        }
    }
}

/// With backslashes and ends of lines escaped, and quotes where it stands in some.
struct Escaped<'a>(&'a str, bool);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.1 => f.write_str("\\\"")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
