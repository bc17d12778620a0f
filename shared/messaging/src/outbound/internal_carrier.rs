//! The internal carrier: delivers a message between agents of one organization without a vendor. The message passes the same
//! checks and becomes the same event as one from a carrier.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use butt_dial_domain::{
    Address, Channel, bounds,
    clock::Timestamp,
    inbound::InboundMessage,
    message::Content,
    ports::{
        bus::{Bus, Headers},
        carrier::{
            AmbiguityReason, CarrierAcceptance, Dispatch, ListedMessage, LookupError, Messaging, Outcome,
            Reconciliation, Refusal, RefusalClass, TextLimit,
        },
    },
};
use butt_dial_store::{SenderRoute, Store};

use butt_dial_vault::Vault;

use crate::{
    Carrier,
    inbound::{Partitions, envelope::Envelope},
};

/// Its id in metrics and in the database. `inside` is the stored value.
pub(crate) const ID: &str = "inside";
const DEADLINE: Duration = Duration::from_secs(6);
/// Seconds: the retention of the stream. The event is recognized by its id for as long as it exists.
const WINDOW: u64 = 7 * 86_400;
/// Bytes: the bus's limit less its headers.
const MAX_ENVELOPE: usize = 1_000_000;

pub(super) fn build(store: &Store, bus: &Arc<dyn Bus>, partitions: Partitions, vault: &Vault) -> Carrier {
    Carrier {
        account: None,
        id: ID,
        messaging: Arc::new(InternalCarrier {
            store: store.clone(),
            bus: bus.clone(),
            partitions,
            vault: vault.clone(),
        }),
    }
}

struct InternalCarrier {
    store: Store,
    bus: Arc<dyn Bus>,
    partitions: Partitions,
    vault: Vault,
}

#[async_trait]
impl Messaging for InternalCarrier {
    async fn send(&self, dispatch: &Dispatch) -> Outcome {
        // The recipient was resolved earlier; the address may belong to another agent by now.
        let route = match self.store.find_route(dispatch.channel, dispatch.to.as_str()).await {
            Ok(Some(SenderRoute::Agent(route))) => route,
            Ok(Some(SenderRoute::Pool(_)) | None) => return refused(RefusalClass::Recipient),
            Err(_) => return refused(RefusalClass::Unreachable),
        };
        if route.blocked {
            return refused(RefusalClass::Recipient);
        }
        let content = &dispatch.content;
        if content.template.is_some() && content.body.is_none() {
            // The text of a template is stored at the carrier.
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
        let envelope = Envelope::message(&self.vault, ID, &route, message);
        let payload = envelope.payload();
        if payload.len() > MAX_ENVELOPE {
            return refused(RefusalClass::Content);
        }
        let appended = self
            .bus
            .append(
                &self.partitions.subject_of(envelope.partition_key()),
                &envelope.id,
                Headers::new(),
                payload.into(),
            )
            .await;
        match appended {
            Ok(_) => Outcome::Accepted(CarrierAcceptance {
                carrier_id: dispatch.message.as_str().to_owned(),
                carrier_status: "delivered".into(),
                segments: None,
                price: None,
            }),
            Err(_) => Outcome::Unknown(AmbiguityReason::ConnectionLost),
        }
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    /// No carrier is involved. It is the limit of messages to colleagues; that of the channel applies before.
    fn text_limit(&self, _: &Content) -> TextLimit {
        TextLimit::Characters(bounds::INTERNAL_TEXT)
    }

    /// The envelope's id is derived from the message's: a repeat is the same event.
    fn reconciliation(&self) -> Reconciliation {
        Reconciliation::RepeatWithKey { window_seconds: WINDOW }
    }

    async fn list(
        &self,
        _: Channel,
        _: &Address,
        _: &Address,
        _: Timestamp,
    ) -> Result<Vec<ListedMessage>, LookupError> {
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
