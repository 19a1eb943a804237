//! Reading the settings from variables. A value that makes no sense is an error
//! that names the variable, where OpenTelemetry's own reader would go on with a
//! default.

mod logs;

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use tonic::metadata::{AsciiMetadataValue, MetadataKey, MetadataMap};
use tracing_subscriber::filter::Targets;

use super::{Export, ExportMetrics, PushMetrics, Settings};
use crate::logs::filter;

impl Settings {
    /// From the environment of this process.
    ///
    /// `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_EXPORTER_OTLP_COMPRESSION`, and those of
    /// logs, are read by the exporter of logs itself.
    #[expect(clippy::disallowed_methods, reason = "these are settings")]
    pub fn from_environment() -> anyhow::Result<Self> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// From the variables that `get` finds by name. An empty one counts as absent.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let variables =
            Variables { get: &|name| get(name).filter(|value| !value.trim().is_empty()) };
        let default = Self::default();
        Ok(Self {
            log: variables.filter("TRELLIS_LOG")?.unwrap_or(default.log),
            spans: variables.filter("TRELLIS_TRACE")?,
            service_name: (variables.get)("OTEL_SERVICE_NAME"),
            resource: variables.pairs("OTEL_RESOURCE_ATTRIBUTES")?,
            export: variables.export()?,
            logs: variables.logs()?,
            metrics: variables.metrics()?,
        })
    }
}

struct Variables<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
}

