//! Usage and result: the outcome is written down, then the caller is told. A fact that can't be written yet is kept at
//! until it is, or until we stop; then the reconciler finds it out anew.

use std::time::Duration;

use butt_dial_domain::{
    Code, Failure, Micros,
    message::Status,
    ports::carrier::{Outcome, Receipt, Refusal, RefusalClass},
};
use butt_dial_store::{SendResult, SettledSend};
use chrono::TimeDelta;
use futures::FutureExt;

use super::{
    admit::AdmittedMessage,
    announce::announce,
    dispatch::{Dispatched, word},
    receipt::SendReceipt,
};
use crate::{
    Comms,
    calls::place::{self, Owner},
};

/// How long the caller waits for the outcome to be written before it is told `pending`.
const PATIENCE: Duration = Duration::from_secs(3);
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// As long as the reconciler leaves the message to us.
const RETRIES: u32 = 60;

pub async fn record(comms: &Comms, dispatched: Dispatched) -> Result<SendReceipt, Failure> {
    let Dispatched { admitted, outcome } = dispatched;
    let settled = settled(comms, &admitted, &outcome);
    if let Outcome::Refused(Refusal {
        class: RefusalClass::OptedOut,
        ..
    }) = &outcome
    {
        note_opt_out(comms, &admitted).await;
    }
    let result = settled.result.clone();
    let mut writing = write(comms.clone(), settled).boxed();
    let written = match tokio::time::timeout(PATIENCE, &mut writing).await {
        Ok(written) => written,
        Err(_) => {
            // The caller has waited enough; the fact has not.
            let told = tell(comms.clone(), &admitted, result);
            comms.tasks.spawn(async move {
                told.await;
                writing.await
            });
            false
        }
    };
    match outcome {
        Outcome::Accepted(receipt) if written => {
            let owner = admitted.dispatch.content.call.is_some();
            let owner = owner.then(|| (admitted.agent.clone(), admitted.org.clone()));
            let receipt = accepted(admitted, receipt);
            if let Some((agent, org)) = &owner {
                place::enter(comms, &Owner { agent, org }, &receipt).await;
            }
            Ok(receipt)
        }
        Outcome::Refused(refusal) if written => Err(refused(&refusal, &admitted)),
        _ => Ok(SendReceipt::pending(admitted)),
    }
}

fn settled(comms: &Comms, admitted: &AdmittedMessage, outcome: &Outcome) -> SettledSend {
    let now = comms.clock.now();
    let (result, detail) = match outcome {
        Outcome::Accepted(receipt) => (accepted_result(receipt, admitted.estimate), None),
        Outcome::Refused(refusal) => {
            let frees_key = frees_key(refusal.class);
            let failure = code(refusal.class).as_str();
            let detail = refusal
                .carrier_code
                .clone()
                .unwrap_or_else(|| refusal.class.as_str().into());
            (SendResult::Failed { failure, frees_key }, Some(detail))
        }
        Outcome::Unknown(doubt) => {
            let wait = comms.settings.reconcile_after.first().copied().unwrap_or(RETRY_PAUSE);
            let check_at = now + TimeDelta::from_std(wait).unwrap_or_default();
            (SendResult::Unknown { check_at }, Some(doubt.as_str().to_owned()))
        }
    };
    SettledSend {
        id: admitted.dispatch.message.clone(),
        result,
        outcome: word(outcome),
        detail,
        at: now,
    }
}

pub fn accepted_result(receipt: &Receipt, estimate: Micros) -> SendResult {
    SendResult::Accepted {
        carrier_id: receipt.carrier_id.clone(),
        carrier_status: receipt.carrier_status.clone(),
        segments: receipt.segments,
        // Most carriers tell the price later; until then the estimate stands.
        cost: receipt.price.unwrap_or(estimate).0,
    }
}

/// Nothing was sent and the cause may pass: the same request, with the same key, may be made anew.
fn frees_key(class: RefusalClass) -> bool {
    matches!(
        class,
        RefusalClass::Throttled | RefusalClass::Unreachable | RefusalClass::Configuration
    )
}

