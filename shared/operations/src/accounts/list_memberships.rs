//! `GET /api/users/me/memberships`: the organizations of the owner.

use butt_dial_accounts::role_name;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};
use crate::{time, views::BothCasings};

pub struct ListMemberships;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    email: Option<String>,
    memberships: Vec<BothCasings<Item>>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    org_id: String,
    org_name: String,
    role: &'static str,
    added_at: String,
}

impl Operation for ListMemberships {
    const NAME: &'static str = "list_memberships";
    const TITLE: &'static str = "My memberships";
    const DESCRIPTION: &'static str =
        "Lists the organizations that the owner of the organization belongs to. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/users/me/memberships",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let Args {} = args;
        let (email, memberships) = context.product.accounts.list_memberships(&context.caller).await?;
        let memberships = memberships.into_iter().map(|membership| {
            BothCasings(Item {
                org_id: membership.org_id.into_string(),
                org_name: membership.org_name,
                role: role_name(membership.role),
                added_at: time(membership.added_at),
            })
        });
        Ok(Output {
            email,
            memberships: memberships.collect(),
        })
    }
}
