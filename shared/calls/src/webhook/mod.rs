//! What a carrier asks and tells about calls, and what it is answered. On any replica: what is known of the call is in its
//! state. Every report goes into the durable stream, before the answer unless somebody on the line would hear that the stream
//! is away (`beside.rs`); what becomes of it there, `inbound/record.rs` says.

mod durable_publish;
mod handlers;
mod missing_state;

use std::sync::Arc;

use butt_dial_domain::{
    AgentId, CallId, Channel,
    call::{CallReport, Direction, Plan, Purpose},
    ports::{
        bus::Headers,
        kv::KvError,
        voice::{Rendered, Script, Step, Voice},
        webhook::WebhookRequest,
    },
};
use butt_dial_store::InboundRoute;
use chrono::TimeDelta;

use super::{
    script,
    state::{self, CallInfo, CallState},
};
use crate::{
    Comms,
    inbound::{RawWebhook, WebhookRefusal, envelope::digest, routes::Routes, verify},
};

/// Spoken where nobody has said otherwise.
pub(super) const LANGUAGE: &str = "en-US";

/// What the carrier is at: the end of the path, as in `/webhooks/twilio/voice/action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackKind {
    /// Somebody calls us.
    Incoming,
    /// Somebody has answered a call of ours.
    Answer,
    /// A conversation's socket has ended.
    Action,
    Status,
    /// Who has answered.
    Machine,
    /// A message was left after the beep.
    Message,
    Recording,
    /// What the one who is called hears first.
    Whisper,
    /// The call was handed to somebody, or could not be.
    Dialled,
}

impl CallbackKind {
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "incoming" => Self::Incoming,
            "answer" => Self::Answer,
            "action" => Self::Action,
            "status" => Self::Status,
            "machine" => Self::Machine,
            "message" => Self::Message,
            "recording" => Self::Recording,
            "whisper" => Self::Whisper,
            "dialled" => Self::Dialled,
            _ => return None,
        })
    }

    /// Whether the report must be durable before the carrier gets its response. Otherwise a person on the line waits for the
    /// response, and an error would end the call: the report is published in parallel.
    fn must_precede_response(self) -> bool {
        match self {
            Self::Status | Self::Machine | Self::Message | Self::Recording => true,
            Self::Incoming | Self::Answer | Self::Action | Self::Whisper | Self::Dialled => false,
        }
    }
}

/// A believed request about a call.
struct CallWebhook {
    carrier: &'static str,
    voice: Arc<dyn Voice>,
    report: CallReport,
    /// The agent that the path names.
    only: Option<AgentId>,
    /// What is known of the call.
    state: Option<CallState>,
    trace: Headers,
}

impl Comms {
    /// Takes a carrier's request about a call in. When this returns what to answer, what it told is durable, or is being made
    /// so.
    pub async fn receive_call(
        &self,
        routes: &Routes,
        raw: RawWebhook,
        hook: CallbackKind,
    ) -> Result<Rendered, WebhookRefusal> {
        let trace = raw.trace.clone();
        let verified = verify::verify(self, raw)?;
        let Some((carrier, voice)) = self.carriers.find_voice(verified.carrier) else {
            return Err(WebhookRefusal::Unknown);
        };
        let report = voice.parse_report(&verified.request).map_err(|unreadable| {
            tracing::warn!(
                carrier,
                reason = unreadable.0,
                "a signed callback of a call can't be read"
            );
            self.metrics.webhook(carrier, "unreadable");
            WebhookRefusal::UnreadableRequest
        })?;
        // A number's own status callback names no call of ours.
        let call = named_call(&verified.request).unwrap_or_else(|| inbound_call(carrier, &report.carrier_id));
        // What can't be looked up may still be answered; each hook says how.
        let state = state::find(self, &call).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a call's state can't be read");
            None
        });
        // The signature says that the carrier asks; that it asks about this very call, its own id does.
        let state = state.filter(|state| is_about(state, carrier, &report));
        let webhook = CallWebhook {
            carrier,
            voice: voice.clone(),
            report,
            only: verified.only,
            state,
            trace,
        };
        let script = match hook {
            CallbackKind::Incoming => incoming(self, routes, &webhook).await?,
            _ => handlers::handle(self, routes, &webhook, hook).await?,
        };
        self.metrics.webhook(carrier, "accepted");
        Ok(webhook.voice.render(&script))
    }
}

