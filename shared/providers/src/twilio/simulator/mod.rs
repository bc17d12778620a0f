//! Twilio's API: accounts, the Messages resource, and signed webhooks (Twilio, API reference: Messages resource; error
//! dictionary). It behaves like Twilio in all that an adapter or an operator can observe.

mod accounts;
mod deletion;
mod error;
mod inbound;
mod listing;
mod numbers;
mod registrations;
mod resources;
mod rich;
mod tollfree;
mod validation;
pub mod voice;
mod whatsapp_senders;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use butt_dial_domain::{Channel, clock::Timestamp, sms};
use serde_json::{Value, json};
use url::form_urlencoded;

pub use self::inbound::inbound_webhook;
use self::{error::ApiError, validation::ValidMessage};
use super::{
    form::Form,
    webhook::{self, Payload},
    wire::{VERSION, WHATSAPP},
};
use crate::simulator::{
    DeliveryPlan, DeliveryStep, ErrorFormat, FORM, Headers, OutgoingWebhook, RetryPolicy, SimulatedMessage,
    SimulatorState, faults, voice_note,
};

pub const ACCOUNT_SID: &str = "AC00000000000000000000000000000000";
pub const AUTH_TOKEN: &str = "simulated-twilio-auth-token";

const ID: &str = "twilio";

const DELIVERED: &[DeliveryStep] = &[step("queued"), step("sent"), step("delivered")];
const UNREGISTERED: &[DeliveryStep] = &[step("queued"), step("sent"), undelivered(30034)];
const UNVERIFIED: &[DeliveryStep] = &[step("queued"), step("sent"), undelivered(30032)];
const OUTSIDE_WINDOW: &[DeliveryStep] = &[DeliveryStep {
    status: "failed",
    error_code: Some(63016),
}];

const MAX_RETRIES: u32 = 5;

const fn step(status: &'static str) -> DeliveryStep {
    DeliveryStep {
        status,
        error_code: None,
    }
}

const fn undelivered(code: u32) -> DeliveryStep {
    DeliveryStep {
        status: "undelivered",
        error_code: Some(code),
    }
}

const ERROR_FORMAT: ErrorFormat = ErrorFormat {
    vendor: ID,
    render: error::injected,
    rate_limit_code: "20429",
};

pub fn router(simulator: SimulatorState) -> Router {
    let send = middleware::from_fn_with_state((simulator.clone(), ERROR_FORMAT), faults::inject_faults);
    let messages = post(create).layer(send.clone()).get(listing::list);
    let owned = post(numbers::buy).layer(send.clone()).get(numbers::list);
    let number = post(numbers::update)
        .delete(numbers::release)
        .layer(send)
        .get(numbers::fetch);
    Router::new()
        .route(
            &format!("/{VERSION}/Accounts.json"),
            get(accounts::list).post(accounts::create),
        )
        .route(
            &format!("/{VERSION}/Accounts/{{account}}"),
            get(accounts::fetch).post(accounts::update),
        )
        .route(
            &format!("/{VERSION}/Accounts/{{account}}/AvailablePhoneNumbers/{{country}}/{{kind}}"),
            get(numbers::search),
        )
        .route(
            &format!("/{VERSION}/Accounts/{{account}}/IncomingPhoneNumbers.json"),
            owned,
        )
        .route(
            &format!("/{VERSION}/Accounts/{{account}}/IncomingPhoneNumbers/{{number}}"),
            number,
        )
        .route(&format!("/{VERSION}/Accounts/{{account}}/Messages.json"), messages)
        .route(
            &format!("/{VERSION}/Accounts/{{account}}/Messages/{{message}}"),
            get(fetch).delete(deletion::message),
        )
        .route(
            &format!("/{VERSION}/Accounts/{{account}}/Messages/{{message}}/Media.json"),
            get(deletion::media),
        )
        .route(
            &format!("/{VERSION}/Accounts/{{account}}/Messages/{{message}}/Media/{{media}}"),
            get(voice_note::serve),
        )
        .route(
            "/v2/Channels/Senders",
            get(whatsapp_senders::list).post(whatsapp_senders::create),
        )
        .route(
            "/v2/Channels/Senders/{id}",
            get(whatsapp_senders::fetch).delete(whatsapp_senders::remove),
        )
        .merge(registrations::router(&simulator))
        .merge(voice::router(&simulator))
        .fallback(|| async { ApiError::not_found() })
        .layer(middleware::from_fn_with_state(
            simulator.clone(),
            accounts::authenticate,
        ))
        .with_state(simulator.clone())
        .merge(rich::router(simulator))
}

