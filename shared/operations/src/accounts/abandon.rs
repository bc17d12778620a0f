//! `POST /api/orgs/abandon`: deletes a pending organization.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::views::BothCasings;
use crate::{Context, Hints, Operation, Route};

pub struct Abandon;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
    #[serde(default)]
    #[expect(dead_code, reason = "accepted for the Python client")]
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    deleted: bool,
    org_id: String,
}

impl Operation for Abandon {
    const NAME: &'static str = "abandon_organization";
    const TITLE: &'static str = "Abandon a registration";
    const DESCRIPTION: &'static str = "Deletes an organization that is not verified yet. Needs the poll token of the registration as bearer token, or the orchestrator's token.";
    const SCOPE: Scope = Scope::Anyone;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/abandon",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AuthRequired, Code::OrgAlreadyVerified, Code::NotFound]];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let headers = &context.request.headers;
        let accounts = &context.product.accounts;
        accounts.take_open_request("abandon", headers.client).await?;
        let org = OrgId::from(args.org_id);
        accounts
            .abandon(&context.caller, &org, headers.bearer.as_deref())
            .await?;
        Ok(BothCasings(Output {
            deleted: true,
            org_id: org.into_string(),
        }))
    }
}
