//! `comms_list_teams`: the organizations of this installation.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};
use crate::{time, views::BothCasings};

/// A page that is full has a next one. The internal organization may be missing in it.
const PAGE: usize = 999;

pub struct ListTeams;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// nextCursor of the page before.
    #[serde(default)]
    after: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    teams: Vec<BothCasings<Item>>,
    count: usize,
    /// Present when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    id: String,
    org_id: String,
    name: String,
    slug: String,
    status: &'static str,
    mode: &'static str,
    agent_count: i64,
    created_at: String,
}

impl Operation for ListTeams {
    const NAME: &'static str = "comms_list_teams";
    const TITLE: &'static str = "List teams";
    const DESCRIPTION: &'static str = "Lists the organizations of this installation with the number of their agents. Pass nextCursor as after for more. [scope: super-admin]";
    const SCOPE: Scope = Scope::SuperAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/teams",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let accounts = &context.product.accounts;
        let after = args.after.map(OrgId::from);
        let teams = accounts.list_teams(&context.caller, after.as_ref()).await?;
        let next_cursor = teams.get(PAGE - 1).map(|team| team.org.id.to_string());
        let teams: Vec<_> = teams
            .into_iter()
            .map(|team| {
                BothCasings(Item {
                    mode: accounts.effective_mode(&team.org).as_str(),
                    id: team.org.id.to_string(),
                    org_id: team.org.id.into_string(),
                    name: team.org.name,
                    slug: team.org.slug,
                    status: team.org.status.as_str(),
                    agent_count: team.agents,
                    created_at: time(team.org.created_at),
                })
            })
            .collect();
        Ok(Output {
            count: teams.len(),
            teams,
            next_cursor,
        })
    }
}
