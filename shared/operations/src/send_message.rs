//! `comms_send_message`: sends a message through the outbound pipeline.

use std::borrow::Cow;

use butt_dial_domain::{Channel, Code, Failure, Scope, SendPurpose, bounds, message::ThreadRef};
use butt_dial_messaging::{Allowance, MailRequest, SendReceipt, SendRequest, is_conversation};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, compliance, errors, named_values::NamedValues, views::time};

pub struct SendMessage;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// A telephone number in E.164 form (+14155550123) for sms and whatsapp, an address for email, or the id of an agent of
    /// your organization.
    #[schemars(extend("x-brief" = "E.164 number, mail address or agent id."))]
    #[schemars(extend("examples" = ["+14155550123"]))]
    to: String,
    /// The default is whatsapp.
    #[serde(default)]
    #[schemars(with = "Option<MessageChannel>")]
    #[schemars(extend("x-brief" = "Default whatsapp."))]
    channel: Option<String>,
    /// The text. Body, media or a template is required.
    #[serde(default)]
    #[schemars(extend("examples" = ["Your table is ready."]))]
    #[schemars(length(max = bounds::MAIL_TEXT))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    body: Option<String>,
    /// E-mail only.
    #[serde(default)]
    #[schemars(extend("examples" = ["Your order"]))]
    #[schemars(length(max = bounds::SUBJECT))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    subject: Option<String>,
    /// E-mail only: the text as HTML.
    #[serde(default)]
    #[schemars(length(max = bounds::MAIL_TEXT))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    html: Option<String>,
    /// E-mail only: further recipients.
    #[serde(default)]
    #[schemars(length(max = bounds::FURTHER_RECIPIENTS))]
    cc: Vec<String>,
    /// E-mail only: recipients that others do not see.
    #[serde(default)]
    #[schemars(length(max = bounds::FURTHER_RECIPIENTS))]
    bcc: Vec<String>,
    /// E-mail only: the address for answers.
    #[serde(default)]
    reply_to: Option<String>,
    /// E-mail only: X-… and a few others, such as Importance.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    headers: NamedValues,
    /// Public http(s) URLs, at most ten.
    #[serde(default)]
    #[schemars(extend("x-brief" = "Public URLs."))]
    #[schemars(extend("examples" = [["https://example.com/menu.pdf"]]))]
    #[schemars(length(max = bounds::MEDIA), inner(length(max = bounds::MEDIA_URL)))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    media: Vec<String>,
    /// A template that the carrier has approved, for Meta with its languages in the order to try: booking:pt_BR,pt,en. Required on WhatsApp when the person has not written within 24 hours.
    #[serde(default)]
    #[schemars(extend("x-brief" = "On WhatsApp required 24 hours after the last message."))]
    #[schemars(extend("examples" = ["booking:pt_BR,pt,en"]))]
    #[schemars(length(max = bounds::TEMPLATE))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    template_id: Option<String>,
    /// Values of the template's variables, by name.
    #[serde(default)]
    template_variables: NamedValues,
    /// A repeated request with the same key sends nothing and returns the first result. Use a new key for every new message.
    #[serde(default)]
    #[schemars(extend("examples" = ["order-7-ready"]))]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    idempotency_key: Option<String>,
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(length(max = bounds::NAME))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    sender_name: Option<String>,
    /// One of your addresses. The default is your address on the channel.
    #[serde(default)]
    sender_sid: Option<String>,
    #[serde(default)]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    thread_id: Option<String>,
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    entity_id: Option<String>,
    /// The message that this one answers: the messageId of an event, or the Message-ID of a mail.
    #[serde(default)]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    reply_msg_id: Option<String>,
    /// The task that this is charged to, besides your account: 1 to 64 letters, digits, -, _, . or :.
    #[serde(default)]
    #[schemars(length(max = bounds::TASK))]
    task_id: Option<String>,
    /// Why you send it. The laws about hours, consent and frequency depend on it: a marketing message outside the allowed hours waits
    /// for them. The default is inferred.
    #[serde(default)]
    #[schemars(with = "Option<SendPurpose>")]
    purpose: Option<String>,
    /// For administrators: the agent to send as.
    #[serde(default)]
    agent_id: Option<String>,
    /// When to send, in RFC 3339 (2026-12-24T18:00:00Z), within a year. The default is now.
    #[serde(default)]
    #[schemars(extend("examples" = ["2026-12-24T18:00:00Z"]))]
    scheduled_at: Option<DateTime<Utc>>,
    /// true: a temporary refusal by the carrier or a limit is retried for up to an hour; the status is then scheduled, and
    /// the outcome follows as an event. false: the refusal is returned at once.
    #[serde(default)]
    #[schemars(extend("x-brief" = "Retry a temporary refusal."))]
    retry: bool,
    /// A text that is too long for one SMS, WhatsApp or LINE message: refuse (the default), or split. Then it is sent as up to ten
    /// messages, in order, each with its own price; the result has parts.
    #[serde(default)]
    #[schemars(with = "Option<IfTooLong>")]
    if_too_long: Option<String>,
    /// Channels to try, in order, when the first one fails: at once, or when the carrier reports a failure later. The event
    /// of that failure then has fallingBackTo and fallbackMessageId.
    #[serde(default)]
    #[schemars(with = "Vec<MessageChannel>")]
    fallback_channels: Vec<String>,
}

