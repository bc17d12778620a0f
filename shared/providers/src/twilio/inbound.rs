//! Twilio's webhooks: inbound messages and receipts (Twilio, Messaging webhooks; Outbound message status callbacks).
//! Accepts only requests that are signed with a token of the account they name.

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use butt_dial_domain::{
    Address, Channel, MessageId,
    ids::is_valid_host_id,
    inbound::{Attachment, DeliveryStatus, InboundMessage, Receipt, SkippedEntry, WebhookEvent},
    ports::{
        carrier::LookupError,
        webhook::{Acknowledgement, MediaRequest, UnreadableRequest, VerificationError, WebhookRequest, Webhooks},
    },
};
use url::{Origin, Url, form_urlencoded};

use super::{
    ACCOUNT_SID, AUTH_TOKEN, AUTH_TOKEN_SECONDARY, ENDPOINT, SUBACCOUNT_TOKENS, errors,
    form::Form,
    message,
    webhook::{self, Payload},
    wire::{self, WHATSAPP},
};
use crate::{Secret, vendor::Credentials};

pub struct Inbound {
    account: String,
    /// Two during a rotation.
    tokens: Vec<Secret>,
    /// Subaccount SIDs with their tokens.
    subaccounts: Vec<(String, Secret)>,
    /// The only origin that gets the account's credentials for media.
    origin: Origin,
    authorization: HeaderValue,
}

impl Inbound {
    /// Checks the form of the credentials. Makes no request.
    pub fn new(credentials: &Credentials) -> Result<Self, String> {
        let account = credentials.get(ACCOUNT_SID)?.expose().to_owned();
        let token = credentials.get(AUTH_TOKEN)?.clone();
        let endpoint = Url::parse(credentials.checked_endpoint(ENDPOINT)?);
        let basic = STANDARD.encode(format!("{account}:{}", token.expose()));
        let authorization = HeaderValue::from_str(&format!("Basic {basic}"));
        let mut authorization =
            authorization.map_err(|_| format!("{AUTH_TOKEN} has characters that a header can't carry"))?;
        authorization.set_sensitive(true);
        let subaccounts = credentials
            .find(SUBACCOUNT_TOKENS)
            .map_or(Ok(Vec::new()), subaccounts)?;
        let mut tokens = vec![token];
        tokens.extend(credentials.find(AUTH_TOKEN_SECONDARY).cloned());
        Ok(Self {
            account,
            tokens,
            subaccounts,
            origin: endpoint.map_err(|_| format!("{ENDPOINT} is not a URL"))?.origin(),
            authorization,
        })
    }

    /// Returns all tokens, for requests that name no account.
    pub fn all_tokens(&self) -> Vec<Secret> {
        let subaccounts = self.subaccounts.iter().map(|(_, token)| token);
        self.tokens.iter().chain(subaccounts).cloned().collect()
    }

    /// Returns the tokens of an account; empty for unknown accounts.
    fn tokens_of(&self, account: Option<&str>) -> Vec<Secret> {
        match account {
            Some(other) if other != self.account => {
                let known = self.subaccounts.iter().filter(|(sid, _)| sid == other);
                known.map(|(_, token)| token.clone()).collect()
            }
            _ => self.tokens.clone(),
        }
    }
}

/// Returns the account that a request names. Its own token must have signed the request.
pub fn named_account(request: &WebhookRequest) -> Option<String> {
    let Kind::Form(body) = kind(request) else {
        return None;
    };
    let form = Form::decode(body).ok()?;
    form.find("AccountSid")
        .filter(|sid| wire::is_sid(sid, "AC"))
        .map(str::to_owned)
}

/// Parses `AC..:token,AC..:token`.
fn subaccounts(list: &Secret) -> Result<Vec<(String, Secret)>, String> {
    let entries = list
        .expose()
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    let read = entries.map(|entry| {
        let (sid, token) = entry.split_once(':')?;
        let good = wire::is_sid(sid, "AC") && !token.is_empty();
        good.then(|| (sid.to_owned(), Secret::new(token)))
    });
    let read: Option<Vec<_>> = read.collect();
    read.ok_or_else(|| {
        format!("{SUBACCOUNT_TOKENS} must be pairs of an account SID and its token: AC..:token,AC..:token")
    })
}

