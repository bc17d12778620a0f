//! One webhook: from HTTP to the pipeline in `butt_dial_comms::inbound`, and back.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use butt_dial_comms::{
    calls::webhook::Hook,
    inbound::{RawWebhook, Via},
};
use butt_dial_domain::{AgentId, ids, ports::webhook::WebhookRequest};
use butt_dial_runtime::{http::Whole, telemetry::trace};

use crate::{Ingest, MAX_BODY, answer};

/// `/webhooks/{carrier}/voice/{what}`; of an agent, as the original has it, also `/webhooks/{agentId}/call-status`.
fn of_a_call(second: &str, rest: Option<&str>) -> Option<Hook> {
    match second {
        "voice" => Hook::parse(rest.unwrap_or_default()),
        "call-status" => Some(Hook::Status),
        _ => None,
    }
}

/// The kinds that the original's paths end with: `/webhooks/{agentId}/sms`.
const OF_AN_AGENT: [&str; 6] = ["sms", "whatsapp", "email", "line", "voice", "call-status"];

pub async fn receive(
    State(ingest): State<Ingest>,
    Path(path): Path<Vec<(String, String)>>,
    uri: Uri,
    method: Method,
    headers: HeaderMap,
    Whole(body): Whole<MAX_BODY>,
) -> Response {
    let Ok(body) = body else {
        return answer::too_large();
    };
    let mut parts = path.into_iter().map(|(_, part)| part);
    let (Some(first), Some(second)) = (parts.next(), parts.next()) else {
        return answer::unknown();
    };
    // Carriers were told the public address; what the request itself says about hosts is worth nothing.
    let path = uri.path_and_query().map_or(uri.path(), |path| path.as_str());
    let Some(base) = &ingest.comms.settings.public_url else {
        tracing::error!("WEBHOOK_BASE_URL is not set, so no signature can be checked");
        return answer::unavailable();
    };
    let request = WebhookRequest {
        url: format!("{base}{path}"),
        method,
        headers,
        body,
        received_at: ingest.comms.clock.now(),
    };
    let is_carrier = ingest.comms.carriers.find_webhooks(&first).is_some();
    if is_carrier && let Some(challenge) = ingest.comms.handshake(&first, &request) {
        return answer::challenge(challenge);
    }
    let via = if is_carrier {
        Via::Carrier(first)
    } else if OF_AN_AGENT.contains(&second.as_str()) && ids::is_valid_host_id(&first) {
        Via::Agent(AgentId::from(first))
    } else {
        return answer::unknown();
    };
    let raw = RawWebhook {
        via,
        request,
        trace: trace::headers(),
    };
    if let Some(hook) = of_a_call(&second, parts.next().as_deref()) {
        return match ingest.comms.receive_call(&ingest.routes, raw, hook).await {
            Ok(script) => answer::script(script),
            Err(refusal) => answer::refused(refusal),
        };
    }
    match ingest.comms.receive(&ingest.routes, raw).await {
        Ok(acknowledgement) => answer::acknowledged(acknowledgement),
        Err(refusal) => answer::refused(refusal),
    }
}