impl Variables<'_> {
    fn export(&self) -> anyhow::Result<Option<Export>> {
        // Read in full before it is looked whether they are of use: a mistake shall
        // not wait for the day when somebody adds the collector.
        let sampler = self.sampler()?;
        let disabled = self.parse::<bool>("OTEL_SDK_DISABLED")?.unwrap_or(false);
        let exporter = self.one_of("OTEL_TRACES_EXPORTER", &["otlp", "none"])?;
        for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
            self.one_of(name, &["grpc"])?;
        }
        let default = Export::to("");
        let queue = self.number("OTEL_BSP_MAX_QUEUE_SIZE", 1..=65_536)?.unwrap_or(default.queue);
        let batch = self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1..=queue)?;
        let settings = Export {
            timeout: self
                .millis(&["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"])?
                .unwrap_or(default.timeout),
            give_up: self.millis(&["OTEL_BSP_EXPORT_TIMEOUT"])?.unwrap_or(default.give_up),
            delay: self.millis(&["OTEL_BSP_SCHEDULE_DELAY"])?.unwrap_or(default.delay),
            batch: batch.unwrap_or(default.batch.min(queue)),
            endpoint: String::new(),
            headers: self.headers_of("OTEL_EXPORTER_OTLP_TRACES_HEADERS")?,
            gzip: self.gzip("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION")?,
            sampler,
            queue,
        };
        let endpoint = self.endpoint("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")?;
        if disabled || exporter.as_deref() == Some("none") {
            return Ok(None);
        }
        Ok(endpoint.map(|endpoint| Export { endpoint, ..settings }))
    }

    fn metrics(&self) -> anyhow::Result<ExportMetrics> {
        let exporters = (self.get)("OTEL_METRICS_EXPORTER");
        let exporters = exporters.as_deref().unwrap_or("prometheus");
        let (mut prometheus, mut otlp) = (false, false);
        for exporter in exporters.split(',').map(str::trim) {
            match exporter {
                "prometheus" => prometheus = true,
                "otlp" => otlp = true,
                "none" => {}
                other => bail!("OTEL_METRICS_EXPORTER `{other}` is none of prometheus, otlp, none"),
            }
        }
        let interval = self.millis(&["OTEL_METRIC_EXPORT_INTERVAL"])?;
        let timeout = self.millis(&["OTEL_METRIC_EXPORT_TIMEOUT"])?;
        let settings = PushMetrics {
            endpoint: String::new(),
            headers: self.headers_of("OTEL_EXPORTER_OTLP_METRICS_HEADERS")?,
            interval: interval.unwrap_or(Duration::from_mins(1)),
            timeout: timeout.unwrap_or(Duration::from_secs(30)),
        };
        let endpoint = self.endpoint("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")?;
        let disabled = self.parse::<bool>("OTEL_SDK_DISABLED")?.unwrap_or(false);
        let push = match endpoint {
            Some(endpoint) => Some(PushMetrics { endpoint, ..settings }).filter(|_| otlp),
            None if otlp => bail!(
                "OTEL_METRICS_EXPORTER is otlp, but OTEL_EXPORTER_OTLP_ENDPOINT does not say where to"
            ),
            None => None,
        };
        Ok(ExportMetrics { prometheus, push: push.filter(|_| !disabled) })
    }

    /// Those of `own`, or else of all signals.
    fn headers_of(&self, own: &str) -> anyhow::Result<MetadataMap> {
        let mut names = [own, "OTEL_EXPORTER_OTLP_HEADERS"].into_iter();
        let name = names.find(|name| (self.get)(name).is_some());
        name.map_or_else(|| Ok(MetadataMap::new()), |name| self.headers(name))
    }

    fn gzip(&self, own: &str) -> anyhow::Result<bool> {
        let own = self.one_of(own, &["gzip", "none"])?;
        let of_all = self.one_of("OTEL_EXPORTER_OTLP_COMPRESSION", &["gzip", "none"])?;
        Ok(own.or(of_all).as_deref() == Some("gzip"))
    }

    fn headers(&self, name: &str) -> anyhow::Result<MetadataMap> {
        let mut headers = MetadataMap::new();
        for (key, value) in self.pairs(name)? {
            // What a value is may be a secret.
            let key = MetadataKey::from_bytes(key.as_bytes());
            let key = key.with_context(|| format!("{name} has a name that no header can have"))?;
            let value = value.parse::<AsciiMetadataValue>();
            let mut value = value.with_context(|| format!("{name} has a bad value for `{key}`"))?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        Ok(headers)
    }

    fn endpoint(&self, own: &str) -> anyhow::Result<Option<String>> {
        for name in [own, "OTEL_EXPORTER_OTLP_ENDPOINT"] {
            let Some(endpoint) = (self.get)(name) else { continue };
            let uri: http::Uri =
                endpoint.parse().with_context(|| format!("{name} `{endpoint}` is no URL"))?;
            ensure!(
                uri.scheme_str() == Some("http") && uri.authority().is_some(),
                "{name} `{endpoint}` does not look like `http://host:4317`; \
                 TLS is left to a collector nearby"
            );
            return Ok(Some(endpoint));
        }
        Ok(None)
    }

    fn sampler(&self) -> anyhow::Result<Sampler> {
        const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
        let ratio = self.parse::<f64>(ARGUMENT)?;
        if let Some(ratio) = ratio {
            ensure!((0.0..=1.0).contains(&ratio), "{ARGUMENT} `{ratio}` is not between 0 and 1");
        }
        let ratio = Sampler::TraceIdRatioBased(ratio.unwrap_or(1.0));
        let parent_based = |root| Sampler::ParentBased(Box::new(root));
        let name = (self.get)("OTEL_TRACES_SAMPLER");
        Ok(match name.as_deref() {
            None | Some("parentbased_always_on") => parent_based(Sampler::AlwaysOn),
            Some("parentbased_always_off") => parent_based(Sampler::AlwaysOff),
            Some("parentbased_traceidratio") => parent_based(ratio),
            Some("always_on") => Sampler::AlwaysOn,
            Some("always_off") => Sampler::AlwaysOff,
            Some("traceidratio") => ratio,
            Some(other) => bail!(
                "OTEL_TRACES_SAMPLER `{other}` is none of parentbased_always_on, \
                 parentbased_always_off, parentbased_traceidratio, always_on, always_off, \
                 traceidratio"
            ),
        })
    }

    /// `name=value,name=value`, with the values percent-encoded.
    fn pairs(&self, name: &str) -> anyhow::Result<Vec<(String, String)>> {
        let Some(text) = (self.get)(name) else { return Ok(Vec::new()) };
        let members = text.split(',').map(str::trim).filter(|member| !member.is_empty());
        members
            .map(|member| {
                let (key, value) = member.split_once('=').filter(|(key, _)| !key.is_empty())?;
                let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
                Some((key.trim().to_owned(), value.into_owned()))
            })
            .collect::<Option<_>>()
            .with_context(|| format!("{name} `{text}` is not like `name=value,name=value`"))
    }

    fn one_of(&self, name: &str, known: &[&str]) -> anyhow::Result<Option<String>> {
        let value = (self.get)(name);
        if let Some(value) = &value {
            let known_as = known.join(", ");
            ensure!(known.contains(&value.as_str()), "{name} `{value}` is not one of: {known_as}");
        }
        Ok(value)
    }

    /// The first of `names` that is set, in whole milliseconds of at least one.
    fn millis(&self, names: &[&str]) -> anyhow::Result<Option<Duration>> {
        for name in names {
            if let Some(millis) = self.number(name, 1..=3_600_000)? {
                return Ok(Some(Duration::from_millis(millis)));
            }
        }
        Ok(None)
    }

    fn number<T>(&self, name: &str, range: RangeInclusive<T>) -> anyhow::Result<Option<T>>
    where
        T: FromStr<Err: Display> + PartialOrd + Display,
    {
        let number = self.parse::<T>(name)?;
        if let Some(number) = &number {
            let (least, most) = (range.start(), range.end());
            ensure!(range.contains(number), "{name} `{number}` is not between {least} and {most}");
        }
        Ok(number)
    }

    fn filter(&self, name: &str) -> anyhow::Result<Option<Targets>> {
        (self.get)(name).map(|text| filter(&text).with_context(|| name.to_owned())).transpose()
    }

    fn parse<T: FromStr<Err: Display>>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let Some(text) = (self.get)(name) else { return Ok(None) };
        let value = text.trim().parse();
        value.map(Some).map_err(|error| anyhow::anyhow!("{name} `{text}`: {error}"))
    }
}
