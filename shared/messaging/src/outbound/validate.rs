//! The validation stage: normalizes and checks every field for the place where it is used (headers, markup, terminals,
//! carriers' limits). It must not refuse normal text. SQL needs no check here: all parameters are bound.

use butt_dial_billing::require_task_id;
use butt_dial_domain::{
    Address, Channel, Code, Failure, MessageId, OrgId, Restriction, SendPurpose, TokenId, bounds,
    call::{CallOptions, Plan, Purpose},
    clock::Timestamp,
    message::{Content, Template, ThreadRef},
    rich::{Button, Rich, parse_vcard},
};
use butt_dial_store::{OwnedChannel, Profile};
use butt_dial_vault::Vault;
use serde_json::json;
use std::{net::IpAddr, sync::Arc};
use url::Url;

use super::{
    Allowance, SendRequest,
    authorize::Authorized,
    deferred::DeferredSend,
    fall_back,
    fields::{header, invalid, parse_recipient, text, token},
    granted, mail_options,
    request::MAX_KEY,
    send_time,
};

/// Twilio, Messages resource: Body is at most 1,600 characters. Also the limit of a text that is spoken.
pub(super) const MAX_TEXT: usize = 1_600;
/// WhatsApp Cloud API, Messages.
const MAX_WHATSAPP: usize = bounds::WHATSAPP_TEXT;
/// LINE, Text message.
const MAX_LINE: usize = 5_000;
/// Resend accepts 40 MB per mail; a text beyond one million characters is not a letter.
const MAX_EMAIL: usize = bounds::MAIL_TEXT;
/// RFC 5322, 2.1.1: a line is at most 998 characters.
const MAX_SUBJECT: usize = bounds::SUBJECT;
/// Twilio, Messages resource: at most ten media URLs.
const MAX_MEDIA: usize = bounds::MEDIA;
const MAX_URL: usize = bounds::MEDIA_URL;
const MAX_NAME: usize = bounds::NAME;
/// Languages of a template, each of which may cost a request.
const MAX_LANGUAGES: usize = 5;
/// WhatsApp Cloud API, reply buttons.
const MAX_BUTTONS: usize = bounds::BUTTONS;
const MAX_LABEL: usize = bounds::BUTTON_LABEL;
const MAX_CARD: usize = bounds::CONTACT_CARD;
/// The prompt is sent with every turn of a call.
const MAX_PROMPT: usize = bounds::PROMPT;

/// A message with valid fields.
pub(super) struct ValidMessage {
    pub id: MessageId,
    /// `None`: now.
    pub scheduled_at: Option<Timestamp>,
    /// The send is retried after a retryable failure.
    pub retry_later: bool,
    /// A failure keeps the idempotency key.
    pub keeps_key: bool,
    /// A text that is too long is sent in parts.
    pub splits: bool,
    pub allowance: Allowance,
    pub caller: Arc<butt_dial_identity::Caller>,
    /// `None`: the caller.
    pub author: Option<TokenId>,
    /// As the request declares it.
    pub purpose: Option<SendPurpose>,
    /// A person has approved the message.
    pub is_approved: bool,
    /// The restriction of the token that sends.
    pub restriction: Option<Arc<Restriction>>,
    /// The id of the agent behind `to`, if the caller has named the agent.
    pub colleague: Option<String>,
    /// Stored with a scheduled message. For an immediate send, the caller of the pipeline tries them.
    pub fallbacks: Vec<Channel>,
    /// Sent if the carrier accepts this message and fails it later.
    pub fallback: Option<DeferredSend>,
    pub profile: Arc<Profile>,
    pub sender: OwnedChannel,
    pub from: Address,
    pub to: Address,
    pub channel: Channel,
    pub content: Content,
    pub sender_name: Option<String>,
    pub idempotency_key: String,
    pub request_hash: String,
    pub thread: ThreadRef,
}

/// Validates and normalizes a request. Fails with `InvalidRecipient`, `InvalidContent`, `MissingFields` or
/// `InvalidArgument`.
pub(super) fn validate(vault: &Vault, now: Timestamp, authorized: Authorized) -> Result<ValidMessage, Failure> {
    let Authorized {
        request,
        profile,
        sender,
    } = authorized;
    let channel = request.channel;
    let to = parse_recipient(channel, &request.to)?;
    // A short code or a name, too.
    let from = Address::known(channel, &sender.address);
    let content = content(&request).map_err(|failure| failure.on(channel))?;
    granted::check(&request, &to, &content)?;
    let idempotency_key = match &request.idempotency_key {
        Some(key) => token("idempotencyKey", key, MAX_KEY)?,
        None => format!("auto-{}", butt_dial_domain::ids::unique()),
    };
    let scheduled_at = request
        .scheduled_at
        .map(|at| send_time::check_time(at, now))
        .transpose()?
        .flatten();
    Ok(ValidMessage {
        scheduled_at,
        retry_later: request.retry_later,
        keeps_key: request.keeps_key,
        splits: request.splits,
        allowance: request.allowance,
        caller: request.caller.clone(),
        author: request.author.clone(),
        purpose: request.purpose,
        is_approved: request.is_approved,
        restriction: request.caller.principal.restriction.clone(),
        colleague: request.colleague.clone(),
        fallbacks: request.fallbacks.clone(),
        fallback: fall_back::deferred_fallback(&request, &idempotency_key),
        id: request.id.clone().unwrap_or_else(MessageId::generate),
        request_hash: request_hash(vault, &profile.agent.org_id, channel, &to, &content),
        sender_name: request
            .sender_name
            .as_deref()
            .map(|name| header("senderName", name, MAX_NAME))
            .transpose()?,
        thread: ThreadRef {
            thread_id: reference("threadId", request.thread.thread_id.as_deref())?,
            entity_id: reference("entityId", request.thread.entity_id.as_deref())?,
            reply_msg_id: reference("replyMsgId", request.thread.reply_msg_id.as_deref())?,
            task_id: task_id(request.thread.task_id.as_deref())?,
        },
        profile,
        sender,
        from,
        to,
        channel,
        content,
        idempotency_key,
    })
}

