//! `comms_get_message_status`: what became of a message.

use butt_dial_comms::outbound::announce::UNCONFIRMED;
use butt_dial_domain::{Channel, Code, Failure, Scope, message::Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::time};

pub struct GetMessageStatus;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The messageId that comms_send_message returned, or the carrier's id.
    #[serde(alias = "messageId")]
    external_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    message_id: String,
    /// pending, accepted, failed or unconfirmed.
    status: &'static str,
    channel: Channel,
    to: String,
    provider: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_status: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// What the compliance stage said: allow or advise.
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<i64>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    attempts: i64,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<&'static str>,
}

impl Operation for GetMessageStatus {
    const NAME: &'static str = "comms_get_message_status";
    const TITLE: &'static str = "Status of a message";
    const DESCRIPTION: &'static str =
        "Returns what became of one of your messages: pending, accepted, failed or unconfirmed. [scope: agent]";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/messages/{externalId}",
        status: 200,
    });

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent.id;
        let message = context.comms.find_message(agent, &args.external_id).await?;
        let message =
            message.ok_or_else(|| Failure::new(Code::MessageNotFound, "you have sent no message with this id"))?;
        Ok(Output {
            status: message.status.for_agent(),
            remediation: (message.status == Status::Unconfirmed).then_some(UNCONFIRMED),
            message_id: message.id.into_string(),
            channel: message.channel,
            to: message.recipient,
            provider: message.carrier,
            provider_message_id: message.carrier_id,
            provider_status: message.carrier_status,
            code: message.failure,
            verdict: message.verdict,
            rule: message.rule,
            segments: message.segments,
            cost: message.cost.map(|micros| butt_dial_domain::Micros(micros).as_units()),
            attempts: message.attempts,
            created_at: time(message.created_at),
            updated_at: time(message.updated_at),
        })
    }
}
