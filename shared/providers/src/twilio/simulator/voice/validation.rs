//! Request checks of the Calls resource, with Twilio's error codes (Twilio, Calls resource; error dictionary).

use butt_dial_domain::{Address, Channel};

use super::{
    outbound_call::{OnAnswer, OutboundCall},
    twiml,
};
use crate::{
    simulator::SimulatorState,
    twilio::simulator::{accounts::may_send_from, error::ApiError},
};

const MAX_TWIML_CHARS: usize = 4_000;
const MAX_DIGITS: usize = 32;
const MAX_RING_SECONDS: u64 = 600;

pub struct Fields<'a>(pub &'a [(String, String)]);

impl<'a> Fields<'a> {
    pub fn find(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn all(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).collect()
    }

    pub fn url(&self, name: &str, code: u32) -> Result<Option<String>, ApiError> {
        let is_web = |text: &str| {
            url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        };
        match self.find(name) {
            Some(text) if !is_web(text) => Err(ApiError::bad(code, format!("{name} is not a valid URL"))),
            found => Ok(found.map(str::to_owned)),
        }
    }

    fn number(&self, name: &str, default: Option<u64>) -> Result<Option<u64>, ApiError> {
        match self.find(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(ApiError::bad(20001, format!("{name} is not a number"))),
            },
        }
    }

    pub fn twiml(&self) -> Result<Option<String>, ApiError> {
        let Some(text) = self.find("Twiml") else {
            return Ok(None);
        };
        if text.chars().count() > MAX_TWIML_CHARS {
            return Err(ApiError::bad(21218, "Twiml is longer than 4000 characters"));
        }
        match twiml::parse(text) {
            Ok(_) => Ok(Some(text.to_owned())),
            Err(code) => Err(ApiError::bad(code, "Twiml can't be parsed")),
        }
    }
}

/// A call that passed the checks.
pub struct ValidCall {
    pub from: String,
    pub to: String,
    pub status_url: Option<String>,
    pub events: Vec<String>,
    pub records: bool,
    pub outbound: OutboundCall,
}

impl ValidCall {
    pub fn parse(
        simulator: &SimulatorState,
        account: &str,
        fields: &Fields,
        conference: Option<String>,
    ) -> Result<Self, ApiError> {
        let to = fields
            .find("To")
            .ok_or_else(|| ApiError::bad(21201, "No 'To' number is specified"))?;
        let from = fields
            .find("From")
            .ok_or_else(|| ApiError::bad(21213, "'From' phone number is required"))?;
        let number = |text, code, what| match Address::parse(Channel::Voice, text) {
            Ok(address) if address.as_str() == text => Ok(text.to_owned()),
            _ => Err(ApiError::bad(code, format!("The {what} phone number is not valid."))),
        };
        let (to, from) = (number(to, 21211, "'To'")?, number(from, 21212, "'From'")?);
        if !may_send_from(simulator, account, &from) {
            let text = "The source phone number provided is not yet verified for your account.";
            return Err(ApiError::bad(21210, text));
        }
        let on_answer = match (conference, fields.url("Url", 21205)?, fields.twiml()?) {
            (Some(name), ..) => OnAnswer::Join(name),
            (None, Some(url), _) => OnAnswer::Fetch(url),
            (None, None, Some(document)) => OnAnswer::Run(document),
            _ => return Err(ApiError::bad(21205, "Url parameter is required.")),
        };
        let events = fields.all("StatusCallbackEvent");
        let known = ["initiated", "ringing", "answered", "completed"];
        if let Some(event) = events.iter().find(|event| !known.contains(&event.as_str())) {
            return Err(ApiError::bad(
                21626,
                format!("'{event}' is not a valid StatusCallbackEvent"),
            ));
        }
        let digits = fields.find("SendDigits");
        let plays = |c| matches!(c, '0'..='9' | '*' | '#' | 'w' | 'W');
        if digits.is_some_and(|digits| digits.len() > MAX_DIGITS || !digits.chars().all(plays)) {
            return Err(ApiError::bad(13222, "SendDigits is not valid"));
        }
        let ring = fields.number("Timeout", Some(60))?.unwrap_or(60).min(MAX_RING_SECONDS);
        Ok(Self {
            from,
            to,
            status_url: fields.url("StatusCallback", 21609)?,
            events: if events.is_empty() {
                vec!["completed".to_owned()]
            } else {
                events
            },
            records: fields.find("Record") == Some("true"),
            outbound: OutboundCall {
                on_answer,
                ring_ms: ring * 1_000,
                limit_ms: fields.number("TimeLimit", None)?.map(|seconds| seconds * 1_000),
                // Twilio does not detect machines when it sends digits.
                detection: detection(fields)?.filter(|_| digits.is_none()),
            },
        })
    }
}

/// Returns where the detection result is reported; empty for the answer request.
fn detection(fields: &Fields) -> Result<Option<String>, ApiError> {
    match fields.find("MachineDetection") {
        None => return Ok(None),
        Some("Enable" | "DetectMessageEnd") => {}
        Some(_) => return Err(ApiError::bad(20001, "MachineDetection is not valid")),
    }
    match fields.find("AsyncAmd") {
        Some("true") => fields.url("AsyncAmdStatusCallback", 21609),
        Some("false") | None => Ok(Some(String::new())),
        Some(_) => Err(ApiError::bad(20001, "AsyncAmd is not valid")),
    }
}
