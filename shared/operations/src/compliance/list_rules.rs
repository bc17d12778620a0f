//! `GET /api/v1/rules`: the rules of compliance in force.

use butt_dial_compliance::Rule;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct ListRules;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Changes with the text of any rule.
    version: String,
    /// In the order of their evaluation.
    rules: Vec<RuleView>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleView {
    id: String,
    version: u32,
    evaluator: &'static str,
    severity: &'static str,
    /// Empty: everywhere.
    jurisdictions: Vec<String>,
    /// Empty: all channels.
    channels: Vec<&'static str>,
    /// Empty: all purposes.
    purposes: Vec<&'static str>,
    /// Purposes for which the rule only advises.
    advise_for: Vec<&'static str>,
    /// Allowed hours in the local time of the recipient.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hours: Vec<String>,
    /// The law or the contract that the rule comes from.
    source: String,
    /// When the rule was last compared with its source.
    reviewed: String,
}

impl Operation for ListRules {
    const NAME: &'static str = "list_rules";
    const TITLE: &'static str = "List the rules of compliance";
    const DESCRIPTION: &'static str =
        "Lists the rules of compliance in force, with their sources. `deploy/rules` has their text.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/rules",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, _: Args) -> Result<Output, Failure> {
        let rules = context.product.rule_history.rule_set();
        Ok(Output {
            version: rules.version().to_owned(),
            rules: rules.rules().iter().map(|rule| view(rule)).collect(),
        })
    }
}

fn view(rule: &Rule) -> RuleView {
    RuleView {
        id: rule.id.to_string(),
        version: rule.version,
        evaluator: rule.evaluator.into(),
        severity: rule.severity.into(),
        jurisdictions: rule.jurisdictions.clone(),
        channels: rule.channels.iter().map(|channel| channel.as_str()).collect(),
        purposes: rule.purposes.iter().map(|purpose| purpose.as_str()).collect(),
        advise_for: rule.advise_for.iter().map(|purpose| purpose.as_str()).collect(),
        hours: rule.hours.clone(),
        source: rule.source.clone(),
        reviewed: rule.reviewed.to_string(),
    }
}
