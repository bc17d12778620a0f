//! The stories of `ports::carrier::Messaging`: every send ends as exactly one of accepted, refused or unknown, and no
//! adapter repeats one by itself. `messaging_conformance!` makes a test of each for one channel of a vendor.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    Address, Channel, Clock, MessageId,
    call::{CallOptions, Plan, Purpose},
    message::Content,
    ports::carrier::{CallUrls, Dispatch, AmbiguityReason, Messaging, Outcome, CarrierAcceptance, Reconciliation, RefusalClass},
};

/// What a story needs of the vendor's side: the adapter, and a far end that does as it is told.
pub trait FarEnd: Send + Sync {
    fn channel(&self) -> Channel;
    fn from(&self) -> Address;
    /// Somebody who may be written to.
    fn to(&self) -> Address;

    /// Connected, with a deadline that a test can wait for.
    fn carrier(&self) -> Arc<dyn Messaging>;
    /// The same, with credentials that the far end does not know.
    fn with_wrong_credentials(&self) -> Arc<dyn Messaging>;
    /// The same, with an endpoint where nobody listens.
    fn unreachable(&self) -> Arc<dyn Messaging>;

    /// The next send meets this fault; those after it don't.
    fn misbehave(&self, fault: Fault);
    /// How many sends were asked for, well-behaved or not.
    fn requests(&self) -> u64;
    /// How many messages were taken.
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

    /// Whether the far end has the message all the same.
    fn takes(self) -> bool {
        matches!(
            self,
            Self::TimeoutAfterAccept | Self::ServerErrorAfterAccept | Self::ResetAfterAccept
        )
    }
}

/// `messaging_conformance!(Channel::Sms, super::open)`, where `async fn open(Channel) -> impl FarEnd` gives a far end
/// of its own to every story. The tests stand in a module with the channel's name.
#[macro_export]
macro_rules! messaging_conformance {
    (Channel::$channel:ident, $open:path) => {
        $crate::messaging_conformance! { @each $channel $open:
            a_message_is_accepted_once
            equal_messages_are_two_messages
            a_time_out_after_acceptance_is_unknown_and_the_truth_can_be_found
            a_reset_after_acceptance_is_unknown_and_the_truth_can_be_found
            a_fault_after_acceptance_is_unknown_and_the_truth_can_be_found
            a_stall_is_unknown_and_the_truth_can_be_found
            a_rate_limit_is_throttled
            a_fault_is_unknown
            an_answer_that_makes_no_sense_is_unknown
            an_unreachable_carrier_took_nothing
            wrong_credentials_are_the_operators_to_mend
            nothing_is_ever_sent_twice
            an_answer_comes_within_the_deadline
            credentials_can_be_checked
        }
    };
    (@each $channel:ident $open:path: $($story:ident)*) => {
        #[expect(non_snake_case, reason = "named after the channel")]
        mod $channel {
            $(
                #[tokio::test]
                async fn $story() {
                    let far_end = $open(::butt_dial_domain::Channel::$channel).await;
                    $crate::conformance::messaging::$story(&far_end).await;
                }
            )*
        }
    };
}

const BODY: &str = "Your table is booked, see you at eight";

fn dispatch(far_end: &impl FarEnd) -> Dispatch {
    let message = MessageId::generate();
    let is_call = far_end.channel() == Channel::Voice;
    let nowhere = || "http://127.0.0.1:1/".to_owned();
    Dispatch {
        channel: far_end.channel(),
        from: far_end.from(),
        to: far_end.to(),
        content: Content {
            // The id makes it findable in a list; a call has no text, and is known by its numbers alone.
            body: (!is_call).then(|| format!("{BODY}. {message}")),
            call: is_call.then(call),
            subject: (far_end.channel() == Channel::Email).then(|| "Your table".to_owned()),
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
            greeting: None,
            system_prompt: None,
            voice: None,
            language: None,
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

pub async fn a_message_is_accepted_once(far_end: &impl FarEnd) {
    let receipt = accepted(far_end.carrier().send(&dispatch(far_end)).await);
    assert!(!receipt.carrier_id.is_empty());
    assert!(!receipt.carrier_status.is_empty());
    assert_eq!((far_end.requests(), far_end.taken()), (1, 1));
}

/// Only the message's id makes it the same message; a text may well be sent twice on purpose.
pub async fn equal_messages_are_two_messages(far_end: &impl FarEnd) {
    let (first, mut second) = (dispatch(far_end), dispatch(far_end));
    second.content = first.content.clone();
    let first = accepted(far_end.carrier().send(&first).await);
    let second = accepted(far_end.carrier().send(&second).await);
    assert_ne!(first.carrier_id, second.carrier_id);
    assert_eq!(far_end.taken(), 2);
}

pub async fn a_time_out_after_acceptance_is_unknown_and_the_truth_can_be_found(far_end: &impl FarEnd) {
    let outcome = truth_after(far_end, Fault::TimeoutAfterAccept).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::TimedOut));
}

pub async fn a_reset_after_acceptance_is_unknown_and_the_truth_can_be_found(far_end: &impl FarEnd) {
    let outcome = truth_after(far_end, Fault::ResetAfterAccept).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::ConnectionLost));
}

