//! The bounds of arguments: what a schema declares is refused beyond it, and what the Python client may exceed is not.

use butt_dial_domain::Scope;
use butt_dial_operations as operations;
use serde_json::{Value, json};

use crate::support::{Agent, Cluster, RequestExt as _, TestContext, Transport, error_code, sms, with};

/// Returns the values just beyond the bounds that a schema declares.
fn beyond(schema: &Value) -> Vec<Value> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let length = |key: &str| {
        schema
            .get(key)
            .and_then(Value::as_u64)
            .and_then(|length| usize::try_from(length).ok())
    };
    let mut values = Vec::new();
    values.extend(bound("maximum").map(|most| json!(most + 1.0)));
    values.extend(bound("minimum").map(|least| json!(least - 1.0)));
    values.extend(length("maxLength").map(|most| json!("x".repeat(most + 1))));
    values.extend(length("maxItems").map(|most| json!(vec!["x"; most + 1])));
    if let Some(most) = schema["items"].get("maxLength").and_then(Value::as_u64) {
        values.push(json!([&"x".repeat(usize::try_from(most).unwrap() + 1)]));
    }
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_declared_bound_is_enforced_over_mcp() {
    let cluster = Cluster::embedded(&[]).await;
    let agent = cluster.agent(Transport::StreamableHttp).await;
    let mut checked = 0;
    for tool in operations::all()
        .iter()
        .filter(|tool| tool.hints.is_some() && tool.scope <= Scope::Agent)
    {
        let properties = tool.input_schema["properties"].as_object();
        for (name, schema) in properties.into_iter().flatten() {
            for value in beyond(schema) {
                let refused = agent.call(tool.name, json!({ (name): value })).await.unwrap_err();
                let code = schema["x-error"].as_str().unwrap_or("INVALID_ARGUMENT");
                assert_eq!(error_code(&refused), code, "{} {name}: {refused}", tool.name);
                let message = refused["error"].as_str().unwrap();
                let field = refused["fields"][0].as_str().unwrap();
                assert!(
                    field.starts_with(name) && message.starts_with(field),
                    "{} {name}: {refused}",
                    tool.name
                );
                assert!(
                    message.chars().any(|c| c.is_ascii_digit()),
                    "the bound is named: {message}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 80, "{checked}");
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_number_of_a_tool_declares_its_bounds() {
    /// Python's callers may exceed them, and waits end earlier: larger values are clamped.
    const CLAMPED: [&str; 10] = [
        "comms_get_waiting_messages limit",
        "comms_list_sessions limit",
        "comms_get_session historyLimit",
        "comms_wait_events timeoutMs",
        "comms_attend_call waitMs",
        "comms_call_reply waitMs",
        "comms_make_call timeLimitSeconds",
        "comms_make_call ringSeconds",
        "comms_call_on_behalf timeLimitSeconds",
        // No carrier takes it.
        "comms_whatsapp_action ttlSeconds",
    ];
    let cluster = Cluster::embedded(&[]).await;
    let agent = cluster.rest().await;
    for tool in operations::all().iter().filter(|tool| tool.hints.is_some()) {
        for (name, schema) in tool.tool_schema["properties"].as_object().into_iter().flatten() {
            if !matches!(schema["type"].as_str(), Some("integer" | "number")) {
                continue;
            }
            let is_clamped = CLAMPED.contains(&format!("{} {name}", tool.name).as_str());
            assert_eq!(
                schema.get("maximum").is_none(),
                is_clamped,
                "{} {name}: {schema}",
                tool.name
            );
        }
    }
    for path in ["waiting-messages?limit=100000", "waiting-messages?limit=0"] {
        let reply = cluster
            .gateways
            .get(&format!("/api/v1/{path}"))
            .bearer_auth(&cluster.account.token);
        reply.reply().await.expect(200);
    }
    let sessions = agent_over_mcp(&cluster)
        .await
        .call("comms_list_sessions", json!({ "limit": 100_000 }))
        .await;
    assert_eq!(sessions.unwrap()["count"], 0);
    let message = agent.send(sms("+14155550123", "Hi")).await.unwrap();
    assert!(message["messageId"].is_string());
    cluster.shut_down().await;
}

async fn agent_over_mcp(cluster: &TestContext) -> Agent {
    cluster.agent(Transport::Sse).await
}

/// Returns the paths of texts without a bound, below an argument.
fn unbounded(schema: &Value, path: &str) -> Vec<String> {
    let kinds = [&schema["type"], &schema["type"][0], &schema["type"][1]];
    let is_declared = ["enum", "const", "format", "maxLength"]
        .iter()
        .any(|key| schema.get(*key).is_some());
    let own = (kinds.contains(&&json!("string")) && !is_declared).then(|| path.to_owned());
    let nested = schema.get("items").map(|items| unbounded(items, path));
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array());
    let alternatives = alternatives.flatten().flat_map(|schema| unbounded(schema, path));
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.flat_map(|(name, schema)| unbounded(schema, &format!("{path}.{name}")));
    own.into_iter()
        .chain(nested.into_iter().flatten())
        .chain(alternatives)
        .chain(fields)
        .collect()
}

#[test]
fn each_text_has_a_bound_or_a_reason_to_have_none() {
    let mut count = 0;
    for operation in operations::all() {
        for (name, schema) in operation.input_schema["properties"].as_object().into_iter().flatten() {
            count += 1;
            if !operations::is_unbounded(name) {
                assert_eq!(unbounded(schema, name), [""; 0], "{}", operation.name);
            }
        }
    }
    assert!(count > 500, "{count}");
}

profiles! {
    async fn long_administrative_texts_are_refused_over_rest(cluster: &Cluster) {
        for (method, path, field, most) in [
            ("PUT", "compliance-choices", "postalAddress", 300),
            ("PUT", "compliance-choices", "aiDisclosureText", 200),
            ("PUT", "holds", "reason", 500),
            ("POST", "providers", "label", 100),
            ("POST", "alert-routes", "key", 200),
            ("POST", "anomalies/announce", "note", 500),
            ("POST", "pool", "label", 100),
        ] {
            let body = json!({ (field): "x".repeat(most + 1) });
            let path = format!("/api/v1/{path}");
            let request = cluster.gateways.request(method.parse().unwrap(), &path).json(&body);
            let refused = request.bearer_auth(&cluster.account.team_token).reply().await.expect(400);
            assert_eq!(
                (&refused["code"], &refused["fields"], &refused["maxLength"]),
                (&json!("INVALID_ARGUMENT"), &json!([field]), &json!(most)),
                "{path}"
            );
        }
    }
}

profiles! {
    async fn limit_beyond_its_bound_is_refused_over_rest(cluster: &Cluster) {
        for (token, path) in [
            (&cluster.account.token, "calls?limit=201"),
            (&cluster.account.token, "calls?limit=0"),
            (&cluster.account.token, "refusals?limit=-1"),
            (&cluster.account.team_token, "tasks?limit=501"),
            (&cluster.account.team_token, "agents?limit=201"),
        ] {
            let request = cluster.gateways.get(&format!("/api/v1/{path}")).bearer_auth(token);
            let refused = request.reply().await.expect(400);
            assert_eq!((&refused["code"], &refused["fields"]), (&json!("INVALID_ARGUMENT"), &json!(["limit"])), "{path}");
            let most = path.rsplit('=').next().unwrap();
            assert!(refused["maximum"].is_number() && !most.is_empty(), "{path}: {refused}");
        }
    }
}

profiles! {
    async fn list_of_names_and_values_is_the_same_as_an_object(cluster: &Cluster) {
        for transport in [Transport::Rest, Transport::StreamableHttp] {
            let agent = cluster.agent(transport).await;
            let key = format!("{transport:?}");
            let send = async |variables: Value| {
                let message = json!({ "templateId": "HXbooking", "templateVariables": variables, "idempotencyKey": key });
                agent.send(with(json!({ "to": "+14155550123", "channel": "sms" }), message)).await
            };
            let first = send(json!({ "1": "Ann", "2": "8 pm" })).await.unwrap();
            let again = send(json!([{ "name": "2", "value": "8 pm" }, { "name": "1", "value": "Ann" }])).await.unwrap();
            assert_eq!((&again["messageId"], &again["replayed"]), (&first["messageId"], &json!(true)));
            let other = send(json!([{ "name": "1", "value": "Ann" }])).await.unwrap_err();
            assert_eq!(error_code(&other), "IDEMPOTENCY_CONFLICT");
            for wrong in [json!(["1=Ann"]), json!([{ "name": "1" }]), json!([{ "name": "1", "value": "a", "x": 1 }])] {
                assert!(["INVALID_ARGUMENT", "MISSING_FIELDS"].contains(&error_code(&send(wrong).await.unwrap_err())));
            }
        }
    }
}
