//! Receives a callback: verifies it, finds the call, and dispatches to the handler of its kind.

use std::sync::Arc;

use butt_dial_domain::{
    CallId, ProviderAccountId,
    call::CallReport,
    ids,
    ports::{voice::Rendered, webhook::WebhookRequest},
};
use butt_dial_messaging::inbound::{RawWebhook, Routes, WebhookRefusal};
use url::form_urlencoded;

use super::{
    super::{handle::Calls, state::CallState},
    callback::{CallWebhook, CallbackKind, inbound_call_id, refuse_account},
    handlers, inbound_call,
};

impl Calls {
    /// Receives a callback about a call. When this returns the response, the report is durable, or is being published in
    /// the background.
    pub async fn receive_call(
        self: &Arc<Self>,
        routes: &Routes,
        raw: RawWebhook,
        kind: CallbackKind,
    ) -> Result<Rendered, WebhookRefusal> {
        let trace = raw.trace.clone();
        let verified = self.inbound.verify(raw).await?;
        let owner = verified.account.as_ref().map(|account| account.account.clone());
        let voice = match &verified.account {
            Some(account) => account.voice.clone().map(|voice| (account.vendor, voice)),
            None => self
                .carriers
                .find_voice(verified.carrier)
                .map(|(id, voice)| (id, voice.clone())),
        };
        let Some((carrier, voice)) = voice else {
            return Err(WebhookRefusal::Unknown);
        };
        let report = voice.parse_report(&verified.request).map_err(|unreadable| {
            tracing::warn!(carrier, reason = unreadable.0, "call webhook unreadable");
            self.record_webhook(carrier, "unreadable");
            WebhookRefusal::Unreadable
        })?;
        // The status callback of a number names no call.
        let account = voice.other_account(&verified.request);
        let reporter = owner.as_ref().map(ProviderAccountId::as_str).or(account.as_deref());
        let inbound_call = inbound_call_id(carrier, reporter, &report.carrier_id);
        let call = named_call(&verified.request).unwrap_or_else(|| inbound_call.clone());
        // The installation places its calls with its own account: another one has inbound calls only.
        if account.is_some() && call != inbound_call {
            return Err(refuse_account(self, carrier));
        }
        let state = match self.find_state(&call).await {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(%error, %call, "call state unavailable");
                // The state says whether the recording is kept: the carrier repeats the callback.
                if kind == CallbackKind::Recorded {
                    return Err(WebhookRefusal::Unavailable);
                }
                // Without a state the callback can still get a response (`missing_state.rs`).
                None
            }
        };
        let webhook = CallWebhook {
            carrier,
            voice,
            // The signature proves the carrier. The carrier's id proves that the request is about this call.
            state: state
                .filter(|state| is_about(state, carrier, owner.as_ref(), &report))
                .map(|mut state| {
                    // An outbound call is answered before its own id is stored.
                    state.info.carrier_id.get_or_insert_with(|| report.carrier_id.clone());
                    state
                }),
            report,
            account,
            owner,
            only: verified.only,
            trace,
        };
        let script = match kind {
            CallbackKind::Incoming => inbound_call::accept(self, routes, &webhook).await?,
            _ => handlers::handle(self, routes, &webhook, kind).await?,
        };
        self.record_webhook(carrier, "accepted");
        Ok(webhook.voice.render(&script))
    }
}

fn named_call(request: &WebhookRequest) -> Option<CallId> {
    let (_, query) = request.url.split_once('?')?;
    let (_, id) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "call")?;
    ids::is_valid_host_id(&id).then(|| CallId::from(id.as_ref()))
}

fn is_about(state: &CallState, carrier: &str, owner: Option<&ProviderAccountId>, report: &CallReport) -> bool {
    let info = &state.info;
    info.carrier == carrier
        && info.account.as_ref() == owner
        && info.carrier_id.as_ref().is_none_or(|id| id == &report.carrier_id)
}
