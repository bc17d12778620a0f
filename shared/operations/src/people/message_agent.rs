//! `comms_message_agent`: writes to an agent of the same organization.

use butt_dial_accounts::People;
use butt_dial_domain::{Channel, Code, Failure, Scope, bounds};
use butt_dial_messaging::SendRequest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, errors};

pub struct MessageAgent;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The id or the name of the agent.
    to_agent: String,
    #[schemars(extend("examples" = ["Please call Ann back."]))]
    #[schemars(length(max = bounds::INTERNAL_TEXT))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    body: String,
    /// A repeated request with the same key sends nothing and returns the first result.
    #[serde(default)]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    idempotency_key: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    message_id: String,
    status: &'static str,
    to_agent: String,
    agent_name: String,
    /// Absent: you share none, and the message came without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<Channel>,
}

impl Operation for MessageAgent {
    const NAME: &'static str = "comms_message_agent";
    const TITLE: &'static str = "Write to a colleague";
    const DESCRIPTION: &'static str = "Sends a text to an agent of your organization, by id or name. It arrives as an event like any message, and costs nothing. \
        [scope: agent]";
    const BRIEF: &'static str = "Writes to an agent of your organization.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;
    const ALIASES: &'static [(&'static str, &'static str)] = &[("to", "toAgent"), ("message", "body")];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let own = context.caller.agent()?.clone();
        let colleague = context
            .product
            .people
            .find_colleague(&context.caller, &args.to_agent)
            .await?;
        let (to_agent, agent_name) = (
            colleague.agent.id.host_id().to_owned(),
            colleague.agent.display_name.clone(),
        );
        let outbound = &context.product.outbound;
        let Some(channel) = People::shared_channel(&own, &colleague) else {
            let key = args.idempotency_key.as_deref();
            let message = outbound
                .write_to_colleague(&context.caller, &colleague, &args.body, key)
                .await?;
            return Ok(Output {
                message_id: message.into_string(),
                status: "accepted",
                to_agent,
                agent_name,
                channel: None,
            });
        };
        let address = colleague.channel(channel).map(|owned| owned.address.clone());
        let request = SendRequest {
            body: Some(args.body),
            colleague: Some(to_agent.clone()),
            idempotency_key: args.idempotency_key,
            ..SendRequest::new(context.caller.clone(), channel, &address.unwrap_or_default())
        };
        let receipt = outbound.send(request).await?;
        Ok(Output {
            message_id: receipt.message.into_string(),
            status: receipt.status.for_agent(),
            to_agent,
            agent_name,
            channel: Some(channel),
        })
    }
}
