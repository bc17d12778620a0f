//! Renders a script as TwiML (Twilio, TwiML for Programmable Voice). Twilio silently ignores unknown names, so each name
//! occurs here once and the tests compare the complete output. Spoken text can have any content.

use std::io;

use butt_dial_domain::{
    call::InterruptSensitivity,
    ports::voice::{ConversationSocket, Dial, Rendered, Script, Speech, Step},
};
use quick_xml::{
    escape::escape,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
    writer::{ElementWriter, Writer},
};

use super::{
    callback,
    values::{relay_voice, valid_digits},
};

pub const CONTENT_TYPE: &str = "text/xml";

/// The limit of one `<Say>`, in characters (Twilio, TwiML Say).
const MAX_SAY_CHARS: usize = 4_096;

/// ConversationRelay's name for a conversation in several languages. `<Say>` does not know it.
const ANY_LANGUAGE: &str = "multi";

type Xml = Writer<Vec<u8>>;

pub fn render(script: &Script) -> Rendered {
    // Writing UTF-8 to a buffer can't fail.
    let body = write_script(script).map(|xml| String::from_utf8(xml).unwrap_or_default());
    Rendered {
        content_type: CONTENT_TYPE,
        body: body.unwrap_or_default(),
    }
}

fn write_script(script: &Script) -> io::Result<Vec<u8>> {
    let mut xml = Writer::new(Vec::new());
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.write_event(Event::Start(BytesStart::new("Response")))?;
    for step in &script.0 {
        write_step(&mut xml, step)?;
    }
    xml.write_event(Event::End(BytesEnd::new("Response")))?;
    Ok(xml.into_inner())
}

fn write_step(xml: &mut Xml, step: &Step) -> io::Result<()> {
    match step {
        Step::Say(speech) => return write_say(xml, speech),
        Step::Converse(conversation) => return write_conversation(xml, conversation),
        Step::Dial(dial) => return write_dial(xml, dial),
        Step::Play(url) => element(xml, "Play", &[]).write_text_content(text(url)),
        Step::Record {
            max_seconds,
            action_url,
            recording_url,
        } => {
            let (action_url, recording_url) = (callback(action_url), callback(recording_url));
            let max_seconds = max_seconds.to_string();
            let attributes = [
                ("action", action_url.as_str()),
                ("method", "POST"),
                ("maxLength", &max_seconds),
                ("playBeep", "true"),
                ("recordingStatusCallback", &recording_url),
                ("recordingStatusCallbackEvent", "completed absent"),
            ];
            element(xml, "Record", &attributes).write_empty()
        }
        Step::StartRecording { status_url } => {
            let status_url = callback(status_url);
            let attributes = [
                ("recordingStatusCallback", status_url.as_str()),
                ("recordingStatusCallbackEvent", "completed absent"),
            ];
            xml.create_element("Start")
                .write_inner_content(|xml| element(xml, "Recording", &attributes).write_empty().map(drop))
        }
        Step::Redirect { url } => {
            element(xml, "Redirect", &[("method", "POST")]).write_text_content(text(&callback(url)))
        }
        Step::Reject => element(xml, "Reject", &[("reason", "rejected")]).write_empty(),
        Step::Hangup => element(xml, "Hangup", &[]).write_empty(),
    }
    .map(drop)
}

