//! `POST /api/v1/rules/replay`: decisions of the past by other rules.

use butt_dial_compliance::{ReplayRange, RuleSet};
use butt_dial_domain::{Code, Failure, Scope};
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, views::time};

const DEFAULT_DAYS: i64 = 30;
/// A request answers within seconds. `butt-dial rules replay` has no limit.
const MAX_ROWS: u64 = 100_000;

pub struct ReplayRules;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The text of a rule set, in the form of `deploy/rules/*.toml`. It replaces all rules.
    rules: String,
    /// In RFC 3339. The default is 30 days ago.
    #[serde(default)]
    since: Option<DateTime<Utc>>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Decisions that were made again.
    examined: u64,
    changed: u64,
    changes: Vec<CountView>,
    /// The first changes.
    examples: Vec<ExampleView>,
    /// False: there are more decisions than one request examines; `butt-dial rules replay` examines all.
    complete: bool,
}

#[derive(Serialize, JsonSchema)]
pub struct CountView {
    was: String,
    becomes: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    count: u64,
}

#[derive(Serialize, JsonSchema)]
pub struct ExampleView {
    /// Of a message, a call or a refusal.
    id: String,
    at: String,
    was: String,
    becomes: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
}

impl Operation for ReplayRules {
    const NAME: &'static str = "replay_rules";
    const TITLE: &'static str = "Replay decisions by other rules";
    const DESCRIPTION: &'static str =
        "Makes the decisions of the past again by another rule set, and returns what would change. Nothing is changed.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/rules/replay",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let rules = RuleSet::parse_text(&args.rules)
            .map_err(|error| Failure::new(Code::InvalidArgument, error.to_string()).hint("correct the rule set"))?;
        let range = ReplayRange {
            org: Some(context.caller.org()?),
            since: args
                .since
                .unwrap_or_else(|| context.product.clock.now() - TimeDelta::days(DEFAULT_DAYS)),
            max_rows: MAX_ROWS,
        };
        let replay = context.product.rule_history.replay(&rules, range, |_| {}).await?;
        let counts = replay.counts.into_iter();
        Ok(Output {
            examined: replay.examined,
            changed: replay.changed,
            changes: counts
                .map(|((was, becomes, rule), count)| CountView {
                    was,
                    becomes,
                    rule,
                    count,
                })
                .collect(),
            examples: (replay.examples.into_iter())
                .map(|change| ExampleView {
                    id: change.id,
                    at: time(change.at),
                    was: change.was,
                    becomes: change.becomes,
                    rule: change.rule,
                })
                .collect(),
            complete: replay.stopped_after.is_none(),
        })
    }
}
