//! Metrics over OTLP, besides those for Prometheus: the same series under the same names, posted periodically. The values are totals
//! since the start, so a failed export loses the resolution of its time and no count.

use std::time::Duration;

use butt_dial_domain::Clock;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use opentelemetry_proto::{
    tonic::{
        collector::metrics::v1::ExportMetricsServiceRequest,
        common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
        metrics::v1::{
            AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
            ScopeMetrics, Sum, metric::Data, number_data_point,
        },
        resource::v1::Resource,
    },
    transform::common::tonic::ResourceAttributesWithSchema,
};
use percent_encoding::percent_decode_str;
use prometheus::proto::{LabelPair, MetricFamily, MetricType};
use prost::Message;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::otlp::{METRIC_FAILURES, client, count, resource};
use crate::config::ConfigError;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of the last export. The end of the process waits for it.
const LAST_TIMEOUT: Duration = Duration::from_secs(2);

/// Posts the metrics of this process.
pub struct MetricExporter {
    client: reqwest::Client,
    endpoint: Url,
    headers: HeaderMap,
    resource: Resource,
    clock: Clock,
    started: u64,
    interval: Duration,
    timeout: Duration,
}

impl MetricExporter {
    /// Reads the standard variables for intervals, time limits and headers, which the exporters of the other signals read too.
    pub fn new(endpoint: Url, role: &str, clock: Clock) -> Result<Self, ConfigError> {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let attributes = ResourceAttributesWithSchema::from(&resource(role)).attributes;
        let timeout = env("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT").or_else(|| env("OTEL_EXPORTER_OTLP_TIMEOUT"));
        let mut all = HeaderMap::new();
        for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS"] {
            all.extend(
                headers(&env(name).unwrap_or_default()).map_err(|reason| ConfigError(format!("{name}: {reason}")))?,
            );
        }
        Ok(Self {
            client: client()?,
            endpoint,
            headers: all,
            resource: Resource {
                attributes: attributes.0,
                ..Resource::default()
            },
            started: nanoseconds(&clock),
            clock,
            interval: milliseconds(
                "OTEL_METRIC_EXPORT_INTERVAL",
                env("OTEL_METRIC_EXPORT_INTERVAL"),
                DEFAULT_INTERVAL,
            )?,
            timeout: milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", timeout, DEFAULT_TIMEOUT)?,
        })
    }

    /// Exports until the process drains, and a last time then.
    pub async fn run(self, draining: CancellationToken, gather: impl Fn() -> Vec<MetricFamily>) {
        while draining
            .run_until_cancelled(tokio::time::sleep(self.interval))
            .await
            .is_some()
        {
            self.export(&gather(), self.timeout).await;
        }
        self.export(&gather(), self.timeout.min(LAST_TIMEOUT)).await;
    }

    async fn export(&self, families: &[MetricFamily], timeout: Duration) {
        let metrics = metrics(families, self.started, nanoseconds(&self.clock));
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(InstrumentationScope {
                        name: "butt-dial".into(),
                        version: env!("CARGO_PKG_VERSION").into(),
                        ..InstrumentationScope::default()
                    }),
                    metrics,
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        };
        let sent = self
            .client
            .post(self.endpoint.clone())
            .headers(self.headers.clone())
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .timeout(timeout)
            .body(request.encode_to_vec())
            .send()
            .await;
        if let Err(error) = sent.and_then(reqwest::Response::error_for_status) {
            count(&METRIC_FAILURES);
            tracing::warn!(error = %error.without_url(), "metric export failed");
        }
    }
}

fn nanoseconds(clock: &Clock) -> u64 {
    let nanoseconds = clock.now().timestamp_nanos_opt().unwrap_or_default();
    u64::try_from(nanoseconds).unwrap_or_default()
}

fn milliseconds(name: &str, value: Option<String>, default: Duration) -> Result<Duration, ConfigError> {
    let Some(value) = value else { return Ok(default) };
    match value.trim().parse::<u64>() {
        Ok(number) if number > 0 => Ok(Duration::from_millis(number)),
        _ => Err(ConfigError(format!(
            "{name} must be a number of milliseconds, not {value:?}"
        ))),
    }
}

