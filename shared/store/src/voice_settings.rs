//! The voice settings of agents.

use butt_dial_domain::{AgentId, call::VoiceSettings};

use crate::{
    Store, StoreError,
    engine::{on_reader, on_writer},
};

impl Store {
    /// Finds how the agent speaks on the phone. The default if it was never set, or there is no such agent.
    pub async fn find_voice_settings(&self, agent: &AgentId) -> Result<VoiceSettings, StoreError> {
        const SQL: &str = "SELECT voice_settings FROM agents WHERE id = $1";
        let found: Option<Option<String>> = on_reader!(self, |db| {
            sqlx::query_scalar(SQL).bind(agent.as_str()).fetch_optional(db).await
        })?;
        Ok(parse(found.flatten().as_deref()))
    }

    pub async fn set_voice_settings(&self, agent: &AgentId, settings: &VoiceSettings) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE agents SET voice_settings = $2 WHERE id = $1";
        // The default is stored as none.
        let text = (*settings != VoiceSettings::default()).then(|| serde_json::json!(settings).to_string());
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(text.as_deref())
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }
}

/// Parses stored settings. Unreadable ones must not keep a call from being answered.
pub(crate) fn parse(text: Option<&str>) -> VoiceSettings {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}
