//! What we may send over ConversationRelay's socket, checked as strictly as Twilio does
//! (Twilio, ConversationRelay WebSocket messages: messages to Twilio).

use serde_json::Value;

use super::speech::{Interruptible, Terms};

#[derive(Debug)]
pub enum Frame {
    Token { token: String, is_last: bool, terms: Terms },
    Play { url: String, times: u64, terms: Terms },
    Digits(String),
    Language,
    End(Option<String>),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Known, with a field that is missing or is not what it should be.
    Invalid,
    /// Nothing that Twilio knows.
    Unrecognized,
}

/// `terms` are those of the TwiML, where the frame does not say otherwise.
pub fn read(text: &str, terms: Terms, languages: &[String]) -> Result<Frame, Wrong> {
    let Ok(Value::Object(frame)) = serde_json::from_str(text) else {
        return Err(Wrong::Unrecognized);
    };
    let field = |name: &str| frame.get(name);
    let truth = |name: &str, default: bool| match field(name) {
        None => Ok(default),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(Wrong::Invalid),
    };
    let optional = |name: &str| match field(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Wrong::Invalid),
    };
    let required = |name: &str| optional(name)?.ok_or(Wrong::Invalid);
    let terms = || {
        let interruptible = match field("interruptible") {
            None => terms.interruptible,
            Some(Value::Bool(true)) => Interruptible::ANY,
            Some(Value::Bool(false)) => Interruptible::NONE,
            Some(_) => return Err(Wrong::Invalid),
        };
        Ok(Terms {
            interruptible,
            preemptible: truth("preemptible", terms.preemptible)?,
        })
    };
    let known = |language: &Option<String>| {
        let is_known = language.as_ref().is_none_or(|language| languages.contains(language));
        is_known.then_some(()).ok_or(Wrong::Invalid)
    };
    Ok(
        match field("type").and_then(Value::as_str).ok_or(Wrong::Unrecognized)? {
            "text" => {
                known(&optional("lang")?)?;
                Frame::Token {
                    token: required("token")?,
                    is_last: truth("last", false)?,
                    terms: terms()?,
                }
            }
            "play" => Frame::Play {
                url: required("source").and_then(|url| {
                    let is_web = url::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
                    is_web.then_some(url).ok_or(Wrong::Invalid)
                })?,
                times: match field("loop") {
                    None => 1,
                    Some(times) => times.as_u64().ok_or(Wrong::Invalid)?,
                },
                terms: terms()?,
            },
            "sendDigits" => {
                let digits = required("digits")?;
                let good = !digits.is_empty() && digits.chars().all(|c| matches!(c, '0'..='9' | 'w' | '#' | '*'));
                good.then_some(Frame::Digits(digits)).ok_or(Wrong::Invalid)?
            }
            "language" => {
                let (spoken, heard) = (optional("ttsLanguage")?, optional("transcriptionLanguage")?);
                if spoken.is_none() && heard.is_none() {
                    return Err(Wrong::Invalid);
                }
                known(&spoken)?;
                known(&heard)?;
                Frame::Language
            }
            "end" => Frame::End(optional("handoffData")?),
            _ => return Err(Wrong::Unrecognized),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        interruptible: Interruptible::ANY,
        preemptible: false,
    };

    fn checks(text: &str) -> Result<Frame, Wrong> {
        read(text, TERMS, &["en-US".to_owned()])
    }

    #[test]
    fn what_twilio_would_not_take_is_not_taken() {
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
            assert_eq!(checks(invalid).unwrap_err(), Wrong::Invalid, "{invalid}");
        }
        for unknown in ["", "null", "[]", "{}", r#"{"type":"dance"}"#, r#"{"type":1}"#] {
            assert_eq!(checks(unknown).unwrap_err(), Wrong::Unrecognized, "{unknown}");
        }
        assert!(checks(r#"{"type":"text","token":"a","last":true,"lang":"en-US","new":1}"#).is_ok());
    }
}