pub async fn a_fault_after_acceptance_is_unknown_and_the_truth_can_be_found(far_end: &impl FarEnd) {
    let outcome = truth_after(far_end, Fault::ServerErrorAfterAccept).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::CarrierFault));
}

pub async fn a_stall_is_unknown_and_the_truth_can_be_found(far_end: &impl FarEnd) {
    let outcome = truth_after(far_end, Fault::StallBeforeAccept).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::TimedOut));
}

/// Sends into a fault, then finds out what became of it in the way that the carrier offers.
async fn truth_after(far_end: &impl FarEnd, fault: Fault) -> Outcome {
    let carrier = far_end.carrier();
    let dispatch = dispatch(far_end);
    let since = Clock::System.now();
    far_end.misbehave(fault);
    let outcome = carrier.send(&dispatch).await;
    assert_eq!(far_end.taken(), u64::from(fault.takes()));

    match carrier.reconciliation() {
        Reconciliation::RepeatWithKey { window_seconds } => {
            assert!(window_seconds > 0);
            let first = accepted(carrier.send(&dispatch).await);
            let again = accepted(carrier.send(&dispatch).await);
            assert_eq!(first.carrier_id, again.carrier_id);
            assert_eq!(far_end.taken(), 1);
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
            assert!(none.is_empty(), "it is older than that");
        }
        // It can't be asked, and so it must not pretend to answer.
        Reconciliation::None => {
            let (from, to) = (&dispatch.from, &dispatch.to);
            assert!(carrier.list(dispatch.channel, from, to, since).await.is_err());
        }
    }
    outcome
}

pub async fn a_rate_limit_is_throttled(far_end: &impl FarEnd) {
    far_end.misbehave(Fault::RateLimit { retry_after: 7 });
    let outcome = far_end.carrier().send(&dispatch(far_end)).await;
    assert_eq!(class_of(&outcome), RefusalClass::Throttled);
    let Outcome::Refused(refusal) = outcome else { return };
    assert_eq!(refusal.retry_after_seconds, Some(7));
    assert_eq!(far_end.taken(), 0);
}

pub async fn a_fault_is_unknown(far_end: &impl FarEnd) {
    far_end.misbehave(Fault::ServerError);
    let outcome = far_end.carrier().send(&dispatch(far_end)).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::CarrierFault));
}

pub async fn an_answer_that_makes_no_sense_is_unknown(far_end: &impl FarEnd) {
    far_end.misbehave(Fault::Nonsense);
    let outcome = far_end.carrier().send(&dispatch(far_end)).await;
    assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::CarrierFault));
}

pub async fn an_unreachable_carrier_took_nothing(far_end: &impl FarEnd) {
    let outcome = far_end.unreachable().send(&dispatch(far_end)).await;
    assert_eq!(class_of(&outcome), RefusalClass::Unreachable);
}

pub async fn wrong_credentials_are_the_operators_to_mend(far_end: &impl FarEnd) {
    let outcome = far_end.with_wrong_credentials().send(&dispatch(far_end)).await;
    assert_eq!(class_of(&outcome), RefusalClass::Configuration);
    assert_eq!(far_end.taken(), 0);
}

/// A hidden repeat would find a far end that behaves again, and would be taken. The adapter is warm: its pool holds
/// connections, which is where HTTP libraries repeat.
pub async fn nothing_is_ever_sent_twice(far_end: &impl FarEnd) {
    let carrier = far_end.carrier();
    let (mut requests, mut taken) = (0, 0);
    for fault in Fault::ALL {
        accepted(carrier.send(&dispatch(far_end)).await);
        far_end.misbehave(fault);
        let outcome = carrier.send(&dispatch(far_end)).await;
        assert!(!matches!(outcome, Outcome::Accepted(_)), "{fault:?}");
        requests += 2;
        taken += 1 + u64::from(fault.takes());
        assert_eq!((far_end.requests(), far_end.taken()), (requests, taken), "{fault:?}");
        assert!(!format!("{outcome:?}").contains(BODY), "an outcome is logged");
    }
}

pub async fn an_answer_comes_within_the_deadline(far_end: &impl FarEnd) {
    let carrier = far_end.carrier();
    // Machines that run tests are busy.
    let patience = carrier.deadline() + Duration::from_secs(5);
    for fault in [Fault::StallBeforeAccept, Fault::TimeoutAfterAccept] {
        far_end.misbehave(fault);
        let outcome = tokio::time::timeout(patience, carrier.send(&dispatch(far_end))).await;
        assert_eq!(outcome.expect("an answer"), Outcome::Unknown(AmbiguityReason::TimedOut));
    }
}

pub async fn credentials_can_be_checked(far_end: &impl FarEnd) {
    assert_eq!(far_end.carrier().check().await, Ok(()));
    let wrong = far_end.with_wrong_credentials().check().await.expect_err("a refusal");
    let unreachable = far_end.unreachable().check().await.expect_err("nobody there");
    assert_ne!(wrong, unreachable);
}
