//! Traces over OTLP: a client's trace continues to the carrier and across the bus.

use std::collections::HashMap;

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use serde_json::json;

use crate::support::{HttpSession, LegacySession, OtlpCollector, ProcessCluster, RequestExt as _, eventually, sms};

const ANN: &str = "+14155550123";
const SECRET: &str = "planted-in-a-body";

/// A trace that a client starts. The spans are found by its id.
struct Trace {
    id: String,
    collector: OtlpCollector,
}

impl Trace {
    fn parent(&self) -> String {
        format!("00-{}-00f067aa0ba902b7-01", self.id)
    }

    fn spans(&self) -> Vec<Span> {
        let mut spans = self.collector.spans();
        spans.retain(|span| hex::encode(&span.trace_id) == self.id);
        spans
    }

    /// Waits for a span with ancestors of these names.
    async fn expect_path(&self, path: &[&str]) {
        let found = eventually("the spans arrive", async || {
            let spans = self.spans();
            paths(&spans).into_iter().find(|candidate| candidate == path)
        });
        let result = tokio::time::timeout(std::time::Duration::from_secs(10), found).await;
        assert!(result.is_ok(), "no {path:?} among {:#?}", paths(&self.spans()));
    }
}

/// Returns the name of each span after the names of its ancestors.
fn paths(spans: &[Span]) -> Vec<Vec<String>> {
    let by_id: HashMap<&[u8], &Span> = spans.iter().map(|span| (span.span_id.as_slice(), span)).collect();
    let path = |span: &Span| {
        let mut names = vec![span.name.clone()];
        let mut parent = span.parent_span_id.as_slice();
        while let Some(span) = by_id.get(parent) {
            names.push(span.name.clone());
            parent = span.parent_span_id.as_slice();
        }
        names.reverse();
        names
    };
    spans.iter().map(path).collect()
}

async fn traced_fleet() -> (ProcessCluster, Trace) {
    let collector = OtlpCollector::start().await;
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
    ];
    let cluster = ProcessCluster::with_gateways(2, &settings).await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736".to_owned();
    (cluster, Trace { id, collector })
}

const STAGES: [&str; 7] = [
    "send authorize",
    "send validate",
    "send deduplicate",
    "send comply",
    "send reserve",
    "send dispatch",
    "send record",
];
const TOOL: &str = "tools/call comms_send_message";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_send_from_mcp_client_to_carrier_servers() {
    let (cluster, trace) = traced_fleet().await;
    let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
    let params = json!({ "name": "comms_send_message", "arguments": sms(ANN, SECRET) });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = session
        .request(&cluster.gateways, reqwest::Method::POST)
        .header("traceparent", trace.parent());
    request.json(&message).reply().await.expect(200);
    for stage in STAGES {
        trace.expect_path(&["POST /mcp", TOOL, "send", stage]).await;
    }
    trace
        .expect_path(&["POST /mcp", TOOL, "send", "send dispatch", "twilio send"])
        .await;
    let spans = trace.spans();
    let root = spans.iter().find(|span| span.name == "POST /mcp").unwrap();
    assert_eq!(
        hex::encode(&root.parent_span_id),
        "00f067aa0ba902b7",
        "the client's span is the parent"
    );
    assert_eq!(root.kind, SpanKind::Server as i32);
    let carrier = spans.iter().find(|span| span.name == "twilio send").unwrap();
    assert_eq!(carrier.kind, SpanKind::Client as i32);
    assert_eq!(trace.collector.services(), ["butt-dial-gateway"]);
    let exported = format!("{spans:?}");
    for private in [SECRET, ANN, &cluster.account.token, &cluster.account.phone] {
        assert!(!exported.contains(private), "a span contains {private}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_send_over_rest_servers() {
    let (cluster, trace) = traced_fleet().await;
    let request = cluster
        .gateways
        .post("/api/v1/send-message", &sms(ANN, SECRET))
        .bearer_auth(&cluster.account.token);
    request.header("traceparent", trace.parent()).reply().await.expect(200);
    for stage in STAGES {
        trace.expect_path(&["POST /api/v1/send-message", "send", stage]).await;
    }
}

/// The message is posted to one gateway, and its answer crosses the bus to the gateway with the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trace_crosses_bus_servers() {
    let (cluster, trace) = traced_fleet().await;
    let mut session = LegacySession::open(&cluster.gateways.only(0), &cluster.account.token).await;
    let params = json!({ "name": "comms_send_message", "arguments": sms(ANN, SECRET) });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = cluster
        .gateways
        .only(1)
        .post(&session.endpoint, &message)
        .bearer_auth(&cluster.account.token);
    request.header("traceparent", trace.parent()).reply().await.expect(202);
    assert_eq!(session.events.message().await["id"], 1);
    trace
        .expect_path(&["POST /messages", TOOL, "send", "send dispatch"])
        .await;
    trace.expect_path(&["POST /messages", "push"]).await;
}
