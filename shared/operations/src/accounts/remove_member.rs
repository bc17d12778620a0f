//! `DELETE /api/orgs/{orgId}/members/{email}`: removes a member.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct RemoveMember;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
    email: String,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    removed: bool,
}

impl Operation for RemoveMember {
    const NAME: &'static str = "remove_member";
    const TITLE: &'static str = "Remove a member";
    const DESCRIPTION: &'static str =
        "Removes a person from the organization. The last owner can't be removed. Requires a team token of it.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/orgs/{orgId}/members/{email}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound, Code::Conflict]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        context
            .product
            .accounts
            .remove_member(
                &context.caller,
                &OrgId::from(args.org_id),
                &args.email,
                args.reason.as_deref(),
            )
            .await?;
        Ok(Output {
            success: true,
            removed: true,
        })
    }
}
