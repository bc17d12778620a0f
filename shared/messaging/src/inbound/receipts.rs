//! Delivery receipts: the status events that they cause, and the fallback of messages that failed.

use butt_dial_domain::{
    inbound::{DeliveryStatus, Receipt},
    ports::carrier::RefusalClass,
};
use butt_dial_store::{ConsentEvidence, ConsentMethod, ContactEffects, InboundRow, Message, StatusTransition};
use chrono::SecondsFormat;
use serde_json::json;

use super::Inbound;
use crate::{
    delivery::{CONTACT_OPTED_OUT, MESSAGE_STATUS},
    outbound::{DeferredSend, error_code, hint_after_receipt},
};

/// The status in an event, in the terms of the Python client. `None`: no event before the carrier has sent the message on.
pub fn status_label(stage: DeliveryStatus) -> Option<&'static str> {
    match stage {
        DeliveryStatus::Accepted | DeliveryStatus::Queued | DeliveryStatus::Sending => None,
        DeliveryStatus::Sent => Some("sent"),
        DeliveryStatus::Delivered => Some("delivered"),
        DeliveryStatus::Undelivered | DeliveryStatus::Failed => Some("failed"),
        DeliveryStatus::Read => Some("read"),
    }
}

/// Builds the event of an opt-out that a carrier reports.
pub(super) fn opt_out_event(inbound: &Inbound, message: Message, receipt: &Receipt) -> InboundRow {
    let now = inbound.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let is_marketing_only = receipt.is_marketing_only;
    let purpose = if is_marketing_only { "marketing" } else { "all" };
    InboundRow::builder()
        .id(format!("evt_{}_opted_out", message.id))
        .kind(CONTACT_OPTED_OUT)
        .channel(message.channel)
        .data(json!({
            "type": "opted_out", "messageId": message.id, "channel": message.channel, "to": message.recipient,
            "providerCode": receipt.error_code, "purpose": purpose, "timestamp": now,
        }))
        .contact(message.recipient)
        .maybe_consent((!is_marketing_only).then_some(false))
        .evidence(ConsentEvidence {
            method: ConsentMethod::VendorPreference,
            words: None,
            message: Some(message.id.to_string()),
            detail: Some(json!({ "providerCode": receipt.error_code })),
        })
        .effects(ContactEffects {
            marketing: is_marketing_only.then_some(false),
            ..ContactEffects::default()
        })
        .agent(message.agent)
        .org(message.org)
        .build()
}

/// Builds the event of a status transition. `None`: agents are not notified of this status.
pub(super) fn status_event(inbound: &Inbound, transition: &StatusTransition) -> Option<InboundRow> {
    let status = status_label(transition.stage)?;
    let now = inbound.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut data = json!({
        "type": "status", "messageId": transition.message, "status": status, "channel": transition.channel,
        "to": transition.recipient, "timestamp": now,
    });
    if let Some(error) = &transition.receipt.error_code {
        data["providerCode"] = json!(error);
    }
    if let Some(class) = transition.receipt.failure {
        let failure = error_code(class);
        data["code"] = json!(failure.as_str());
        data["remediation"] = json!(hint_after_receipt(failure));
    }
    let fallback = open_fallback(inbound, transition);
    let follow_up = fallback.map(|fallback| fallback.follow_up(&inbound.vault, &transition.org, false));
    if let Some(follow_up) = &follow_up {
        data["fallingBackTo"] = json!(follow_up.channel);
        data["fallbackMessageId"] = json!(follow_up.id);
        data["remediation"] = json!("no action is needed: it is being sent on the next of your fallbackChannels");
    }
    Some(
        InboundRow::builder()
            .agent(transition.agent.clone())
            .org(transition.org.clone())
            .id(format!("evt_{}_{status}", transition.message))
            .kind(MESSAGE_STATUS)
            .channel(transition.channel)
            .contact(transition.recipient.clone())
            .data(data)
            .maybe_follow_up(follow_up)
            .build(),
    )
}

/// Opens the fallback of a failed message. An opt-out is never circumvented.
fn open_fallback(inbound: &Inbound, transition: &StatusTransition) -> Option<DeferredSend> {
    let sealed = transition.fallback.as_deref()?;
    let is_opt_out = transition.receipt.failure == Some(RefusalClass::OptedOut);
    DeferredSend::open(&inbound.vault, &transition.org, &transition.message, sealed).filter(|_| !is_opt_out)
}
