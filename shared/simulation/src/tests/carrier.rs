//! The carrier: a book of accepted messages, which no process can change afterwards, and the adapters of a process. SMS can be
//! looked up in a list; WhatsApp requests can be repeated with a key. Requests and answers are lost, and a request that timed out may
//! arrive later.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use butt_dial_domain::{
    Address, Channel, MessageId,
    clock::Timestamp,
    inbound::{Attachment, WebhookEvent},
    message::Content,
    ports::{
        carrier::{
            AmbiguityReason, CarrierAcceptance, Dispatch, ListedMessage, LookupError, Messaging, Outcome,
            Reconciliation, Refusal, RefusalClass, TextLimit,
        },
        webhook::{MediaRequest, UnreadableRequest, VerificationError, WebhookRequest, Webhooks},
    },
};
use chrono::TimeDelta;

use super::faults::Faults;

/// The carrier of SMS.
pub const LISTING: &str = "twilio";
/// The carrier of WhatsApp.
pub const WITH_KEYS: &str = "meta";
const DEADLINE: Duration = Duration::from_secs(4);

/// A message that the carrier has accepted.
#[derive(Clone)]
pub struct Taken {
    pub carrier_id: String,
    pub message: MessageId,
    pub channel: Channel,
    pub from: String,
    pub to: String,
    pub body: String,
    pub at: Timestamp,
    /// The carrier has reported that it could not deliver it.
    pub has_failed: bool,
}

#[derive(Default)]
struct Book {
    taken: Vec<Taken>,
    /// Requests that arrive after their senders gave up.
    late: Vec<(Timestamp, Dispatch)>,
    /// Whether a message is refused depends on the message, so each request gets the same answer.
    refused: HashMap<MessageId, bool>,
    webhooks: Vec<WebhookEvent>,
}

#[derive(Default)]
pub struct CarrierBook(Mutex<Book>);

impl CarrierBook {
    pub fn taken(&self) -> Vec<Taken> {
        self.0.lock().unwrap().taken.clone()
    }

    pub fn mark_failed(&self, carrier_id: &str) {
        let mut book = self.0.lock().unwrap();
        let taken = book.taken.iter_mut().find(|taken| taken.carrier_id == carrier_id);
        taken.unwrap().has_failed = true;
    }

    /// Takes the late requests that arrive until now. Returns what they became.
    pub fn arrive(&self, now: Timestamp) -> Vec<Taken> {
        let due: Vec<Dispatch> = {
            let mut book = self.0.lock().unwrap();
            let (due, later) = std::mem::take(&mut book.late)
                .into_iter()
                .partition(|(at, _)| *at <= now);
            book.late = later;
            let due: Vec<(Timestamp, Dispatch)> = due;
            due.into_iter().map(|(_, dispatch)| dispatch).collect()
        };
        due.iter().map(|dispatch| self.take(dispatch, now)).collect()
    }

    pub fn next_arrival(&self) -> Option<Timestamp> {
        self.0.lock().unwrap().late.iter().map(|(at, _)| *at).min()
    }

    /// Takes a message. A repeat with a key is the same message.
    fn take(&self, dispatch: &Dispatch, now: Timestamp) -> Taken {
        let mut book = self.0.lock().unwrap();
        if dispatch.channel == Channel::Whatsapp
            && let Some(taken) = book.taken.iter().find(|taken| taken.message == dispatch.message)
        {
            return taken.clone();
        }
        let taken = Taken {
            carrier_id: format!("C{}", book.taken.len() + 1),
            message: dispatch.message.clone(),
            channel: dispatch.channel,
            from: dispatch.from.as_str().to_owned(),
            to: dispatch.to.as_str().to_owned(),
            body: dispatch.content.body.clone().unwrap_or_default(),
            at: now,
            has_failed: false,
        };
        book.taken.push(taken.clone());
        taken
    }

    /// Stores the content of a webhook. Returns its number, which is the body of the request.
    pub fn add_webhook(&self, event: WebhookEvent) -> usize {
        let mut book = self.0.lock().unwrap();
        book.webhooks.push(event);
        book.webhooks.len() - 1
    }
}

/// The adapter of a process.
pub struct ProcessCarrier {
    pub faults: Arc<Faults>,
    pub channel: Channel,
}

impl ProcessCarrier {
    fn is_refused(&self, message: &MessageId) -> bool {
        let world = &self.faults.world;
        let is_refused = self.faults.strikes(world.intensity.carrier / 2);
        let mut book = world.carrier.0.lock().unwrap();
        *book.refused.entry(message.clone()).or_insert(is_refused)
    }