/// Returns how many characters the text of a message may have at most, whatever its carrier is. The carrier may take less.
pub(super) fn max_text(channel: Channel) -> usize {
    match channel {
        Channel::Email => MAX_EMAIL,
        Channel::Whatsapp => MAX_WHATSAPP,
        Channel::Line => MAX_LINE,
        Channel::Sms | Channel::Voice => MAX_TEXT,
    }
}

fn content(request: &SendRequest) -> Result<Content, Failure> {
    // No carrier is involved in a message to an agent that the caller names.
    let max = match (&request.colleague, &request.call) {
        (Some(_), None) => bounds::INTERNAL_TEXT,
        _ => max_text(request.channel),
    };
    let email = request.channel == Channel::Email;
    let body = request
        .body
        .as_deref()
        .map(|body| text("body", body, max))
        .transpose()?
        .filter(|body| !body.is_empty());
    let html = request
        .html
        .as_deref()
        .filter(|_| email)
        .map(|html| text("html", html, max))
        .transpose()?;
    if request.media.len() > MAX_MEDIA {
        return Err(invalid(format!("media: at most {MAX_MEDIA} URLs")));
    }
    let media = request
        .media
        .iter()
        .map(|url| media_url(url))
        .collect::<Result<Vec<_>, _>>()?;
    let template = request
        .template_id
        .as_deref()
        .map(|id| template(id, request))
        .transpose()?;
    let is_empty = body.is_none() && html.is_none() && media.is_empty() && template.is_none();
    if is_empty && request.call.is_none() {
        return Err(Failure::new(Code::MissingFields, "body or media is required").detail("fields", json!(["body"])));
    }
    let subject = match request.subject.as_deref().filter(|_| email) {
        Some(subject) => Some(header("subject", subject, MAX_SUBJECT)?),
        // Set later: that of an answer follows from the mail that it answers.
        None => None,
    };
    Ok(Content {
        body,
        subject,
        html,
        media,
        template,
        mail: match email {
            true => mail_options::validate(&request.mail)?,
            false => None,
        },
        rich: request.rich.as_ref().map(rich).transpose()?.map(Box::new),
        call: request.call.as_ref().map(call_options).transpose()?,
    })
}

fn rich(given: &Rich) -> Result<Rich, Failure> {
    Ok(match given {
        Rich::Buttons { buttons } => {
            if !(1..=MAX_BUTTONS).contains(&buttons.len()) {
                return Err(invalid(format!("buttons: 1 to {MAX_BUTTONS}")));
            }
            let button = |button: &Button| {
                let id = token("buttons.id", &button.id, MAX_KEY)?;
                let label = header("buttons.label", &button.label, MAX_LABEL)?;
                match label.is_empty() {
                    true => Err(invalid("buttons: each has a label")),
                    false => Ok(Button { id, label }),
                }
            };
            Rich::Buttons {
                buttons: buttons.iter().map(button).collect::<Result<_, _>>()?,
            }
        }
        Rich::Location {
            latitude,
            longitude,
            name,
        } => Rich::Location {
            latitude: coordinate("lat", latitude, 90.0)?,
            longitude: coordinate("lng", longitude, 180.0)?,
            name: name.as_deref().map(|name| header("name", name, MAX_NAME)).transpose()?,
        },
        Rich::Contact { vcard } => {
            let vcard = text("vcard", vcard, MAX_CARD)?;
            if parse_vcard(&vcard).is_none() {
                return Err(invalid("vcard is no contact card with a name or a number"));
            }
            Rich::Contact { vcard }
        }
    })
}

fn coordinate(field: &'static str, value: &str, max: f64) -> Result<String, Failure> {
    let number: Option<f64> = value.trim().parse().ok();
    match number.is_some_and(|number| number.is_finite() && number.abs() <= max) {
        true => Ok(value.trim().to_owned()),
        false => Err(invalid(format!("{field} is a number of -{max} to {max}"))),
    }
}

