//! `comms_register_number`: registers a brand, a campaign or a toll-free number.

use butt_dial_domain::{Code, Failure, Scope, ports::registrations::RegistrationKind};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::views::RegisteredView;
use crate::{Context, Hints, Operation, Route, errors, named_values::JsonObject};

pub struct RegisterNumber;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    kind: RegistrationKind,
    /// The data that the provider reviews. brand: customerProfileId, a2pProfileId. campaign: description, messageFlow, messageSamples,
    /// useCase. tollfree: number, businessName, businessWebsite, notificationEmail, useCaseCategories, useCaseSummary, messageSample,
    /// optInImageUrls, optInType, messageVolume.
    data: JsonObject,
    /// The agent with the numbers of a brand or campaign, where each agent has an account at the provider.
    #[serde(default, rename = "agentId")]
    agent_id: Option<String>,
}

impl Operation for RegisterNumber {
    const NAME: &'static str = "comms_register_number";
    const TITLE: &'static str = "Register US numbers";
    const DESCRIPTION: &'static str = "Registers what your organization sends from US numbers: its brand, then a campaign for long codes, or the \
        verification of a toll-free number. Carriers in the US block texts of numbers without it. The provider takes days; \
        comms_list_registrations shows the state. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/registrations",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::PROVISIONING, &[Code::AgentNotFound, Code::Conflict]];

    type Args = Args;
    type Output = RegisteredView;

    async fn run(context: Context, args: Args) -> Result<RegisteredView, Failure> {
        let registrations = &context.product.registrations;
        let agent = match &args.agent_id {
            Some(named) => Some(context.product.agents.get(&context.caller, named).await?.agent.id),
            None => None,
        };
        let registered = registrations
            .register(&context.caller, args.kind, agent.as_ref(), Value::Object(args.data.0))
            .await?;
        Ok(registered.into())
    }
}
