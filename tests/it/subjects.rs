//! The rights of a person: everything about the person is exported, and erased from every table, file and carrier.

use std::{path::Path, time::Duration};

use butt_dial_domain::{Channel, Clock};
use butt_dial_providers::PersonMessage;
use butt_dial_store::{NewAlert, Severity, SubjectTable};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::support::{Account, Agent, Cluster, RequestExt as _, Transport, WAIT_TIMEOUT, email, eventually, sms};

const ANN: &str = "+14155550123";
const ANN_MAIL: &str = "ann@example.com";
const BOB: &str = "+14155550177";
/// A task with an id that names Ann.
const TASK: &str = "lead-14155550123";
const WORDS: &str = "purple elephant";
/// The number of Ann as programs and people write it.
const SPELLINGS: [&str; 4] = [ANN, "14155550123", "415-555-0123", "(415) 555-0123"];
/// Tables that name Ann before the erasure. After it, no column of any table does. A keyed hash stays: of opt-outs
/// (consents, suppressions, the ledger), so that the person is not contacted again; of refusals and of jobs. Entries of the audit
/// log stay as they were signed: they never name a person.
const FILLED: [&str; 15] = [
    "messages",
    "scheduled_sends",
    "events",
    "calls",
    "consents",
    "consent_events",
    "consent_records",
    "inbound_windows",
    "inbound_filters",
    "inbound_subscriptions",
    "conversation_contacts",
    "challenges",
    "trust_sessions",
    "tokens",
    "alerts",
];
/// The stream of the embedded bus. Entries expire after a week; texts in them are encrypted.
const STREAM_TABLE: &str = "bus_messages: ";

/// Lists the tables with rows that contain a text, each with a row, except rows that contain `other`, too.
async fn tables_with(url: &str, text: &str, other: &str) -> Vec<String> {
    let mut found = Vec::new();
    if url.starts_with("postgres") {
        let mut db = PgConnection::connect(url).await.unwrap();
        let tables = sqlx::query("SELECT tablename FROM pg_tables WHERE schemaname = ANY (current_schemas(false))");
        for row in tables.fetch_all(&mut db).await.unwrap() {
            let table: String = row.get(0);
            let sql = format!(
                "SELECT t::TEXT FROM \"{table}\" t WHERE t::TEXT LIKE '%{text}%' AND t::TEXT NOT LIKE '%{other}%' LIMIT 1"
            );
            let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut db).await.unwrap();
            found.extend(row.map(|row| format!("{table}: {}", row.get::<String, _>(0))));
        }
        return found;
    }
    let mut db = SqliteConnection::connect(url).await.unwrap();
    let columns = sqlx::query(
        "SELECT m.name, group_concat('coalesce(CAST(\"' || p.name || '\" AS TEXT), '''')', ' || '' '' || ')
        FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' GROUP BY m.name",
    );
    for row in columns.fetch_all(&mut db).await.unwrap() {
        let (table, columns): (String, String) = (row.get(0), row.get(1));
        let sql = format!(
            "SELECT CAST({columns} AS TEXT) FROM \"{table}\" WHERE instr({columns}, '{text}') > 0 AND instr({columns}, '{other}') = 0
            LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut db).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        found.extend(row.map(|row| format!("{table}: {}", text(row.get_unchecked::<&[u8], _>(0)))));
    }
    found
}

fn files_below(directory: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}

async fn post(cluster: &Cluster, path: &str, body: Value) -> Value {
    let request = cluster
        .gateways
        .post(path, &body)
        .bearer_auth(&cluster.account.team_token);
    request.reply().await.expect(200)
}

/// Starts a job, waits for its end and returns it.
async fn run(cluster: &Cluster, path: &str, body: Value) -> Value {
    let started = post(cluster, path, body).await;
    let id = started["jobId"].as_str().expect("a job").to_owned();
    eventually("the job ends", async || {
        let request = cluster.gateways.get(&format!("/api/v1/subjects/jobs/{id}"));
        let job = request
            .bearer_auth(&cluster.account.team_token)
            .reply()
            .await
            .expect(200);
        (job["state"] != "running").then_some(job)
    })
    .await
}

