//! The frames that Twilio accepts over ConversationRelay's socket, checked as strictly (Twilio, ConversationRelay
//! WebSocket messages: messages to Twilio).

use butt_dial_domain::call::{CallStatus, Direction};
use serde_json::{Map, Value, json};

use super::speech::{Interruptible, SpeechOptions};
use crate::{simulator::calls::Call, twilio::simulator::ACCOUNT_SID};

#[derive(Debug)]
pub enum Frame {
    Token {
        token: String,
        is_last: bool,
        options: SpeechOptions,
    },
    Play {
        url: String,
        times: u64,
        options: SpeechOptions,
    },
    Digits(String),
    /// The languages that the session knows from here on.
    Language(Vec<String>),
    End(Option<String>),
}

#[derive(Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A known type with a missing or invalid field.
    Invalid,
    /// An unknown type.
    Unrecognized,
}

/// Parses a frame. `options` are the TwiML's defaults.
pub fn read(text: &str, options: SpeechOptions, languages: &[String]) -> Result<Frame, FrameError> {
    let Ok(Value::Object(frame)) = serde_json::from_str(text) else {
        return Err(FrameError::Unrecognized);
    };
    let field = |name: &str| frame.get(name);
    let boolean = |name: &str, default: bool| match field(name) {
        None => Ok(default),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(FrameError::Invalid),
    };
    let optional = |name: &str| match field(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(FrameError::Invalid),
    };
    let required = |name: &str| optional(name)?.ok_or(FrameError::Invalid);
    let options = || {
        let interruptible = match field("interruptible") {
            None => options.interruptible,
            Some(Value::Bool(true)) => Interruptible::ANY,
            Some(Value::Bool(false)) => Interruptible::NONE,
            Some(_) => return Err(FrameError::Invalid),
        };
        Ok(SpeechOptions {
            interruptible,
            preemptible: boolean("preemptible", options.preemptible)?,
        })
    };
    let known = |language: &Option<String>| {
        let is_known = language.as_ref().is_none_or(|language| languages.contains(language));
        is_known.then_some(()).ok_or(FrameError::Invalid)
    };
    Ok(
        match field("type").and_then(Value::as_str).ok_or(FrameError::Unrecognized)? {
            "text" => {
                known(&optional("lang")?)?;
                Frame::Token {
                    token: required("token")?,
                    is_last: boolean("last", false)?,
                    options: options()?,
                }
            }
            "play" => Frame::Play {
                url: required("source").and_then(|url| {
                    let is_web = url::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
                    is_web.then_some(url).ok_or(FrameError::Invalid)
                })?,
                times: match field("loop") {
                    None => 1,
                    Some(times) => times.as_u64().ok_or(FrameError::Invalid)?,
                },
                options: options()?,
            },
            "sendDigits" => {
                let digits = required("digits")?;
                let good = !digits.is_empty() && digits.chars().all(|c| matches!(c, '0'..='9' | 'w' | '#' | '*'));
                good.then_some(Frame::Digits(digits)).ok_or(FrameError::Invalid)?
            }
            "language" => {
                let (spoken, heard) = (optional("ttsLanguage")?, optional("transcriptionLanguage")?);
                if spoken.is_none() && heard.is_none() {
                    return Err(FrameError::Invalid);
                }
                optional("voice")?;
                optional("ttsProvider")?;
                Frame::Language([spoken, heard].into_iter().flatten().collect())
            }
            "end" => Frame::End(optional("handoffData")?),
            _ => return Err(FrameError::Unrecognized),
        },
    )
}

/// Returns the first frame that Twilio sends.
pub fn setup(call: &Call, parameters: &[(String, String)], id: &str) -> Value {
    let status = match call.status() {
        CallStatus::InProgress => "IN_PROGRESS",
        _ => "RINGING",
    };
    let direction = match call.direction() {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound-api",
    };
    let parameters: Map<String, Value> = parameters
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    json!({
        "type": "setup", "sessionId": id, "accountSid": ACCOUNT_SID, "callSid": call.id(), "parentCallSid": "",
        "from": call.from(), "to": call.to(), "forwardedFrom": "", "callerName": "", "direction": direction,
        "callType": "PSTN", "callStatus": status, "customParameters": parameters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: SpeechOptions = SpeechOptions {
        interruptible: Interruptible::ANY,
        preemptible: false,
    };

    fn checks(text: &str) -> Result<Frame, FrameError> {
        read(text, TERMS, &["en-US".to_owned()])
    }

    #[test]
    fn rejects_frames_that_twilio_rejects() {
        for invalid in [
            r#"{"type":"text"}"#,
            r#"{"type":"text","token":null}"#,
            r#"{"type":"text","token":"a","last":"true"}"#,
            r#"{"type":"text","token":"a","lang":"de-DE"}"#,
            r#"{"type":"play","source":"x"}"#,
            r#"{"type":"sendDigits","digits":""}"#,
            r#"{"type":"sendDigits","digits":"1-2"}"#,
            r#"{"type":"language"}"#,
            r#"{"type":"end","handoffData":{}}"#,
        ] {
            assert_eq!(checks(invalid).unwrap_err(), FrameError::Invalid, "{invalid}");
        }
        for unknown in ["", "null", "[]", "{}", r#"{"type":"dance"}"#, r#"{"type":1}"#] {
            assert_eq!(checks(unknown).unwrap_err(), FrameError::Unrecognized, "{unknown}");
        }
        assert!(checks(r#"{"type":"text","token":"a","last":true,"lang":"en-US","new":1}"#).is_ok());
    }
}
