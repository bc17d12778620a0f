//! The automatic reply to HELP: names the agent and how to stop messages. It passes the pipeline, once per contact and day.

use butt_dial_domain::{address::contact_key, clock::Timestamp};
use butt_dial_store::{FollowUp, InboundRow, Store, StoreError};
use butt_dial_vault::Vault;

use super::DeferredSend;
use crate::inbound::envelope::digest;

/// Builds the reply. `None`: the agent no longer exists, or the contact cannot be answered.
pub(crate) async fn build_help_reply(
    store: &Store,
    vault: &Vault,
    question: &InboundRow,
    now: Timestamp,
) -> Result<Option<FollowUp>, StoreError> {
    let Some(agent) = store.find_recipient(&question.agent).await? else {
        return Ok(None);
    };
    let body = format!(
        "You are writing with {}, an automated assistant. Reply STOP to get no more messages.",
        agent.display_name
    );
    // A contact gets one reply a day on a channel, however often it asks.
    let contact = digest(&[question.channel.as_str(), &contact_key(&question.contact)]);
    let key = format!("help-{contact}-{}", now.date_naive());
    let reply = DeferredSend::text(question.channel, &question.contact, body, key);
    Ok(reply.map(|reply| reply.follow_up(vault, &question.org, true)))
}
