//! `comms_whatsapp_action`: typing, reactions, buttons and more, as far as the carrier has them.

use butt_dial_domain::{
    Channel, Code, Failure, Scope, bounds,
    message::ThreadRef,
    rich::{Button, ChatAction, Rich, parse_vcard},
};
use butt_dial_messaging::{
    SendRequest,
    outbound::{ChatCommand, ChatTarget},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Context, Hints, Operation, Route, errors};

pub struct WhatsappAction;

/// The actions that some carrier has.
const OF_CARRIERS: [&str; 6] = [
    "typing",
    "mark_read",
    "react",
    "send_buttons",
    "send_location",
    "send_contact",
];

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// typing, mark_read, react, edit, delete, forward, send_poll, send_buttons, send_location, send_contact, post_status,
    /// set_chat_ttl or send_view_once.
    #[schemars(extend("x-brief" = json!({ "enum": OF_CARRIERS })))]
    #[schemars(extend("examples" = ["react"]))]
    action: String,
    #[serde(default)]
    to: Option<String>,
    /// The message that the action is about: of an event, or one that you have sent.
    #[serde(default)]
    message_id: Option<String>,
    /// For react. An empty text removes the reaction.
    #[serde(default)]
    #[schemars(extend("examples" = ["👍"]))]
    emoji: Option<String>,
    #[serde(default)]
    #[schemars(length(max = bounds::WHATSAPP_TEXT))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    body: Option<String>,
    /// For send_poll.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    title: Option<String>,
    /// For send_poll.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    options: Vec<String>,
    /// For send_buttons: one to three.
    #[serde(default)]
    #[schemars(length(max = bounds::BUTTONS))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    buttons: Vec<ButtonArgs>,
    /// For send_location: degrees.
    #[serde(default)]
    #[schemars(range(min = -bounds::LATITUDE, max = bounds::LATITUDE))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    lat: Option<f64>,
    #[serde(default)]
    #[schemars(range(min = -bounds::LONGITUDE, max = bounds::LONGITUDE))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    lng: Option<f64>,
    #[serde(default)]
    #[schemars(length(max = bounds::NAME))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    name: Option<String>,
    /// For send_contact: a card (RFC 6350).
    #[serde(default)]
    #[schemars(extend("examples" = ["BEGIN:VCARD\nFN:Ann Lee\nTEL:+14155550123\nEND:VCARD"]))]
    #[schemars(length(max = bounds::CONTACT_CARD))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    vcard: Option<String>,
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(length(max = bounds::MEDIA_URL))]
    media_url: Option<String>,
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    chat_id: Option<String>,
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    ttl_seconds: Option<u64>,
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    sender_sid: Option<String>,
    /// A repeated message with the same key is sent once.
    #[serde(default)]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    idempotency_key: Option<String>,
    /// The task that this is charged to, besides your account: 1 to 64 letters, digits, -, _, . or :.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(length(max = bounds::TASK))]
    task_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct ButtonArgs {
    #[serde(default)]
    id: Option<String>,
    /// At most 20 characters.
    #[schemars(length(max = bounds::BUTTON_LABEL))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    label: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    ok: bool,
    action: &'static str,
    provider: String,
    /// Of a message that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    to: String,
}

impl Operation for WhatsappAction {
    const NAME: &'static str = "comms_whatsapp_action";
    const TITLE: &'static str = "Act on WhatsApp";
    const DESCRIPTION: &'static str = "Shows typing, marks as read, reacts, or sends buttons, a place or a contact on WhatsApp. What the carrier does not have is \
        refused with PROVIDER_UNSUPPORTED. [scope: agent]";
    const BRIEF: &'static str = "Acts on WhatsApp.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND, &[Code::MessageNotFound, Code::ProviderUnsupported]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;
    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("latitude", "lat"),
        ("longitude", "lng"),
        ("contact", "to"),
        ("externalId", "messageId"),
        ("media", "mediaUrl"),
    ];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        match parse(args)? {
            Parsed::Chat(command) => {
                let action = command.name;
                let done = context.product.outbound.act(&context.caller, command).await?;
                Ok(Output {
                    ok: true,
                    action,
                    provider: done.provider.to_owned(),
                    message_id: done.provider_message_id.clone(),
                    provider_message_id: done.provider_message_id,
                    status: None,
                    to: done.contact,
                })
            }
            Parsed::Message(message) => send(context, message).await,
            Parsed::Other(action) => {
                let profile = context.caller.agent()?;
                let outbound = &context.product.outbound;
                let carrier = outbound.require_action(profile, None, action).await?;
                // A carrier that has the action needs its implementation here.
                tracing::error!(carrier = carrier.id, action, "action of the carrier not implemented");
                Err(Failure::internal())
            }
        }
    }
}

/// A message that is more than text.
struct RichMessage {
    action: &'static str,
    to: String,
    body: String,
    rich: Rich,
    sender: Option<String>,
    idempotency_key: Option<String>,
    task: Option<String>,
}

