//! Texts that resemble instructions, when the agent gets them. Its organization can want approvals of its messages for a time then.

use butt_dial_domain::{AgentId, OrgId};
use butt_dial_store::StoreError;
use chrono::TimeDelta;
use serde_json::{Map, Value};

use super::{Delivery, event_view::TAINT};

/// For how long messages need an approval afterwards.
const PERIOD: TimeDelta = TimeDelta::minutes(15);

/// Returns whether the text of an event resembles instructions.
pub(super) fn is_tainted(view: &Map<String, Value>) -> bool {
    view.contains_key(TAINT)
}

impl Delivery {
    /// Notes that an agent gets such a text, before it does. After a failure the agent must not get it.
    pub(super) async fn note_tainted(&self, org: &OrgId, agent: &AgentId) -> Result<(), StoreError> {
        let until = self.clock.now() + PERIOD;
        if self.store.note_tainted_text((org, agent), until).await? {
            tracing::info!(%org, %agent, %until, "agent gets a text that resembles instructions; its messages need approvals");
        }
        Ok(())
    }
}