fn call_options(options: &CallOptions) -> Result<CallOptions, Failure> {
    let plan = &options.plan;
    let checked = |field, value: &Option<String>, max| {
        let value = value.as_deref().map(|value| text(field, value, max)).transpose()?;
        Ok::<_, Failure>(value.filter(|value| !value.trim().is_empty()))
    };
    let name = |field, value: &Option<String>| {
        let value = value
            .as_deref()
            .map(|value| header(field, value, MAX_NAME))
            .transpose()?;
        Ok::<_, Failure>(value.filter(|value| !value.is_empty()))
    };
    let purpose = match &plan.purpose {
        Purpose::Message { text: spoken, .. } if spoken.trim().is_empty() => {
            return Err(Failure::new(Code::MissingFields, "text is required").detail("fields", json!(["text"])));
        }
        Purpose::Message {
            text: spoken,
            sound_url,
        } => Purpose::Message {
            text: text("text", spoken, MAX_TEXT)?,
            sound_url: sound_url.clone(),
        },
        other => other.clone(),
    };
    Ok(CallOptions {
        plan: Plan {
            purpose,
            greeting: checked("greeting", &plan.greeting, MAX_TEXT)?,
            system_prompt: checked("systemPrompt", &plan.system_prompt, MAX_PROMPT)?,
            voice: name("voice", &plan.voice)?,
            language: name("language", &plan.language)?,
            ..plan.clone()
        },
        ..options.clone()
    })
}

fn reference(field: &'static str, value: Option<&str>) -> Result<Option<String>, Failure> {
    value
        .filter(|value| !value.is_empty())
        .map(|value| token(field, value, MAX_KEY))
        .transpose()
}

/// Checks the id of a task. An empty one is none.
fn task_id(value: Option<&str>) -> Result<Option<String>, Failure> {
    let value = value.filter(|value| !value.is_empty());
    value.map(require_task_id).transpose()?;
    Ok(value.map(str::to_owned))
}

/// Checks a media URL. The carrier fetches it, so it must be a public address without credentials.
fn media_url(value: &str) -> Result<String, Failure> {
    let url = Url::parse(value).ok().filter(|_| value.len() <= MAX_URL);
    let url = url.ok_or_else(|| invalid("media: each entry is a URL of at most 2000 characters"))?;
    let public = match url.host() {
        Some(url::Host::Domain(name)) => is_public_name(name),
        Some(url::Host::Ipv4(ip)) => is_public(IpAddr::V4(ip)),
        Some(url::Host::Ipv6(ip)) => is_public(IpAddr::V6(ip)),
        None => false,
    };
    if !matches!(url.scheme(), "https" | "http") || !url.username().is_empty() || url.password().is_some() || !public {
        return Err(invalid("media: each entry is a public http(s) URL without credentials"));
    }
    Ok(url.into())
}

fn is_public_name(name: &str) -> bool {
    // A trailing dot does not change the name.
    let name = name.trim_end_matches('.');
    name.contains('.')
        && ![".local", ".internal", ".localhost"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
}

fn is_public(ip: IpAddr) -> bool {
    // An IPv6 address may contain an IPv4 address.
    match ip.to_canonical() {
        IpAddr::V4(ip) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()),
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
    }
}

fn template(id: &str, request: &SendRequest) -> Result<Template, Failure> {
    if !is_template_id(id) {
        return Err(invalid(
            "templateId is 1 to 512 letters, digits, - or _, for Meta with the language after a colon, and further ones to try \
             after commas: booking:pt_BR,pt,en",
        ));
    }
    let mut variables = std::collections::BTreeMap::new();
    for (key, value) in &request.template_variables {
        variables.insert(
            header("templateVariables", key, 64)?,
            text("templateVariables", value, MAX_TEXT)?,
        );
    }
    Ok(Template {
        id: id.to_owned(),
        variables,
        is_for_codes: request.purpose == Some(SendPurpose::Otp),
    })
}

/// Checks the id or the name of a template. Meta's have languages after a colon, in the order in which they are tried:
/// `booking:pt_BR,pt`.
fn is_template_id(id: &str) -> bool {
    let (name, languages) = id
        .split_once(':')
        .map_or((id, None), |(name, codes)| (name, Some(codes)));
    let is_word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    // Meta, Message templates: a name has at most 512 characters.
    let is_language = |code: &str| code.len() <= 15 && is_word(code);
    id.len() <= 512
        && is_word(name)
        && languages.is_none_or(|codes| codes.split(',').all(is_language) && codes.split(',').count() <= MAX_LANGUAGES)
}

/// Hashes what makes two requests with one key the same request.
fn request_hash(vault: &Vault, org: &OrgId, channel: Channel, to: &Address, content: &Content) -> String {
    let mut content = content.clone();
    // The same text gives another sound file each time.
    if let Some(call) = &mut content.call
        && let Purpose::Message { sound_url, .. } = &mut call.plan.purpose
    {
        *sound_url = None;
    }
    vault.request_hash(org, &json!([channel, to.as_str(), content]).to_string())
}
