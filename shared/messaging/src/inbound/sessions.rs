//! Adds the open conversation of its contact to each message, and the mark that a person answers it.

use butt_dial_domain::address::contact_key;
use butt_dial_store::{InboundRow, StoreError};
use serde_json::json;

use super::Inbound;
use crate::{Conversations, EventContent, delivery::MESSAGE_RECEIVED, takeovers};

/// Adds the conversation to each message of a contact with an open one: its id to the data, the rest to the encrypted content. A message
/// of a conversation that a person has taken over is marked.
pub(super) async fn add_sessions(inbound: &Inbound, events: &mut [InboundRow]) -> Result<(), StoreError> {
    let messages = events.iter().filter(|event| event.kind == MESSAGE_RECEIVED);
    let contacts: Vec<_> = messages
        .map(|event| (&event.agent, contact_key(&event.contact)))
        .collect();
    let open = inbound.store.find_open_contacts(&contacts).await?;
    if open.is_empty() {
        return Ok(());
    }
    let now = inbound.clock.now();
    let conversations = Conversations::new(inbound.store.clone(), inbound.vault.clone(), inbound.clock.clone());
    for event in events.iter_mut().filter(|event| event.kind == MESSAGE_RECEIVED) {
        let Some(open) = open.get(&(event.agent.clone(), contact_key(&event.contact))) else {
            continue;
        };
        if let Some((takeover, until)) = open.takeover.as_ref().filter(|(_, until)| *until > now)
            && let Some(data) = event.data.as_object_mut()
        {
            data.insert("takenOver".into(), takeovers::mark(takeover, *until));
        }
        let Some(id) = &open.conversation else {
            continue;
        };
        if let Some(data) = event.data.as_object_mut() {
            data.insert("sessionId".into(), json!(id));
            data.insert("threadId".into(), json!(id));
        }
        let session = conversations.describe_for_event(&event.org, &event.agent, id).await;
        let content = event.content.as_deref();
        let content = content.and_then(|sealed| EventContent::open(&inbound.vault, &event.org, &event.id, sealed));
        if let Some(mut content) = content {
            content.session = session;
            event.content = Some(content.seal(&inbound.vault, &event.org, &event.id));
        }
    }
    Ok(())
}
