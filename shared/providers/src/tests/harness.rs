//! For the vendors' tests: an adapter with a short deadline, connected to a simulator of its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use butt_dial_domain::{
    Address, Channel, MessageId,
    inbound::{InboundMessage, Notice, Receipt},
    message::Content,
    ports::{
        carrier::{Dispatch, Messaging, Outcome, Refusal, RefusalClass},
        webhook::{WebhookRequest, Webhooks},
    },
};
use butt_dial_testkit::conformance::{
    messaging::{FarEnd, Fault},
    webhooks::Caller,
};

use crate::{
    Credentials, Simulator, Vendor, http,
    simulator::{Manner, Misbehaviour, PersonWrites, World},
    tests::{ears::Ears, install_tls},
};

/// Long enough for a busy machine to answer, short enough to wait for.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// Longer than anything takes on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

type Connect = fn(&Credentials, reqwest::Client, Duration) -> Arc<dyn Messaging>;

pub struct Bench {
    vendor: &'static Vendor,
    connect: Connect,
    channel: Channel,
    http: reqwest::Client,
    pub simulator: Simulator,
}

impl Bench {
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

    pub fn world(&self) -> &World {
        self.simulator.world()
    }

    pub fn credentials(&self) -> Credentials {
        self.vendor.simulated_credentials(&self.simulator.base_url())
    }

    pub fn connect(&self, credentials: &Credentials) -> Arc<dyn Messaging> {
        (self.connect)(credentials, self.http.clone(), DEADLINE)
    }

    /// The webhooks' side, connected as the program connects it.
    pub fn webhooks(&self) -> Arc<dyn Webhooks> {
        let connected = (self.vendor.connect)(&self.credentials(), &self.http, DEADLINE).unwrap();
        connected.webhooks.unwrap()
    }

    /// Somewhere for the vendor to call.
    pub async fn listen(&self) -> Ears {
        let ears = Ears::open().await;
        self.world().call_back_to(&ears.base_url);
        ears
    }

    /// What a person writes to the bench's address.
    pub fn letter(&self, body: &str) -> PersonWrites {
        PersonWrites::new(self.channel, self.to().as_str(), self.from().as_str(), body)
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
            call_urls: None,
        }
    }

    pub fn text(&self, body: &str) -> Dispatch {
        self.dispatch(Content {
            body: Some(body.to_owned()),
            subject: (self.channel == Channel::Email).then(|| "Hello".to_owned()),
            ..Content::default()
        })
    }

    pub async fn send(&self, dispatch: &Dispatch) -> Outcome {
        self.carrier().send(dispatch).await
    }

    /// Sends into the vendor's own error.
    pub async fn send_refused(&self, status: u16, code: &str) -> Outcome {
        let code = code.to_owned();
        let refusal = Misbehaviour::Refuse { status, code };
        self.world().misbehave(self.vendor.manifest.id, refusal, 1);
        self.send(&self.text("hello")).await
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

/// The one message that a genuine webhook tells.
pub fn the_message(inbound: &dyn Webhooks, request: &WebhookRequest) -> InboundMessage {
    assert_eq!(inbound.verify(request), Ok(()));
    let notices = inbound.read(request).unwrap();
    let [Notice::Message(message)] = notices.as_slice() else {
        panic!("{notices:?}")
    };
    InboundMessage::clone(message)
}

/// The one receipt that a genuine webhook tells.
pub fn the_receipt(inbound: &dyn Webhooks, request: &WebhookRequest) -> Receipt {
    assert_eq!(inbound.verify(request), Ok(()));
    let notices = inbound.read(request).unwrap();
    let [Notice::Receipt(receipt)] = notices.as_slice() else {
        panic!("{notices:?}")
    };
    receipt.clone()
}

impl FarEnd for Bench {
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
        // Nobody listens on port 1.
        self.connect(&self.vendor.simulated_credentials("http://127.0.0.1:1"))
    }

    fn misbehave(&self, fault: Fault) {
        let misbehaviour = match fault {
            Fault::TimeoutAfterAccept => Misbehaviour::TimeoutAfterAccept,
            Fault::StallBeforeAccept => Misbehaviour::StallBeforeAccept,
            Fault::RateLimit { retry_after } => Misbehaviour::RateLimit {
                retry_after: Some(retry_after),
            },
            Fault::ServerError => Misbehaviour::ServerError,
            Fault::ServerErrorAfterAccept => Misbehaviour::ServerErrorAfterAccept,
            Fault::ResetAfterAccept => Misbehaviour::ResetAfterAccept,
            Fault::Nonsense => Misbehaviour::Nonsense,
        };
        self.world().misbehave(self.vendor.manifest.id, misbehaviour, 1);
    }

    fn requests(&self) -> u64 {
        self.world().requests_total(self.vendor.manifest.id)
    }

    fn taken(&self) -> u64 {
        self.world().accepted_total(self.vendor.manifest.id)
    }
}

impl Caller for Bench {
    fn ears(&self) -> Arc<dyn Webhooks> {
        self.webhooks()
    }

    async fn calls_twice(&self) -> (WebhookRequest, WebhookRequest) {
        let mut ears = self.listen().await;
        let twice = Manner {
            copies: 2,
            reversed: false,
        };
        self.world().set_manner(self.vendor.manifest.id, twice);
        let mut letter = self.letter("Is it 8 + 1 o'clock? é 👍");
        letter.vendor = Some(self.vendor.manifest.id.to_owned());
        self.world().person_writes(letter).await.unwrap();
        (ears.next().await, ears.next().await)
    }

    fn signs_the_url(&self) -> bool {
        self.vendor.manifest.id == "twilio"
    }

    fn signs_the_time(&self) -> bool {
        self.vendor.manifest.id == "resend"
    }
}
