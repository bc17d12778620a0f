//! A message's text that comes late. The message has gone out without it and said `bodyPending`; the text follows as a second
//! event of the same message, which says what it `completes`.

use butt_dial_domain::{
    Address, Channel, Failure, clock::Timestamp, inbound::InboundMessage, ports::carrier::LookupFailed,
};
use butt_dial_store::{InboundRow, TextlessEvent, UnreadyEvent};
use chrono::TimeDelta;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{FETCH, tell};
use crate::{
    Comms,
    delivery::view::{Content, MESSAGE_RECEIVED},
    store_failure,
};

/// Of one sweep, all at once.
const BATCH: u32 = 16;
/// Longer than one look takes.
const CLAIM: TimeDelta = TimeDelta::seconds(45);
/// Between two looks: half the event's age, within these.
const SOONEST: TimeDelta = TimeDelta::seconds(10);
pub(super) const LATEST: TimeDelta = TimeDelta::minutes(10);
/// Then the text will not come, and the agent is told so.
const PATIENCE: TimeDelta = TimeDelta::hours(24);

/// The event goes out without its text, and says so.
pub(super) async fn release(comms: &Comms, event: &UnreadyEvent) -> Result<(), Failure> {
    let mut data = event.data.clone();
    if let Some(data) = data.as_object_mut() {
        data.insert("bodyPending".into(), json!(true));
    }
    let now = comms.clock.now();
    let agent = event.agent();
    let released = comms
        .store
        .release_without_text(&agent, event.seq, &data, (now, now + SOONEST));
    released.await.map_err(store_failure)?;
    tell(comms, agent).await;
    Ok(())
}

/// Asks for the texts that are due. Returns for how many.
pub async fn sweep(comms: &Comms) -> Result<usize, Failure> {
    sweep_as_of(comms, comms.clock.now()).await
}

pub(super) async fn sweep_as_of(comms: &Comms, now: Timestamp) -> Result<usize, Failure> {
    let due = comms.store.claim_textless_events(BATCH, now, now + CLAIM).await;
    let due = due.map_err(store_failure)?;
    let count = due.len();
    futures::stream::iter(due)
        .for_each_concurrent(None, |event| async move {
            if let Err(failure) = look(comms, &event).await {
                tracing::warn!(%failure, event = event.id, "a late text has to wait");
            }
        })
        .await;
    Ok(count)
}

async fn look(comms: &Comms, event: &TextlessEvent) -> Result<(), Failure> {
    let carrier = event.data["provider"].as_str();
    let webhooks = carrier.and_then(|id| comms.carriers.find_webhooks(id));
    let (Some((_, webhooks)), Some(message)) = (webhooks, announced(&event.data)) else {
        // It has been taken out of the settings: it can't be asked any more.
        return add(comms, event, None).await;
    };
    match timeout(FETCH, webhooks.complete(message)).await {
        Ok(Ok(message)) => add(comms, event, Some(message)).await,
        Ok(Err(LookupFailed::NotThere)) => add(comms, event, None).await,
        Ok(Err(LookupFailed::NoAnswer)) | Err(_) => {
            let now = comms.clock.now();
            let age = now - event.created_at;
            if age > PATIENCE {
                return add(comms, event, None).await;
            }
            let again = now + (age / 2).clamp(SOONEST, LATEST);
            comms.store.put_off_text(event, again).await.map_err(store_failure)
        }
    }
}

/// The message as its carrier announced it, from what is kept for good.
fn announced(data: &Value) -> Option<InboundMessage> {
    let text = |key: &str| data[key].as_str();
    let channel = Channel::parse(text("channel")?)?;
    let address = |key| Address::parse(channel, text(key)?).ok();
    let mut message = InboundMessage::new(text("providerMessageId")?, channel, &address("from")?, &address("to")?);
    message.incomplete = true;
    Some(message)
}

/// `None`: the text will never come.
async fn add(comms: &Comms, event: &TextlessEvent, message: Option<InboundMessage>) -> Result<(), Failure> {
    let (agent, org, id) = (event.agent(), event.org(), format!("{}_text", event.id));
    let mut data = event.data.clone();
    if let Some(data) = data.as_object_mut() {
        data.remove("bodyPending");
        data.insert("completes".into(), json!(event.id));
        if message.is_none() {
            tracing::error!(event = event.id, "the text of a message will not come");
            data.insert("incomplete".into(), json!(true));
        }
    }
    let has_attachments = message.as_ref().is_some_and(|message| !message.attachments.is_empty());
    let content = message.map(|mut message| {
        message.incomplete = false;
        let content = Content {
            message,
            links: Vec::new(),
        };
        content.seal(comms, &org, &id)
    });
    let late = InboundRow {
        kind: MESSAGE_RECEIVED,
        channel: data["channel"]
            .as_str()
            .and_then(Channel::parse)
            .unwrap_or(Channel::Email),
        contact: data["from"].as_str().unwrap_or_default().to_owned(),
        data,
        content,
        is_incomplete: has_attachments,
        is_quiet: event.is_quiet,
        channel_id: None,
        consent: None,
        follow_up: None,
        agent,
        org,
        id,
    };
    let added = comms.store.add_late_text(event, &late, comms.clock.now()).await;
    if added.map_err(store_failure)? {
        tell(comms, late.agent).await;
        if late.is_incomplete {
            super::begin(comms);
        }
    }
    Ok(())
}
