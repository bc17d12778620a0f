//! The recording of a conversation, once the carrier has it: an event for the agent, or a deletion.

use butt_dial_domain::{
    Channel,
    ports::{
        carrier::{Deletion, VendorResourceKind},
        kv::KvError,
        voice::RecordingChange,
    },
};
use butt_dial_messaging::inbound::WebhookRefusal;

use super::{
    super::{
        conclude::publish_recording,
        handle::Calls,
        ownership,
        state::{CallState, RecordingState},
    },
    callback::CallWebhook,
};

/// Publishes a completed recording. One that must not be kept is deleted at the carrier, as is one of a call without a state: nothing
/// shows that it may be kept. An error makes the carrier repeat the callback.
pub(super) async fn handle(calls: &Calls, webhook: &CallWebhook) -> Result<(), WebhookRefusal> {
    let report = &webhook.report;
    let Some(recording) = report.recording.as_ref().filter(|recording| recording.is_completed) else {
        return Ok(());
    };
    let state = webhook.state.as_ref();
    let Some(state) = state.filter(|state| state.recording.is_some_and(RecordingState::is_kept)) else {
        return delete(calls, webhook, &recording.id).await;
    };
    // The row of the call names the recording of a voicemail only: this one is deleted at the carrier once it is stored here.
    publish_recording(calls, state, report).await
}

async fn delete(calls: &Calls, webhook: &CallWebhook, recording: &str) -> Result<(), WebhookRefusal> {
    let account = webhook.owner.as_ref().map(|account| (account, None));
    let carrier = calls.carriers.find_in(Channel::Voice, account).await;
    let carrier = carrier
        .map_err(|error| {
            tracing::warn!(%error, "carrier of a recording not found");
            WebhookRefusal::Unavailable
        })?
        .filter(|carrier| carrier.id == webhook.carrier);
    let deletion = match carrier {
        Some(carrier) => carrier.messaging.delete(VendorResourceKind::Recording, recording).await,
        None => Deletion::Unsupported,
    };
    match deletion {
        Deletion::Deleted | Deletion::Missing => {
            tracing::info!(carrier = webhook.carrier, recording, "discarded recording deleted");
            Ok(())
        }
        Deletion::Unsupported => {
            tracing::error!(
                carrier = webhook.carrier,
                recording,
                "discarded recording stays at the carrier"
            );
            Ok(())
        }
        Deletion::Failed => Err(WebhookRefusal::Unavailable),
    }
}

/// Ends the recording before the call is passed on: the third person has heard no announcement. Discards it if the carrier does not
/// confirm, or it was not to be kept.
pub(super) async fn end_before_transfer(
    calls: &Calls,
    webhook: &CallWebhook,
    state: &CallState,
) -> Result<(), KvError> {
    let recording = match state.recording {
        None | Some(RecordingState::Ended) => return Ok(()),
        Some(recording) => recording,
    };
    let carrier_id = &webhook.report.carrier_id;
    let ended = webhook.voice.change_recording(carrier_id, RecordingChange::Stop).await;
    let mut state = state.clone();
    state.recording = Some(match ended {
        Ok(()) if recording.is_kept() => RecordingState::Ended,
        Ok(()) => RecordingState::Discarded,
        Err(error) => {
            tracing::warn!(%error, call = %state.info.call, ?recording, "recording not ended before a transfer: discarded");
            RecordingState::Discarded
        }
    });
    ownership::overwrite(calls, &state, "recording").await
}
