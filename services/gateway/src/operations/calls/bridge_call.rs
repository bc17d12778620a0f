//! `comms_bridge_call`: two people are called and connected. Standing bridges are not kept here.

use butt_dial_comms::calls::place::{self, PlaceRequest};
use butt_dial_domain::{Code, Failure, Scope, call::Purpose};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::views::PlacedView;
use crate::operations::{Context, Hints, Operation, Route};

pub struct BridgeCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// call. setup, remove and list would be about standing bridges, which are not offered.
    action: String,
    /// Who is called first, in E.164 form.
    #[serde(default, alias = "caller_number", alias = "localNumber", alias = "local_number")]
    caller_number: Option<String>,
    /// With whom they are connected once they answer, in E.164 form.
    #[serde(default, alias = "destination_number")]
    destination_number: Option<String>,
    /// The same key calls once: a repeat returns the first call.
    #[serde(default, alias = "idempotency_key")]
    idempotency_key: Option<String>,
    /// Taken, and not used: the call comes from your own number.
    #[serde(default, alias = "from_number")]
    #[expect(dead_code, reason = "clients send it")]
    from_number: Option<String>,
}

impl Operation for BridgeCall {
    const NAME: &'static str = "comms_bridge_call";
    const TITLE: &'static str = "Connect two people";
    const DESCRIPTION: &'static str = "Calls callerNumber from your own number and connects them with destinationNumber (action: call). \
        You take no part in it. Standing bridges (setup, remove, list) are not offered. [scope: org-admin]";
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

    type Args = Args;
    type Output = PlacedView;

    async fn run(context: Context, args: Args) -> Result<PlacedView, Failure> {
        match args.action.as_str() {
            "call" => {}
            "setup" | "remove" | "list" => {
                return Err(
                    Failure::new(Code::NotSupported, "standing bridges are not offered by this server")
                        .remedy("use the action call each time that two people are to be connected"),
                );
            }
            _ => {
                return Err(Failure::new(
                    Code::InvalidArgument,
                    "action is one of call, setup, remove, list",
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
        let to = place::may_be_called(&context.comms, &context.caller, &second).await?;
        let request = PlaceRequest {
            idempotency_key: args.idempotency_key,
            ..PlaceRequest::new(
                context.caller,
                first,
                Purpose::Connect {
                    to: to.as_str().to_owned(),
                },
            )
        };
        Ok(place::place(&context.comms, request).await?.into())
    }
}