    async fn request(&self, dispatch: &Dispatch) -> Outcome {
        let (faults, world) = (&self.faults, &self.faults.world);
        if !faults.pass("before a carrier request").await {
            return refusal(RefusalClass::Unreachable);
        }
        let carrier = world.intensity.carrier;
        if faults.strikes(carrier / 2) {
            return refusal(*world.random.pick(&[RefusalClass::Throttled, RefusalClass::Unreachable]));
        }
        if faults.strikes(carrier / 2) {
            let at = world.now()
                + TimeDelta::from_std(DEADLINE).unwrap()
                + TimeDelta::milliseconds(i64::try_from(world.random.below(3_000)).unwrap());
            let arrives = world.random.chance(500) && !self.is_refused(&dispatch.message);
            faults.note(|| format!("request {} lost, arrives later: {arrives}", dispatch.message));
            if arrives {
                world.carrier.0.lock().unwrap().late.push((at, dispatch.clone()));
            }
            tokio::time::sleep(DEADLINE).await; // not a synchronisation: simulated time
            faults.pass("after a lost carrier request").await;
            return Outcome::Unknown(AmbiguityReason::TimedOut);
        }
        if self.is_refused(&dispatch.message) {
            faults.pass("after a refusal").await;
            return refusal(RefusalClass::Recipient);
        }
        let taken = world.carrier.take(dispatch, world.now());
        faults.note(|| {
            format!(
                "carrier takes {} as {}: {}",
                dispatch.message, taken.carrier_id, taken.body
            )
        });
        if !faults.pass("after a carrier request").await || faults.strikes(carrier / 2) {
            faults.note(|| format!("answer for {} lost", dispatch.message));
            return Outcome::Unknown(
                *world
                    .random
                    .pick(&[AmbiguityReason::ConnectionLost, AmbiguityReason::CarrierFault]),
            );
        }
        Outcome::Accepted(CarrierAcceptance {
            carrier_id: taken.carrier_id,
            carrier_status: "queued".into(),
            segments: Some(1),
            price: None,
        })
    }
}

fn refusal(class: RefusalClass) -> Outcome {
    Outcome::Refused(Refusal {
        class,
        carrier_code: None,
        retry_after_seconds: None,
    })
}

#[async_trait]
impl Messaging for ProcessCarrier {
    async fn send(&self, dispatch: &Dispatch) -> Outcome {
        let outcome = self.request(dispatch).await;
        self.faults.note(|| format!("send {}: {outcome:?}", dispatch.message));
        outcome
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn reconciliation(&self) -> Reconciliation {
        match self.channel {
            Channel::Sms => Reconciliation::Listing,
            _ => Reconciliation::RepeatWithKey { window_seconds: 86_400 },
        }
    }

    fn text_limit(&self, _: &Content) -> TextLimit {
        TextLimit::Characters(1_600)
    }

    async fn list(
        &self,
        channel: Channel,
        from: &Address,
        to: &Address,
        since: Timestamp,
    ) -> Result<Vec<ListedMessage>, LookupError> {
        if !self.faults.pass("before a list").await {
            return Err(LookupError::NoResponse);
        }
        let taken = self.faults.world.carrier.taken();
        let listed = taken.into_iter().filter(|taken| {
            taken.channel == channel && taken.from == from.as_str() && taken.to == to.as_str() && taken.at >= since
        });
        let listed = listed.map(|taken| ListedMessage {
            carrier_id: taken.carrier_id,
            carrier_status: "sent".into(),
            body: taken.body,
            created_at: taken.at,
            segments: Some(1),
            media: 0,
            price: None,
        });
        let listed = listed.collect();
        match self.faults.pass("after a list").await {
            true => Ok(listed),
            false => Err(LookupError::NoResponse),
        }
    }

    async fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The webhooks: the body of a request is the number of its content.
#[async_trait]
impl Webhooks for ProcessCarrier {
    fn signature_header(&self) -> &'static str {
        "x-simulated-signature"
    }

    fn verify(&self, _: &WebhookRequest) -> Result<(), VerificationError> {
        Ok(())
    }

    fn parse(&self, request: &WebhookRequest) -> Result<Vec<WebhookEvent>, UnreadableRequest> {
        let number = std::str::from_utf8(&request.body)
            .ok()
            .and_then(|text| text.parse::<usize>().ok());
        let book = self.faults.world.carrier.0.lock().unwrap();
        let event = number.and_then(|number| book.webhooks.get(number).cloned());
        event.map(|event| vec![event]).ok_or(UnreadableRequest("number"))
    }

    async fn media(&self, _: &Attachment) -> Result<MediaRequest, LookupError> {
        Err(LookupError::NotFound)
    }
}