async fn archive(cluster: &Cluster, contact: &str) -> String {
    let job = run(cluster, "/api/v1/subjects/access", json!({ "contact": contact })).await;
    assert_eq!(job["state"], "done", "{job}");
    let path = format!("/api/v1/subjects/jobs/{}/archive", job["jobId"].as_str().unwrap());
    let read = cluster
        .gateways
        .get(&path)
        .bearer_auth(&cluster.account.team_token)
        .reply()
        .await;
    assert_eq!(read.status, 200, "{}", read.text);
    read.text
}

async fn erase(cluster: &Cluster, contact: &str) -> Value {
    let job = run(
        cluster,
        "/api/v1/subjects/erase",
        json!({ "contact": contact, "confirm": true }),
    )
    .await;
    assert_eq!(
        (&job["state"], &job["failure"]),
        (&json!("done"), &Value::Null),
        "{job}"
    );
    job
}

/// Names the person wherever hosts and administrators can. Returns a token that reaches only this person, and one that reaches others,
/// too.
async fn mention(cluster: &Cluster, agent: &Agent) -> (String, String) {
    let token = async |recipients: Value| {
        let body = json!({ "label": "calls for +1 (415) 555-0123", "grants": { "recipients": recipients } });
        let created = cluster.create_agent_token(body).await.expect(201);
        created["token"].as_str().expect("a token").to_owned()
    };
    let tokens = (token(json!([ANN])).await, token(json!([ANN, BOB, ANN_MAIL])).await);
    let mut tagged = sms(ANN, "Hi");
    tagged["taskId"] = json!(TASK);
    tagged["idempotencyKey"] = json!(format!("welcome {ANN}"));
    agent.send(tagged).await.unwrap();
    agent
        .send(json!({ "channel": "sms", "to": BOB, "body": "Hi", "taskId": TASK }))
        .await
        .unwrap();
    post(
        cluster,
        "/api/v1/task-limits",
        json!({ "taskId": TASK, "maxSpend": 5.0 }),
    )
    .await;
    let client = cluster.agent(Transport::StreamableHttp).await;
    for (tool, arguments) in [
        ("comms_send_otp", json!({ "to": ANN, "channel": "sms" })),
        ("comms_grant_trust", json!({ "contact": ANN, "reason": "known" })),
        (
            "comms_record_consent",
            json!({ "contact": ANN, "channel": "sms", "source": "web form", "notes": format!("from {ANN}") }),
        ),
        (
            "comms_create_session",
            json!({ "participants": [{ "type": "human", "id": ANN }], "channel": "sms" }),
        ),
        (
            "comms_subscribe_inbound",
            json!({ "operation": "subscribe", "contacts": [ANN, BOB] }),
        ),
        (
            "comms_manage_inbound_filter",
            json!({ "operation": "add", "filterType": "sender", "pattern": format!("{ANN}*"), "action": "tag", "tag": "ann" }),
        ),
        (
            "comms_manage_inbound_filter",
            json!({ "operation": "add", "filterType": "keyword", "pattern": "elephant", "action": "tag", "tag": format!("of {ANN}") }),
        ),
    ] {
        let called = client.call(tool, arguments).await;
        called.unwrap_or_else(|error| panic!("{tool}: {error}"));
    }
    let at = (Clock::System.now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let later = json!({ "channel": "sms", "to": ANN, "body": "Later", "scheduledAt": at, "taskId": "other" });
    agent.send(later).await.unwrap();
    let evidence = json!({ "label": format!("the line of {ANN}"), "contacts": [ANN] });
    let alert = NewAlert {
        org: Some(&cluster.account.org),
        kind: "test",
        fingerprint: "test",
        severity: Severity::Low,
        title: &format!("{ANN} does not answer"),
        evidence: &evidence,
    };
    cluster
        .store
        .raise_alert(&alert, &[], Clock::System.now())
        .await
        .unwrap();
    tokens
}

/// Lets the person write, call and be written to on each channel.
async fn live(cluster: &Cluster, agent: &Agent) -> Value {
    let text = format!("your {WORDS} is ready");
    let sent = agent.send(sms(ANN, &text)).await.unwrap();
    agent.send(email(ANN_MAIL, &text)).await.unwrap();
    cluster.texts(ANN, WORDS).await;
    for (channel, from, to) in [
        (Channel::Whatsapp, ANN, &cluster.account.phone),
        (Channel::Email, "Ann+shop@example.com", &cluster.account.email),
    ] {
        let mut message = PersonMessage::new(channel, from, to, WORDS);
        message.media = vec!["picture".into()];
        cluster.deliver_accepted(message).await;
    }
    let mut seen = 0;
    eventually("the messages arrive", async || {
        let events = agent.poll_messages().await;
        seen += events.iter().filter(|event| event["body"] == WORDS).count();
        (seen >= 3).then_some(())
    })
    .await;
    let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
    call.hang_up().await;
    assert!(call.wait_for_end(WAIT_TIMEOUT).await);
    // These stay unread, with their texts.
    cluster.texts(ANN, &format!("more {WORDS}")).await;
    let mail = PersonMessage::new(Channel::Email, ANN_MAIL, &cluster.account.email, WORDS);
    cluster.deliver_accepted(mail).await;
    cluster.texts(ANN, "STOP").await;
    eventually("the person has opted out", async || {
        let refused = agent.send(sms(ANN, "Hi")).await;
        refused.is_err().then_some(())
    })
    .await;
    eventually("nothing is in progress", async || {
        let mut rows = Vec::new();
        for table in [SubjectTable::Messages, SubjectTable::Events, SubjectTable::Calls] {
            let id = cluster.account.agent.as_str();
            rows.push(
                cluster
                    .store
                    .list_subject_rows(table, id, table.start(), 100)
                    .await
                    .unwrap(),
            );
        }
        let is_over = rows.iter().flatten().all(|row| !row.is_open);
        (is_over && !rows[2].is_empty()).then_some(())
    })
    .await;
    sent
}

profiles! {
    async fn person_is_exported_and_erased_everywhere(cluster: &Cluster) {
        cluster.carriers.set_delivery_delay(Duration::ZERO);
        let agent = cluster.rest().await;
        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        let stranger = Agent::connect_rest(&cluster.gateways, &other.token);
        stranger.send(sms(ANN, "Hello from others")).await.unwrap();
        let (of_ann, of_both) = mention(cluster, &agent).await;
        let sent = live(cluster, &agent).await;
        let (url, others) = (cluster.database_url(), other.agent.as_str());
        let blobs = cluster.blob_directory();

        let before = tables_with(&url, ANN, others).await;
        for table in FILLED {
            assert!(before.iter().any(|row| row.starts_with(&format!("{table}: "))), "{table}: {before:?}");
        }
        let of_task = tables_with(&url, TASK, others).await;
        for table in ["messages: ", "spend: ", "limits: "] {
            assert!(of_task.iter().any(|row| row.starts_with(table)), "{table}: {of_task:?}");
        }
        assert!(files_below(&blobs) >= 2);
        let lines = archive(cluster, ANN).await;
        assert!(lines.contains(ANN) && lines.contains(&format!("more {WORDS}")), "{lines}");
        assert!(lines.contains(r#""method":"keyword""#) && lines.contains(r#""words":"STOP""#), "{lines}");
        assert!(!lines.contains("Hello from others") && !lines.contains(ANN_MAIL), "{lines}");

        let hold = json!({ "contact": ANN, "reason": "case 12" });
        let held = cluster.gateways.request(reqwest::Method::PUT, "/api/v1/holds").json(&hold);
        let held = held.bearer_auth(&cluster.account.team_token).reply().await.expect(200);
        let confirmed = json!({ "contact": ANN, "confirm": true });
        let refused = cluster.gateways.post("/api/v1/subjects/erase", &confirmed).bearer_auth(&cluster.account.team_token);
        let refused = refused.reply().await.expect(409);
        assert_eq!(refused["holdId"], held["id"], "{refused}");
        let preview = post(cluster, "/api/v1/subjects/erase", json!({ "contact": ANN })).await;
        assert_eq!((&preview["preview"], &preview["holdId"]), (&json!(true), &held["id"]));
        let path = format!("/api/v1/holds/{}", held["id"].as_str().unwrap());
        let released = cluster.gateways.request(reqwest::Method::DELETE, &path);
        released.bearer_auth(&cluster.account.team_token).reply().await.expect(200);

        let job = erase(cluster, ANN).await;
        for spelling in SPELLINGS {
            let left = tables_with(&url, spelling, others).await.into_iter().filter(|row| !row.starts_with(STREAM_TABLE));
            assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new(), "{spelling}");
            assert!(!cluster.read_redis().await.is_some_and(|text| text.contains(spelling)), "{spelling}");
        }
        expect_narrow_grants(cluster, &of_ann, &of_both).await;
        let tasks = cluster.gateways.get("/api/v1/tasks").bearer_auth(&cluster.account.team_token).reply().await.expect(200);
        let renamed: Vec<&Value> = tasks["tasks"].as_array().unwrap().iter().filter(|task| task["maxSpend"] == 5.0).collect();
        assert_eq!(renamed.len(), 1, "its budget stays: {tasks}");
        assert!(renamed[0]["taskId"].as_str().unwrap().starts_with("erased-") && renamed[0]["spent"] != 0.0, "{tasks}");
        let receipts = job["receipts"].as_array().unwrap();
        let deleted = receipts.iter().find(|receipt| receipt["resource"] == sent["providerMessageId"]);
        assert_eq!(deleted.expect("a receipt")["state"], "deleted", "{job}");
        assert!(receipts.iter().all(|receipt| receipt["state"] != "pending"), "{job}");
        assert!(receipts.iter().any(|receipt| receipt["kind"] == "call"), "{job}");
        let kept = cluster.carriers.messages_to(ANN);
        let is_kept = |body: &str| body == "Hello from others" || body.is_empty();
        assert!(kept.iter().all(|message| is_kept(&message.body)), "the carrier has deleted the others");
        assert!(!tables_with(&url, ANN, "no such text").await.is_empty(), "the data of another organization");

        erase(cluster, ANN_MAIL).await;
        for text in [ANN_MAIL, "shop@example.com"] {
            assert_eq!(tables_with(&url, text, others).await, Vec::<String>::new(), "{text}");
        }
        assert_eq!(files_below(&blobs), 0);
        for contact in [ANN, ANN_MAIL] {
            let lines = archive(cluster, contact).await;
            assert!(!lines.contains(WORDS), "{lines}");
            // Refusals are known by a keyed hash.
            let types = |line: &str| serde_json::from_str::<Value>(line).unwrap()["type"].clone();
            assert!(lines.lines().map(types).all(|kind| kind == "contact" || kind == "refusals"), "{lines}");
        }
        // The person stays opted out, and the ledger proves it without the address.
        assert_eq!(agent.send(sms(ANN, "Hi")).await.unwrap_err()["code"], "CONTACT_OPTED_OUT");
        let ledger = cluster.gateways.get("/api/v1/consents?contact=%2B14155550123");
        let ledger = ledger.bearer_auth(&cluster.account.team_token).reply().await.expect(200);
        let entries = ledger["entries"].as_array().unwrap();
        assert!(entries.iter().all(|entry| entry["address"].is_null()), "{ledger}");
        assert_eq!(entries.last().map(|entry| &entry["status"]), Some(&json!("revoked")), "{ledger}");
        assert!(entries.iter().any(|entry| entry["method"] == "keyword"), "{ledger}");
        let theirs = cluster.store.find_consent(&other.org, Channel::Sms, ANN).await.unwrap();
        assert_eq!(theirs, None, "the consent of another organization");
        let verified = agent_audit(cluster).await;
        assert!(!verified.contains(ANN) && verified.contains("subject.erase_end"), "{verified}");
    }
}

/// Proves that tokens have lost the person, and reach no other person instead.
async fn expect_narrow_grants(cluster: &Cluster, of_ann: &str, of_both: &str) {
    let (of_ann, of_both) = (
        Agent::connect_rest(&cluster.gateways, of_ann),
        Agent::connect_rest(&cluster.gateways, of_both),
    );
    for (agent, to, is_granted) in [
        (&of_ann, ANN, false),
        (&of_ann, BOB, false),
        (&of_both, ANN, false),
        (&of_both, BOB, true),
    ] {
        let granted = eventually("the grants are read again", async || {
            let sent = agent.send(sms(to, "Hi")).await;
            let is_refused = sent.as_ref().is_err_and(|error| error["code"] == "AUTH_FORBIDDEN");
            (is_refused != is_granted).then_some(sent)
        })
        .await;
        assert_eq!(granted.is_ok(), is_granted, "{to}: {granted:?}");
    }
}

/// Returns the audit log of the organization as text.
async fn agent_audit(cluster: &Cluster) -> String {
    let request = cluster.gateways.get("/api/v1/audit?limit=200");
    let listed = request.bearer_auth(&cluster.account.team_token).reply().await;
    assert_eq!(listed.status, 200, "{}", listed.text);
    listed.text
}
