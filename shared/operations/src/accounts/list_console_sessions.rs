//! `GET /api/orgs/{orgId}/console-sessions`: the open sessions of members in the console.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time;
use crate::{Context, Hints, Operation, Route};
pub struct ListConsoleSessions;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    sessions: Vec<Item>,
    count: usize,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    id: String,
    email: String,
    /// The browser and its system, such as Chrome on Linux.
    browser: String,
    /// The address of the client, masked.
    address: String,
    created_at: String,
    /// Written down once a minute.
    seen_at: String,
    expires_at: String,
}

impl Operation for ListConsoleSessions {
    const NAME: &'static str = "list_console_sessions";
    const TITLE: &'static str = "Sessions of members in the console";
    const DESCRIPTION: &'static str = "Lists the open sessions of the organization's members in the console, the last used one first, at most 500. Addresses are masked. Requires a team token of it.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/orgs/{orgId}/console-sessions",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let (accounts, org) = (&context.product.accounts, OrgId::from(args.org_id));
        let sessions = accounts.list_member_sessions(&context.caller, &org).await?;
        let sessions: Vec<Item> = sessions
            .into_iter()
            .map(|session| Item {
                id: session.id,
                email: session.email,
                browser: session.browser,
                address: session.address,
                created_at: time(session.created_at),
                seen_at: time(session.seen_at),
                expires_at: time(session.expires_at),
            })
            .collect();
        Ok(Output {
            count: sessions.len(),
            sessions,
        })
    }
}
