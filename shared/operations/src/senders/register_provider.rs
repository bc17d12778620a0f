//! `comms_register_provider`: registers an account of the organization at a vendor.

use butt_dial_accounts::NewAccount;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::provider_view::ProviderView;
use crate::{Context, Hints, Operation, Route, named_values::NamedValues};

pub struct RegisterProvider;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    #[schemars(extend("enum" = ["twilio", "resend", "meta", "line", "anthropic", "openai", "elevenlabs", "deepgram"]))]
    provider: String,
    /// The provider's fields, such as accountSid and authToken.
    credentials: NamedValues,
    /// false: store the account without a check; it is not used until it is registered again. The default is true.
    #[serde(default)]
    auto_verify: Option<bool>,
    #[serde(default)]
    label: Option<String>,
}

impl Operation for RegisterProvider {
    const NAME: &'static str = "comms_register_provider";
    const TITLE: &'static str = "Register a provider account";
    const DESCRIPTION: &'static str = "Registers your organization's own account at a provider, or replaces its credentials. They are checked with the \
        provider, encrypted, and never shown again. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/providers",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[
        Code::ProviderUnsupported,
        Code::ProviderMisconfigured,
        Code::AlreadyExists,
        Code::Conflict,
    ]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = ProviderView;

    async fn run(context: Context, args: Args) -> Result<ProviderView, Failure> {
        let new = NewAccount {
            vendor: &args.provider,
            credentials: &args.credentials.0,
            label: args.label.as_deref(),
            verify: args.auto_verify.unwrap_or(true),
        };
        let account = context.product.provider_accounts.register(&context.caller, new).await?;
        Ok(account.into())
    }
}
