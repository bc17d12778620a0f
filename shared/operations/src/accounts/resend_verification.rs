//! `POST /api/orgs/{orgId}/resend-verification`: mails the link again.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::views::BothCasings;
use crate::{Context, Hints, Operation, Route};

pub struct ResendVerification;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    verification_sent: bool,
    /// Why no mail was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The token of the mailed link. Only where carriers are simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_verification_token: Option<String>,
}

impl Operation for ResendVerification {
    const NAME: &'static str = "resend_verification";
    const TITLE: &'static str = "Repeat the verification mail";
    const DESCRIPTION: &'static str = "Mails the verification link of a pending organization again. Needs no token.";
    const SCOPE: Scope = Scope::Anyone;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/{orgId}/resend-verification",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AlreadyVerified]];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let accounts = &context.product.accounts;
        accounts
            .take_open_request("resend", context.request.headers.client)
            .await?;
        let resent = accounts.resend_verification(&OrgId::from(args.org_id)).await?;
        Ok(BothCasings(Output {
            verification_sent: resent.verification_sent,
            reason: resent.reason,
            dev_verification_token: resent.dev_verification_token,
        }))
    }
}
