//! Alerts over webhooks of a local server: storms, retries, escalation, and formats.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::{Router, extract::State, http::StatusCode, routing::post};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use butt_dial_domain::{Channel, Clock, Code, Failure, OrgId, Principal, Scope, TokenId, clock::Timestamp};
use butt_dial_identity::Caller;
use butt_dial_messaging::{Egress, PublicUrls};
use butt_dial_store::Store;
use butt_dial_vault::Vault;
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio_util::task::TaskTracker;

use crate::{AlertState, Alerts, Cause, Mailer, NewRoute, RouteKind, Severity};

/// The mails of an installation without a sender.
struct NoMailer;

#[async_trait]
impl Mailer for NoMailer {
    async fn send(&self, channel: Channel, _: &str, _: &str, _: &str, _: &str) -> Result<(), Failure> {
        Err(Failure::new(Code::ChannelUnavailable, "no sender").on(channel))
    }
}

#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<(axum::http::HeaderMap, Value)>>>, Arc<Mutex<bool>>);

impl Received {
    fn bodies(&self) -> Vec<Value> {
        self.0.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }

    fn refuse(&self, yes: bool) {
        *self.1.lock().unwrap() = yes;
    }
}

struct World {
    alerts: Alerts,
    clock: Clock,
    received: Received,
    url: String,
    _directory: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        // Another test may have installed it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("store.db").display());
        let store = Store::connect(&url, 2, &TaskTracker::new()).await.unwrap();
        store.migrate().await.unwrap();
        let clock = Clock::manual(Timestamp::from_timestamp(1_764_410_400, 0).unwrap());
        let received = Received::default();
        let app = Router::new().route("/hook", post(receive)).with_state(received.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
        let vault = Vault::new(b"secret");
        let urls = PublicUrls::new(Some("https://comms.example".into()));
        Self {
            alerts: Alerts::new(store, vault, clock.clone(), Egress::new(true), Arc::new(NoMailer), urls),
            clock,
            received,
            url,
            _directory: directory,
        }
    }

    async fn add_route(&self, kind: RouteKind, is_escalation: bool) -> crate::RouteView {
        let new = NewRoute {
            kind,
            address: Some("ops@example.com"),
            url: Some(&self.url),
            key: Some("R1"),
            severity: Severity::Low,
            is_escalation,
            quiet: None,
        };
        self.alerts.create_route(&operator(), new).await.unwrap()
    }

    /// Runs the sweep for this time, once a second.
    async fn run(&self, time: TimeDelta) {
        for _ in 0..time.num_seconds() {
            self.clock.advance(TimeDelta::seconds(1));
            self.alerts.send_due().await.unwrap();
        }
    }
}

async fn receive(State(received): State<Received>, headers: axum::http::HeaderMap, body: String) -> StatusCode {
    if *received.1.lock().unwrap() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let mut all = received.0.lock().unwrap();
    all.push((headers, json!({ "text": body })));
    StatusCode::OK
}

fn parsed(body: &Value) -> Value {
    serde_json::from_str(body["text"].as_str().unwrap()).unwrap()
}

fn operator() -> Caller {
    Caller {
        principal: Principal {
            token: TokenId::from("tok_orchestrator"),
            scope: Scope::SuperAdmin,
            org: None,
            agent: None,
            restriction: None,
        },
        profile: None,
    }
}

fn cause(n: usize, severity: Severity) -> Cause {
    Cause {
        org: None,
        kind: "order.stuck",
        fingerprint: format!("so_{n}"),
        severity,
        title: format!("Order {n} is stuck"),
        evidence: json!({ "order": n }),
    }
}

