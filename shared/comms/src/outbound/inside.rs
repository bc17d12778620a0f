//! The short way: a message from one agent to another of the same organization needs no carrier. It passes the same checks,
//! and becomes the same event, as if a carrier had brought it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use butt_dial_domain::{
    Address, Channel,
    clock::Timestamp,
    inbound::InboundMessage,
    ports::{
        bus::{Bus, Headers},
        carrier::{
            Dispatch, Doubt, Listed, LookupFailed, Messaging, Outcome, Receipt, Reconciliation, Refusal, RefusalClass,
        },
    },
    subjects,
};
use butt_dial_store::Store;

use crate::{Carrier, inbound::envelope::Envelope, vault::Vault};

/// A metric label and a column, as the ids of vendors are.
pub const ID: &str = "inside";
const DEADLINE: Duration = Duration::from_secs(6);
/// The stream forgets after a week; the event is known by its id for as long as it exists.
const WINDOW: u64 = 7 * 86_400;
/// Bytes: what the bus takes, less its headers.
const MAX_ENVELOPE: usize = 1_000_000;

pub fn carrier(store: &Store, bus: &Arc<dyn Bus>, vault: &Vault) -> Carrier {
    Carrier {
        id: ID,
        messaging: Arc::new(Inside {
            store: store.clone(),
            bus: bus.clone(),
            vault: vault.clone(),
        }),
    }
}

struct Inside {
    store: Store,
    bus: Arc<dyn Bus>,
    vault: Vault,
}

#[async_trait]
impl Messaging for Inside {
    async fn send(&self, dispatch: &Dispatch) -> Outcome {
        // Whom it is for was found out before; that the address has gone to somebody else meanwhile is found out here.
        let route = match self.store.find_route(dispatch.channel, dispatch.to.as_str()).await {
            Ok(Some(route)) => route,
            Ok(None) => return refused(RefusalClass::Recipient),
            Err(_) => return refused(RefusalClass::Unreachable),
        };
        if route.blocked {
            return refused(RefusalClass::Recipient);
        }
        let content = &dispatch.content;
        if content.template.is_some() && content.body.is_none() {
            // The words of a template are the carrier's.
            return refused(RefusalClass::Content);
        }
        let mut body = content.body.clone();
        if !content.media.is_empty() {
            let links = content.media.join("\n");
            body = Some(body.map_or_else(|| links.clone(), |text| format!("{text}\n{links}")));
        }
        let message = InboundMessage {
            body,
            subject: content.subject.clone(),
            html: content.html.clone(),
            sender_name: dispatch.sender_name.clone(),
            ..InboundMessage::new(
                dispatch.message.as_str(),
                dispatch.channel,
                &dispatch.from,
                &dispatch.to,
            )
        };
        let envelope = Envelope::message(&self.vault, ID, &route, &message);
        let payload = envelope.payload();
        if payload.len() > MAX_ENVELOPE {
            return refused(RefusalClass::Content);
        }
        let appended = self
            .bus
            .append(subjects::INBOUND, &envelope.id, Headers::new(), payload.into())
            .await;
        match appended {
            Ok(_) => Outcome::Accepted(Receipt {
                carrier_id: dispatch.message.as_str().to_owned(),
                carrier_status: "delivered".into(),
                segments: None,
                price: None,
            }),
            Err(_) => Outcome::Unknown(Doubt::ConnectionLost),
        }
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    /// The envelope's id comes from the message's: a repeat is the same event.
    fn reconciliation(&self) -> Reconciliation {
        Reconciliation::RepeatWithKey { window_seconds: WINDOW }
    }

    async fn list(&self, _: Channel, _: &Address, _: &Address, _: Timestamp) -> Result<Vec<Listed>, LookupFailed> {
        Ok(Vec::new())
    }

    async fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

fn refused(class: RefusalClass) -> Outcome {
    Outcome::Refused(Refusal {
        class,
        carrier_code: None,
        retry_after_seconds: None,
    })
}