enum Parsed {
    Chat(ChatCommand),
    Message(RichMessage),
    /// An action that no carrier has yet.
    Other(&'static str),
}

fn parse(args: Args) -> Result<Parsed, Failure> {
    let action = args.action.trim().to_ascii_lowercase();
    let chat = |name, action, target| {
        Parsed::Chat(ChatCommand {
            name,
            action,
            target,
            sender: args.sender_sid.clone(),
        })
    };
    let message = |action, to, body, rich| {
        Parsed::Message(RichMessage {
            action,
            to,
            body,
            rich,
            sender: args.sender_sid.clone(),
            idempotency_key: args.idempotency_key.clone(),
            task: args.task_id.clone(),
        })
    };
    Ok(match action.as_str() {
        "typing" => {
            let target = match (args.message_id, args.to) {
                (Some(id), _) => ChatTarget::Message(id),
                (None, to) => ChatTarget::Contact(required("to", to)?),
            };
            chat("typing", ChatAction::Typing, target)
        }
        "mark_read" => {
            let target = ChatTarget::Message(required("messageId", args.message_id)?);
            chat("mark_read", ChatAction::MarkRead, target)
        }
        "react" => {
            let target = ChatTarget::Message(required("messageId", args.message_id)?);
            let emoji = required("emoji", args.emoji)?;
            if emoji.chars().count() > MAX_EMOJI {
                return Err(Failure::new(Code::InvalidArgument, "emoji is one emoji"));
            }
            chat("react", ChatAction::React { emoji }, target)
        }
        "send_buttons" => {
            let (to, body) = (required("to", args.to)?, required("body", args.body)?);
            let buttons = args.buttons.into_iter().enumerate().map(|(place, button)| Button {
                id: button.id.unwrap_or_else(|| (place + 1).to_string()),
                label: button.label,
            });
            let buttons = buttons.collect();
            message("send_buttons", to, body, Rich::Buttons { buttons })
        }
        "send_location" => {
            let to = required("to", args.to)?;
            let (latitude, longitude) = (required("lat", args.lat)?, required("lng", args.lng)?);
            let (latitude, longitude) = (latitude.to_string(), longitude.to_string());
            let name = args.name.filter(|name| !name.trim().is_empty());
            let body = name.clone().unwrap_or_else(|| format!("{latitude}, {longitude}"));
            let rich = Rich::Location {
                latitude,
                longitude,
                name,
            };
            message("send_location", to, body, rich)
        }
        "send_contact" => {
            let (to, vcard) = (required("to", args.to)?, required("vcard", args.vcard)?);
            let card = parse_vcard(&vcard).unwrap_or_default();
            let name = card.name.or_else(|| card.phones.into_iter().next());
            let body = name.unwrap_or_else(|| "contact".to_owned());
            message("send_contact", to, body, Rich::Contact { vcard })
        }
        "send_poll" => {
            required("to", args.to)?;
            required("title", args.title)?;
            required("options", args.options.into_iter().next())?;
            Parsed::Other("send_poll")
        }
        "send_view_once" => {
            required("to", args.to)?;
            required("mediaUrl", args.media_url)?;
            Parsed::Other("send_view_once")
        }
        "edit" => {
            required("messageId", args.message_id)?;
            required("body", args.body)?;
            Parsed::Other("edit")
        }
        "delete" => {
            required("messageId", args.message_id)?;
            Parsed::Other("delete")
        }
        "forward" => {
            required("messageId", args.message_id)?;
            required("to", args.to)?;
            Parsed::Other("forward")
        }
        "post_status" => {
            required("body", args.body.or(args.media_url))?;
            Parsed::Other("post_status")
        }
        "set_chat_ttl" => {
            required("chatId", args.chat_id.or(args.to))?;
            required("ttlSeconds", args.ttl_seconds)?;
            Parsed::Other("set_chat_ttl")
        }
        _ => {
            return Err(
                Failure::new(Code::InvalidArgument, format!("action must be one of {ACTIONS}"))
                    .detail("fields", json!(["action"])),
            );
        }
    })
}

/// Emojis of several characters, such as flags and families, have at most eleven.
const MAX_EMOJI: usize = 16;
const ACTIONS: &str = "typing, mark_read, react, edit, delete, forward, send_poll, send_buttons, send_location, send_contact, \
    post_status, set_chat_ttl, send_view_once";

/// Sends through the pipeline of all messages: rules, limits, price, idempotency.
async fn send(context: Context, message: RichMessage) -> Result<Output, Failure> {
    let outbound = &context.product.outbound;
    let profile = context.caller.agent()?;
    outbound
        .require_action(profile, message.sender.as_deref(), message.action)
        .await?;
    let request = SendRequest {
        body: Some(message.body),
        rich: Some(message.rich),
        sender: message.sender,
        idempotency_key: message.idempotency_key,
        thread: ThreadRef {
            task_id: message.task,
            ..ThreadRef::default()
        },
        ..SendRequest::new(context.caller.clone(), Channel::Whatsapp, &message.to)
    };
    let receipt = outbound.send(request).await?;
    Ok(Output {
        ok: true,
        action: message.action,
        provider: receipt.carrier.unwrap_or_default(),
        message_id: Some(receipt.message.into_string()),
        provider_message_id: receipt.carrier_id,
        status: Some(receipt.status.for_agent()),
        to: receipt.to,
    })
}

fn required<T>(field: &'static str, value: Option<T>) -> Result<T, Failure> {
    value.ok_or_else(|| {
        Failure::new(Code::MissingFields, format!("{field} is required for this action"))
            .detail("fields", json!([field]))
    })
}
