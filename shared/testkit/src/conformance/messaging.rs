//! The conformance suite of `ports::carrier::Messaging`: every send ends as accepted, refused or unknown, and no adapter
//! repeats a request. `messaging_conformance!` makes a test of each story for one channel of a vendor.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    Address, Channel, Clock, MessageId,
    call::{CallOptions, Plan, Purpose},
    message::Content,
    ports::carrier::{
        AmbiguityReason, CallUrls, CarrierAcceptance, Dispatch, Messaging, Outcome, Reconciliation, RefusalClass,
    },
};

/// The adapter under test, connected to a simulated vendor with fault injection.
pub trait TestVendor: Send + Sync {
    fn channel(&self) -> Channel;
    fn from(&self) -> Address;
    /// A recipient that accepts messages.
    fn to(&self) -> Address;

    /// Returns the adapter, with a deadline short enough for a test.
    fn carrier(&self) -> Arc<dyn Messaging>;
    /// Returns the adapter with credentials that the vendor does not know.
    fn with_wrong_credentials(&self) -> Arc<dyn Messaging>;
    /// Returns the adapter with an endpoint without a server.
    fn unreachable(&self) -> Arc<dyn Messaging>;

    /// Injects a fault into the next send only.
    fn fail_next(&self, fault: Fault);
    /// Returns the number of send requests, including failed ones.
    fn requests(&self) -> u64;
    /// Returns the number of accepted messages.
    fn taken(&self) -> u64;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TimeoutAfterAccept,
    StallBeforeAccept,
    RateLimit { retry_after: u64 },
    ServerError,
    ServerErrorAfterAccept,
    ResetAfterAccept,
    Nonsense,
}

impl Fault {
    pub const ALL: [Self; 7] = [
        Self::TimeoutAfterAccept,
        Self::StallBeforeAccept,
        Self::RateLimit { retry_after: 7 },
        Self::ServerError,
        Self::ServerErrorAfterAccept,
        Self::ResetAfterAccept,
        Self::Nonsense,
    ];

    /// Returns whether the vendor accepts the message despite the fault.
    fn takes(self) -> bool {
        matches!(
            self,
            Self::TimeoutAfterAccept | Self::ServerErrorAfterAccept | Self::ResetAfterAccept
        )
    }
}

/// `messaging_conformance!(Channel::Sms, super::open)`, where `async fn open(Channel) -> impl TestVendor` starts a
/// separate vendor for every story. The tests are in a module with the channel's name.
#[macro_export]
macro_rules! messaging_conformance {
    (Channel::$channel:ident, $open:path) => {
        #[expect(non_snake_case, reason = "named after the channel")]
        mod $channel {
            $crate::conforms! {
                #[tokio::test]
                [messaging], vendor = $open(::butt_dial_domain::Channel::$channel) => &vendor;
                accepts_message_once
                sends_equal_messages_twice
                reconciles_time_out_after_acceptance
                reconciles_reset_after_acceptance
                reconciles_server_error_after_acceptance
                reconciles_stall_before_acceptance
                maps_rate_limit_to_throttled
                maps_server_error_to_unknown
                maps_invalid_response_to_unknown
                refuses_when_carrier_is_unreachable
                maps_wrong_credentials_to_configuration
                never_repeats_request
                returns_within_deadline
                checks_credentials
            }
        }
    };
}

const BODY: &str = "Your table is booked, see you at eight";

fn dispatch(vendor: &impl TestVendor) -> Dispatch {
    let message = MessageId::generate();
    let is_call = vendor.channel() == Channel::Voice;
    let nowhere = || "http://127.0.0.1:1/".to_owned();
    Dispatch {
        channel: vendor.channel(),
        from: vendor.from(),
        to: vendor.to(),
        content: Content {
            // The id identifies the message in a list. A call has no text and is identified by its numbers.
            body: (!is_call).then(|| format!("{BODY}. {message}")),
            call: is_call.then(call),
            subject: (vendor.channel() == Channel::Email).then(|| "Your table".to_owned()),
            ..Content::default()
        },
        sender_name: None,
        callback: None,
        call_urls: is_call.then(|| CallUrls {
            answer: nowhere(),
            status: nowhere(),
            machine: nowhere(),
        }),
        message,
    }
}

