//! The harness of carrier tests: an adapter with a short deadline, connected to its own simulator.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use butt_dial_domain::{
    Address, Channel, MessageId,
    call::{CallOptions, Plan, Purpose},
    inbound::{InboundMessage, Receipt, WebhookEvent},
    message::Content,
    ports::{
        carrier::{CallUrls, Dispatch, Messaging, Outcome, Refusal, RefusalClass},
        webhook::{WebhookRequest, Webhooks},
    },
};
use butt_dial_testkit::conformance::{
    messaging::{Fault, TestVendor},
    webhooks::WebhookSender,
};

use crate::{
    Credentials, Simulator, Vendor, http,
    simulator::{InjectedFault, PersonMessage, SimulatorState, WebhookBehavior},
    tests::{install_tls, webhook_receiver::WebhookReceiver},
};

/// Long enough for a busy machine, short enough for a test.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// The limit for all waits in tests.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(20);

type Connect = fn(&Credentials, reqwest::Client, Duration) -> Arc<dyn Messaging>;

pub struct CarrierHarness {
    vendor: &'static Vendor,
    connect: Connect,
    channel: Channel,
    http: reqwest::Client,
    pub simulator: Simulator,
}

impl CarrierHarness {
    pub async fn start(vendor: &'static Vendor, connect: Connect, channel: Channel) -> Self {
        install_tls();
        let simulator = Simulator::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        Self {
            vendor,
            connect,
            channel,
            http: http::client().unwrap(),
            simulator,
        }
    }

    pub fn state(&self) -> &SimulatorState {
        self.simulator.state()
    }

    pub fn credentials(&self) -> Credentials {
        self.vendor.simulated_credentials(&self.simulator.base_url())
    }

    pub fn connect(&self, credentials: &Credentials) -> Arc<dyn Messaging> {
        (self.connect)(credentials, self.http.clone(), DEADLINE)
    }

    /// Returns the webhook adapter, connected as in production.
    pub fn webhooks(&self) -> Arc<dyn Webhooks> {
        let connected = (self.vendor.connect)(&self.credentials(), &self.http, DEADLINE).unwrap();
        connected.webhooks.unwrap()
    }

    /// Starts a server and points the vendor's webhooks at it.
    pub async fn listen(&self) -> WebhookReceiver {
        let receiver = WebhookReceiver::open().await;
        self.state().set_webhook_base_url(&receiver.base_url);
        receiver
    }

    /// Returns an inbound message from the harness's recipient to its sender.
    pub fn draft(&self, body: &str) -> PersonMessage {
        PersonMessage::new(self.channel, self.to().as_str(), self.from().as_str(), body)
    }

    pub fn dispatch(&self, content: Content) -> Dispatch {
        Dispatch {
            message: MessageId::generate(),
            channel: self.channel,
            from: self.from(),
            to: self.to(),
            content,
            sender_name: None,
            callback: None,
            call_urls: (self.channel == Channel::Voice).then(unreachable_urls),
        }
    }

    pub fn text(&self, body: &str) -> Dispatch {
        self.dispatch(Content {
            body: (self.channel != Channel::Voice).then(|| body.to_owned()),
            call: (self.channel == Channel::Voice).then(options),
            subject: (self.channel == Channel::Email).then(|| "Hello".to_owned()),
            ..Content::default()
        })
    }

    pub async fn send(&self, dispatch: &Dispatch) -> Outcome {
        self.carrier().send(dispatch).await
    }

    /// Sends while the vendor returns this error.
    pub async fn send_refused(&self, status: u16, code: &str) -> Outcome {
        let code = code.to_owned();
        let refusal = InjectedFault::Refuse { status, code };
        self.state().inject_fault(self.vendor.manifest.id, refusal, 1);
        self.send(&self.text("hello")).await
    }
}

/// URLs that refuse connections.
fn unreachable_urls() -> CallUrls {
    let url = "http://127.0.0.1:1/".to_owned();
    CallUrls {
        answer: url.clone(),
        status: url.clone(),
        machine: url,
    }
}

fn options() -> CallOptions {
    CallOptions {
        ring_seconds: 30,
        limit_seconds: 600,
        detects_machine: false,
        digits: None,
        plan: Plan {
            purpose: Purpose::Converse,
            ..Plan::default()
        },
    }
}

