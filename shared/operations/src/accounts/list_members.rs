//! `GET /api/orgs/{orgId}/members`: the members of the organization.

use butt_dial_accounts::role_name;
use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};
use crate::{time, views::BothCasings};

pub struct ListMembers;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    members: Vec<BothCasings<Item>>,
    count: usize,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    email: String,
    role: &'static str,
    /// The id of the token of the administrator, or system.
    added_by: String,
    reason: Option<String>,
    added_at: String,
}

impl Operation for ListMembers {
    const NAME: &'static str = "list_members";
    const TITLE: &'static str = "Members of my organization";
    const DESCRIPTION: &'static str =
        "Lists the members of the organization with their roles. Requires a team token of it.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/orgs/{orgId}/members",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let accounts = &context.product.accounts;
        let members = accounts
            .list_members(&context.caller, &OrgId::from(args.org_id))
            .await?;
        let members: Vec<_> = members
            .into_iter()
            .map(|member| {
                BothCasings(Item {
                    email: member.email,
                    role: role_name(member.role),
                    added_by: member.added_by,
                    reason: member.reason,
                    added_at: time(member.added_at),
                })
            })
            .collect();
        Ok(Output {
            count: members.len(),
            members,
        })
    }
}