fn call() -> CallOptions {
    CallOptions {
        ring_seconds: 30,
        limit_seconds: 600,
        detects_machine: false,
        digits: None,
        plan: Plan {
            purpose: Purpose::Message {
                text: BODY.to_owned(),
                sound_url: None,
            },
            ..Plan::default()
        },
    }
}

fn accepted(outcome: Outcome) -> CarrierAcceptance {
    match outcome {
        Outcome::Accepted(receipt) => receipt,
        other => panic!("not accepted: {other:?}"),
    }
}

fn class_of(outcome: &Outcome) -> RefusalClass {
    match outcome {
        Outcome::Refused(refusal) => refusal.class,
        other => panic!("not refused: {other:?}"),
    }
}

pub async fn accepts_message_once(vendor: &impl TestVendor) {
    let receipt = accepted(vendor.carrier().send(&dispatch(vendor)).await);
    assert!(!receipt.carrier_id.is_empty());
    assert!(!receipt.carrier_status.is_empty());
    assert_eq!((vendor.requests(), vendor.taken()), (1, 1));
}

/// Only the message id identifies a message: equal texts may be sent on purpose.
pub async fn sends_equal_messages_twice(vendor: &impl TestVendor) {
    let (first, mut second) = (dispatch(vendor), dispatch(vendor));
    second.content = first.content.clone();
    let first = accepted(vendor.carrier().send(&first).await);
    let second = accepted(vendor.carrier().send(&second).await);
    assert_ne!(first.carrier_id, second.carrier_id);
    assert_eq!(vendor.taken(), 2);
}

pub async fn reconciles_time_out_after_acceptance(vendor: &impl TestVendor) {
    let outcome = send_and_reconcile(vendor, Fault::TimeoutAfterAccept).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::TimedOut));
}

pub async fn reconciles_reset_after_acceptance(vendor: &impl TestVendor) {
    let outcome = send_and_reconcile(vendor, Fault::ResetAfterAccept).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::ConnectionLost));
}

pub async fn reconciles_server_error_after_acceptance(vendor: &impl TestVendor) {
    let outcome = send_and_reconcile(vendor, Fault::ServerErrorAfterAccept).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::CarrierFault));
}

pub async fn reconciles_stall_before_acceptance(vendor: &impl TestVendor) {
    let outcome = send_and_reconcile(vendor, Fault::StallBeforeAccept).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::TimedOut));
}

/// Sends with a fault, then resolves the outcome with the reconciliation of the carrier.
async fn send_and_reconcile(vendor: &impl TestVendor, fault: Fault) -> Outcome {
    let carrier = vendor.carrier();
    let dispatch = dispatch(vendor);
    let since = Clock::System.now();
    vendor.fail_next(fault);
    let outcome = carrier.send(&dispatch).await;
    assert_eq!(vendor.taken(), u64::from(fault.takes()));

    match carrier.reconciliation() {
        Reconciliation::RepeatWithKey { window_seconds } => {
            assert!(window_seconds > 0);
            let first = accepted(carrier.send(&dispatch).await);
            let again = accepted(carrier.send(&dispatch).await);
            assert_eq!(first.carrier_id, again.carrier_id);
            assert_eq!(vendor.taken(), 1);
        }
        Reconciliation::Listing => {
            let (from, to) = (&dispatch.from, &dispatch.to);
            let listed = carrier.list(dispatch.channel, from, to, since).await.expect("a list");
            let ours = listed
                .iter()
                .filter(|m| m.body == dispatch.content.body.as_deref().unwrap_or_default());
            assert_eq!(ours.count(), usize::from(fault.takes()));

            let later = since + Duration::from_secs(24 * 60 * 60);
            let none = carrier.list(dispatch.channel, from, to, later).await.expect("a list");
            assert!(none.is_empty(), "the message is older");
        }
        // Without a lookup the adapter must not return a list.
        Reconciliation::None => {
            let (from, to) = (&dispatch.from, &dispatch.to);
            assert!(carrier.list(dispatch.channel, from, to, since).await.is_err());
        }
    }
    outcome
}

