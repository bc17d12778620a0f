//! The webhook endpoint: passes an HTTP request to the inbound pipeline or to the call handlers, and returns the response.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use butt_dial_calls::webhook::CallbackKind;
use butt_dial_domain::{Channel, ProviderAccountId, ids, ports::webhook::WebhookRequest};
use butt_dial_messaging::inbound::{RawWebhook, Via};
use butt_dial_runtime::{http::FullBody, telemetry::trace};

use crate::{Ingest, MAX_BODY, responses};

/// Recognizes the callbacks of calls: `/webhooks/{carrier}/voice/{callback}`, and the older `/webhooks/{agentId}/call-status`.
fn call_callback(second: &str, rest: Option<&str>) -> Option<CallbackKind> {
    match second {
        "voice" => CallbackKind::parse(rest.unwrap_or_default()),
        "call-status" => Some(CallbackKind::Status),
        _ => None,
    }
}

/// Returns whether this is the second segment of the older paths `/webhooks/{agentId}/{channel}` and `…/call-status`.
fn is_agent_path(second: &str) -> bool {
    second == "call-status" || Channel::ALL.iter().any(|channel| channel.as_str() == second)
}

/// Handles one webhook.
pub async fn receive(
    State(ingest): State<Ingest>,
    Path(path): Path<Vec<(String, String)>>,
    uri: Uri,
    method: Method,
    headers: HeaderMap,
    FullBody(body): FullBody<MAX_BODY>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return responses::unread(rejection),
    };
    let mut parts = path.into_iter().map(|(_, part)| part).peekable();
    let Some(first) = parts.next() else {
        return responses::not_found();
    };
    // `/webhooks/{carrier}/accounts/{account}/...`, for the accounts of organizations.
    let account = match parts.next_if(|part| part == "accounts") {
        Some(_) => parts.next().map(ProviderAccountId::from),
        None => None,
    };
    let Some(second) = parts.next() else {
        return responses::not_found();
    };
    // Carriers sign the public address. The host headers of the request are not trustworthy.
    let path = uri.path_and_query().map_or(uri.path(), |path| path.as_str());
    let product = &ingest.product;
    let Some(base) = product.public_urls.base() else {
        tracing::error!("webhook rejected: WEBHOOK_BASE_URL is not set, so no signature can be verified");
        return responses::unavailable();
    };
    let request = WebhookRequest {
        url: format!("{base}{path}"),
        method,
        headers,
        body,
        received_at: ingest.clock.now(),
    };
    let is_carrier = account.is_some() || product.carriers.is_carrier(&first);
    if is_carrier
        && account.is_none()
        && let Some(challenge) = product.inbound.handshake(&first, &request)
    {
        return responses::challenge(challenge);
    }
    let via = if is_carrier {
        Via::Carrier(first)
    } else if is_agent_path(&second) && ids::is_valid_host_id(&first) {
        Via::Agent(first)
    } else {
        return responses::not_found();
    };
    let raw = RawWebhook {
        via,
        account,
        request,
        trace: trace::headers(),
    };
    if let Some(callback) = call_callback(&second, parts.next().as_deref()) {
        return match product.calls.receive_call(&ingest.routes, raw, callback).await {
            Ok(script) => responses::script(script),
            Err(refusal) => responses::rejected(refusal),
        };
    }
    match product.inbound.receive(&ingest.routes, raw).await {
        Ok(acknowledgement) => responses::acknowledged(acknowledgement),
        Err(refusal) => responses::rejected(refusal),
    }
}
