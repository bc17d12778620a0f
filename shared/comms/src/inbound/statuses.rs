//! What receipts become: events that tell an agent where its messages are, and what is done about those that failed.

use butt_dial_domain::{
    inbound::{Receipt, Stage},
    ports::carrier::RefusalClass,
};
use butt_dial_store::{InboundRow, Message, Moved};
use chrono::SecondsFormat;
use serde_json::json;

use crate::{
    Comms,
    delivery::view::{CONTACT_OPTED_OUT, MESSAGE_STATUS},
    outbound::{code, follow_up::Later, remedy_afterwards},
};

/// The words that the Python client knows. Before the carrier has sent it on, there is nothing to tell.
pub fn status_word(stage: Stage) -> Option<&'static str> {
    match stage {
        Stage::Accepted | Stage::Queued | Stage::Sending => None,
        Stage::Sent => Some("sent"),
        Stage::Delivered => Some("delivered"),
        Stage::Undelivered | Stage::Failed => Some("failed"),
        Stage::Read => Some("read"),
    }
}

pub(super) fn objection_event(comms: &Comms, message: Message, receipt: &Receipt) -> InboundRow {
    let now = comms.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    InboundRow {
        id: format!("evt_{}_opted_out", message.id),
        kind: CONTACT_OPTED_OUT,
        channel: message.channel,
        data: json!({
            "type": "opted_out", "messageId": message.id, "channel": message.channel, "to": message.recipient,
            "providerCode": receipt.error_code, "timestamp": now,
        }),
        contact: message.recipient,
        content: None,
        is_incomplete: false,
        is_quiet: false,
        channel_id: None,
        consent: Some(false),
        follow_up: None,
        agent: message.agent,
        org: message.org,
    }
}

pub(super) fn status_event(comms: &Comms, moved: &Moved) -> Option<InboundRow> {
    let status = status_word(moved.stage)?;
    let now = comms.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut data = json!({
        "type": "status", "messageId": moved.message, "status": status, "channel": moved.channel,
        "to": moved.recipient, "timestamp": now,
    });
    if let Some(error) = &moved.receipt.error_code {
        data["providerCode"] = json!(error);
    }
    if let Some(class) = moved.receipt.failure {
        let failure = code(class);
        data["code"] = json!(failure.as_str());
        data["remediation"] = json!(remedy_afterwards(failure));
    }
    let next = next_channel(comms, moved);
    let follow_up = next.map(|later| later.follow_up(&comms.vault, &moved.org, false));
    if let Some(next) = &follow_up {
        data["fallingBackTo"] = json!(next.channel);
        data["fallbackMessageId"] = json!(next.id);
        data["remediation"] = json!("nothing has to be done: it is being sent on the next of your fallbackChannels");
    }
    Some(InboundRow {
        agent: moved.agent.clone(),
        org: moved.org.clone(),
        id: format!("evt_{}_{status}", moved.message),
        kind: MESSAGE_STATUS,
        channel: moved.channel,
        contact: moved.recipient.clone(),
        data,
        content: None,
        is_incomplete: false,
        is_quiet: false,
        channel_id: None,
        consent: None,
        follow_up,
    })
}

/// Never around a person's own wish.
fn next_channel(comms: &Comms, moved: &Moved) -> Option<Later> {
    let sealed = moved.fallback.as_deref()?;
    let is_a_wish = moved.receipt.failure == Some(RefusalClass::OptedOut);
    Later::open(&comms.vault, &moved.org, &moved.message, sealed).filter(|_| !is_a_wish)
}