/// True once it is written. Written by somebody else before counts too: it is settled.
async fn write(comms: Comms, settled: SettledSend) -> bool {
    for _ in 0..RETRIES {
        match comms.store.settle_send(settled.clone()).await {
            Ok(_) => return true,
            Err(error) => tracing::warn!(%error, message_id = %settled.id, "could not write an outcome yet"),
        }
        // While we are stopping, waiting helps nobody: the reconciler takes over.
        if comms.tasks.is_closed() {
            return false;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    tracing::error!(message_id = %settled.id, "an outcome could not be written; the reconciler will ask the carrier");
    false
}

/// The caller is answered `pending`, so the outcome has to follow as an event.
fn tell(comms: Comms, admitted: &AdmittedMessage, result: SendResult) -> impl Future<Output = ()> + Send + use<> {
    let (agent, message, channel) = (
        admitted.agent.clone(),
        admitted.dispatch.message.clone(),
        admitted.dispatch.channel,
    );
    async move {
        for _ in 0..RETRIES {
            match announce(&comms, &agent, &message, channel, &result).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, message_id = %message, "could not announce an outcome yet"),
            }
            if comms.tasks.is_closed() {
                return;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// The carrier knows of an opt-out that we did not: it is ours from now on.
async fn note_opt_out(comms: &Comms, admitted: &AdmittedMessage) {
    let dispatch = &admitted.dispatch;
    let now = comms.clock.now();
    let noted = comms
        .store
        .record_consent(
            &admitted.org,
            dispatch.channel,
            dispatch.to.as_str(),
            false,
            "carrier",
            now,
        )
        .await;
    if let Err(error) = noted {
        tracing::error!(%error, message_id = %dispatch.message, "an opt-out told by the carrier could not be noted");
    }
}

fn accepted(admitted: AdmittedMessage, receipt: Receipt) -> SendReceipt {
    let cost = receipt.price.unwrap_or(admitted.estimate);
    SendReceipt {
        status: Status::Accepted,
        carrier_id: Some(receipt.carrier_id),
        carrier_status: Some(receipt.carrier_status),
        segments: receipt.segments.map(i64::from),
        cost: Some(cost),
        ..SendReceipt::pending(admitted)
    }
}

/// The code that an agent sees for each class of refusal. The one table.
pub fn code(class: RefusalClass) -> Code {
    match class {
        RefusalClass::Recipient => Code::InvalidRecipient,
        RefusalClass::OptedOut => Code::ContactOptedOut,
        RefusalClass::Configuration => Code::ProviderMisconfigured,
        RefusalClass::Content => Code::ProviderRefused,
        RefusalClass::WindowClosed => Code::WhatsappWindowClosed,
        RefusalClass::Throttled => Code::ProviderRateLimited,
        RefusalClass::Unreachable => Code::ServiceUnavailable,
    }
}

fn refused(refusal: &Refusal, admitted: &AdmittedMessage) -> Failure {
    let failure = explain(code(refusal.class))
        .on(admitted.dispatch.channel)
        .detail("failedMessageId", admitted.dispatch.message.as_str())
        .detail("provider", admitted.carrier.id);
    let failure = match &refusal.carrier_code {
        Some(code) => failure.detail("providerCode", code.as_str()),
        None => failure,
    };
    match refusal.retry_after_seconds {
        Some(seconds) => failure.retry_after(seconds),
        None => failure,
    }
}

/// What can be done about a failure that a receipt tells of. The message had its key: another one needs another.
pub fn remedy_afterwards(code: Code) -> Option<std::borrow::Cow<'static, str>> {
    match code {
        Code::ProviderRateLimited | Code::ServiceUnavailable => {
            Some("it may pass later: send it again with a new idempotencyKey".into())
        }
        code => explain(code).remediation,
    }
}

/// What the agent is told about a refusal by the carrier, now or when it asks again.
pub fn explain(code: Code) -> Failure {
    let (message, remedy) = match code {
        Code::InvalidRecipient => (
            "invalid recipient: the carrier can't reach this address",
            "check the address, or use another channel",
        ),
        Code::ContactOptedOut => (
            "the contact has opted out; no consent",
            "only the contact can undo this, by writing START to your address",
        ),
        Code::ProviderMisconfigured => (
            "the carrier refused our account or sender",
            "an operator has to look; `butt-dial doctor` says what is wrong",
        ),
        Code::WhatsappWindowClosed => (
            "WhatsApp's 24-hour window is closed",
            "send an approved template (templateId)",
        ),
        Code::ProviderRateLimited => (
            "the carrier takes no more messages right now; nothing was sent",
            "try again with the same idempotencyKey",
        ),
        Code::ServiceUnavailable => (
            "the carrier can't be reached; nothing was sent",
            "try again with the same idempotencyKey",
        ),
        _ => (
            "the carrier refused the message",
            "change the message; sending it again as it is will not help",
        ),
    };
    Failure::new(code, message).remedy(remedy)
}