pub fn address(channel: Channel, text: &str) -> Address {
    Address::parse(channel, text).unwrap()
}

pub fn refused(class: RefusalClass, code: &str) -> Outcome {
    Outcome::Refused(Refusal {
        class,
        carrier_code: Some(code.to_owned()),
        retry_after_seconds: None,
    })
}

/// Verifies a webhook and returns its only message.
pub fn the_message(inbound: &dyn Webhooks, request: &WebhookRequest) -> InboundMessage {
    assert_eq!(inbound.verify(request), Ok(()));
    let notices = inbound.parse(request).unwrap();
    let [WebhookEvent::Message(message)] = notices.as_slice() else {
        panic!("{notices:?}")
    };
    InboundMessage::clone(message)
}

/// Verifies a webhook and returns its only receipt.
pub fn the_receipt(inbound: &dyn Webhooks, request: &WebhookRequest) -> Receipt {
    assert_eq!(inbound.verify(request), Ok(()));
    let notices = inbound.parse(request).unwrap();
    let [WebhookEvent::Receipt(receipt)] = notices.as_slice() else {
        panic!("{notices:?}")
    };
    receipt.clone()
}

impl TestVendor for CarrierHarness {
    fn channel(&self) -> Channel {
        self.channel
    }

    fn from(&self) -> Address {
        match self.channel {
            Channel::Email => address(self.channel, "agent@example.com"),
            Channel::Line => address(self.channel, "U0000000000000000000000000000000b"),
            _ => address(self.channel, "+14155550100"),
        }
    }

    fn to(&self) -> Address {
        match self.channel {
            Channel::Email => address(self.channel, "ann@example.org"),
            Channel::Line => address(self.channel, "U00000000000000000000000000000123"),
            _ => address(self.channel, "+14155550123"),
        }
    }

    fn carrier(&self) -> Arc<dyn Messaging> {
        self.connect(&self.credentials())
    }

    fn with_wrong_credentials(&self) -> Arc<dyn Messaging> {
        let fields = self.vendor.manifest.credentials.iter();
        let wrong = fields
            .filter(|field| field.secret)
            .fold(self.credentials(), |all, field| all.with(field.env, "wrong"));
        self.connect(&wrong)
    }

    fn unreachable(&self) -> Arc<dyn Messaging> {
        // Port 1 has no listener.
        self.connect(&self.vendor.simulated_credentials("http://127.0.0.1:1"))
    }

    fn fail_next(&self, fault: Fault) {
        let fault = match fault {
            Fault::TimeoutAfterAccept => InjectedFault::TimeoutAfterAccept,
            Fault::StallBeforeAccept => InjectedFault::StallBeforeAccept,
            Fault::RateLimit { retry_after } => InjectedFault::RateLimit {
                retry_after: Some(retry_after),
            },
            Fault::ServerError => InjectedFault::ServerError,
            Fault::ServerErrorAfterAccept => InjectedFault::ServerErrorAfterAccept,
            Fault::ResetAfterAccept => InjectedFault::ResetAfterAccept,
            Fault::Nonsense => InjectedFault::Nonsense,
        };
        self.state().inject_fault(self.vendor.manifest.id, fault, 1);
    }

    fn requests(&self) -> u64 {
        self.state().requests_total(self.vendor.manifest.id)
    }

    fn taken(&self) -> u64 {
        if self.channel == Channel::Voice {
            return self.state().calls().len() as u64;
        }
        self.state().accepted_total(self.vendor.manifest.id)
    }
}

impl WebhookSender for CarrierHarness {
    fn webhooks(&self) -> Arc<dyn Webhooks> {
        self.webhooks()
    }

    async fn send_twice(&self) -> (WebhookRequest, WebhookRequest) {
        let mut receiver = self.listen().await;
        let twice = WebhookBehavior {
            copies: 2,
            reversed: false,
        };
        self.state().set_webhook_behavior(self.vendor.manifest.id, twice);
        let mut draft = self.draft("Is it 8 + 1 o'clock? é 👍");
        draft.vendor = Some(self.vendor.manifest.id.to_owned());
        self.state().send_as_person(draft).await.unwrap();
        (receiver.next().await, receiver.next().await)
    }

    fn signs_url(&self) -> bool {
        self.vendor.manifest.id == "twilio"
    }

    fn signs_time(&self) -> bool {
        self.vendor.manifest.id == "resend"
    }
}
