//! `GET /api/v1/registrations/requirements`: the registrations that a number needs before it may send texts.

use butt_dial_accounts::requirements_of;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::{RequirementView, number_kind};
use crate::{Context, Hints, Operation, Route};

pub struct GetRequirements;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// Two letters, such as US (the default).
    #[serde(default)]
    country: Option<String>,
    /// local (the default), mobile or toll_free.
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    country: String,
    requirements: Vec<RequirementView>,
}

impl Operation for GetRequirements {
    const NAME: &'static str = "get_registration_requirements";
    const TITLE: &'static str = "What a number needs";
    const DESCRIPTION: &'static str =
        "Lists the registrations that a number of a country needs before it may send texts. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/registrations/requirements",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(_context: Context, args: Args) -> Result<Output, Failure> {
        let country = args
            .country
            .unwrap_or_else(|| "US".to_owned())
            .trim()
            .to_ascii_uppercase();
        let kind = number_kind(args.kind.as_deref())?;
        Ok(Output {
            requirements: requirements_of(&country, kind)
                .iter()
                .map(RequirementView::from)
                .collect(),
            country,
        })
    }
}