fn write_say(xml: &mut Xml, speech: &Speech) -> io::Result<()> {
    let voice = speech.voice.as_deref().filter(|voice| is_say_voice(voice));
    let language = speech.language.as_deref().filter(|language| *language != ANY_LANGUAGE);
    let attributes: Vec<_> = [("voice", voice), ("language", language)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    for part in split_text(&speech.text, MAX_SAY_CHARS) {
        element(xml, "Say", &attributes).write_text_content(text(part))?;
    }
    Ok(())
}

/// Returns whether `<Say>` has the voice. It has those of two providers, under these prefixes; an unknown voice would end
/// the call.
fn is_say_voice(voice: &str) -> bool {
    matches!(voice, "man" | "woman" | "alice") || voice.starts_with("Polly.") || voice.starts_with("Google.")
}

fn write_conversation(xml: &mut Xml, conversation: &ConversationSocket) -> io::Result<()> {
    let hints: Vec<_> = conversation.hints.iter().map(|hint| hint.replace(',', " ")).collect();
    let hints = hints.join(",");
    let (provider, voice) = conversation
        .voice
        .as_deref()
        .map(relay_voice)
        .map_or((None, None), |(provider, voice)| (provider, Some(voice)));
    let sensitivity = conversation.interrupt_sensitivity;
    let is_patient = sensitivity != InterruptSensitivity::High;
    let attributes: Vec<_> = [
        ("url", Some(conversation.socket_url.as_str())),
        ("welcomeGreeting", conversation.greeting.as_deref()),
        ("language", Some(&conversation.language)),
        ("ttsProvider", provider),
        ("voice", voice),
        ("interruptible", Some("any")),
        ("interruptSensitivity", Some(sensitivity.into())),
        // Short acknowledgements do not interrupt.
        ("ignoreBackchannel", is_patient.then_some("true")),
        ("dtmfDetection", Some("true")),
        ("partialPrompts", conversation.partial_transcripts.then_some("true")),
        ("hints", (!hints.is_empty()).then_some(&hints)),
        ("events", Some("speaker-events tokens-played")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    let action_url = callback(&conversation.action_url);
    let action = [("action", action_url.as_str()), ("method", "POST")];
    let connect = element(xml, "Connect", &action).write_inner_content(|xml| {
        let relay = element(xml, "ConversationRelay", &attributes);
        if conversation.languages.is_empty() {
            return relay.write_empty().map(drop);
        }
        let relay = relay.write_inner_content(|xml| {
            for language in &conversation.languages {
                element(xml, "Language", &[("code", language)]).write_empty()?;
            }
            Ok(())
        });
        relay.map(drop)
    });
    connect.map(drop)
}

fn write_dial(xml: &mut Xml, dial: &Dial) -> io::Result<()> {
    let (action_url, whisper_url) = (callback(&dial.action_url), dial.whisper_url.as_deref().map(callback));
    let (ring, limit) = (
        dial.ring_seconds.to_string(),
        dial.limit_seconds.map(|seconds| seconds.to_string()),
    );
    let mut attributes = vec![("action", action_url.as_str()), ("method", "POST"), ("timeout", &ring)];
    attributes.extend(dial.caller_id.as_deref().map(|id| ("callerId", id)));
    attributes.extend(limit.as_deref().map(|limit| ("timeLimit", limit)));
    // The caller hears the ringing, and the call counts as answered only when both are connected.
    attributes.push(("answerOnBridge", "true"));
    let digits = dial.digits.as_deref().map(valid_digits);
    let whisper: Vec<_> = [("url", whisper_url.as_deref()), ("sendDigits", digits.as_deref())]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let dialed = element(xml, "Dial", &attributes).write_inner_content(|xml| {
        let number = element(xml, "Number", &whisper).write_text_content(text(&dial.to));
        number.map(drop)
    });
    dialed.map(drop)
}

/// Splits the text into parts of at most `max_chars`, at spaces where possible.
fn split_text(text: &str, max_chars: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((end, _)) = rest.char_indices().nth(max_chars) {
        let cut = rest[..end].rfind(char::is_whitespace).filter(|at| *at > 0);
        let (part, after) = rest.split_at(cut.unwrap_or(end));
        parts.push(part);
        rest = after.trim_start();
    }
    parts.push(rest);
    parts
}

/// Starts an element with escaped attributes.
fn element<'a>(xml: &'a mut Xml, name: &'a str, attributes: &[(&str, &str)]) -> ElementWriter<'a, Vec<u8>> {
    attributes
        .iter()
        .fold(xml.create_element(name), |element, (name, value)| {
            element.with_attribute((name.as_bytes(), escaped(value).as_bytes()))
        })
}

fn text(text: &str) -> BytesText<'static> {
    BytesText::from_escaped(escaped(text))
}

/// Escapes text for content and attributes. Drops characters that XML 1.0 forbids.
fn escaped(text: &str) -> String {
    let allowed: String = text.chars().filter(|c| is_allowed(*c)).collect();
    // Unescaped, a parser would normalize them to spaces.
    escape(allowed)
        .replace('\t', "&#9;")
        .replace('\n', "&#10;")
        .replace('\r', "&#13;")
}

/// XML 1.0, production 2: `Char`. A Rust `char` is never a surrogate.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests;