/// Parses `name=value,name=value` with percent-encoded values. The reason of an error has no value: it may be a secret.
fn headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("must be name=value, separated by commas")?;
        let name: HeaderName = name.trim().parse().map_err(|_| "has an invalid name of a header")?;
        let value: Vec<u8> = percent_decode_str(value.trim()).collect();
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| format!("has an invalid value of {name}"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Converts the families of the registry.
fn metrics(families: &[MetricFamily], started: u64, now: u64) -> Vec<Metric> {
    families
        .iter()
        .filter_map(|family| metric(family, started, now))
        .collect()
}

fn metric(family: &MetricFamily, started: u64, now: u64) -> Option<Metric> {
    let cumulative = AggregationTemporality::Cumulative.into();
    let number = |labels: &[LabelPair], value: f64| NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: started,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    };
    let series = family.get_metric().iter();
    let data = match family.get_field_type() {
        MetricType::COUNTER => Data::Sum(Sum {
            data_points: series
                .map(|one| number(one.get_label(), one.get_counter().get_value()))
                .collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        MetricType::GAUGE => Data::Gauge(Gauge {
            data_points: series
                .map(|one| number(one.get_label(), one.get_gauge().get_value()))
                .collect(),
        }),
        MetricType::HISTOGRAM => Data::Histogram(Histogram {
            data_points: series
                .map(|one| histogram(one.get_label(), one.get_histogram(), started, now))
                .collect(),
            aggregation_temporality: cumulative,
        }),
        // The program has none.
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    Some(Metric {
        name: family.name().to_owned(),
        description: family.help().to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

/// Prometheus counts what is at most a bound, OTLP what is between two bounds.
fn histogram(labels: &[LabelPair], one: &prometheus::proto::Histogram, started: u64, now: u64) -> HistogramDataPoint {
    let finite = one
        .get_bucket()
        .iter()
        .filter(|bucket| bucket.upper_bound().is_finite());
    let (mut explicit_bounds, mut bucket_counts, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in finite {
        explicit_bounds.push(bucket.upper_bound());
        bucket_counts.push(bucket.cumulative_count().saturating_sub(below));
        below = bucket.cumulative_count();
    }
    let count = one.get_sample_count();
    bucket_counts.push(count.saturating_sub(below));
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: started,
        time_unix_nano: now,
        count,
        sum: Some(one.get_sample_sum()),
        bucket_counts,
        explicit_bounds,
        ..HistogramDataPoint::default()
    }
}

fn attributes(labels: &[LabelPair]) -> Vec<KeyValue> {
    let attribute = |label: &LabelPair| KeyValue {
        key: label.name().to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(label.value().to_owned())),
        }),
        ..KeyValue::default()
    };
    labels.iter().map(attribute).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

    use super::*;

    fn registry() -> Registry {
        let registry = Registry::new();
        let sends = IntCounterVec::new(Opts::new("sends_total", "Sends."), &["outcome"]).unwrap();
        sends.with_label_values(&["accepted"]).inc_by(3);
        let waiting = IntGauge::new("waiting", "Messages that wait.").unwrap();
        waiting.set(-2);
        let options = HistogramOpts::new("seconds", "Durations.").buckets(vec![0.1, 1.0]);
        let seconds = HistogramVec::new(options, &["route"]).unwrap();
        for value in [0.05, 0.1, 0.5, 7.0] {
            seconds.with_label_values(&["/a"]).observe(value);
        }
        registry.register(Box::new(sends)).unwrap();
        registry.register(Box::new(waiting)).unwrap();
        registry.register(Box::new(seconds)).unwrap();
        registry
    }

    #[test]
    fn converts_every_kind_of_metric() {
        let converted = metrics(&registry().gather(), 10, 20);
        let by_name: HashMap<&str, &Metric> = converted.iter().map(|metric| (metric.name.as_str(), metric)).collect();
        let Some(Data::Sum(sum)) = &by_name["sends_total"].data else {
            panic!("no sum")
        };
        let point = &sum.data_points[0];
        assert!(sum.is_monotonic && sum.aggregation_temporality == AggregationTemporality::Cumulative as i32);
        assert_eq!(point.value, Some(number_data_point::Value::AsDouble(3.0)));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (10, 20));
        assert_eq!(point.attributes[0].key, "outcome");
        let Some(Data::Gauge(gauge)) = &by_name["waiting"].data else {
            panic!("no gauge")
        };
        let value = &gauge.data_points[0].value;
        assert_eq!(*value, Some(number_data_point::Value::AsDouble(-2.0)));
        let Some(Data::Histogram(histogram)) = &by_name["seconds"].data else {
            panic!("no histogram")
        };
        let point = &histogram.data_points[0];
        assert_eq!(point.explicit_bounds, [0.1, 1.0]);
        assert_eq!(point.bucket_counts, [2, 1, 1], "a bound belongs to the bucket below it");
        assert_eq!((point.count, point.sum), (4, Some(7.65)));
        assert_eq!(by_name["seconds"].description, "Durations.");
    }

    #[test]
    fn headers_are_decoded_and_errors_have_no_value() {
        let parsed = headers("authorization=Basic%20abc%3D, x-scope = 7 ,").unwrap();
        assert_eq!(parsed["authorization"], "Basic abc=");
        assert_eq!(parsed["x-scope"], "7");
        assert!(parsed["authorization"].is_sensitive());
        assert!(headers("").unwrap().is_empty());
        for wrong in ["topsecret", "bad name=topsecret", "name=topsecret%0A"] {
            let reason = headers(wrong).unwrap_err();
            assert!(!reason.contains("topsecret"), "{reason}");
        }
    }

    #[test]
    fn intervals_are_positive_milliseconds() {
        let default = Duration::from_secs(1);
        let parse = |text: &str| milliseconds("X", Some(text.into()), default);
        assert_eq!(milliseconds("X", None, default).unwrap(), default);
        assert_eq!(parse(" 250 ").unwrap(), Duration::from_millis(250));
        for wrong in ["0", "-1", "1s", "soon"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
