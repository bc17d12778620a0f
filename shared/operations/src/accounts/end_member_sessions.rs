//! `DELETE /api/orgs/{orgId}/members/{email}/console-sessions`: ends all sessions of a member in the console.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct EndMemberSessions;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
    email: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The number of sessions.
    ended: u64,
}

impl Operation for EndMemberSessions {
    const NAME: &'static str = "end_member_sessions";
    const TITLE: &'static str = "End all sessions of a member";
    const DESCRIPTION: &'static str = "Ends all sessions of a member in the console, at once and on every replica. The person can sign in again. Requires a team token of the organization.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/orgs/{orgId}/members/{email}/console-sessions",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let (accounts, org) = (&context.product.accounts, OrgId::from(args.org_id));
        let ended = accounts.end_member_sessions(&context.caller, &org, &args.email).await?;
        Ok(Output { ended })
    }
}
