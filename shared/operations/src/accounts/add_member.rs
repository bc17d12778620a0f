//! `POST /api/orgs/{orgId}/members`: adds a member.

use butt_dial_accounts::{parse_role, role_name};
use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::views::BothCasings;
use crate::{Context, Hints, Operation, Route};

pub struct AddMember;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
    email: String,
    /// The default is org-admin.
    #[serde(default)]
    #[schemars(extend("enum" = ["owner", "org-admin", "operator", "billing", "viewer"]))]
    role: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    org_id: String,
    email: String,
    role: &'static str,
}

impl Operation for AddMember {
    const NAME: &'static str = "add_member";
    const TITLE: &'static str = "Add a member";
    const DESCRIPTION: &'static str =
        "Adds a person to the organization, or changes the role of a member. Requires a team token of it.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/{orgId}/members",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound, Code::Conflict]];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let role = parse_role(args.role.as_deref().unwrap_or("org-admin"))?;
        let org = OrgId::from(args.org_id);
        let email = context
            .product
            .accounts
            .add_member(&context.caller, &org, &args.email, role, args.reason.as_deref())
            .await?;
        Ok(BothCasings(Output {
            success: true,
            org_id: org.into_string(),
            email,
            role: role_name(role),
        }))
    }
}
