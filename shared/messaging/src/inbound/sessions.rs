//! Adds the open conversation of its contact to each message.

use butt_dial_domain::address::contact_key;
use butt_dial_store::{InboundRow, StoreError};
use serde_json::json;

use super::Inbound;
use crate::{Conversations, EventContent, delivery::MESSAGE_RECEIVED};

/// Adds the conversation to each message of a contact with an open one: its id to the data, the rest to the encrypted content.
pub(super) async fn add_sessions(inbound: &Inbound, events: &mut [InboundRow]) -> Result<(), StoreError> {
    let messages = events.iter().filter(|event| event.kind == MESSAGE_RECEIVED);
    let contacts: Vec<_> = messages
        .map(|event| (&event.agent, contact_key(&event.contact)))
        .collect();
    let open = inbound.store.find_open_conversations(&contacts).await?;
    if open.is_empty() {
        return Ok(());
    }
    let conversations = Conversations::new(inbound.store.clone(), inbound.vault.clone(), inbound.clock.clone());
    for event in events.iter_mut().filter(|event| event.kind == MESSAGE_RECEIVED) {
        let Some(id) = open.get(&(event.agent.clone(), contact_key(&event.contact))) else {
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
