//! `comms_get_message_status`: the status of a sent or scheduled message.

use butt_dial_domain::{Channel, Code, Failure, Scope, inbound::DeliveryStatus, message::Status};
use butt_dial_messaging::{
    inbound::status_label,
    outbound::{Message, ScheduledSend, UNCONFIRMED_HINT},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::time};

pub struct GetMessageStatus;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The messageId that comms_send_message returned, or the carrier's id.
    external_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    message_id: String,
    /// scheduled, pending, accepted, sent, delivered, read, failed or unconfirmed.
    status: &'static str,
    channel: Channel,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_status: Option<String>,
    /// The carrier's error code, when the carrier reported a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_code: Option<String>,
    /// When the message is sent, while it is scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<String>,
    /// The code of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The verdict of the compliance stage: allow or advise.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<i64>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<String>,
    /// All messages of a text that was sent in parts, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part>,
    attempts: i64,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<&'static str>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    message_id: String,
    status: &'static str,
    /// The code of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl Operation for GetMessageStatus {
    const NAME: &'static str = "comms_get_message_status";
    const TITLE: &'static str = "Status of a message";
    const DESCRIPTION: &'static str = "Returns the status of one of your messages or calls: scheduled, pending_approval, pending, accepted, sent, delivered, read, failed or \
        unconfirmed. Use it when comms_send_message returned pending. [scope: agent]";
    const BRIEF: &'static str = "Returns the status of a message or call by messageId.";
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
    const ERRORS: &'static [&'static [Code]] = &[&[Code::MessageNotFound]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (outbound, agent) = (&context.product.outbound, &context.caller.agent()?.agent.id);
        if let Some(message) = outbound.find_message(agent, &args.external_id).await? {
            let further = outbound.find_further_parts(agent, &message).await?;
            let parts = match further.is_empty() {
                true => Vec::new(),
                false => std::iter::once(&message).chain(&further).map(part).collect(),
            };
            return Ok(Output {
                parts,
                ..view_sent(message)
            });
        }
        match outbound.find_scheduled(agent, &args.external_id).await? {
            Some(scheduled) => view_scheduled(scheduled),
            None => Err(Failure::new(Code::MessageNotFound, "there is no message with this id")),
        }
    }
}

/// Returns the status that the carrier reports. It overrides the status of the send.
fn reported(message: &Message) -> Option<&'static str> {
    let stage = message.stage.as_deref().and_then(DeliveryStatus::parse);
    stage.and_then(status_label)
}

fn part(message: &Message) -> Part {
    Part {
        message_id: message.id.as_str().to_owned(),
        status: reported(message).unwrap_or_else(|| message.status.for_agent()),
        code: message.failure.clone(),
    }
}

fn view_sent(message: Message) -> Output {
    let reported = reported(&message);
    Output {
        parts: Vec::new(),
        status: reported.unwrap_or_else(|| message.status.for_agent()),
        remediation: (message.status == Status::Unconfirmed && reported.is_none()).then_some(UNCONFIRMED_HINT),
        message_id: message.id.into_string(),
        channel: message.channel,
        to: message.recipient,
        provider: Some(message.carrier),
        provider_message_id: message.carrier_id,
        provider_status: message.stage.or(message.carrier_status),
        provider_code: message.stage_error,
        scheduled_at: None,
        code: message.failure,
        verdict: Some(message.verdict),
        rule: message.rule,
        segments: message.segments,
        cost: message.cost.map(|micros| butt_dial_domain::Micros(micros).as_units()),
        task_id: message.thread.task_id,
        attempts: message.attempts,
        created_at: time(message.created_at),
        updated_at: time(message.updated_at),
    }
}

fn view_scheduled(scheduled: ScheduledSend) -> Result<Output, Failure> {
    let (is_open, is_held) = (scheduled.is_open(), scheduled.is_held());
    Ok(Output {
        message_id: scheduled.id().into_string(),
        status: match (is_held, is_open) {
            (true, _) => Status::Held.as_str(),
            (false, true) => Status::Scheduled.as_str(),
            (false, false) => Status::Failed.as_str(),
        },
        channel: Channel::parse(&scheduled.channel).ok_or_else(Failure::internal)?,
        to: scheduled.recipient,
        provider: None,
        provider_message_id: None,
        provider_status: None,
        provider_code: None,
        scheduled_at: is_open.then(|| time(scheduled.due_at)),
        code: scheduled.failure,
        verdict: None,
        rule: None,
        segments: None,
        cost: None,
        task_id: None,
        parts: Vec::new(),
        attempts: scheduled.tries,
        created_at: time(scheduled.created_at),
        updated_at: time(scheduled.created_at),
        remediation: None,
    })
}
