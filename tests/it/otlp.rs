//! Metrics and log lines over OTLP, and a collector that refuses them.

use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};

use crate::support::{OtlpCollector, ProcessCluster, RequestExt as _, attribute, eventually, sms};

const ANN: &str = "+14155550123";
const SECRET: &str = "planted-in-a-body";
const LINE: &str = "carrier request finished";

fn exporting(collector: &OtlpCollector) -> [(&str, &str); 6] {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-scope=planted%20scope"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "200"),
    ]
}

/// Returns the sum of the series of a counter or a gauge.
fn total(collector: &OtlpCollector, name: &str) -> Option<f64> {
    let points = match collector.metric(name)?.data? {
        Data::Sum(sum) => sum.data_points,
        Data::Gauge(gauge) => gauge.data_points,
        _ => return None,
    };
    let values = points.into_iter().map(|point| match point.value {
        Some(Value::AsDouble(value)) => value,
        _ => 0.0,
    });
    Some(values.sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_lines_reach_collector_servers() {
    let collector = OtlpCollector::start().await;
    let cluster = ProcessCluster::with_gateways(1, &exporting(&collector)).await;
    let request = cluster
        .gateways
        .post("/api/v1/send-message", &sms(ANN, SECRET))
        .bearer_auth(&cluster.account.token);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let reply = request.header("traceparent", parent).reply().await.expect(200);
    let line = eventually("the line of the send arrives", async || {
        let lines = collector.lines().into_iter();
        lines.into_iter().find(|line| {
            let body = line.body.as_ref().and_then(|body| body.value.clone());
            body == Some(opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(
                LINE.into(),
            ))
        })
    })
    .await;
    assert_eq!(hex::encode(&line.trace_id), trace);
    assert_eq!(line.severity_text, "INFO");
    let fields = [
        ("agent", cluster.account.agent.to_string()),
        ("org", cluster.account.org.to_string()),
        ("carrier", "twilio".to_owned()),
        ("message_id", reply["messageId"].as_str().unwrap().to_owned()),
    ];
    for (name, value) in fields {
        assert_eq!(attribute(&line.attributes, name), Some(value), "{name}");
    }
    assert!(attribute(&line.attributes, "replica").is_some());

    eventually("the histogram of the send arrives", async || {
        let Data::Histogram(histogram) = collector.metric("bd_http_request_seconds")?.data? else {
            panic!("no histogram")
        };
        let mut points = histogram.data_points.into_iter();
        let point =
            points.find(|point| attribute(&point.attributes, "route").as_deref() == Some("/api/v1/send-message"))?;
        assert_eq!((point.count, point.bucket_counts.iter().sum()), (1, 1));
        Some(())
    })
    .await;
    // The newest export may be that of another role.
    eventually("the connections of the pool arrive", async || {
        total(&collector, "bd_database_connections").filter(|open| *open >= 1.0)
    })
    .await;
    assert_eq!(collector.header("x-scope").as_deref(), Some("planted scope"));
    eventually("all roles export", async || {
        let services = collector.services();
        let roles = ["dispatcher", "gateway", "webhook-ingest"].map(|role| format!("butt-dial-{role}"));
        roles.iter().all(|role| services.contains(role)).then_some(())
    })
    .await;
    let exported = format!("{:?}", collector.lines());
    for private in [
        SECRET,
        ANN,
        &cluster.account.token,
        &cluster.account.phone,
        "planted scope",
    ] {
        assert!(!exported.contains(private), "a line contains {private}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_exports_are_counted_and_sends_go_on() {
    let collector = OtlpCollector::start().await;
    collector.refuse(true);
    let cluster = ProcessCluster::embedded(&exporting(&collector)).await;
    let agent = cluster.rest().await;
    agent.send(sms(ANN, "Hello")).await.unwrap();
    let refused = [
        "bd_trace_export_failures_total",
        "bd_metric_export_failures_total",
        "bd_log_export_failures_total",
    ];
    eventually("every signal is counted", async || {
        let metrics = cluster.gateways.get("/metrics").reply().await.text;
        let count = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or(0.0)
        };
        refused.iter().all(|name| count(name) >= 1.0).then_some(())
    })
    .await;
    // The warnings about lost lines are not exported themselves: a silent program exports no lines.
    let before = collector.refused();
    collector.refuse(false);
    eventually("the counts arrive later", async || {
        total(&collector, "bd_log_export_failures_total").filter(|count| *count >= 1.0)
    })
    .await;
    assert!(before >= 3);
    let lines = format!("{:?}", collector.lines());
    assert!(!lines.contains("export failed"), "{lines}");
    agent.send(sms(ANN, "Again")).await.unwrap();
}

#[tokio::test]
async fn rest_of_metrics_and_lines_is_sent_at_the_end() {
    let collector = OtlpCollector::start().await;
    let mut settings = exporting(&collector);
    settings[4].1 = "3600000";
    settings[5].1 = "3600000";
    let mut cluster = ProcessCluster::embedded(&settings).await;
    cluster.rest().await.send(sms(ANN, "Hello")).await.unwrap();
    // The command that created the agent has ended, and sent its lines.
    assert!(!format!("{:?}", collector.lines()).contains("serving"));
    assert!(collector.metric("bd_build_info").is_none());
    let mut program = cluster.programs.remove(0);
    program.terminate().await;
    let exit = program.wait_for_exit().await;
    assert!(exit.success());
    assert!(collector.metric("bd_build_info").is_some());
    let lines = format!("{:?}", collector.lines());
    assert!(
        lines.contains("serving") && lines.contains("shutdown started"),
        "{lines}"
    );
}
