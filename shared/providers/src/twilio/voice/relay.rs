//! The frames of a conversation socket (Twilio, ConversationRelay WebSocket messages). Unknown types and fields are
//! ignored, because Twilio adds some. Known ones are read leniently: a person is on the phone.

use butt_dial_domain::{
    call::is_language_tag,
    ports::voice::{IncomingFrame, MalformedFrame, OutgoingFrame, Speaker},
};
use serde_json::{Map, Value, json};

use super::values::{relay_voice, valid_digits};
use crate::twilio::wire;

/// Keys of one frame. Twilio sends one.
const MAX_KEYS: usize = 64;

pub fn parse_frame(text: &str) -> Result<IncomingFrame, MalformedFrame> {
    let parsed = serde_json::from_str(text).or_else(|_| serde_json::from_str(&without_lone_surrogates(text)));
    let Ok(Value::Object(frame)) = parsed else {
        return Err(MalformedFrame("the frame is not a JSON object"));
    };
    let frame = Frame(frame);
    let Some(Value::String(kind)) = frame.0.get("type") else {
        return Err(MalformedFrame("the frame has no type"));
    };
    match kind.as_str() {
        "setup" => frame.read_setup(),
        "prompt" => frame.read_prompt(),
        "interrupt" => Ok(frame.read_interrupt()),
        "dtmf" => frame.read_keys(),
        "info" => frame.read_info(),
        "error" => Ok(frame.read_error()),
        _ => Ok(IncomingFrame::Other),
    }
}

/// Replaces escaped halves of a surrogate pair without the other half. JSON allows them; strings can't hold them.
fn without_lone_surrogates(text: &str) -> String {
    let unit = |at: usize| {
        let escape = text.get(at..at + 6)?;
        let digits = escape.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut repaired = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(next) = rest.find('\\') else {
            repaired.push_str(rest);
            break;
        };
        repaired.push_str(&rest[..next]);
        at += next;
        let length = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                repaired.push_str("\\ufffd");
                at += 6;
                continue;
            }
            (Some(_), _) => 6,
            // An escaped character; the backslash may be the last one.
            (None, _) => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        repaired.push_str(&text[at..at + length]);
        at += length;
    }
    repaired
}

struct Frame(Map<String, Value>);

impl Frame {
    /// Parses `Invalid message received, code: 64107, <the frame>`.
    fn read_error(&self) -> IncomingFrame {
        let description = self.0.get("description").and_then(Value::as_str).unwrap_or_default();
        let after = description
            .split_once("code:")
            .map_or("", |(_, after)| after.trim_start());
        let digits = after.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        IncomingFrame::Fault(digits.parse().ok())
    }

