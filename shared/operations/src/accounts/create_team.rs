//! `comms_create_team`: creates an organization.

use butt_dial_accounts::NewTeamRequest;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};
use crate::{named_values::JsonObject, views::BothCasings};
use serde_json::Value;

pub struct CreateTeam;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    name: String,
    /// Lower-case letters, digits and hyphens; unique.
    slug: String,
    /// Settings of the host: an object, or its JSON.
    #[serde(default)]
    settings: Option<JsonObject>,
    /// The owner, who confirms an erasure.
    #[serde(default)]
    owner_email: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    team_id: String,
    org_id: String,
    name: String,
    slug: String,
    team_token: String,
    token: String,
}

impl Operation for CreateTeam {
    const NAME: &'static str = "comms_create_team";
    const TITLE: &'static str = "Create a team";
    const DESCRIPTION: &'static str =
        "Creates an organization with a token of its administrators, which is returned only once. [scope: super-admin]";
    const SCOPE: Scope = Scope::SuperAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/teams",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AlreadyExists]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let settings = args.settings.map(|settings| Value::Object(settings.0));
        let new = NewTeamRequest {
            name: &args.name,
            slug: &args.slug,
            owner_email: args.owner_email.as_deref(),
            settings: settings.as_ref(),
        };
        let created = context.product.accounts.create_team(&context.caller, new).await?;
        let id = created.org.into_string();
        Ok(BothCasings(Output {
            success: true,
            team_id: id.clone(),
            org_id: id,
            name: args.name,
            slug: args.slug,
            team_token: created.team_token.clone(),
            token: created.team_token,
        }))
    }
}
