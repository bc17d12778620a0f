//! The form of an outbound call, and the list of calls (Twilio, API reference: Calls resource).

use butt_dial_domain::{
    Address,
    call::{CallOptions, CallStatus, Purpose},
    money::Rates,
    ports::{
        carrier::{Dispatch, ListedMessage},
        voice::CarrierCall,
    },
};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::callback;
use crate::{json::lenient_text, twilio::wire};

/// Builds the fields of a new call; lists repeat the key. Returns `None` without call options or URLs.
pub fn form(dispatch: &Dispatch) -> Option<Vec<(&'static str, String)>> {
    let (options, urls) = (dispatch.content.call.as_ref()?, dispatch.call_urls.as_ref()?);
    let mut form = vec![
        ("To", dispatch.to.as_str().to_owned()),
        ("From", dispatch.from.as_str().to_owned()),
        ("Url", callback(&urls.answer)),
        ("StatusCallback", callback(&urls.status)),
        ("Timeout", options.ring_seconds.to_string()),
        ("TimeLimit", options.limit_seconds.to_string()),
    ];
    for event in ["initiated", "ringing", "answered", "completed"] {
        form.push(("StatusCallbackEvent", event.to_owned()));
    }
    match &options.digits {
        // Twilio does not detect machines when it sends digits.
        Some(digits) => form.push(("SendDigits", digits.clone())),
        None if options.detects_machine => detect(&mut form, options, &urls.machine),
        None => {}
    }
    Some(form)
}

/// Enables machine detection. A message waits for the beep, so its script is requested after the detection. A
/// conversation starts at once, so that a human does not wait; speech to a machine is cut off later.
fn detect(form: &mut Vec<(&'static str, String)>, options: &CallOptions, callback_url: &str) {
    form.push(("MachineDetection", "DetectMessageEnd".to_owned()));
    if !matches!(options.plan.purpose, Purpose::Message { .. }) {
        form.push(("AsyncAmd", "true".to_owned()));
        form.push(("AsyncAmdStatusCallback", callback(callback_url)));
    }
}

/// Builds the query without `StartTime`, because a call that is still queued has none.
pub fn list_query(from: &Address, to: &Address, page_size: usize) -> String {
    Serializer::new(String::new())
        .append_pair("To", to.as_str())
        .append_pair("From", from.as_str())
        .append_pair("PageSize", &page_size.to_string())
        .finish()
}

#[derive(Deserialize)]
pub struct Page {
    pub calls: Vec<Call>,
    pub next_page_uri: Option<String>,
}

#[derive(Deserialize)]
pub struct Call {
    sid: String,
    status: String,
    date_created: String,
    #[serde(default, deserialize_with = "lenient_text")]
    price: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    price_unit: Option<String>,
    /// Strings; missing while the call lasts.
    end_time: Option<String>,
    duration: Option<String>,
}

impl Call {
    /// Returns the call for reconciliation. A call has no body.
    pub fn listed(self, rates: &Rates) -> Option<ListedMessage> {
        Some(ListedMessage {
            created_at: wire::date(&self.date_created)?,
            carrier_id: self.sid,
            carrier_status: self.status,
            body: String::new(),
            segments: None,
            media: 0,
            price: wire::price(rates, self.price.as_deref(), self.price_unit.as_deref()),
        })
    }

    pub fn state(self, rates: &Rates) -> Option<CarrierCall> {
        Some(CarrierCall {
            created_at: wire::date(&self.date_created)?,
            status: CallStatus::parse(&self.status)?,
            ended_at: self.end_time.as_deref().and_then(wire::date),
            duration_seconds: self.duration.and_then(|seconds| seconds.parse().ok()),
            price: wire::price(rates, self.price.as_deref(), self.price_unit.as_deref()),
            carrier_id: self.sid,
        })
    }
}

pub fn is_call_sid(text: &str) -> bool {
    wire::is_sid(text, "CA")
}