pub async fn maps_rate_limit_to_throttled(vendor: &impl TestVendor) {
    vendor.fail_next(Fault::RateLimit { retry_after: 7 });
    let outcome = vendor.carrier().send(&dispatch(vendor)).await;
    assert_eq!(class_of(&outcome), RefusalClass::Throttled);
    let Outcome::Refused(refusal) = outcome else { return };
    assert_eq!(refusal.retry_after_seconds, Some(7));
    assert_eq!(vendor.taken(), 0);
}

pub async fn maps_server_error_to_unknown(vendor: &impl TestVendor) {
    vendor.fail_next(Fault::ServerError);
    let outcome = vendor.carrier().send(&dispatch(vendor)).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::CarrierFault));
}

pub async fn maps_invalid_response_to_unknown(vendor: &impl TestVendor) {
    vendor.fail_next(Fault::Nonsense);
    let outcome = vendor.carrier().send(&dispatch(vendor)).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::CarrierFault));
}

pub async fn refuses_when_carrier_is_unreachable(vendor: &impl TestVendor) {
    let outcome = vendor.unreachable().send(&dispatch(vendor)).await;
    assert_eq!(class_of(&outcome), RefusalClass::Unreachable);
}

pub async fn maps_wrong_credentials_to_configuration(vendor: &impl TestVendor) {
    let outcome = vendor.with_wrong_credentials().send(&dispatch(vendor)).await;
    assert_eq!(class_of(&outcome), RefusalClass::Configuration);
    assert_eq!(vendor.taken(), 0);
}

/// A hidden repeat would reach the vendor without the fault and would be accepted. The adapter has pooled connections,
/// because HTTP libraries repeat requests on those.
pub async fn never_repeats_request(vendor: &impl TestVendor) {
    let carrier = vendor.carrier();
    let (mut requests, mut taken) = (0, 0);
    for fault in Fault::ALL {
        accepted(carrier.send(&dispatch(vendor)).await);
        vendor.fail_next(fault);
        let outcome = carrier.send(&dispatch(vendor)).await;
        assert!(!matches!(outcome, Outcome::Accepted(_)), "{fault:?}");
        requests += 2;
        taken += 1 + u64::from(fault.takes());
        assert_eq!((vendor.requests(), vendor.taken()), (requests, taken), "{fault:?}");
        assert!(
            !format!("{outcome:?}").contains(BODY),
            "outcomes are logged, so they must not contain a body"
        );
    }
}

pub async fn returns_within_deadline(vendor: &impl TestVendor) {
    let carrier = vendor.carrier();
    // Test machines are busy.
    let limit = carrier.deadline() + Duration::from_secs(5);
    for fault in [Fault::StallBeforeAccept, Fault::TimeoutAfterAccept] {
        vendor.fail_next(fault);
        let outcome = tokio::time::timeout(limit, carrier.send(&dispatch(vendor))).await;
        assert_eq!(outcome.expect("a result"), Outcome::Unknown(AmbiguityReason::TimedOut));
    }
}

pub async fn checks_credentials(vendor: &impl TestVendor) {
    assert_eq!(vendor.carrier().check().await, Ok(()));
    let wrong = vendor.with_wrong_credentials().check().await.expect_err("a refusal");
    let unreachable = vendor.unreachable().check().await.expect_err("an unreachable vendor");
    assert_ne!(wrong, unreachable);
}
