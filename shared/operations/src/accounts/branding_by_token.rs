//! `GET /api/orgs/branding-by-token`: the look of the page behind a mailed link.

use butt_dial_accounts::Branding;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct BrandingByToken;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    #[serde(default)]
    token: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    org_name: Option<String>,
    #[serde(flatten)]
    branding: Branding,
}

impl Operation for BrandingByToken {
    const NAME: &'static str = "branding_by_token";
    const TITLE: &'static str = "Branding of a link";
    const DESCRIPTION: &'static str = "Returns the branding of the organization that a mailed link belongs to. The link stays valid. An unknown token gives an empty object.";
    const SCOPE: Scope = Scope::Anyone;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/orgs/branding-by-token",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let client = context.request.headers.client;
        let accounts = &context.product.accounts;
        accounts.take_open_request("branding", client).await?;
        let found = accounts
            .branding_of_link(args.token.as_deref().unwrap_or_default())
            .await?;
        let (org_name, branding) = found.map_or((None, Branding::default()), |(name, branding)| (Some(name), branding));
        Ok(Output { org_name, branding })
    }
}
