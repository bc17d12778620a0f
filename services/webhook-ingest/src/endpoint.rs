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

/// Splits the account off a path: `/webhooks/{carrier}/accounts/{account}/...`, for the accounts of organizations. `rest` is all that
/// follows the second segment. Returns `None` for a path without a channel.
fn split_account(second: String, rest: Option<String>) -> Option<(Option<ProviderAccountId>, String, Option<String>)> {
    if second != "accounts" {
        return Some((None, second, rest));
    }
    let rest = rest?;
    let (account, rest) = rest.split_once('/')?;
    let (second, rest) = rest
        .split_once('/')
        .map_or((rest, None), |(second, rest)| (second, Some(rest)));
    Some((
        Some(ProviderAccountId::from(account)),
        second.to_owned(),
        rest.map(str::to_owned),
    ))
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
    let mut parts = path.into_iter().map(|(_, part)| part);
    let (Some(first), Some(second), rest) = (parts.next(), parts.next(), parts.next()) else {
        return responses::not_found();
    };
    let Some((account, second, rest)) = split_account(second, rest) else {
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
    if let Some(callback) = call_callback(&second, rest.as_deref()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_their_account_before_the_channel() {
        let split = |second: &str, rest: Option<&str>| {
            let split = split_account(second.to_owned(), rest.map(str::to_owned));
            split.map(|(account, second, rest)| (account.map(|id| id.as_str().to_owned()), second, rest))
        };
        let expected = |account: Option<&str>, second: &str, rest: Option<&str>| {
            Some((account.map(str::to_owned), second.to_owned(), rest.map(str::to_owned)))
        };
        assert_eq!(split("sms", None), expected(None, "sms", None));
        assert_eq!(split("voice", Some("status")), expected(None, "voice", Some("status")));
        assert_eq!(
            split("accounts", Some("pva_1/line")),
            expected(Some("pva_1"), "line", None)
        );
        assert_eq!(
            split("accounts", Some("pva_1/voice/status")),
            expected(Some("pva_1"), "voice", Some("status"))
        );
        assert_eq!(split("accounts", Some("pva_1")), None);
        assert_eq!(split("accounts", None), None);
    }
}
