//! `PATCH /api/v1/registrations/{registrationId}`: submits a failed brand or toll-free verification again.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::views::RegisteredView;
use crate::{Context, Hints, Operation, Route, errors};

pub struct UpdateRegistration;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    registration_id: String,
    /// All data of the registration, with the changes. Absent: as it was; the profiles of a brand are changed at the provider.
    #[serde(default)]
    data: Option<Map<String, Value>>,
}

impl Operation for UpdateRegistration {
    const NAME: &'static str = "update_registration";
    const TITLE: &'static str = "Submit a registration again";
    const DESCRIPTION: &'static str =
        "Submits a failed brand or toll-free verification again, the latter with changed data. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "PATCH",
        path: "/api/v1/registrations/{registrationId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::PROVISIONING, &[Code::Conflict]];

    type Args = Args;
    type Output = RegisteredView;

    async fn run(context: Context, args: Args) -> Result<RegisteredView, Failure> {
        let registrations = &context.product.registrations;
        let changed = args.data.map(Value::Object);
        let again = registrations
            .resubmit(&context.caller, &args.registration_id, changed)
            .await?;
        Ok(again.into())
    }
}
