//! Anomalies, the detectors in force, and announced campaigns.

pub mod announce_campaign;
pub mod dismiss_anomaly;
pub mod end_campaign;
pub mod end_contact_pause;
pub mod list_anomalies;
pub mod list_campaigns;
pub mod list_contact_pauses;
pub mod list_detectors;

use butt_dial_anomalies::{Anomaly, Campaign};
use butt_dial_domain::AgentId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::views::time;

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnomalyView {
    id: String,
    /// Absent: an anomaly of the installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// Such as volume_spike.
    detector: String,
    /// critical, high, medium or low.
    severity: String,
    /// One sentence for a person.
    explanation: String,
    /// The numbers that tripped the detector.
    numbers: Value,
    /// alert, throttle, confirm or suspend.
    reaction: String,
    /// open, dismissed or ended.
    state: &'static str,
    first_seen: String,
    last_seen: String,
    /// When the program has restrained or suspended the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    reacted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dismissed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dismissed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

impl From<Anomaly> for AnomalyView {
    fn from(anomaly: Anomaly) -> Self {
        Self {
            state: anomaly.state().into(),
            agent_id: anomaly.agent().map(|agent| agent.host_id().to_owned()),
            id: anomaly.id,
            org_id: anomaly.org_id,
            detector: anomaly.detector,
            severity: anomaly.severity.to_string(),
            explanation: anomaly.explanation,
            numbers: anomaly.numbers,
            reaction: anomaly.reaction.to_string(),
            first_seen: time(anomaly.first_at),
            last_seen: time(anomaly.last_at),
            reacted_at: anomaly.reacted_at.map(time),
            dismissed_at: anomaly.dismissed_at.map(time),
            dismissed_by: anomaly.dismissed_by,
            ended_at: anomaly.ended_at.map(time),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignView {
    id: String,
    /// Absent: all agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    from: String,
    until: String,
    /// Messages and calls that are expected.
    volume: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    announced_by: String,
    announced_at: String,
}

impl From<Campaign> for CampaignView {
    fn from(campaign: Campaign) -> Self {
        Self {
            id: campaign.id,
            agent_id: campaign.agent_id.map(|agent| AgentId::from(agent).host_id().to_owned()),
            from: time(campaign.starts_at),
            until: time(campaign.ends_at),
            volume: campaign.volume,
            note: campaign.note,
            announced_by: campaign.announced_by,
            announced_at: time(campaign.created_at),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamedAnomaly {
    anomaly_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamedCampaign {
    campaign_id: String,
}
