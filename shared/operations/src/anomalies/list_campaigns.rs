//! `GET /api/v1/anomalies/campaigns`: list announced campaigns.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CampaignView;
use crate::{Context, Hints, Operation, Route};

pub struct ListCampaigns;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    campaigns: Vec<CampaignView>,
}

impl Operation for ListCampaigns {
    const NAME: &'static str = "list_campaigns";
    const TITLE: &'static str = "List announced campaigns";
    const DESCRIPTION: &'static str = "Lists the announced campaigns of the organization that have not ended.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/anomalies/campaigns",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, _: Args) -> Result<Output, Failure> {
        let campaigns = context.product.anomalies.list_campaigns(&context.caller).await?;
        Ok(Output {
            campaigns: campaigns.into_iter().map(CampaignView::from).collect(),
        })
    }
}