fn named_call(request: &WebhookRequest) -> Option<CallId> {
    let (_, query) = request.url.split_once('?')?;
    let (_, id) = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "call")?;
    butt_dial_domain::ids::is_valid_host_id(&id).then(|| CallId::from(id.as_ref()))
}

fn is_about(state: &CallState, carrier: &str, report: &CallReport) -> bool {
    let info = &state.info;
    info.carrier == carrier && info.carrier_id.as_ref().is_none_or(|id| id == &report.carrier_id)
}

/// Our id of a call to us: the same for each of the carrier's retries.
pub fn inbound_call(carrier: &str, carrier_id: &str) -> CallId {
    CallId::from(format!("{}{}", CallId::PREFIX, digest(&[carrier, carrier_id])))
}

async fn incoming(comms: &Comms, routes: &Routes, webhook: &CallWebhook) -> Result<Script, WebhookRefusal> {
    let report = &webhook.report;
    let route = find_route(routes, &report.to).await?;
    let Some(route) = route.filter(|route| webhook.only.as_ref().is_none_or(|agent| agent == &route.agent)) else {
        comms.metrics.webhook(webhook.carrier, "unknown_number");
        return Err(WebhookRefusal::Unknown);
    };
    if route.blocked {
        comms.metrics.webhook(webhook.carrier, "blocked");
        return Ok(Script(vec![Step::Reject { is_busy: false }]));
    }
    let call = inbound_call(webhook.carrier, &report.carrier_id);
    let state = begin(comms, webhook, &route, &call);
    durable_publish::publish_report(comms, webhook, CallbackKind::Incoming, &state).await?;
    match take_in(comms, &state).await {
        Ok(script) => Ok(script),
        Err(error) => {
            tracing::warn!(%error, %call, "a call can't be talked with; the caller may leave a message");
            Ok(script::offer_voicemail(
                comms,
                webhook.carrier,
                &call,
                LANGUAGE,
                &route.agent_name,
            ))
        }
    }
}

fn begin(comms: &Comms, webhook: &CallWebhook, route: &InboundRoute, call: &CallId) -> CallState {
    let now = comms.clock.now();
    let max_duration = TimeDelta::from_std(comms.settings.calls.max_duration).unwrap_or(TimeDelta::hours(1));
    CallState::new(CallInfo {
        call: call.clone(),
        org: route.org.clone(),
        agent: route.agent.clone(),
        carrier: webhook.carrier.to_owned(),
        carrier_id: Some(webhook.report.carrier_id.clone()),
        direction: Direction::Inbound,
        local: route.address.clone(),
        remote: webhook.report.from.clone(),
        name: route.agent_name.clone(),
        plan: Plan {
            purpose: Purpose::Converse,
            greeting: None,
            system_prompt: None,
            voice: None,
            language: None,
        },
        language: LANGUAGE.to_owned(),
        started_at: now,
        limit_at: now + max_duration,
    })
}

/// A carrier that repeats itself gets another socket to the same call.
async fn take_in(comms: &Comms, state: &CallState) -> Result<Script, KvError> {
    match state::find(comms, &state.info.call).await? {
        Some(known) => script::connect_relay(comms, &known).await,
        None => {
            state::create(comms, state).await?;
            script::connect_relay(comms, state).await
        }
    }
}

/// Calls come to the same numbers as texts do.
async fn find_route(routes: &Routes, number: &str) -> Result<Option<Arc<InboundRoute>>, WebhookRefusal> {
    routes
        .find(Channel::Voice, number)
        .await
        .map_err(|_| WebhookRefusal::Unavailable)
}
