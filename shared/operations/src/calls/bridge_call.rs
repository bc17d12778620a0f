//! `comms_bridge_call`: calls two people and connects them, now or whenever one of them calls a number of the agent.

use butt_dial_calls::{
    bridges::{self, CallBridge, NewBridge},
    originate::{self, OriginateRequest},
};
use butt_dial_domain::{Code, Failure, Scope, call::Purpose};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::views::PlacedView;
use crate::{Context, Hints, Operation, Route, errors, time};

pub struct BridgeCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    #[schemars(extend("enum" = ["call", "setup", "remove", "list"]))]
    action: String,
    /// call: the number to call first, in E.164 form.
    #[serde(default)]
    caller_number: Option<String>,
    /// The number to connect the first person with, in E.164 form.
    #[serde(default)]
    destination_number: Option<String>,
    /// setup: the caller that the bridge applies to; the default is every caller.
    #[serde(default)]
    from_number: Option<String>,
    /// setup: the number of yours that is called; the default is the one that you have.
    #[serde(default)]
    local_number: Option<String>,
    #[serde(default)]
    label: Option<String>,
    /// remove: the bridge. call: uses its destination.
    #[serde(default)]
    bridge_id: Option<String>,
    /// A repeated request with the same key places no second call and returns the first one.
    #[serde(default)]
    idempotency_key: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BridgeView {
    bridge_id: String,
    local_number: String,
    /// Absent: every caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_number: Option<String>,
    destination_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    created_at: String,
}

impl From<CallBridge> for BridgeView {
    fn from(bridge: CallBridge) -> Self {
        Self {
            bridge_id: bridge.id,
            local_number: bridge.local_number,
            from_number: bridge.from_number,
            destination_number: bridge.destination,
            label: bridge.label,
            created_at: time(bridge.created_at),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Output {
    Placed(PlacedView),
    /// setup, and remove with `removed`.
    Bridge {
        success: bool,
        #[serde(flatten)]
        bridge: BridgeView,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        removed: bool,
    },
    List {
        bridges: Vec<BridgeView>,
        count: usize,
    },
}

impl Operation for BridgeCall {
    const NAME: &'static str = "comms_bridge_call";
    const TITLE: &'static str = "Connect two people";
    const DESCRIPTION: &'static str = "Calls callerNumber from your own number and connects the person with destinationNumber (action: call). setup connects \
        all later calls to your number with destinationNumber; list and remove show and end that. You take no part in these calls. \
        [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/calls/bridge",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND, &[Code::AlreadyExists, Code::NotFound]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let calls = &context.product.calls;
        match args.action.as_str() {
            "call" => place(context, args).await.map(Output::Placed),
            "setup" => {
                let destination = required("destinationNumber", args.destination_number)?;
                let new = NewBridge {
                    from: args.from_number.as_deref(),
                    local: args.local_number.as_deref(),
                    destination: &destination,
                    label: args.label.as_deref(),
                };
                let bridge = bridges::set_up(calls, &context.caller, new).await?;
                Ok(Output::Bridge {
                    success: true,
                    bridge: bridge.into(),
                    removed: false,
                })
            }
            "remove" => {
                let id = required("bridgeId", args.bridge_id)?;
                let bridge = bridges::remove(calls, &context.caller, &id).await?;
                Ok(Output::Bridge {
                    success: true,
                    bridge: bridge.into(),
                    removed: true,
                })
            }
            "list" => {
                let all = bridges::list(calls, &context.caller).await?;
                let bridges: Vec<BridgeView> = all.into_iter().map(BridgeView::from).collect();
                Ok(Output::List {
                    count: bridges.len(),
                    bridges,
                })
            }
            _ => Err(Failure::new(
                Code::InvalidArgument,
                "action must be one of call, setup, remove, list",
            )),
        }
    }
}

async fn place(context: Context, args: Args) -> Result<PlacedView, Failure> {
    let calls = &context.product.calls;
    let destination = match (args.destination_number, args.bridge_id) {
        (None, Some(id)) => Some(bridges::get(calls, &context.caller, &id).await?.destination),
        (destination, _) => destination,
    };
    let first = required("callerNumber", args.caller_number)?;
    let second = required("destinationNumber", destination)?;
    let to = originate::check_callee(calls, &context.caller, &second).await?;
    let request = OriginateRequest {
        idempotency_key: args.idempotency_key,
        ..OriginateRequest::new(
            context.caller.clone(),
            first,
            Purpose::Connect {
                to: to.as_str().to_owned(),
            },
        )
    };
    Ok(originate::originate(calls, request).await?.into())
}

fn required(field: &'static str, value: Option<String>) -> Result<String, Failure> {
    value.ok_or_else(|| {
        Failure::new(Code::MissingFields, format!("{field} is required")).detail("fields", json!([field]))
    })
}
