//! `comms_expand_client_pool`: sets how many agents the organization may have, after a preview.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct ExpandClientPool;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// 1 to 10,000.
    #[schemars(range(min = 1, max = bounds::AGENTS))]
    max_agents: u32,
    /// false (the default) shows what would change.
    #[serde(default)]
    confirm: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    preview: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    would_set_max_agents: bool,
    /// The number that would be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_max_agents: Option<u32>,
    /// How many agents the organization may have. Absent: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_agents: Option<u32>,
    /// How many it has.
    agents: u32,
    message: String,
}

impl Operation for ExpandClientPool {
    const NAME: &'static str = "comms_expand_client_pool";
    const TITLE: &'static str = "Set the number of agents";
    const DESCRIPTION: &'static str = "Sets how many agents your organization may have. Without confirm: true it only shows the change. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agents = &context.product.agents;
        let (count, max) = agents.quota(&context.caller).await?;
        let confirmed = args.confirm == Some(true);
        if confirmed {
            agents.set_quota(&context.caller, args.max_agents).await?;
        } else {
            agents.check_quota(args.max_agents)?;
        }
        Ok(Output {
            preview: !confirmed,
            would_set_max_agents: !confirmed,
            new_max_agents: (!confirmed).then_some(args.max_agents),
            max_agents: if confirmed { Some(args.max_agents) } else { max },
            agents: count,
            message: match confirmed {
                true => format!("Your organization may have {} agents.", args.max_agents),
                false => "Nothing was changed. Repeat with confirm: true to set the number of agents.".to_owned(),
            },
        })
    }
}
