//! `PUT /api/v1/teams/{orgId}/status`: suspends an organization.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::views::BothCasings;
use crate::{Context, Hints, Operation, Route};

pub struct SetTeamStatus;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
    #[schemars(extend("enum" = ["active", "suspended"]))]
    status: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    org_id: String,
    status: String,
}

impl Operation for SetTeamStatus {
    const NAME: &'static str = "set_team_status";
    const TITLE: &'static str = "Suspend or activate a team";
    const DESCRIPTION: &'static str = "Suspends an organization or activates it again: the tokens of a suspended one are refused on every replica within a second, and its agents can't send. Requires the orchestrator's token.";
    const SCOPE: Scope = Scope::SuperAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: "/api/v1/teams/{orgId}/status",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let is_active = match args.status.as_str() {
            "active" => true,
            "suspended" => false,
            _ => {
                return Err(Failure::new(
                    Code::InvalidArgument,
                    "status is one of active, suspended",
                ));
            }
        };
        let org = OrgId::from(args.org_id);
        context
            .product
            .accounts
            .set_team_status(&context.caller, &org, is_active)
            .await?;
        context.product.guard.forget_callers();
        Ok(BothCasings(Output {
            success: true,
            org_id: org.into_string(),
            status: args.status,
        }))
    }
}