#[tokio::test]
async fn storm_of_10000_causes_is_a_handful_of_messages() {
    let world = World::new().await;
    world.add_route(RouteKind::Webhook, false).await;
    for n in 0..10_000 {
        world.alerts.raise(&cause(n, Severity::Critical)).await.unwrap();
        if n == 0 {
            world.run(TimeDelta::seconds(2)).await;
            assert_eq!(
                world.received.bodies().len(),
                1,
                "the first message leaves within seconds"
            );
        }
    }
    world.run(TimeDelta::hours(1)).await;
    let bodies: Vec<Value> = world.received.bodies().iter().map(parsed).collect();
    assert!(bodies.len() <= 6, "{} messages", bodies.len());
    let count: i64 = bodies.iter().map(|body| body["count"].as_i64().unwrap()).sum();
    assert_eq!(count, 10_000, "each alert is in one message");
    assert_eq!(bodies[1]["alerts"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn steady_causes_stay_within_the_budget_of_an_hour() {
    let world = World::new().await;
    world.add_route(RouteKind::Slack, false).await;
    for n in 0..120 {
        world.alerts.raise(&cause(n, Severity::High)).await.unwrap();
        world.run(TimeDelta::seconds(30)).await;
    }
    let sent = world.received.bodies().len();
    assert!((4..=7).contains(&sent), "{sent} messages in an hour");
    let last = world.received.bodies().pop().unwrap();
    assert!(parsed(&last)["text"].as_str().unwrap().starts_with("*"), "{last}");
}

#[tokio::test]
async fn webhook_is_signed_and_repeated_after_a_failure() {
    let world = World::new().await;
    let made = world.add_route(RouteKind::Webhook, false).await;
    world.received.refuse(true);
    world.alerts.raise(&cause(1, Severity::High)).await.unwrap();
    world.run(TimeDelta::seconds(10)).await;
    assert_eq!(world.received.bodies().len(), 0);
    world.received.refuse(false);
    world.run(TimeDelta::seconds(40)).await;
    let (headers, body) = world.received.0.lock().unwrap()[0].clone();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let secret = made.secret.unwrap();
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let signed = format!(
        "{}.{}.{}",
        header("webhook-id"),
        header("webhook-timestamp"),
        body["text"].as_str().unwrap()
    );
    mac.update(signed.as_bytes());
    assert_eq!(
        header("webhook-signature"),
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    );
    assert_eq!(parsed(&body)["alerts"][0]["title"], "Order 1 is stuck");
}

#[tokio::test]
async fn route_that_never_works_causes_no_alert() {
    let world = World::new().await;
    world.add_route(RouteKind::Email, false).await;
    world.alerts.raise(&cause(1, Severity::High)).await.unwrap();
    world.run(TimeDelta::hours(1)).await;
    let listed = world.alerts.list(&operator(), false, None, 100).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    let view = &world.alerts.list_routes(&operator()).await.unwrap()[0];
    let failed = world.alerts.test_route(&operator(), &view.id).await.unwrap_err();
    assert_eq!(failed.code, Code::ChannelUnavailable);
}

#[tokio::test]
async fn escalates_only_without_acknowledgement() {
    let world = World::new().await;
    world.add_route(RouteKind::Slack, true).await;
    world.alerts.raise(&cause(1, Severity::High)).await.unwrap();
    world.alerts.raise(&cause(2, Severity::High)).await.unwrap();
    let listed = world.alerts.list(&operator(), true, None, 9).await.unwrap();
    world.alerts.acknowledge(&operator(), &listed[0].id).await.unwrap();
    world.run(TimeDelta::minutes(14)).await;
    assert_eq!(world.received.bodies().len(), 0);
    world.run(TimeDelta::minutes(2)).await;
    let bodies = world.received.bodies();
    assert_eq!(bodies.len(), 1);
    let text = parsed(&bodies[0])["text"].as_str().unwrap().to_owned();
    assert!(
        text.contains("not acknowledged: [high] Order 1 is stuck") && !text.contains("Order 2"),
        "{text}"
    );
}

#[tokio::test]
async fn incident_is_triggered_and_resolved() {
    let world = World::new().await;
    world.add_route(RouteKind::Pagerduty, false).await;
    world.alerts.raise(&cause(1, Severity::Critical)).await.unwrap();
    world.run(TimeDelta::seconds(3)).await;
    let alert = world.alerts.list(&operator(), true, None, 9).await.unwrap().remove(0);
    world.alerts.resolve(&operator(), &alert.id).await.unwrap();
    world.run(TimeDelta::minutes(2)).await;
    let bodies: Vec<Value> = world.received.bodies().iter().map(parsed).collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(
        (&bodies[0]["event_action"], &bodies[0]["routing_key"]),
        (&json!("trigger"), &json!("R1"))
    );
    assert_eq!(
        (&bodies[0]["payload"]["severity"], &bodies[0]["dedup_key"]),
        (&json!("critical"), &json!(alert.id))
    );
    assert_eq!(
        (&bodies[1]["event_action"], &bodies[1]["dedup_key"]),
        (&json!("resolve"), &json!(alert.id))
    );
    let resolved = world.alerts.list(&operator(), false, None, 9).await.unwrap().remove(0);
    assert_eq!(resolved.state, AlertState::Resolved);
}

#[tokio::test]
async fn broken_log_is_an_alert_until_it_is_whole() {
    let world = World::new().await;
    let logs = ["org_1".to_owned()];
    assert_eq!(world.alerts.report_broken_logs(&logs).await.unwrap(), 1);
    assert_eq!(
        world.alerts.report_broken_logs(&logs).await.unwrap(),
        0,
        "the same cause"
    );
    assert_eq!(world.alerts.observe().await.unwrap(), 0);
    let open = world.alerts.list(&operator(), true, None, 9).await.unwrap();
    assert_eq!((open.len(), open[0].severity), (1, Severity::Critical));
    world.alerts.report_broken_logs(&[]).await.unwrap();
    assert_eq!(world.alerts.list(&operator(), true, None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn approval_alert_has_a_link_while_it_is_open() {
    let world = World::new().await;
    let org = OrgId::from("org_1");
    let owner = Caller {
        principal: Principal {
            token: TokenId::from("tok_team"),
            scope: Scope::OrgAdmin,
            org: Some(org.clone()),
            agent: None,
            restriction: None,
        },
        profile: None,
    };
    for kind in [RouteKind::Webhook, RouteKind::Pagerduty] {
        let new = NewRoute {
            kind,
            address: None,
            url: Some(&world.url),
            key: Some("R1"),
            severity: Severity::Low,
            is_escalation: false,
            quiet: None,
        };
        world.alerts.create_route(&owner, new).await.unwrap();
    }
    let waiting = Cause {
        org: Some(org.clone()),
        kind: "approval.waiting",
        fingerprint: "msg_1".into(),
        ..cause(1, Severity::High)
    };
    world.alerts.raise(&waiting).await.unwrap();
    world.run(TimeDelta::seconds(3)).await;
    let bodies: Vec<Value> = world.received.bodies().iter().map(parsed).collect();
    let link_of = |body: &Value| {
        body["alerts"][0]["link"]
            .as_str()
            .or(body["links"][0]["href"].as_str())
            .map(str::to_owned)
    };
    let links: Vec<String> = bodies.iter().filter_map(link_of).collect();
    assert_eq!(links.len(), 2, "{bodies:?}");
    assert!(
        links
            .iter()
            .all(|link| link.starts_with("https://comms.example/approvals/org_1.")),
        "{links:?}"
    );
    assert_ne!(links[0], links[1], "a link belongs to its route");
    world
        .alerts
        .resolve_cause(Some(&org), "approval.waiting", "msg_1", "system")
        .await
        .unwrap();
    world.run(TimeDelta::minutes(5)).await;
    let later: Vec<Value> = world.received.bodies().iter().skip(2).map(parsed).collect();
    assert!(later.iter().all(|body| link_of(body).is_none()), "{later:?}");
}