    /// Returns a text. Numbers and booleans are accepted in its place; `None`: absent or `null`.
    fn text(&self, name: &str, fault: &'static str) -> Result<Option<String>, MalformedFrame> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(Value::Array(_) | Value::Object(_)) => Err(MalformedFrame(fault)),
        }
    }

    /// Returns a text, or `None` for anything that is not one.
    fn optional_text(&self, name: &str) -> Option<String> {
        self.text(name, "").ok().flatten()
    }

    fn read_setup(&self) -> Result<IncomingFrame, MalformedFrame> {
        let sid = |name, kind| self.optional_text(name).filter(|sid| wire::is_sid(sid, kind));
        let carrier_id = sid("callSid", "CA");
        if carrier_id.is_none() && !matches!(self.0.get("callSid"), None | Some(Value::Null)) {
            return Err(MalformedFrame("a setup with an invalid call"));
        }
        Ok(IncomingFrame::Opened {
            session: sid("sessionId", "VX"),
            carrier_id,
            from: self.optional_text("from"),
            to: self.optional_text("to"),
        })
    }

    fn read_prompt(&self) -> Result<IncomingFrame, MalformedFrame> {
        let text = self.text("voicePrompt", "the text of a prompt is not a string")?;
        Ok(IncomingFrame::Transcript {
            text: text.unwrap_or_default(),
            language: self.optional_text("lang").filter(|tag| is_language_tag(tag)),
            // Without partial prompts each prompt is the last. An unreadable value must not cost the caller's words.
            is_last: self.optional_text("last").is_none_or(|last| !is_false(&last)),
        })
    }

    /// The duration until the interruption is not used: it says less than the played text.
    fn read_interrupt(&self) -> IncomingFrame {
        IncomingFrame::Interrupted {
            spoken: self.optional_text("utteranceUntilInterrupt").unwrap_or_default(),
        }
    }

    fn read_keys(&self) -> Result<IncomingFrame, MalformedFrame> {
        let fault = "a key that does not exist on a phone";
        let keys = self.text("digit", fault)?.unwrap_or_default();
        let keys = keys.trim();
        let is_valid = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D');
        match !keys.is_empty() && keys.len() <= MAX_KEYS && keys.chars().all(is_valid) {
            true => Ok(IncomingFrame::Keys(keys.to_owned())),
            false => Err(MalformedFrame(fault)),
        }
    }

    fn read_info(&self) -> Result<IncomingFrame, MalformedFrame> {
        let value = self.text("value", "the value of an info frame is not a string");
        let who = match self.optional_text("name").as_deref() {
            Some("tokensPlayed") => {
                let played = value?.ok_or(MalformedFrame("played text is missing"))?;
                return Ok(IncomingFrame::Played(played));
            }
            Some("agentSpeaking") => Speaker::Us,
            Some("clientSpeaking") => Speaker::Caller,
            _ => return Ok(IncomingFrame::Other),
        };
        let is_speaking = match value?.as_deref() {
            Some("on" | "true") => true,
            Some("off" | "false") => false,
            _ => return Err(MalformedFrame("a speaking state is neither on nor off")),
        };
        Ok(IncomingFrame::Speaking { who, is_speaking })
    }
}

