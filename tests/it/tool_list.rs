//! The list of tools as a model's context pays for it, and results with the schemas that the list declares.

use butt_dial_operations as operations;
use serde_json::{Map, Value, json};

use crate::support::{Agent, Cluster, HttpSession, RequestExt as _, Transport, jsonrpc_response};

/// Bytes of the list per token of o200k, as counted with the tokenizer on the list of an agent.
const BYTES_PER_TOKEN: f64 = 4.28;

fn tool_text(reply: &Value) -> Value {
    let text = reply["result"]["content"][0]["text"].as_str();
    serde_json::from_str(text.expect("a text")).expect("JSON")
}

async fn list_tools(cluster: &Cluster, token: &str) -> Vec<Value> {
    let session = HttpSession::open(&cluster.gateways, "/mcp", token).await;
    let list = session.call(&cluster.gateways, "tools/list", json!({})).await;
    list["result"]["tools"].as_array().expect("tools").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_of_an_agent_has_less_than_4000_tokens() {
    let cluster = Cluster::embedded(&[]).await;
    let tools = list_tools(&cluster, &cluster.account.token).await;
    let bytes = serde_json::to_string(&tools).unwrap().len();
    let tokens = bytes as f64 / BYTES_PER_TOKEN;
    assert!(tokens < 4000.0, "{tokens}");
    // It is complete nevertheless: each tool and required argument, with its type.
    let granted = operations::all()
        .iter()
        .filter(|tool| tool.hints.is_some() && tool.scope <= butt_dial_domain::Scope::Agent);
    assert_eq!(tools.len(), granted.count());
    for tool in &tools {
        assert!(tool["description"].as_str().unwrap().len() > 15, "{tool}");
        let definition = operations::find_tool(tool["name"].as_str().unwrap()).unwrap();
        assert_eq!(
            tool["inputSchema"].get("required"),
            definition.tool_schema.get("required"),
            "{tool}"
        );
        for (name, property) in tool["inputSchema"]["properties"].as_object().into_iter().flatten() {
            let is_typed = property["type"].is_string() || property["anyOf"].is_array();
            assert!(is_typed, "{} {name}: {property}", tool["name"]);
        }
    }
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_see_arguments_that_only_they_may_use() {
    let cluster = Cluster::embedded(&[]).await;
    let (store, gateways) = (&cluster.store, &cluster.gateways);
    let admin = cluster
        .account
        .add_colleague(store, gateways, "org-admin", "+14155550101")
        .await;
    for (token, is_shown) in [(&cluster.account.token, false), (&admin.token, true)] {
        let tools = list_tools(&cluster, token).await;
        let send = tools.iter().find(|tool| tool["name"] == "comms_send_message").unwrap();
        assert_eq!(
            send["inputSchema"]["properties"].get("agentId").is_some(),
            is_shown,
            "{send}"
        );
    }
    cluster.shut_down().await;
}

/// Calls that succeed without further preparation.
fn calls(to: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("comms_ping", json!({ "message": "hello", "unknown": 1 })),
        ("comms_get_me", json!({})),
        ("comms_get_channel_status", json!({})),
        (
            "comms_send_message",
            json!({ "to": to, "body": "hello", "channel": "sms", "idempotencyKey": "k" }),
        ),
        ("comms_preflight", json!({ "to": to, "channel": "sms" })),
        ("comms_list_refusals", json!({})),
        ("comms_list_scheduled_messages", json!({})),
        ("comms_list_calls", json!({})),
        ("comms_list_events", json!({})),
        ("comms_wait_events", json!({ "timeoutMs": 0 })),
        ("comms_get_waiting_messages", json!({})),
        ("comms_find_agent", json!({})),
        ("comms_check_consent", json!({ "contact": to })),
        ("comms_check_trust", json!({ "contact": to })),
        ("comms_get_contact_profile", json!({ "contact": to })),
        ("comms_list_sessions", json!({})),
        ("comms_validate_number", json!({ "phoneNumber": to })),
        ("comms_get_usage_dashboard", json!({})),
        ("comms_get_billing_summary", json!({})),
        ("comms_get_income", json!({})),
        ("comms_manage_inbound_filter", json!({ "operation": "list" })),
        ("comms_rotate_token", json!({})),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn structured_results_match_the_schemas_of_the_list() {
    let cluster = Cluster::embedded(&[("TOOL_OUTPUT_SCHEMAS", "true")]).await;
    let tools = list_tools(&cluster, &cluster.account.token).await;
    for tool in &tools {
        assert_eq!(tool["outputSchema"]["type"], "object", "{tool}");
    }
    let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
    for (name, arguments) in calls("+14155550123") {
        let params = json!({ "name": name, "arguments": arguments });
        let reply = session.call(&cluster.gateways, "tools/call", params).await;
        let structured = &reply["result"]["structuredContent"];
        assert_eq!(structured, &tool_text(&reply), "{name}");
        let schema = &tools.iter().find(|tool| tool["name"] == name).unwrap()["outputSchema"];
        if let Err(difference) = check(structured, schema) {
            panic!("{name}: {difference} in {structured}");
        }
    }
    // A failure has no structured content, which clients do not check either.
    let params = json!({ "name": "comms_get_call", "arguments": { "callId": "no-such-call" } });
    let failure = session.call(&cluster.gateways, "tools/call", params).await;
    assert_eq!(failure["result"]["isError"], true);
    assert!(failure["result"].get("structuredContent").is_none(), "{failure}");
    cluster.shut_down().await;
}

/// Revisions before 2025-06-18 have no schemas of results.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_clients_get_no_output_schemas() {
    let cluster = Cluster::embedded(&[("TOOL_OUTPUT_SCHEMAS", "true")]).await;
    let (gateways, token) = (&cluster.gateways, &cluster.account.token);
    let session = HttpSession::open(gateways, "/mcp", token).await;
    let message = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "comms_ping", "arguments": {} },
    });
    for (revision, is_structured) in [("2025-03-26", false), ("2025-06-18", true), ("2025-11-25", true)] {
        let request = gateways.post("/mcp", &message).bearer_auth(token);
        let request = request.header("mcp-session-id", &session.id);
        let request = request.header("accept", "application/json, text/event-stream");
        let reply = request.header("mcp-protocol-version", revision).reply().await;
        let reply = jsonrpc_response(&reply);
        assert!(tool_text(&reply)["status"].is_string(), "{revision}: {reply}");
        let has_structure = reply["result"].get("structuredContent").is_some();
        assert_eq!(has_structure, is_structured, "{revision}: {reply}");
    }
    for transport in [Transport::Sse, Transport::StreamableHttp] {
        let agent = Agent::connect(gateways, token, transport).await;
        agent.tools().await;
        agent.call("comms_get_me", json!({})).await.expect("a result");
    }
    cluster.shut_down().await;
}

