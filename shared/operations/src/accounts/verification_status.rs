//! `GET /api/orgs/{orgId}/verification-status`: whether the owner has verified the organization.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};
use crate::{time, views::BothCasings};

pub struct VerificationStatus;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
    #[serde(default, rename = "poll_token")]
    poll_token: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    org_id: String,
    verified: bool,
    /// pending or verified.
    status: &'static str,
    /// The same as status.
    state: &'static str,
    /// The owner has to accept the terms.
    requires_onboarding: bool,
    verified_at: Option<String>,
    /// When a pending organization is deleted.
    expires_at: Option<String>,
}

impl Operation for VerificationStatus {
    const NAME: &'static str = "verification_status";
    const TITLE: &'static str = "Status of a registration";
    const DESCRIPTION: &'static str = "Returns whether the owner has verified the organization. Needs the poll token of the registration, or a team token.";
    const SCOPE: Scope = Scope::Anyone;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/orgs/{orgId}/verification-status",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AuthRequired]];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let headers = &context.request.headers;
        let accounts = &context.product.accounts;
        accounts.take_open_request("status", headers.client).await?;
        let poll_token = args.poll_token.as_deref().or(headers.bearer.as_deref());
        let status = accounts
            .verification_status(&context.caller, &OrgId::from(args.org_id), poll_token)
            .await?;
        let state = if status.verified { "verified" } else { "pending" };
        Ok(BothCasings(Output {
            org_id: status.org.into_string(),
            verified: status.verified,
            status: state,
            state,
            requires_onboarding: status.awaits_terms,
            verified_at: status.verified_at.map(time),
            expires_at: status.expires_at.map(time),
        }))
    }
}
