//! `comms_preflight`: whether a send would be allowed, and why.

use std::collections::BTreeMap;

use butt_dial_calls::originate::{self, OriginateRequest};
use butt_dial_compliance::Confidence;
use butt_dial_domain::{Channel, Code, Failure, Scope, SendPurpose, bounds, call::Purpose, message::ThreadRef};
use butt_dial_messaging::{SendRequest, outbound::Preflight as Checked};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::parse_purpose;
use crate::{
    Context, Hints, Operation, Route, errors,
    named_values::NamedValues,
    send_message::{IfTooLong, splits},
    views::time,
};

/// Stands for a text that is not written yet.
const PLACEHOLDER: &str = "-";

pub struct Preflight;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// A telephone number in E.164 form (+14155550123), an address, or the id of an agent of your organization.
    #[schemars(extend("examples" = ["+14155550123"]))]
    to: String,
    #[schemars(extend("enum" = ["sms", "whatsapp", "email", "line", "voice"]))]
    channel: String,
    /// The text, if it is written already. It passes the content filter.
    #[serde(default)]
    #[schemars(length(max = bounds::MAIL_TEXT))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    body: Option<String>,
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    subject: Option<String>,
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    html: Option<String>,
    /// Public http(s) URLs.
    #[serde(default)]
    #[schemars(length(max = bounds::MEDIA))]
    #[schemars(extend("x-brief" = false))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    media: Vec<String>,
    /// For a text that is too long for one message: refuse (the default), or split.
    #[serde(default)]
    #[schemars(with = "Option<IfTooLong>")]
    #[schemars(extend("x-brief" = false))]
    if_too_long: Option<String>,
    /// The message that you would answer.
    #[serde(default)]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    #[schemars(extend("x-brief" = false))]
    reply_msg_id: Option<String>,
    #[serde(default)]
    #[schemars(length(max = bounds::TEMPLATE))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    template_id: Option<String>,
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    template_variables: NamedValues,
    /// One of your addresses. The default is the one that would be chosen.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    sender_sid: Option<String>,
    /// Why you would send it. The default is inferred.
    #[serde(default)]
    #[schemars(with = "Option<SendPurpose>")]
    purpose: Option<String>,
    /// When you would send it, in RFC 3339. The default is now.
    #[serde(default)]
    #[schemars(extend("examples" = ["2026-12-24T18:00:00Z"]))]
    scheduled_at: Option<DateTime<Utc>>,
    /// The key that you would send it with.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    idempotency_key: Option<String>,
    /// For administrators: the agent to check for.
    #[serde(default)]
    agent_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// True: the message would be sent, now or at allowedAt.
    allowed: bool,
    /// allow, advise, defer, hold or block.
    verdict: &'static str,
    /// When the message would be sent, if rules do not allow it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_at: Option<String>,
    /// The findings of rules, the most severe first: rule, severity, fact, remedy, source.
    findings: Vec<Value>,
    /// The purpose that the rules apply to.
    purpose: &'static str,
    /// False: the purpose is inferred.
    purpose_declared: bool,
    recipient: RecipientView,
    channel: Channel,
    /// The sender that would be used.
    from: String,
    /// US dollars, of all messages.
    estimated_cost: f64,
    /// How many messages the text would be sent as, if more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<usize>,
    /// A message has been sent with this idempotency key: nothing would be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<String>,
    /// The version of the rules.
    rule_set: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    advisories: Vec<&'static str>,
}

/// The places in which the recipient may be, by the number.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecipientView {
    /// The country and its possible regions.
    jurisdictions: Vec<String>,
    /// The local time in each possible time zone.
    local_times: BTreeMap<String, String>,
    /// one_zone, several_zones or none: the number belongs to no place.
    confidence: &'static str,
}