async fn fetch(State(simulator): State<SimulatorState>, Path((_, file)): Path<(String, String)>) -> Response {
    let sid = file.strip_suffix(".json");
    match sid.and_then(|sid| simulator.find(ID, sid)) {
        Some(message) if message.status == deletion::DELETED => ApiError::not_found().into_response(),
        Some(message) => Json(rendered(&simulator, &message)).into_response(),
        None => ApiError::not_found().into_response(),
    }
}

async fn create(State(simulator): State<SimulatorState>, Path(account): Path<String>, body: Bytes) -> Response {
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let draft = match ValidMessage::parse(&simulator, &account, &fields) {
        Ok(draft) => draft,
        Err(error) => return error.into_response(),
    };
    let missing = match draft.message.channel {
        Channel::Sms if draft.message.to.starts_with("+1") => registrations::missing(&simulator, &draft.message.from),
        _ => None,
    };
    let steps = match missing {
        _ if draft.stays_outside_the_window(&simulator) => OUTSIDE_WINDOW,
        Some(30032) => UNVERIFIED,
        Some(_) => UNREGISTERED,
        None => DELIVERED,
    };
    let message = simulator.accept(draft.message);
    let status_simulator = simulator.clone();
    let status_webhook = draft.status_callback.map(
        |url| -> Box<dyn Fn(&SimulatedMessage) -> OutgoingWebhook + Send + Sync> {
            Box::new(move |message| status_callback(&status_simulator, &url, message))
        },
    );
    let plan = DeliveryPlan {
        vendor: ID,
        carrier_id: message.carrier_id.clone(),
        steps,
        status_webhook,
    };
    simulator.deliveries().schedule(plan, simulator.delivery_delay());
    (StatusCode::CREATED, Json(rendered(&simulator, &message))).into_response()
}

/// Renders the Messages resource. Counts are strings.
fn rendered(simulator: &SimulatorState, message: &SimulatedMessage) -> Value {
    let sid = &message.carrier_id;
    let account = accounts::owner_of(simulator, &message.from);
    let uri = format!("/{VERSION}/Accounts/{account}/Messages/{sid}");
    let has_left = matches!(message.status, "sent" | "delivered" | "undelivered");
    json!({
        "account_sid": account,
        "api_version": VERSION,
        "body": message.body,
        "date_created": message.at.to_rfc2822(),
        "date_sent": has_left.then(|| message.updated_at.to_rfc2822()),
        "date_updated": message.updated_at.to_rfc2822(),
        "direction": "outbound-api",
        "error_code": message.error_code,
        "error_message": null,
        "from": (!message.from.is_empty()).then(|| wire_address(message.channel, &message.from)),
        "messaging_service_sid": message.sender_pool,
        "num_media": message.media.len().to_string(),
        "num_segments": segments(message).to_string(),
        "price": null,
        "price_unit": null,
        "sid": sid,
        "status": message.status,
        "subresource_uris": { "media": format!("{uri}/Media.json") },
        "to": wire_address(message.channel, &message.to),
        "uri": format!("{uri}.json"),
    })
}

