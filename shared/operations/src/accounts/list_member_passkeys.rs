//! `GET /api/orgs/{orgId}/members/{email}/passkeys`: the passkeys of a member.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time;
use crate::{Context, Hints, Operation, Route};
pub struct ListMemberPasskeys;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
    email: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    passkeys: Vec<Item>,
    count: usize,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    id: String,
    /// Chosen by the member.
    name: String,
    /// The host of the console that it is for.
    host: String,
    created_at: String,
    last_used_at: Option<String>,
}

impl Operation for ListMemberPasskeys {
    const NAME: &'static str = "list_member_passkeys";
    const TITLE: &'static str = "Passkeys of a member";
    const DESCRIPTION: &'static str = "Lists the passkeys with which a member signs in to the console, the oldest first. Requires a team token of the organization.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/orgs/{orgId}/members/{email}/passkeys",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let (accounts, org) = (&context.product.accounts, OrgId::from(args.org_id));
        let passkeys = accounts
            .list_member_passkeys(&context.caller, &org, &args.email)
            .await?;
        let passkeys: Vec<Item> = passkeys
            .into_iter()
            .map(|passkey| Item {
                id: passkey.id,
                name: passkey.name,
                host: passkey.host,
                created_at: time(passkey.created_at),
                last_used_at: passkey.last_used_at.map(time),
            })
            .collect();
        Ok(Output {
            count: passkeys.len(),
            passkeys,
        })
    }
}
