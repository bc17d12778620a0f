//! `comms_manage_inbound_filter`: the agent's rules for inbound messages.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use butt_dial_messaging::delivery::{InboundFilter, NewFilter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, Hints, Operation, Route, views::time};

pub struct ManageInboundFilter;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// add, list or delete.
    #[schemars(extend("enum" = ["add", "list", "delete"]))]
    operation: String,
    /// For add: sender, keyword or channel.
    #[serde(default)]
    #[schemars(extend("enum" = ["sender", "keyword", "channel"]))]
    filter_type: Option<String>,
    /// For add: an address, or its beginning followed by *; words that occur anywhere in the text or the subject, in any
    /// case; or a channel.
    #[serde(default)]
    #[schemars(length(max = bounds::PATTERN))]
    pattern: Option<String>,
    /// For add: drop (the message is discarded), tag, or mute (the message waits for you and is not pushed).
    #[serde(default)]
    #[schemars(extend("enum" = ["drop", "tag", "mute"]))]
    action: Option<String>,
    /// For the action tag: the tag of the message.
    #[serde(default)]
    tag: Option<String>,
    /// For delete: the id of the filter.
    #[serde(default)]
    filter_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilterView {
    filter_id: String,
    filter_type: String,
    pattern: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    created_at: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The filter that was added or deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_id: Option<String>,
    /// All filters in force.
    filters: Vec<FilterView>,
    count: usize,
}

impl From<InboundFilter> for FilterView {
    fn from(filter: InboundFilter) -> Self {
        Self {
            filter_id: filter.id,
            filter_type: filter.kind,
            pattern: filter.pattern,
            action: filter.action,
            tag: filter.tag,
            created_at: time(filter.created_at),
        }
    }
}

impl Operation for ManageInboundFilter {
    const NAME: &'static str = "comms_manage_inbound_filter";
    const TITLE: &'static str = "Filter inbound messages";
    const DESCRIPTION: &'static str = "Adds, lists or deletes your rules for inbound messages. A rule matches a sender, words or a channel, and drops, tags or \
        mutes the message. Returns all rules in force. [scope: agent]";
    const BRIEF: &'static str = "Manages your rules for inbound messages.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (delivery, agent) = (&context.product.delivery, &context.caller.agent()?.agent.id);
        let filter_id = match args.operation.as_str() {
            "add" => {
                let filter = NewFilter {
                    kind: require("filterType", args.filter_type)?,
                    pattern: require("pattern", args.pattern)?,
                    action: require("action", args.action)?,
                    tag: args.tag,
                };
                Some(delivery.add_filter(agent, filter).await?.id)
            }
            "delete" => {
                let id = require("filterId", args.filter_id)?;
                delivery.delete_filter(agent, &id).await?;
                Some(id)
            }
            "list" => None,
            _ => {
                return Err(Failure::new(
                    Code::InvalidArgument,
                    "operation must be one of add, list, delete",
                ));
            }
        };
        let filters = delivery.list_filters(agent).await?;
        Ok(Output {
            filter_id,
            count: filters.len(),
            filters: filters.into_iter().map(FilterView::from).collect(),
        })
    }
}

fn require(field: &'static str, value: Option<String>) -> Result<String, Failure> {
    value.ok_or_else(|| {
        Failure::new(Code::MissingFields, format!("{field} is required for this operation"))
            .detail("fields", json!([field]))
    })
}
