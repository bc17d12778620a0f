//! `comms_list_refusals`: messages and calls that rules have refused.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Context, Hints, Operation, Route, views::time};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListRefusals;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The id of a rule.
    #[serde(default)]
    rule: Option<String>,
    /// nextCursor of the page before.
    #[serde(default)]
    before: Option<String>,
    /// 1 to 200; the default is 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
    /// For administrators: the refusals of one agent. The default is all.
    #[serde(default)]
    agent_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Newest first.
    refusals: Vec<RefusalView>,
    /// Present when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusalView {
    refusal_id: String,
    agent_id: String,
    channel: String,
    /// Masked.
    to: String,
    purpose: String,
    rule: String,
    code: String,
    /// The findings of rules, the most severe first.
    findings: Value,
    /// The facts that the rules decided on.
    facts: Value,
    rule_set: String,
    at: String,
}

impl Operation for ListRefusals {
    const NAME: &'static str = "comms_list_refusals";
    const TITLE: &'static str = "List refused messages";
    const DESCRIPTION: &'static str = "Lists messages and calls that rules of compliance have refused, newest first, with the fact that each rule decided on. An \
        agent sees its own. [scope: agent]";
    const BRIEF: &'static str = "Lists your messages and calls that compliance rules refused.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/refusals",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let org = context.caller.org()?;
        let agent = match (&context.caller.profile, args.agent_id) {
            (Some(own), _) => Some(own.agent.id.clone()),
            (None, Some(named)) => Some(context.product.agents.get(&context.caller, &named).await?.agent.id),
            (None, None) => None,
        };
        let (rule, before) = (args.rule.as_deref(), args.before.as_deref());
        // One more shows whether there is a next page.
        let history = &context.product.rule_history;
        let mut found = history
            .list_refusals(org, agent.as_ref(), rule, before, limit + 1)
            .await?;
        let has_more = found.len() > limit as usize;
        found.truncate(limit as usize);
        Ok(Output {
            next_cursor: found.last().filter(|_| has_more).map(|last| last.id.clone()),
            refusals: found.into_iter().map(view).collect::<Result<_, _>>()?,
        })
    }
}

fn view(refusal: butt_dial_compliance::Refusal) -> Result<RefusalView, Failure> {
    let mut ruling: Value = serde_json::from_str(&refusal.ruling).map_err(|_| Failure::internal())?;
    Ok(RefusalView {
        findings: ruling["findings"].take(),
        facts: ruling["facts"].take(),
        rule_set: ruling["ruleSet"].as_str().unwrap_or_default().to_owned(),
        refusal_id: refusal.id,
        agent_id: butt_dial_domain::AgentId::from(refusal.agent_id).host_id().to_owned(),
        channel: refusal.channel,
        to: refusal.recipient,
        purpose: refusal.send_purpose,
        rule: refusal.rule,
        code: refusal.code,
        at: time(refusal.created_at),
    })
}
