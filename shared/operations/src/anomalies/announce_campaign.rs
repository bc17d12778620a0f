//! `POST /api/v1/anomalies/announce`: announce a campaign.

use butt_dial_anomalies::Announcement;
use butt_dial_domain::{Code, Failure, Scope, clock::Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::CampaignView;
use crate::{Context, Hints, Operation, Route};

pub struct AnnounceCampaign;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The agent that sends. Absent: all agents.
    #[serde(default)]
    agent_id: Option<String>,
    /// RFC 3339. Absent: now.
    #[serde(default)]
    from: Option<String>,
    /// RFC 3339, at most 31 days later.
    until: String,
    /// Messages and calls that are expected. Detectors of volume stay quiet until a tenth more was sent.
    volume: i64,
    #[serde(default)]
    note: Option<String>,
}

impl Operation for AnnounceCampaign {
    const NAME: &'static str = "announce_campaign";
    const TITLE: &'static str = "Announce a campaign";
    const DESCRIPTION: &'static str = "Announces a campaign, so that the detectors of volume, spend, calls, new countries and neighbouring numbers \
        stay quiet while it takes place within its expected volume.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/anomalies/announce",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound, Code::Conflict]];

    type Args = Args;
    type Output = CampaignView;

    async fn run(context: Context, args: Args) -> Result<CampaignView, Failure> {
        let new = Announcement {
            agent: args.agent_id.as_deref(),
            from: args.from.as_deref().map(|text| parse("from", text)).transpose()?,
            until: parse("until", &args.until)?,
            volume: args.volume,
            note: args.note.as_deref(),
        };
        let anomalies = &context.product.anomalies;
        Ok(anomalies.announce(&context.caller, &new).await?.into())
    }
}

fn parse(field: &str, text: &str) -> Result<Timestamp, Failure> {
    text.trim().parse().map_err(|_| {
        let message = format!("{field} is a time such as 2026-12-01T09:00:00Z");
        Failure::new(Code::InvalidArgument, message).detail("fields", json!([field]))
    })
}
