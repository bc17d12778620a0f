//! `GET /api/orgs/me`: the account of the caller's organization.

use butt_dial_accounts::phone_hint;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};
use crate::{time, views::BothCasings};

pub struct GetAccount;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    org_id: String,
    name: String,
    slug: String,
    owner_email: Option<String>,
    /// The confirmed telephone number, masked.
    owner_phone_hint: Option<String>,
    /// sandbox (simulated carriers) or live.
    mode: &'static str,
    status: &'static str,
    webhook_url: Option<String>,
    terms_version: Option<String>,
    verified_at: Option<String>,
    created_at: String,
}

impl Operation for GetAccount {
    const NAME: &'static str = "get_account";
    const TITLE: &'static str = "My organization";
    const DESCRIPTION: &'static str =
        "Returns the account of the organization: its owner, mode and status. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/orgs/me",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let Args {} = args;
        let accounts = &context.product.accounts;
        let org = accounts.account(&context.caller).await?;
        Ok(BothCasings(Output {
            mode: accounts.effective_mode(&org).as_str(),
            org_id: org.id.into_string(),
            name: org.name,
            slug: org.slug,
            owner_email: org.owner_email,
            owner_phone_hint: org.admin_phone.as_deref().map(phone_hint),
            status: org.status.as_str(),
            webhook_url: org.webhook_url,
            terms_version: org.terms_version,
            verified_at: org.verified_at.map(time),
            created_at: time(org.created_at),
        }))
    }
}
