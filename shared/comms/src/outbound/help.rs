//! The answer to HELP: who writes, and how to stop it. Through the one pipeline, and once for each question.

use butt_dial_store::{FollowUp, InboundRow, StoreError};

use super::follow_up::Later;
use crate::Comms;

/// What is to be sent because of this question. `None`: there is nobody who could answer.
pub async fn answer(comms: &Comms, question: &InboundRow) -> Result<Option<FollowUp>, StoreError> {
    let Some(agent) = comms.store.find_recipient(&question.agent).await? else {
        return Ok(None);
    };
    let body = format!(
        "You are writing with {}, an automated assistant. Reply STOP to get no more messages.",
        agent.display_name
    );
    // The same question is answered once, whoever comes upon it again.
    let key = format!("help-{}", question.id);
    let later = Later::text(question.channel, &question.contact, body, key);
    Ok(later.map(|later| later.follow_up(&comms.vault, &question.org, true)))
}
