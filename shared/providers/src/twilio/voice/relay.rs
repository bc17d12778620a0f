//! The frames of a conversation socket (Twilio, ConversationRelay WebSocket messages). Unknown types and fields are
//! ignored, because Twilio adds some; known ones must be valid.

use butt_dial_domain::ports::voice::{IncomingFrame, MalformedFrame, OutgoingFrame, Speaker};
use serde_json::{Map, Value, json};

use crate::twilio::wire;

pub fn parse_frame(text: &str) -> Result<IncomingFrame, MalformedFrame> {
    let Ok(Value::Object(frame)) = serde_json::from_str(text) else {
        return Err(MalformedFrame("the frame is not a JSON object"));
    };
    let frame = Frame(frame);
    match frame.text("type", "the frame has no type")? {
        "setup" => frame.read_setup(),
        "prompt" => frame.read_prompt(),
        "interrupt" => frame.read_interrupt(),
        "dtmf" => frame.read_key(),
        "info" => frame.read_info(),
        "error" => frame.read_error(),
        _ => Ok(IncomingFrame::Other),
    }
}

struct Frame(Map<String, Value>);

impl Frame {
    /// Parses `Invalid message received, code: 64107, <the frame>`.
    fn read_error(&self) -> Result<IncomingFrame, MalformedFrame> {
        let description = self.text("description", "an error without a description")?;
        let after = description
            .split_once("code:")
            .map_or("", |(_, after)| after.trim_start());
        let digits = after.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        Ok(IncomingFrame::Fault(digits.parse().ok()))
    }

    fn text(&self, name: &str, fault: &'static str) -> Result<&str, MalformedFrame> {
        self.0.get(name).and_then(Value::as_str).ok_or(MalformedFrame(fault))
    }

    fn read_setup(&self) -> Result<IncomingFrame, MalformedFrame> {
        let sid = |name, kind, fault| {
            let sid = self.text(name, fault)?;
            wire::is_sid(sid, kind)
                .then(|| sid.to_owned())
                .ok_or(MalformedFrame(fault))
        };
        Ok(IncomingFrame::Opened {
            session: sid("sessionId", "VX", "a setup without a session")?,
            carrier_id: sid("callSid", "CA", "a setup without a call")?,
            from: self.text("from", "a setup without a caller")?.to_owned(),
            to: self.text("to", "a setup without a callee")?.to_owned(),
        })
    }

    fn read_prompt(&self) -> Result<IncomingFrame, MalformedFrame> {
        let text = self.text("voicePrompt", "a prompt without a text")?.to_owned();
        let language = match self.0.get("lang") {
            None | Some(Value::Null) => None,
            Some(Value::String(language)) => Some(language.clone()),
            Some(_) => return Err(MalformedFrame("the language of a prompt is not a string")),
        };
        let is_last = match self.0.get("last") {
            // Without partial prompts each prompt is the last.
            None | Some(Value::Null) => true,
            Some(Value::Bool(is_last)) => *is_last,
            Some(_) => return Err(MalformedFrame("the field last of a prompt is not a boolean")),
        };
        Ok(IncomingFrame::Transcript {
            text,
            language,
            is_last,
        })
    }

    fn read_interrupt(&self) -> Result<IncomingFrame, MalformedFrame> {
        let heard = self.text("utteranceUntilInterrupt", "an interruption without the heard text")?;
        // A number; a string in older versions. Only checked, because the value is not used.
        let is_duration = match self.0.get("durationUntilInterruptMs") {
            None | Some(Value::Null | Value::Number(_)) => true,
            Some(Value::String(text)) => text.trim().parse::<f64>().is_ok_and(f64::is_finite),
            Some(_) => false,
        };
        if !is_duration {
            return Err(MalformedFrame("the duration of an interruption is not a number"));
        }
        Ok(IncomingFrame::Interrupted {
            spoken: heard.to_owned(),
        })
    }

