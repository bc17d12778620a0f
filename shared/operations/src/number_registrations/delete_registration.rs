//! `DELETE /api/v1/registrations/{registrationId}`: removes a registration at the provider and here.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct DeleteRegistration;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    registration_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    success: bool,
    id: String,
}

impl Operation for DeleteRegistration {
    const NAME: &'static str = "delete_registration";
    const TITLE: &'static str = "Remove a registration";
    const DESCRIPTION: &'static str = "Removes a campaign or a toll-free verification at the provider and here; its numbers then can't send texts in the \
        US. The provider keeps brands: only a failed one is removed, and only here. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/v1/registrations/{registrationId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[
        Code::NotFound,
        Code::Conflict,
        Code::ProviderRefused,
        Code::ProviderMisconfigured,
    ]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let registrations = &context.product.registrations;
        registrations.remove(&context.caller, &args.registration_id).await?;
        Ok(Output {
            success: true,
            id: args.registration_id,
        })
    }
}
