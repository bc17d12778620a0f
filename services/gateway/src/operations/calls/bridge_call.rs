//! `comms_bridge_call`: calls two people and connects them. Permanent bridges are not supported.

use butt_dial_calls::originate::{self, OriginateRequest};
use butt_dial_domain::{Code, Failure, Scope, call::Purpose};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::views::PlacedView;
use crate::operations::{Context, Hints, Operation, Route, errors};

pub struct BridgeCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// call. setup, remove and list refer to permanent bridges, which are not supported.
    action: String,
    /// The number to call first, in E.164 form.
    #[serde(default)]
    caller_number: Option<String>,
    /// The number to connect the first person with, in E.164 form.
    #[serde(default)]
    destination_number: Option<String>,
    /// A repeated request with the same key places no second call and returns the first one.
    #[serde(default)]
    idempotency_key: Option<String>,
    /// Accepted and ignored: the call comes from your number.
    #[serde(default)]
    #[expect(dead_code, reason = "clients send it")]
    from_number: Option<String>,
}

impl Operation for BridgeCall {
    const NAME: &'static str = "comms_bridge_call";
    const TITLE: &'static str = "Connect two people";
    const DESCRIPTION: &'static str = "Calls callerNumber from your own number and connects the person with destinationNumber (action: call). You take no part \
        in the call. Permanent bridges (setup, remove, list) are not supported. Returns callId and status. [scope: org-admin]";
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
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND];

    type Args = Args;
    type Output = PlacedView;

    async fn run(context: Context, args: Args) -> Result<PlacedView, Failure> {
        match args.action.as_str() {
            "call" => {}
            "setup" | "remove" | "list" => {
                return Err(
                    Failure::new(Code::NotSupported, "this server does not support permanent bridges")
                        .hint("use the action call for each connection"),
                );
            }
            _ => {
                return Err(Failure::new(
                    Code::InvalidArgument,
                    "action must be one of call, setup, remove, list",
                ));
            }
        }
        let required = |field: &'static str, value: Option<String>| {
            value.ok_or_else(|| {
                Failure::new(Code::MissingFields, format!("{field} is required")).detail("fields", json!([field]))
            })
        };
        let first = required("callerNumber", args.caller_number)?;
        let second = required("destinationNumber", args.destination_number)?;
        let to = originate::check_callee(&context.product.calls, &context.caller, &second).await?;
        let request = OriginateRequest {
            idempotency_key: args.idempotency_key,
            ..OriginateRequest::new(
                context.caller,
                first,
                Purpose::Connect {
                    to: to.as_str().to_owned(),
                },
            )
        };
        Ok(originate::originate(&context.product.calls, request).await?.into())
    }
}