    fn read_key(&self) -> Result<IncomingFrame, MalformedFrame> {
        let fault = "a key that does not exist on a phone";
        let mut keys = self.text("digit", fault)?.chars();
        match (keys.next(), keys.next()) {
            (Some(key @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) => Ok(IncomingFrame::Key(key)),
            _ => Err(MalformedFrame(fault)),
        }
    }

    fn read_info(&self) -> Result<IncomingFrame, MalformedFrame> {
        let who = match self.text("name", "an info frame without a name")? {
            "tokensPlayed" => {
                let played = self.text("value", "the played text is not a string")?;
                return Ok(IncomingFrame::Played(played.to_owned()));
            }
            "agentSpeaking" => Speaker::Us,
            "clientSpeaking" => Speaker::Caller,
            _ => return Ok(IncomingFrame::Other),
        };
        let is_speaking = match self.0.get("value").and_then(Value::as_str) {
            Some("on") => true,
            Some("off") => false,
            _ => return Err(MalformedFrame("a speaking state is neither on nor off")),
        };
        Ok(IncomingFrame::Speaking { who, is_speaking })
    }
}

pub fn encode_frame(frame: &OutgoingFrame) -> String {
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    match frame {
        OutgoingFrame::Speak {
            text,
            is_last,
            language,
            interruptible,
            preemptible,
        } => {
            add("type", json!("text"));
            add("token", json!(text));
            add("last", json!(is_last));
            if let Some(language) = language {
                add("lang", json!(language));
            }
            if let Some(interruptible) = interruptible {
                add("interruptible", json!(interruptible));
            }
            if *preemptible {
                add("preemptible", json!(true));
            }
        }
        OutgoingFrame::Play { url, preemptible } => {
            add("type", json!("play"));
            add("source", json!(url));
            if *preemptible {
                add("preemptible", json!(true));
            }
        }
        OutgoingFrame::Digits(digits) => {
            add("type", json!("sendDigits"));
            add("digits", json!(valid_digits(digits)));
        }
        OutgoingFrame::Language(language) => {
            add("type", json!("language"));
            add("ttsLanguage", json!(language));
            add("transcriptionLanguage", json!(language));
        }
        OutgoingFrame::End { handoff } => {
            add("type", json!("end"));
            if let Some(handoff) = handoff {
                add("handoffData", json!(handoff));
            }
        }
    }
    Value::Object(fields).to_string()
}

/// Removes invalid keys, because Twilio discards all digits for one invalid key. Returns half a second of silence if
/// none is left, because a frame without digits is an error.
fn valid_digits(digits: &str) -> String {
    let valid_digits: String = digits
        .chars()
        .filter(|c| matches!(c, '0'..='9' | 'w' | '#' | '*'))
        .collect();
    if valid_digits.is_empty() {
        "w".to_owned()
    } else {
        valid_digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(frame: Value) -> Result<IncomingFrame, MalformedFrame> {
        parse_frame(&frame.to_string())
    }

    fn reads(frame: Value, expected: &IncomingFrame) {
        let shown = frame.to_string();
        assert!(read(frame).is_ok_and(|read| read == *expected), "{shown}");
    }

    fn transcript(text: &str, language: Option<&str>, is_last: bool) -> IncomingFrame {
        IncomingFrame::Transcript {
            text: text.to_owned(),
            language: language.map(str::to_owned),
            is_last,
        }
    }

    #[test]
    fn reads_known_frames() {
        let opened = IncomingFrame::Opened {
            session: "VX1".into(),
            carrier_id: "CA1".into(),
            from: "+14155550123".into(),
            to: "+14155550100".into(),
        };
        let setup = json!({
            "type": "setup", "sessionId": "VX1", "accountSid": "AC1", "callSid": "CA1", "parentCallSid": "",
            "from": "+14155550123", "to": "+14155550100", "forwardedFrom": "+14155550100", "callerName": "",
            "direction": "inbound", "callType": "PSTN", "callStatus": "RINGING", "customParameters": {}
        });
        reads(setup, &opened);
        reads(
            json!({ "type": "prompt", "voicePrompt": "Hi", "lang": "en-US", "last": false, "agentSpeaking": "off" }),
            &transcript("Hi", Some("en-US"), false),
        );
        reads(
            json!({ "type": "prompt", "voicePrompt": "Hi" }),
            &transcript("Hi", None, true),
        );
        for duration in [json!(460), json!("460"), json!(460.5), Value::Null] {
            reads(
                json!({ "type": "interrupt", "utteranceUntilInterrupt": "Life is", "durationUntilInterruptMs": duration }),
                &IncomingFrame::Interrupted {
                    spoken: "Life is".into(),
                },
            );
        }
        reads(json!({ "type": "dtmf", "digit": "#" }), &IncomingFrame::Key('#'));
        reads(
            json!({ "type": "info", "name": "tokensPlayed", "value": "Hello." }),
            &IncomingFrame::Played("Hello.".into()),
        );
        for (name, who) in [("agentSpeaking", Speaker::Us), ("clientSpeaking", Speaker::Caller)] {
            for (value, is_speaking) in [("on", true), ("off", false)] {
                reads(
                    json!({ "type": "info", "name": name, "value": value }),
                    &IncomingFrame::Speaking { who, is_speaking },
                );
            }
        }
        reads(
            json!({ "type": "error", "description": "no" }),
            &IncomingFrame::Fault(None),
        );
        reads(
            json!({ "type": "error", "description": "Invalid message received, code: 64107, {\"token\":\"4711\"}" }),
            &IncomingFrame::Fault(Some(64_107)),
        );
    }

    #[test]
    fn ignores_unknown_frames() {
        for frame in [
            json!({ "type": "weather" }),
            json!({ "type": "" }),
            json!({ "type": "info", "name": "roundTripDelayMs", "value": 12 }),
            json!({ "type": "info", "name": "mood" }),
        ] {
            reads(frame, &IncomingFrame::Other);
        }
    }

    #[test]
    fn rejects_malformed_frames() {
        for frame in [
            json!(null),
            json!([]),
            json!([{ "type": "dtmf", "digit": "1" }]),
            json!("setup"),
            json!(1),
            json!({}),
            json!({ "type": null }),
            json!({ "type": 1 }),
            json!({ "type": "setup" }),
            json!({ "type": "setup", "sessionId": "VX1", "callSid": "../x", "from": "a", "to": "b" }),
            json!({ "type": "setup", "sessionId": 1, "callSid": "CA1", "from": "a", "to": "b" }),
            json!({ "type": "prompt" }),
            json!({ "type": "prompt", "voicePrompt": 1 }),
            json!({ "type": "prompt", "voicePrompt": "a", "last": "true" }),
            json!({ "type": "prompt", "voicePrompt": "a", "lang": 1 }),
            json!({ "type": "interrupt" }),
            json!({ "type": "interrupt", "utteranceUntilInterrupt": "a", "durationUntilInterruptMs": "soon" }),
            json!({ "type": "interrupt", "utteranceUntilInterrupt": "a", "durationUntilInterruptMs": [] }),
            json!({ "type": "dtmf", "digit": 5 }),
            json!({ "type": "dtmf", "digit": "" }),
            json!({ "type": "dtmf", "digit": "12" }),
            json!({ "type": "dtmf", "digit": "x" }),
            json!({ "type": "error" }),
            json!({ "type": "info" }),
            json!({ "type": "info", "name": "tokensPlayed" }),
            json!({ "type": "info", "name": "agentSpeaking", "value": true }),
        ] {
            let shown = frame.to_string();
            assert!(read(frame).is_err(), "{shown}");
        }
        for text in [
            "",
            "{",
            "{\"type\":\"dtmf\",\"digit\":\"\\ud800\"}",
            &"[".repeat(100_000),
        ] {
            assert!(parse_frame(text).is_err());
        }
    }

    #[test]
    fn writes_frames() {
        let speak = |language: Option<&str>, interruptible, preemptible| OutgoingFrame::Speak {
            text: " Hi \"you\"\n".into(),
            is_last: false,
            language: language.map(str::to_owned),
            interruptible,
            preemptible,
        };
        for (frame, expected) in [
            (
                speak(None, None, false),
                json!({ "type": "text", "token": " Hi \"you\"\n", "last": false }),
            ),
            (
                speak(Some("de-DE"), Some(false), true),
                json!({ "type": "text", "token": " Hi \"you\"\n", "last": false, "lang": "de-DE",
                        "interruptible": false, "preemptible": true }),
            ),
            (
                OutgoingFrame::Play {
                    url: "https://x.test/a".into(),
                    preemptible: true,
                },
                json!({ "type": "play", "source": "https://x.test/a", "preemptible": true }),
            ),
            (
                OutgoingFrame::Digits("1-2 w#*x,".into()),
                json!({ "type": "sendDigits", "digits": "12w#*" }),
            ),
            (
                OutgoingFrame::Digits("x".into()),
                json!({ "type": "sendDigits", "digits": "w" }),
            ),
            (
                OutgoingFrame::Language("de-DE".into()),
                json!({ "type": "language", "ttsLanguage": "de-DE", "transcriptionLanguage": "de-DE" }),
            ),
            (OutgoingFrame::End { handoff: None }, json!({ "type": "end" })),
            (
                OutgoingFrame::End {
                    handoff: Some("{}".into()),
                },
                json!({ "type": "end", "handoffData": "{}" }),
            ),
        ] {
            assert_eq!(serde_json::from_str::<Value>(&encode_frame(&frame)).unwrap(), expected);
        }
    }
}