/// The names of the channels in the schema. Any case is accepted.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum MessageChannel {
    Sms,
    Whatsapp,
    Email,
    Line,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum IfTooLong {
    Refuse,
    Split,
}

/// One message of a text that was sent in parts.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Part {
    message_id: String,
    status: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    message_id: String,
    /// accepted: the carrier has the message. scheduled: it is sent later. pending_approval: it waits for the approval of a
    /// person. pending: the outcome is not known yet; poll
    /// comms_get_message_status. unconfirmed: the outcome could not be determined.
    status: &'static str,
    channel: Channel,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<i64>,
    /// US dollars. An estimate until the carrier reports its price.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<String>,
    /// The open session with this contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_msg_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<String>,
    /// The requested channel, when a fallback was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead_of: Option<Channel>,
    /// All messages of a text that was sent in parts, in order. messageId is the first one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part>,
    /// The result of an earlier request with the same key. The message was not sent again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    advisories: Vec<Cow<'static, str>>,
}

impl Operation for SendMessage {
    const NAME: &'static str = "comms_send_message";
    const TITLE: &'static str = "Send a message";
    const DESCRIPTION: &'static str = "Sends an SMS, a WhatsApp message, an e-mail or a LINE message from your own address to a person or to another agent. \
        Give an idempotencyKey, and repeat the call with the same key when you don't know its outcome: the message is sent \
        once. Returns messageId and status. [scope: agent]";
    const BRIEF: &'static str = "Sends a message. If its outcome is unknown, repeat with the same idempotencyKey.";
    const ALIASES: &'static [(&'static str, &'static str)] = &[("from", "senderSid")];
    const EXAMPLE: Option<&'static str> = Some(
        r#"{ "to": "+14155550123", "channel": "sms", "body": "Your table is ready.", "purpose": "transactional" }"#,
    );
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/send-message",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let is_default_channel = args.channel.is_none();
        let channel = channel(args.channel.as_deref())?;
        let fallbacks = args
            .fallback_channels
            .iter()
            .map(|text| parse_channel(text))
            .collect::<Result<_, _>>()?;
        let body_unused = args.template_id.is_some() && args.body.is_some();
        let mail = MailRequest {
            cc: args.cc,
            bcc: args.bcc,
            reply_to: args.reply_to,
            headers: args.headers.0,
        };
        let mail_unused = channel != Channel::Email && !mail.is_empty();
        let title_unused = channel != Channel::Email && (args.subject.is_some() || args.html.is_some());
        let request = SendRequest {
            caller: context.caller,
            agent: args.agent_id,
            channel,
            to: args.to,
            colleague: None,
            body: args.body,
            subject: args.subject,
            html: args.html,
            mail,
            media: args.media,
            template_id: args.template_id,
            template_variables: args.template_variables.0,
            sender_name: args.sender_name,
            sender: args.sender_sid,
            thread: ThreadRef {
                thread_id: args.thread_id,
                entity_id: args.entity_id,
                reply_msg_id: args.reply_msg_id,
                task_id: args.task_id,
            },
            purpose: compliance::parse_purpose(args.purpose.as_deref())?,
            author: None,
            is_approved: false,
            idempotency_key: args.idempotency_key,
            id: None,
            scheduled_at: args.scheduled_at,
            retry_later: args.retry,
            splits: splits(args.if_too_long.as_deref())?,
            fallbacks,
            keeps_key: false,
            allowance: Allowance::Agent,
            rich: None,
            call: None,
        };
        let mut output = Output::from(context.product.outbound.send(request).await?);
        if is_default_channel {
            output
                .advisories
                .push("channel was absent; whatsapp is the default".into());
        }
        if mail_unused {
            output
                .advisories
                .push("cc, bcc, replyTo and headers are for e-mail; they were ignored".into());
        }
        if title_unused {
            output
                .advisories
                .push("subject and html are for e-mail; they were ignored".into());
        }
        if body_unused {
            output
                .advisories
                .push("the template was sent; the body was ignored".into());
        }
        Ok(output)
    }
}