/// Checks a value against a schema. Fails on keywords that it does not know, so that none is overlooked.
fn check(value: &Value, schema: &Value) -> Result<(), String> {
    let Some(schema) = schema.as_object() else {
        return match schema {
            Value::Bool(true) => Ok(()),
            other => Err(format!("the schema {other}")),
        };
    };
    for (keyword, expected) in schema {
        check_keyword(value, keyword, expected, schema).map_err(|error| format!("{keyword}: {error}"))?;
    }
    Ok(())
}

fn check_keyword(value: &Value, keyword: &str, expected: &Value, schema: &Map<String, Value>) -> Result<(), String> {
    let fails = |is_right: bool| match is_right {
        true => Ok(()),
        false => Err(format!("{value} is not {expected}")),
    };
    match keyword {
        "description" | "default" | "format" | "title" => Ok(()),
        "type" => match expected {
            Value::Array(types) => fails(types.iter().any(|name| is_of(value, name))),
            name => fails(is_of(value, name)),
        },
        "const" => fails(value == expected),
        "enum" => fails(expected.as_array().is_some_and(|values| values.contains(value))),
        "minimum" => fails(value.as_f64().is_none_or(|number| Some(number) >= expected.as_f64())),
        "maximum" => fails(value.as_f64().is_none_or(|number| Some(number) <= expected.as_f64())),
        "anyOf" | "oneOf" => fails(
            expected
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| check(value, kind).is_ok())),
        ),
        "required" => fails(value.as_object().is_none_or(|fields| {
            let names = expected.as_array().expect("names");
            names
                .iter()
                .all(|name| fields.contains_key(name.as_str().expect("a name")))
        })),
        "items" => value
            .as_array()
            .into_iter()
            .flatten()
            .try_for_each(|item| check(item, expected)),
        "properties" => {
            value
                .as_object()
                .into_iter()
                .flatten()
                .try_for_each(|(name, field)| match expected.get(name) {
                    Some(schema) => check(field, schema).map_err(|error| format!("{name}: {error}")),
                    None => Ok(()),
                })
        }
        "additionalProperties" => {
            let declared = schema.get("properties");
            let is_declared = |name: &str| declared.is_some_and(|declared| declared.get(name).is_some());
            let others = value
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| !is_declared(name));
            others
                .into_iter()
                .try_for_each(|(name, field)| check(field, expected).map_err(|error| format!("{name}: {error}")))
        }
        other => Err(format!("the keyword {other} is unknown")),
    }
}

fn is_of(value: &Value, name: &Value) -> bool {
    match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    }
}
