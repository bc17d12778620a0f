//! Recordings of conversations: a stored one is deleted at the carrier, so that only the encrypted copy remains.

use butt_dial_domain::{
    Channel,
    ports::carrier::{Deletion, VendorResourceKind},
};
use butt_dial_store::StoreError;

use super::Media;
use crate::EventContent;

/// Deletes the recording of an event at its carrier, if it is stored here. Returns false if the deletion is to be repeated.
pub(super) async fn delete_at_carrier(
    media: &Media,
    carrier: &str,
    content: &EventContent,
) -> Result<bool, StoreError> {
    let message = &content.message;
    if content.links.iter().any(|link| link.error.is_some()) {
        return Ok(true);
    }
    let account = media.store.find_sender_account(Channel::Voice, &message.to).await?;
    let account = account.as_ref().map(|account| (account, None));
    let found = media.carriers.find_in(Channel::Voice, account).await?;
    let Some(found) = found.filter(|found| found.id == carrier) else {
        return Ok(true);
    };
    let recording = &message.carrier_id;
    Ok(
        match found.messaging.delete(VendorResourceKind::Recording, recording).await {
            Deletion::Deleted | Deletion::Missing => true,
            Deletion::Unsupported => {
                tracing::warn!(carrier, recording, "recording stays at the carrier");
                true
            }
            Deletion::Failed => {
                tracing::warn!(carrier, recording, "recording not deleted at the carrier");
                false
            }
        },
    )
}
