//! Adds or removes a channel of an agent by its name.

use butt_dial_accounts::{AddChannel, ChannelKind, Sender};
use butt_dial_domain::{Code, Failure};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::views::{RecordView, records};
use crate::Context;

/// The result of a change.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedChannel {
    success: bool,
    agent_id: String,
    action: &'static str,
    channel: &'static str,
    /// The sender that was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<RecordView>,
    /// The senders that were released.
    removed: Vec<RecordView>,
}

pub async fn change(
    context: &Context,
    agent: &str,
    action: &str,
    channel: &str,
    add: &AddChannel<'_>,
) -> Result<ChangedChannel, Failure> {
    let kind = ChannelKind::parse(channel)?;
    let profile = context.product.agents.get(&context.caller, agent).await?;
    let senders = &context.product.senders;
    let mut changed = ChangedChannel {
        success: true,
        agent_id: profile.agent.id.host_id().to_owned(),
        action: "add",
        channel: kind.as_str(),
        record: None,
        removed: Vec::new(),
    };
    match action {
        "add" | "allocate" => {
            let added = senders.add_channel(&context.caller, &profile, kind, add).await?;
            changed.record = Some(added.into());
        }
        "remove" => {
            changed.action = "remove";
            let owned = senders.list(&profile.agent.org_id, &profile.agent.id).await?;
            let of_kind: Vec<Sender> = owned
                .into_iter()
                .filter(|sender| ChannelKind::of(sender.channel) == kind)
                .collect();
            if of_kind.is_empty() {
                return Err(Failure::new(
                    Code::NoChannelAssigned,
                    format!("this agent has no {} sender", kind.as_str()),
                ));
            }
            let mut removed = Vec::new();
            for sender in of_kind {
                match senders.release(&context.caller, sender.id.as_str()).await {
                    Ok(released) => removed.extend(released),
                    // Released together with the texts of the same number.
                    Err(failure) if failure.code == Code::NotFound => {}
                    Err(failure) => return Err(failure),
                }
            }
            changed.removed = records(removed);
        }
        _ => {
            return Err(
                Failure::new(Code::InvalidArgument, "action is one of add, remove").detail("fields", json!(["action"]))
            );
        }
    }
    Ok(changed)
}
