//! What an agent can read as resources: its inbox, each of its events and messages, and its calls. All of it is its own.

use butt_dial_comms::{Comms, calls::lookup, delivery::log, identity::Caller};
use butt_dial_domain::{Code, Failure};
use rmcp::{
    ErrorData,
    model::{
        ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource, ResourceContents,
        ResourceTemplate, SubscriptionFilter,
    },
};
use serde_json::{Value, json};

use crate::operations::{
    PageView,
    calls::{CallView, FullCall},
};

/// Changes with every event.
pub const INBOX: &str = "comms://inbox";
const MESSAGE: &str = "comms://messages/";
const ACTIVE_CALLS: &str = "comms://calls/active";
const CALL: &str = "comms://calls/";
const TRANSCRIPT: &str = "/transcript";
/// Events in the inbox.
const RECENT: u32 = 50;
const JSON: &str = "application/json";

pub fn list() -> ListResourcesResult {
    let inbox = Resource::new(INBOX, "inbox")
        .with_title("Inbox")
        .with_description("Your latest events, oldest first: messages from people, and what became of yours.")
        .with_mime_type(JSON);
    let calls = Resource::new(ACTIVE_CALLS, "active calls")
        .with_title("Active calls")
        .with_description("Your telephone calls that are not over, the newest first.")
        .with_mime_type(JSON);
    ListResourcesResult::with_all_items(vec![inbox, calls])
}

pub fn list_templates() -> ListResourceTemplatesResult {
    let message = ResourceTemplate::new(format!("{MESSAGE}{{id}}"), "message")
        .with_title("An event or a message")
        .with_description("One of your events by its id, or a message that you sent by its messageId.")
        .with_mime_type(JSON);
    let transcript = ResourceTemplate::new(format!("{CALL}{{call_id}}{TRANSCRIPT}"), "transcript")
        .with_title("What was said in a call")
        .with_description("One of your calls by its callId, with its transcript as long as that is kept.")
        .with_mime_type(JSON);
    ListResourceTemplatesResult::with_all_items(vec![message, transcript])
}

pub async fn read(comms: &Comms, caller: &Caller, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let call = uri.strip_prefix(CALL).and_then(|rest| rest.strip_suffix(TRANSCRIPT));
    let found = match (uri.strip_prefix(MESSAGE), call) {
        (Some(id), _) => read_message(comms, caller, id).await,
        (None, Some(id)) => read_call(comms, caller, id).await,
        (None, None) if uri == INBOX => read_inbox(comms, caller).await.map(Some),
        (None, None) if uri == ACTIVE_CALLS => read_active_calls(comms, caller).await.map(Some),
        (None, None) => Ok(None),
    };
    match found {
        Ok(Some(text)) => {
            let contents = ResourceContents::text(text, uri).with_mime_type(JSON);
            Ok(ReadResourceResult::new(vec![contents]))
        }
        Ok(None) => Err(unknown(uri)),
        Err(failure) => Err(ErrorData::internal_error(
            failure.message.clone(),
            Some(failure.envelope()),
        )),
    }
}

pub fn unknown(uri: &str) -> ErrorData {
    ErrorData::resource_not_found("there is no such resource", Some(json!({ "uri": uri })))
}

async fn read_inbox(comms: &Comms, caller: &Caller) -> Result<String, Failure> {
    let agent = &caller.agent()?.agent;
    let page = log::recent(comms, &agent.org_id, &agent.id, RECENT).await?;
    written(&PageView::from(page))
}

async fn read_active_calls(comms: &Comms, caller: &Caller) -> Result<String, Failure> {
    let agent = &caller.agent()?.agent.id;
    let calls = lookup::list(comms, agent, true, RECENT, None).await?;
    let calls: Vec<CallView> = calls.into_iter().map(CallView::from).collect();
    written(&json!({ "calls": calls }))
}

async fn read_call(comms: &Comms, caller: &Caller, id: &str) -> Result<Option<String>, Failure> {
    let agent = &caller.agent()?.agent;
    match lookup::get(comms, &agent.org_id, &agent.id, id).await {
        Ok(call) => written(&FullCall::from(call)).map(Some),
        Err(failure) if failure.code == Code::CallNotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn read_message(comms: &Comms, caller: &Caller, id: &str) -> Result<Option<String>, Failure> {
    let agent = &caller.agent()?.agent;
    if let Some(event) = log::find(comms, &agent.org_id, &agent.id, id).await? {
        return written(&event).map(Some);
    }
    let message = comms.find_message(&agent.id, id).await?;
    message
        .map(|message| {
            let view: Value = json!({
                "messageId": message.id, "status": message.status.for_agent(), "channel": message.channel,
                "to": message.recipient, "provider": message.carrier, "providerMessageId": message.carrier_id,
                "providerStatus": message.carrier_status,
                "createdAt": crate::operations::time(message.created_at),
                "updatedAt": crate::operations::time(message.updated_at),
            });
            written(&view)
        })
        .transpose()
}

fn written(view: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(view).map_err(|error| {
        tracing::error!(%error, "a resource could not be written");
        Failure::internal()
    })
}

/// Of what a client wants to be told, only the inbox changes.
pub fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let wanted = requested.resource_subscriptions.iter().flatten();
    let inbox: Vec<String> = wanted.filter(|uri| *uri == INBOX).cloned().collect();
    let mut accepted = SubscriptionFilter::new();
    accepted.resource_subscriptions = (!inbox.is_empty()).then_some(inbox);
    accepted
}