#[async_trait]
impl Webhooks for Inbound {
    fn signature_header(&self) -> &'static str {
        webhook::HEADER
    }

    fn verify(&self, request: &WebhookRequest) -> Result<(), VerificationError> {
        let signature = request.header(webhook::HEADER).ok_or(VerificationError::Unsigned)?;
        let (account, form);
        let payload = match kind(request) {
            Kind::Form(body) => {
                // Twilio can't have signed an undecodable form.
                form = Form::decode(body).map_err(|_| VerificationError::WrongSignature)?;
                account = form.find("AccountSid");
                // The fields of a GET are part of the URL already.
                let signed = if request.method == Method::GET {
                    &[]
                } else {
                    form.fields()
                };
                Payload::Form(signed)
            }
            Kind::Raw => {
                account = None;
                Payload::Raw(&request.body)
            }
        };
        let tokens = self.tokens_of(account);
        if webhook::verify(&tokens, &request.url, payload, signature) {
            Ok(())
        } else {
            Err(VerificationError::WrongSignature)
        }
    }

    fn parse(&self, request: &WebhookRequest) -> Result<Vec<WebhookEvent>, UnreadableRequest> {
        let Kind::Form(body) = kind(request) else {
            return Ok(Vec::new());
        };
        let form = Form::decode(body)?;
        form.check_size()?;
        let Some(sid) = form.find("MessageSid").or_else(|| form.find("SmsSid")) else {
            // A call or another kind of event.
            return Ok(Vec::new());
        };
        if !wire::is_message_sid(sid) {
            return Err(UnreadableRequest("the message SID is invalid"));
        }
        let status = form.find("MessageStatus").or_else(|| form.find("SmsStatus"));
        let Some(channel) = channel(&form) else {
            return Ok(vec![IRRELEVANT]);
        };
        let subaccount = form.find("AccountSid").filter(|account| *account != self.account);
        let event = match status {
            Some("received" | "receiving") | None => WebhookEvent::Message(Box::new(InboundMessage {
                account: subaccount.map(str::to_owned),
                ..message::read(&form, sid, channel)?
            })),
            // All messages of this installation are sent by the account itself.
            Some(_) if subaccount.is_some() => IRRELEVANT,
            Some(status) => stage(status).map_or(IRRELEVANT, |stage| {
                WebhookEvent::Receipt(receipt(&form, sid, channel, stage, request))
            }),
        };
        Ok(vec![event])
    }

    /// Returns an empty response: replies go through the API, where they are counted and checked.
    fn acknowledgement(&self) -> Acknowledgement {
        Acknowledgement {
            content_type: "text/xml",
            body: r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#,
        }
    }

    async fn media(&self, attachment: &Attachment) -> Result<MediaRequest, LookupError> {
        let url = Url::parse(&attachment.source).map_err(|_| LookupError::NotFound)?;
        let is_carrier = url.origin() == self.origin;
        let mut headers = HeaderMap::new();
        if is_carrier {
            headers.insert(header::AUTHORIZATION, self.authorization.clone());
        }
        Ok(MediaRequest {
            url: url.into(),
            headers,
            is_carrier,
        })
    }
}

pub enum Kind<'a> {
    /// The encoded fields.
    Form(&'a [u8]),
    Raw,
}

pub fn kind(request: &WebhookRequest) -> Kind<'_> {
    if request.method == Method::GET {
        return Kind::Form(query(&request.url).as_bytes());
    }
    match request.header("content-type") {
        Some(kind)
            if !kind
                .to_ascii_lowercase()
                .starts_with("application/x-www-form-urlencoded") =>
        {
            Kind::Raw
        }
        _ => Kind::Form(&request.body),
    }
}

fn query(url: &str) -> &str {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?').map_or("", |(_, query)| query)
}

const IRRELEVANT: WebhookEvent = WebhookEvent::Skipped(SkippedEntry::Irrelevant);

/// Returns the channel of the address prefix; `None` for channels without support (`rcs:`, `messenger:`): their recipients have
/// one too. A prefix of the sender alone is a part of its name (`client:`, `sip:`).
fn channel(form: &Form) -> Option<Channel> {
    let parties = ["From", "To"].map(|name| form.find(name).unwrap_or_default());
    if parties.iter().any(|party| party.starts_with(WHATSAPP)) {
        return Some(Channel::Whatsapp);
    }
    let [_, recipient] = parties;
    let prefix = recipient.split_once(':').map(|(prefix, _)| prefix);
    let has_prefix = prefix.is_some_and(|prefix| !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_lowercase()));
    (!has_prefix).then_some(Channel::Sms)
}

fn receipt(form: &Form, sid: &str, channel: Channel, stage: DeliveryStatus, request: &WebhookRequest) -> Receipt {
    let code = form.find("ErrorCode").filter(|code| *code != "0");
    let class = code.and_then(|code| errors::class_of(code.parse().ok()?));
    Receipt {
        carrier_id: sid.to_owned(),
        message: our_id(&request.url),
        channel,
        sender: form
            .find("From")
            .map(|from| Address::known(channel, from).as_str().to_owned()),
        stage,
        error_code: code.map(crate::http::label),
        failure: class,
        price: None,
        tariff: None,
        org: None,
        is_marketing_only: false,
    }
}

/// Returns our message id from the query of the callback URL.
fn our_id(url: &str) -> Option<MessageId> {
    let mut pairs = form_urlencoded::parse(query(url).as_bytes());
    let (_, id) = pairs.find(|(name, _)| name == "mid")?;
    is_valid_host_id(&id).then(|| MessageId::from(id.as_ref()))
}

fn stage(status: &str) -> Option<DeliveryStatus> {
    Some(match status {
        "accepted" | "scheduled" => DeliveryStatus::Accepted,
        "queued" => DeliveryStatus::Queued,
        "sending" => DeliveryStatus::Sending,
        "sent" => DeliveryStatus::Sent,
        "delivered" | "partially_delivered" => DeliveryStatus::Delivered,
        "undelivered" => DeliveryStatus::Undelivered,
        "failed" | "canceled" => DeliveryStatus::Failed,
        "read" => DeliveryStatus::Read,
        _ => return None,
    })
}
