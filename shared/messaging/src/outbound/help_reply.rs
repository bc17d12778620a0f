//! The automatic reply to HELP: names the agent and how to stop messages. It passes the pipeline, once per question.

use butt_dial_store::{FollowUp, InboundRow, Store, StoreError};
use butt_dial_vault::Vault;

use super::DeferredSend;

/// Builds the reply. `None`: the agent no longer exists, or the contact cannot be answered.
pub(crate) async fn build_help_reply(
    store: &Store,
    vault: &Vault,
    question: &InboundRow,
) -> Result<Option<FollowUp>, StoreError> {
    let Some(agent) = store.find_recipient(&question.agent).await? else {
        return Ok(None);
    };
    let body = format!(
        "You are writing with {}, an automated assistant. Reply STOP to get no more messages.",
        agent.display_name
    );
    // The same question gets one reply, however often it is processed.
    let key = format!("help-{}", question.id);
    let reply = DeferredSend::text(question.channel, &question.contact, body, key);
    Ok(reply.map(|reply| reply.follow_up(vault, &question.org, true)))
}
