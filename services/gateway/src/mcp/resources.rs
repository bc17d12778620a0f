//! The resources of an agent: its inbox, its events and messages, and its calls. An agent reads only its own, and a restricted
//! token only what a tool that it is granted returns as well.

use butt_dial_calls::lookup;
use butt_dial_domain::{Code, Failure};
use butt_dial_identity::Caller;
use butt_dial_operations::{
    PageView, Product,
    calls::{CallView, FullCall},
    granted,
};
use butt_dial_sessions::INBOX_URI;
use rmcp::{
    ErrorData,
    model::{
        ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource, ResourceContents,
        ResourceTemplate, SubscriptionFilter,
    },
};
use serde_json::{Value, json};

use super::event_stream::{error_of, forbidden};

const MESSAGE: &str = "comms://messages/";
const ACTIVE_CALLS: &str = "comms://calls/active";
const CALL: &str = "comms://calls/";
const TRANSCRIPT: &str = "/transcript";
/// Events of the inbox, and calls of the list of active calls.
const RECENT: u32 = 50;
const JSON: &str = "application/json";
/// The tools that return the same.
const GET_STATUS: &str = "comms_get_message_status";
const LIST_CALLS: &str = "comms_list_calls";
const GET_CALL: &str = "comms_get_call";

pub fn list(caller: &Caller) -> ListResourcesResult {
    let inbox = Resource::new(INBOX_URI, "inbox")
        .with_title("Inbox")
        .with_description(
            "Your latest events, oldest first: messages from people, and the status of your own messages.",
        )
        .with_mime_type(JSON);
    let calls = Resource::new(ACTIVE_CALLS, "active calls")
        .with_title("Active calls")
        .with_description("Your telephone calls that have not ended, newest first.")
        .with_mime_type(JSON);
    let inbox = granted::may_read_events(caller).then_some(inbox);
    let calls = caller.may_use(LIST_CALLS, true).then_some(calls);
    ListResourcesResult::with_all_items(inbox.into_iter().chain(calls).collect())
}

pub fn list_templates(caller: &Caller) -> ListResourceTemplatesResult {
    let message = ResourceTemplate::new(format!("{MESSAGE}{{id}}"), "message")
        .with_title("An event or a message")
        .with_description("One of your events by its id, or one of your sent messages by its messageId.")
        .with_mime_type(JSON);
    let transcript = ResourceTemplate::new(format!("{CALL}{{call_id}}{TRANSCRIPT}"), "transcript")
        .with_title("Transcript of a call")
        .with_description("One of your calls by its callId, with its transcript while it is retained.")
        .with_mime_type(JSON);
    let may_read = granted::may_read_events(caller) || caller.may_use(GET_STATUS, true);
    let message = may_read.then_some(message);
    let transcript = caller.may_use(GET_CALL, true).then_some(transcript);
    ListResourceTemplatesResult::with_all_items(message.into_iter().chain(transcript).collect())
}

pub async fn read(product: &Product, caller: &Caller, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let call = uri.strip_prefix(CALL).and_then(|rest| rest.strip_suffix(TRANSCRIPT));
    let found = match (uri.strip_prefix(MESSAGE), call) {
        (Some(id), _) => read_message(product, caller, id).await,
        (None, Some(id)) => read_call(product, caller, id).await,
        (None, None) if uri == INBOX_URI => read_inbox(product, caller).await.map(Some),
        (None, None) if uri == ACTIVE_CALLS => read_active_calls(product, caller).await.map(Some),
        (None, None) => Ok(None),
    };
    match found {
        Ok(Some(text)) => {
            let contents = ResourceContents::text(text, uri).with_mime_type(JSON);
            Ok(ReadResourceResult::new(vec![contents]))
        }
        Ok(None) => Err(not_found(uri)),
        Err(failure) if failure.code == Code::AuthForbidden => Err(forbidden(failure)),
        Err(failure) => Err(error_of(&failure)),
    }
}

pub fn not_found(uri: &str) -> ErrorData {
    let failure = Failure::new(Code::NotFound, "there is no resource with this URI").detail("uri", uri);
    ErrorData::resource_not_found(failure.message.clone(), Some(failure.envelope()))
}

async fn read_inbox(product: &Product, caller: &Caller) -> Result<String, Failure> {
    granted::require_events(caller)?;
    let agent = &caller.agent()?.agent;
    let page = product.delivery.recent_events(&agent.org_id, &agent.id, RECENT).await?;
    to_json(&PageView::from(page))
}

async fn read_active_calls(product: &Product, caller: &Caller) -> Result<String, Failure> {
    caller.require_tool(LIST_CALLS, true)?;
    let agent = &caller.agent()?.agent.id;
    let calls = lookup::list(&product.calls, agent, true, RECENT, None).await?;
    let calls: Vec<CallView> = calls.into_iter().map(CallView::from).collect();
    to_json(&json!({ "calls": calls }))
}

async fn read_call(product: &Product, caller: &Caller, id: &str) -> Result<Option<String>, Failure> {
    caller.require_tool(GET_CALL, true)?;
    let agent = &caller.agent()?.agent;
    match lookup::get(&product.calls, &agent.org_id, &agent.id, id).await {
        Ok(call) => to_json(&FullCall::from(call)).map(Some),
        Err(failure) if failure.code == Code::CallNotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn read_message(product: &Product, caller: &Caller, id: &str) -> Result<Option<String>, Failure> {
    let agent = &caller.agent()?.agent;
    let may_read_status = caller.may_use(GET_STATUS, true);
    let may_read_events = granted::may_read_events(caller);
    if !may_read_events && !may_read_status {
        granted::require_events(caller)?;
    }
    if may_read_events && let Some(event) = product.delivery.find_event(&agent.org_id, &agent.id, id).await? {
        return to_json(&event).map(Some);
    }
    let message = match may_read_status {
        true => product.outbound.find_message(&agent.id, id).await?,
        false => None,
    };
    message
        .map(|message| {
            let view: Value = json!({
                "messageId": message.id, "status": message.status.for_agent(), "channel": message.channel,
                "to": message.recipient, "provider": message.carrier, "providerMessageId": message.carrier_id,
                "providerStatus": message.carrier_status,
                "createdAt": butt_dial_operations::time(message.created_at),
                "updatedAt": butt_dial_operations::time(message.updated_at),
            });
            to_json(&view)
        })
        .transpose()
}

fn to_json(view: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(view).map_err(|error| {
        tracing::error!(%error, "resource not serializable");
        Failure::internal()
    })
}

/// Reduces a requested subscription to the inbox, the only resource with change notifications.
pub fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let uris = requested.resource_subscriptions.iter().flatten();
    let inbox: Vec<String> = uris.filter(|uri| *uri == INBOX_URI).cloned().collect();
    let mut accepted = SubscriptionFilter::new();
    accepted.resource_subscriptions = (!inbox.is_empty()).then_some(inbox);
    accepted
}
