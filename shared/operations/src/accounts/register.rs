//! `POST /api/orgs/register`: registers an organization and mails its owner.

use butt_dial_accounts::{Branding, MailTemplate, NewRegistration};
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};
use crate::{time, views::BothCasings};

pub struct Register;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_name: Option<String>,
    owner_email: Option<String>,
    #[serde(default)]
    branding: Option<Branding>,
    /// The page to which the owner's browser returns after the verification. Without a webhook, its fragment gets the token.
    #[serde(default)]
    return_url: Option<String>,
    /// An https URL that receives account.verified with the team token.
    #[serde(default)]
    webhook_url: Option<String>,
    /// The mail in your own words. It contains {{verify_url}}.
    #[serde(default)]
    verification_email: Option<MailTemplate>,
    /// A code of the operator, where registrations need one.
    #[serde(default)]
    invite_code: Option<String>,
    /// The same as the header Idempotency-Key.
    #[serde(default)]
    idempotency_key: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    org_id: String,
    verification_sent: bool,
    /// Why no mail was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Reads the status of the registration, or abandons it.
    poll_token: String,
    /// Verifies the webhook, and reveals the team token again. It is returned only once.
    webhook_secret: String,
    expires_at: String,
    /// The token of the mailed link. Only where carriers are simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_verification_token: Option<String>,
}

impl Operation for Register {
    const NAME: &'static str = "register_organization";
    const TITLE: &'static str = "Register an organization";
    const DESCRIPTION: &'static str = "Registers an organization and mails a verification link to its owner. Needs no token, if the operator allows registrations. The response does not show whether the address has an organization.";
    const SCOPE: Scope = Scope::Anyone;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/register",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[
        Code::RegistrationClosed,
        Code::TemplateMissingVerifyUrl,
        Code::TemplateTooLarge,
        Code::Conflict,
    ]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let (org_name, owner_email) = (filled(args.org_name), filled(args.owner_email));
        let missing: Vec<&str> = [("orgName", &org_name), ("ownerEmail", &owner_email)]
            .into_iter()
            .filter_map(|(field, value)| value.is_none().then_some(field))
            .collect();
        let (Some(org_name), Some(owner_email)) = (org_name, owner_email) else {
            let message = format!("{} is required", missing.join(" and "));
            return Err(Failure::new(Code::MissingFields, message).detail("fields", missing));
        };
        let new = NewRegistration {
            org_name,
            owner_email,
            branding: args.branding,
            return_url: filled(args.return_url),
            webhook_url: filled(args.webhook_url),
            template: args.verification_email,
            invite_code: args.invite_code,
            idempotency_key: args.idempotency_key,
            client: context.request.headers.client,
        };
        let registered = context.product.accounts.register(new).await?;
        Ok(BothCasings(Output {
            org_id: registered.org.into_string(),
            verification_sent: registered.verification_sent,
            reason: registered.reason,
            poll_token: registered.poll_token,
            webhook_secret: registered.webhook_secret,
            expires_at: time(registered.expires_at),
            dev_verification_token: registered.dev_verification_token,
        }))
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}
