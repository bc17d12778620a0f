//! `DELETE /api/v1/anomalies/campaigns/{campaignId}`: end an announced campaign.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Serialize;

use super::NamedCampaign;
use crate::{Context, Hints, Operation, Route};

pub struct EndCampaign;

#[derive(Serialize, JsonSchema)]
pub struct Output {
    success: bool,
}

impl Operation for EndCampaign {
    const NAME: &'static str = "end_campaign";
    const TITLE: &'static str = "End an announced campaign";
    const DESCRIPTION: &'static str = "Ends an announced campaign: the detectors of volume take effect again.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/v1/anomalies/campaigns/{campaignId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = NamedCampaign;
    type Output = Output;

    async fn run(context: Context, args: NamedCampaign) -> Result<Output, Failure> {
        let anomalies = &context.product.anomalies;
        anomalies.end_campaign(&context.caller, &args.campaign_id).await?;
        Ok(Output { success: true })
    }
}
