//! Conversations that a person takes over from an agent: the agent's own messages to the contact are refused until the person gives
//! the conversation back, or the time is over, so that a forgotten one does not silence the agent for ever. The agent gets the
//! messages of the contact, marked, and an event in the transaction of each change (`inbox_takeovers.rs`).

use butt_dial_domain::{AgentId, Code, Failure, TokenId, clock::Timestamp};
use butt_dial_store::{ContactState, Store, Takeover};
use chrono::SecondsFormat;
use serde_json::{Value, json};

pub(crate) fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns the mark of a message that a person answers.
pub(crate) fn mark(takeover: &str, until: Timestamp) -> Value {
    json!({
        "takeoverId": takeover, "takenOverUntil": time(until),
        "advice": "a person answers this message; your messages to this contact are refused",
    })
}

/// Builds the refusal of a message to a contact that someone else answers.
pub(crate) fn refusal(takeover: &Takeover, now: Timestamp) -> Failure {
    let seconds = (takeover.until_at - now).num_seconds().max(1).unsigned_abs();
    Failure::new(
        Code::ConversationTakenOver,
        "a person has taken this conversation over and answers in place of the agent",
    )
    .retry_after(seconds)
    .detail("takeoverId", takeover.id.as_str())
    .detail("takenOverUntil", time(takeover.until_at))
    .hint("wait for the event conversation.returned; an administrator gives the conversation back with DELETE /api/v1/takeovers/{takeoverId}")
}

/// Fails when someone else than `by` answers the contact in place of the agent.
pub async fn check_not_taken_over(
    store: &Store,
    (agent, by): (&AgentId, &TokenId),
    (key, contact): (&str, &ContactState),
    now: Timestamp,
) -> Result<(), Failure> {
    // Only a pause in force costs a read.
    if contact.paused_until.is_none_or(|until| until <= now) {
        return Ok(());
    }
    let takeover = store.find_takeover_of(agent, key, now).await?;
    match takeover.filter(|takeover| takeover.taken_by != by.as_str()) {
        Some(takeover) => Err(refusal(&takeover, now)),
        None => Ok(()),
    }
}
