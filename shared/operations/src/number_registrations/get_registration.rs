//! `GET /api/v1/registrations/{registrationId}`: a registration with its state at the provider.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::views::RegisteredView;
use crate::{Context, Hints, Operation, Route};

pub struct GetRegistration;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    registration_id: String,
}

impl Operation for GetRegistration {
    const NAME: &'static str = "get_registration";
    const TITLE: &'static str = "A registration of US numbers";
    const DESCRIPTION: &'static str = "Returns a brand, a campaign or a toll-free verification with its state at the provider. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/registrations/{registrationId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = RegisteredView;

    async fn run(context: Context, args: Args) -> Result<RegisteredView, Failure> {
        let registrations = &context.product.registrations;
        Ok(registrations.get(&context.caller, &args.registration_id).await?.into())
    }
}