fn segments(message: &SimulatedMessage) -> u32 {
    match message.channel {
        Channel::Sms if message.status == "accepted" => 0,
        Channel::Sms => sms::segments(&message.body).1,
        _ => 1,
    }
}

fn wire_address(channel: Channel, address: &str) -> String {
    match channel {
        Channel::Whatsapp => format!("{WHATSAPP}{address}"),
        _ => address.to_owned(),
    }
}

/// Builds a status callback (Twilio, Outbound message status callbacks).
fn status_callback(simulator: &SimulatorState, url: &str, message: &SimulatedMessage) -> OutgoingWebhook {
    let own = |text: &str| text.to_owned();
    let mut fields = vec![
        (own("AccountSid"), accounts::owner_of(simulator, &message.from)),
        (own("ApiVersion"), own(VERSION)),
        (own("From"), wire_address(message.channel, &message.from)),
        (own("MessageSid"), message.carrier_id.clone()),
        (own("MessageStatus"), own(message.status)),
        (own("SmsSid"), message.carrier_id.clone()),
        (own("SmsStatus"), own(message.status)),
        (own("To"), wire_address(message.channel, &message.to)),
    ];
    if let Some(service) = &message.sender_pool {
        fields.push((own("MessagingServiceSid"), service.clone()));
    }
    if let Some(code) = message.error_code {
        fields.push((own("ErrorCode"), code.to_string()));
    }
    if message.channel == Channel::Whatsapp {
        fields.push((own("ChannelPrefix"), own("whatsapp")));
    } else if message.status == "delivered" {
        fields.push((
            own("RawDlrDoneDate"),
            message.updated_at.format("%y%m%d%H%M").to_string(),
        ));
    }
    signed(simulator, url, &fields)
}

/// Builds a signed form. The fragment of the URL holds the retry policy.
fn signed(simulator: &SimulatorState, url: &str, fields: &[(String, String)]) -> OutgoingWebhook {
    OutgoingWebhook {
        url: url.to_owned(),
        content_type: FORM,
        headers: headers(simulator, url, fields),
        body: form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish(),
        retry: retry_policy(url),
    }
}

/// Signs a body. A body that is not a form has no fields to sign.
pub fn sign(simulator: &SimulatorState, url: &str, body: &[u8], _at: Timestamp) -> Headers {
    let form = Form::decode(body);
    headers(simulator, url, form.as_ref().map_or(&[], Form::fields))
}

fn headers(simulator: &SimulatorState, url: &str, fields: &[(String, String)]) -> Headers {
    // The account that the request names signs it; the main account signs for unknown ones.
    let account = fields.iter().find(|(name, _)| name == "AccountSid");
    let account = account.map_or(ACCOUNT_SID, |(_, account)| account.as_str());
    let own = accounts::token_of(simulator, account);
    let token = match own.expose().is_empty() {
        true => simulator.secret(super::AUTH_TOKEN),
        false => own,
    };
    let signature = webhook::sign(&token, url, Payload::Form(fields));
    let token = uuid::Uuid::new_v4().to_string();
    vec![
        (webhook::HEADER, signature),
        ("I-Twilio-Idempotency-Token", token),
        ("User-Agent", "TwilioProxy/1.1".to_owned()),
    ]
}

/// Parses the connection overrides `rc` and `rp` (Twilio, Webhooks connection overrides). By default Twilio retries
/// once, and only after a failed connection.
fn retry_policy(url: &str) -> RetryPolicy {
    let overrides = url.split_once('#').map_or("", |(_, fragment)| fragment);
    let find = |name: &str| {
        overrides
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    let retries = find("rc")
        .and_then(|count| count.parse().ok())
        .unwrap_or(1)
        .min(MAX_RETRIES);
    let mut causes = find("rp").unwrap_or("ct").split(',');
    RetryPolicy {
        attempts: 1 + retries,
        retry_on_errors: causes.any(|cause| matches!(cause, "5xx" | "all")),
    }
}