fn is_false(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "false" | "0" | "off" | "no")
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
        // Declares a language that the script did not (Twilio, ConversationRelay: dynamic configuration).
        OutgoingFrame::Language { language, voice } => {
            add("type", json!("language"));
            add("ttsLanguage", json!(language));
            add("transcriptionLanguage", json!(language));
            if let Some((provider, voice)) = voice.as_deref().map(relay_voice) {
                if let Some(provider) = provider {
                    add("ttsProvider", json!(provider));
                }
                add("voice", json!(voice));
            }
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
            session: Some("VX1".into()),
            carrier_id: Some("CA1".into()),
            from: Some("+14155550123".into()),
            to: Some("+14155550100".into()),
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
        reads(
            json!({ "type": "dtmf", "digit": "#" }),
            &IncomingFrame::Keys("#".into()),
        );
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
    fn reads_text_with_half_a_surrogate_pair() {
        for (escaped, expected) in [
            ("Hi \\ud83d there", "Hi \u{fffd} there"),
            ("\\udc00\\ud83d\\ude00 \\\\ud83d \\\"", "\u{fffd}😀 \\ud83d \""),
            ("\\ud83d", "\u{fffd}"),
        ] {
            let frame = format!("{{\"type\":\"prompt\",\"voicePrompt\":\"{escaped}\"}}");
            assert!(
                parse_frame(&frame).is_ok_and(|read| read == transcript(expected, None, true)),
                "{frame}"
            );
        }
    }

    #[test]
    fn reads_unusual_values_leniently() {
        for (frame, expected) in [
            (
                json!({ "type": "setup", "sessionId": null, "callSid": null, "from": null, "to": 7, "customParameters": null }),
                IncomingFrame::Opened {
                    session: None,
                    carrier_id: None,
                    from: None,
                    to: Some("7".into()),
                },
            ),
            (
                json!({ "type": "setup", "sessionId": [1], "callSid": "CA1" }),
                IncomingFrame::Opened {
                    session: None,
                    carrier_id: Some("CA1".into()),
                    from: None,
                    to: None,
                },
            ),
            (json!({ "type": "prompt" }), transcript("", None, true)),
            (
                json!({ "type": "prompt", "voicePrompt": null, "last": true }),
                transcript("", None, true),
            ),
            (
                json!({ "type": "prompt", "voicePrompt": 42, "lang": 1 }),
                transcript("42", Some("1"), true),
            ),
            (
                json!({ "type": "prompt", "voicePrompt": "a", "last": "true" }),
                transcript("a", None, true),
            ),
            (
                json!({ "type": "prompt", "voicePrompt": "a", "last": "False" }),
                transcript("a", None, false),
            ),
            (
                json!({ "type": "prompt", "voicePrompt": "a", "last": 0 }),
                transcript("a", None, false),
            ),
            (
                json!({ "type": "prompt", "voicePrompt": "a", "last": [] }),
                transcript("a", None, true),
            ),
            (
                json!({ "type": "prompt", "voicePrompt": "a", "lang": {} }),
                transcript("a", None, true),
            ),
            (
                json!({ "type": "prompt", "voicePrompt": "a", "lang": "\" x" }),
                transcript("a", None, true),
            ),
            (
                json!({ "type": "interrupt" }),
                IncomingFrame::Interrupted { spoken: String::new() },
            ),
            (
                json!({ "type": "interrupt", "utteranceUntilInterrupt": null, "durationUntilInterruptMs": "soon" }),
                IncomingFrame::Interrupted { spoken: String::new() },
            ),
            (
                json!({ "type": "interrupt", "utteranceUntilInterrupt": "a", "durationUntilInterruptMs": [] }),
                IncomingFrame::Interrupted { spoken: "a".into() },
            ),
            (json!({ "type": "dtmf", "digit": 5 }), IncomingFrame::Keys("5".into())),
            (
                json!({ "type": "dtmf", "digit": "12" }),
                IncomingFrame::Keys("12".into()),
            ),
            (json!({ "type": "error" }), IncomingFrame::Fault(None)),
            (json!({ "type": "info" }), IncomingFrame::Other),
            (
                json!({ "type": "info", "name": "tokensPlayed", "value": 12 }),
                IncomingFrame::Played("12".into()),
            ),
            (
                json!({ "type": "info", "name": "clientSpeaking", "value": true }),
                IncomingFrame::Speaking {
                    who: Speaker::Caller,
                    is_speaking: true,
                },
            ),
        ] {
            reads(frame, &expected);
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
            json!({ "foo": 1 }),
            json!({ "type": null }),
            json!({ "type": 1 }),
            json!({ "type": "setup", "sessionId": "VX1", "callSid": "../x", "from": "a", "to": "b" }),
            json!({ "type": "setup", "sessionId": "VX1", "callSid": 1 }),
            json!({ "type": "prompt", "voicePrompt": ["a"] }),
            json!({ "type": "dtmf" }),
            json!({ "type": "dtmf", "digit": null }),
            json!({ "type": "dtmf", "digit": "" }),
            json!({ "type": "dtmf", "digit": "x" }),
            json!({ "type": "dtmf", "digit": -5 }),
            json!({ "type": "dtmf", "digit": "1".repeat(MAX_KEYS + 1) }),
            json!({ "type": "info", "name": "tokensPlayed" }),
            json!({ "type": "info", "name": "tokensPlayed", "value": {} }),
            json!({ "type": "info", "name": "agentSpeaking", "value": "maybe" }),
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
                OutgoingFrame::Language {
                    language: "de-DE".into(),
                    voice: None,
                },
                json!({ "type": "language", "ttsLanguage": "de-DE", "transcriptionLanguage": "de-DE" }),
            ),
            (
                OutgoingFrame::Language {
                    language: "de-DE".into(),
                    voice: Some("Google.de-DE-Neural2-A".into()),
                },
                json!({ "type": "language", "ttsLanguage": "de-DE", "transcriptionLanguage": "de-DE",
                        "ttsProvider": "Google", "voice": "de-DE-Neural2-A" }),
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
