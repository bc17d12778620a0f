//! `DELETE /api/orgs/{orgId}/console-sessions/{sessionId}`: ends a session of a member in the console.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct EndConsoleSession;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
    session_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    ended: bool,
}

impl Operation for EndConsoleSession {
    const NAME: &'static str = "end_console_session";
    const TITLE: &'static str = "End a session of the console";
    const DESCRIPTION: &'static str = "Ends a session of a member in the console, at once and on every replica. Requires a team token of the organization.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/orgs/{orgId}/console-sessions/{sessionId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let (accounts, org) = (&context.product.accounts, OrgId::from(args.org_id));
        accounts
            .end_member_session(&context.caller, &org, &args.session_id)
            .await?;
        Ok(Output { ended: true })
    }
}