/// Returns the requested channel; the default is that of the Python client.
fn channel(text: Option<&str>) -> Result<Channel, Failure> {
    text.map_or(Ok(Channel::Whatsapp), parse_channel)
}

pub(crate) fn splits(text: Option<&str>) -> Result<bool, Failure> {
    match text.map(str::to_ascii_lowercase).as_deref() {
        None | Some("refuse") => Ok(false),
        Some("split") => Ok(true),
        Some(_) => Err(Failure::new(Code::InvalidArgument, "ifTooLong must be refuse or split")
            .detail("fields", vec!["ifTooLong"])),
    }
}

fn parse_channel(text: &str) -> Result<Channel, Failure> {
    let channel = Channel::parse(text).filter(|channel| Channel::MESSAGES.contains(channel));
    channel.ok_or_else(|| {
        Failure::new(
            Code::InvalidArgument,
            "channel must be one of sms, whatsapp, email, line",
        )
        .hint("use one of these; for telephone calls use comms_make_call or comms_send_voice_message")
    })
}

impl From<SendReceipt> for Output {
    fn from(receipt: SendReceipt) -> Self {
        Self {
            message_id: receipt.message.into_string(),
            status: receipt.status.for_agent(),
            channel: receipt.channel,
            from: receipt.from,
            to: receipt.to,
            provider: receipt.carrier,
            provider_message_id: receipt.carrier_id,
            provider_status: receipt.carrier_status,
            segments: receipt.segments,
            cost: receipt.cost.map(|cost| cost.as_units()),
            session_id: receipt
                .thread
                .thread_id
                .clone()
                .filter(|thread| is_conversation(thread)),
            thread_id: receipt.thread.thread_id,
            entity_id: receipt.thread.entity_id,
            reply_msg_id: receipt.thread.reply_msg_id,
            task_id: receipt.thread.task_id,
            parts: receipt
                .parts
                .into_iter()
                .map(|part| Part {
                    message_id: part.message.into_string(),
                    status: part.status.for_agent(),
                })
                .collect(),
            replayed: receipt.replayed,
            scheduled_at: receipt.scheduled_at.map(time),
            instead_of: receipt.instead_of,
            advisories: (receipt.advice.into_iter().map(Cow::from))
                .chain(receipt.sender_advice.map(Cow::from))
                .collect(),
        }
    }
}
