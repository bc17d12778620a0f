//! `DELETE /api/orgs/{orgId}/members/{email}/passkeys/{passkeyId}`: removes a passkey of a member.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct RemoveMemberPasskey;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
    email: String,
    passkey_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    removed: bool,
}

impl Operation for RemoveMemberPasskey {
    const NAME: &'static str = "remove_member_passkey";
    const TITLE: &'static str = "Remove a passkey of a member";
    const DESCRIPTION: &'static str = "Removes a passkey of a member, for example of a lost device. The last way in stays, and so does a passkey that other organizations of the member rely on. Requires a team token of the organization.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/orgs/{orgId}/members/{email}/passkeys/{passkeyId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound, Code::Conflict]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let (accounts, org) = (&context.product.accounts, OrgId::from(args.org_id));
        accounts
            .remove_member_passkey(&context.caller, &org, &args.email, &args.passkey_id)
            .await?;
        Ok(Output { removed: true })
    }
}