impl Operation for Preflight {
    const NAME: &'static str = "comms_preflight";
    const TITLE: &'static str = "Check a send";
    const DESCRIPTION: &'static str = "Says whether a message or call to a contact would be allowed now, why or why not, when it would be, and what would \
        change it. Applies the same rules as a send; nothing is sent or reserved, and limits and budgets are not checked. [scope: \
        agent]";
    const BRIEF: &'static str = "Says whether a message or call would be allowed now, and why not. Sends nothing.";
    const EXAMPLE: Option<&'static str> = Some(
        r#"{ "to": "+14155550123", "channel": "sms", "body": "Your table is ready.", "purpose": "transactional" }"#,
    );
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/preflight",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND];
    // The arguments of a message, which can have more.
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;
    const ALIASES: &'static [(&'static str, &'static str)] = &[("from", "senderSid")];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let channel = Channel::parse(&args.channel).ok_or_else(|| {
            Failure::new(
                Code::InvalidArgument,
                "channel must be one of sms, whatsapp, email, line, voice",
            )
        })?;
        let purpose = parse_purpose(args.purpose.as_deref())?;
        let body = args.body.filter(|body| !body.trim().is_empty());
        let checked = match channel {
            Channel::Voice => {
                let request = OriginateRequest {
                    agent: args.agent_id,
                    greeting: body,
                    send_purpose: purpose,
                    idempotency_key: args.idempotency_key,
                    ..OriginateRequest::new(context.caller, args.to, Purpose::Converse)
                };
                originate::preflight(&context.product.calls, request).await?
            }
            _ => {
                let needs_text = args.template_id.is_none() && args.media.is_empty() && args.html.is_none();
                let request = SendRequest {
                    agent: args.agent_id,
                    body: body.or_else(|| needs_text.then(|| PLACEHOLDER.to_owned())),
                    subject: args.subject,
                    html: args.html,
                    media: args.media,
                    splits: splits(args.if_too_long.as_deref())?,
                    thread: ThreadRef {
                        reply_msg_id: args.reply_msg_id,
                        ..ThreadRef::default()
                    },
                    template_id: args.template_id,
                    template_variables: args.template_variables.0,
                    sender: args.sender_sid,
                    purpose,
                    scheduled_at: args.scheduled_at,
                    idempotency_key: args.idempotency_key,
                    ..SendRequest::new(context.caller, channel, &args.to)
                };
                context.product.outbound.preflight(request).await?
            }
        };
        Ok(checked.into())
    }
}

impl From<Checked> for Output {
    fn from(checked: Checked) -> Self {
        let (decision, facts) = (&checked.ruling.decision, &checked.ruling.facts);
        let mut findings: Vec<Value> = decision
            .findings
            .iter()
            .map(butt_dial_compliance::Finding::view)
            .collect();
        findings.extend(checked.content.clone());
        let local_times = facts.place.zones().iter().map(|zone| {
            let local = facts
                .at
                .with_timezone(zone)
                .to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            (zone.name().to_owned(), local)
        });
        Self {
            allowed: checked.is_allowed(),
            verdict: match checked.content.is_some() || checked.cannot_wait {
                true => "block",
                false => decision.label(),
            },
            allowed_at: checked.allowed_at().map(time),
            findings,
            purpose: facts.purpose.as_str(),
            purpose_declared: facts.is_declared,
            recipient: RecipientView {
                jurisdictions: facts.place.jurisdictions().to_vec(),
                local_times: local_times.collect(),
                confidence: match facts.place.confidence() {
                    Confidence::OneZone => "one_zone",
                    Confidence::SeveralZones => "several_zones",
                    Confidence::None => "none",
                },
            },
            channel: checked.channel,
            from: checked.from.as_str().to_owned(),
            estimated_cost: checked.estimate.as_units(),
            messages: (checked.messages > 1).then_some(checked.messages),
            duplicate_of: checked.prior.map(|id| id.into_string()),
            rule_set: checked.ruling.rule_set.version().to_owned(),
            advisories: checked.sender_advice.into_iter().collect(),
        }
    }
}
