//! `comms_list_registrations`: the registrations of the organization's US numbers.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::RegisteredView;
use crate::{Context, Hints, Operation, Route};

pub struct ListRegistrations;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    registrations: Vec<RegisteredView>,
    count: usize,
}

impl Operation for ListRegistrations {
    const NAME: &'static str = "comms_list_registrations";
    const TITLE: &'static str = "Registrations of US numbers";
    const DESCRIPTION: &'static str = "Lists the brand, the campaigns and the toll-free verifications of your organization with their state at the \
        provider. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/registrations",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, _args: Args) -> Result<Output, Failure> {
        let all = context.product.registrations.list(&context.caller).await?;
        let registrations: Vec<RegisteredView> = all.into_iter().map(RegisteredView::from).collect();
        Ok(Output {
            count: registrations.len(),
            registrations,
        })
    }
}
