//! Parses TwiML as Twilio does. If Twilio silently ignores a name, this records a warning, because it is a misspelling.

use roxmltree::{Document, Node};

use super::speech::Interruptible;

/// TwiML that can't be parsed.
const PARSE_FAILURE: u32 = 12_100;
/// An unknown verb or attribute.
pub const WARNING: u32 = 12_200;
const INVALID_ATTRIBUTE: u32 = 64_101;

#[derive(Debug, PartialEq, Eq)]
pub enum Verb {
    Say(String),
    Play(String),
    Pause(u64),
    Converse {
        action: Option<String>,
        relay: Box<Relay>,
    },
    Record {
        action: Option<String>,
        callback: Option<String>,
        max_ms: u64,
    },
    StartRecording(Option<String>),
    Dial {
        action: Option<String>,
        ring_ms: u64,
        number: String,
        whisper: Option<String>,
    },
    Conference(String),
    Redirect(String),
    Reject {
        busy: bool,
    },
    Hangup,
}

/// The attributes of a ConversationRelay that affect the simulation.
#[derive(Debug, PartialEq, Eq)]
pub struct Relay {
    pub url: String,
    pub greeting: Option<String>,
    pub greeting_interruptible: Interruptible,
    pub interruptible: Interruptible,
    pub language: String,
    pub languages: Vec<String>,
    pub partial_prompts: bool,
    pub dtmf: bool,
    pub preemptible: bool,
    pub sends_speaker_events: bool,
    pub sends_tokens_played: bool,
    pub parameters: Vec<(String, String)>,
    /// The session is opened and then ends with this code.
    pub fault: Option<u32>,
}

/// Returns the verbs in order and the warning codes, or the error code.
pub fn parse(text: &str) -> Result<(Vec<Verb>, Vec<u32>), u32> {
    let document = Document::parse(text).map_err(|_| PARSE_FAILURE)?;
    let root = document.root_element();
    if root.tag_name().name() != "Response" {
        return Err(PARSE_FAILURE);
    }
    let mut parser = Parser { warnings: Vec::new() };
    let mut verbs = Vec::new();
    for node in root.children().filter(Node::is_element) {
        verbs.extend(parser.verb(node)?);
    }
    Ok((verbs, parser.warnings))
}

struct Parser {
    warnings: Vec<u32>,
}

impl Parser {
    fn verb(&mut self, node: Node) -> Result<Option<Verb>, u32> {
        let verb = match node.tag_name().name() {
            "Say" => {
                self.warn_unknown_attributes(node, &["voice", "language", "loop"]);
                Verb::Say(text(node))
            }
            "Play" => {
                self.warn_unknown_attributes(node, &["loop", "digits"]);
                Verb::Play(web_url(&text(node))?)
            }
            "Pause" => {
                self.warn_unknown_attributes(node, &["length"]);
                Verb::Pause(seconds(node, "length", 1))
            }
            "Connect" => return self.connect(node).map(Some),
            "Record" => {
                let names = [
                    "action",
                    "method",
                    "maxLength",
                    "timeout",
                    "finishOnKey",
                    "playBeep",
                    "trim",
                    "recordingStatusCallback",
                    "recordingStatusCallbackMethod",
                    "recordingStatusCallbackEvent",
                ];
                self.warn_unknown_attributes(node, &names);
                Verb::Record {
                    action: url_of(node, "action")?,
                    callback: url_of(node, "recordingStatusCallback")?,
                    max_ms: seconds(node, "maxLength", 3_600),
                }
            }
            "Start" => return self.start(node),
            "Dial" => return self.dial(node).map(Some),
            "Redirect" => {
                self.warn_unknown_attributes(node, &["method"]);
                Verb::Redirect(web_url(&text(node))?)
            }
            "Reject" => {
                self.warn_unknown_attributes(node, &["reason"]);
                Verb::Reject {
                    busy: node.attribute("reason") == Some("busy"),
                }
            }
            "Hangup" => Verb::Hangup,
            _ => {
                self.warnings.push(WARNING);
                return Ok(None);
            }
        };
        Ok(Some(verb))
    }

    fn connect(&mut self, node: Node) -> Result<Verb, u32> {
        self.warn_unknown_attributes(node, &["action", "method"]);
        let noun = noun(node, "ConversationRelay")?;
        let names = [
            "url",
            "welcomeGreeting",
            "welcomeGreetingInterruptible",
            "language",
            "ttsLanguage",
            "transcriptionLanguage",
            "ttsProvider",
            "voice",
            "transcriptionProvider",
            "speechModel",
            "eotThreshold",
            "speechTimeout",
            "partialPrompts",
            "deepgramSmartFormat",
            "profanityFilter",
            "interruptible",
            "interruptSensitivity",
            "ignoreBackchannel",
            "reportInputDuringAgentSpeech",
            "preemptible",
            "dtmfDetection",
            "backgroundNoiseReduction",
            "hints",
            "events",
            "elevenlabsTextNormalization",
            "intelligenceService",
            "conversationConfiguration",
            "conversationId",
            "debug",
        ];
        self.warn_unknown_attributes(noun, &names);
        Ok(Verb::Converse {
            action: url_of(node, "action")?,
            relay: Box::new(self.relay(noun)),
        })
    }

    fn relay(&mut self, noun: Node) -> Relay {
        let url = noun.attribute("url").unwrap_or_default().to_owned();
        let mut faults = !url.starts_with("wss://");
        let mut boolean = |name, default| match noun.attribute(name) {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(_) => {
                faults = true;
                default
            }
        };
        let (partial_prompts, dtmf) = (boolean("partialPrompts", false), boolean("dtmfDetection", false));
        let preemptible = boolean("preemptible", false);
        let mut interruptible_by = |name| {
            let given = noun.attribute(name);
            let read = given.map_or(Some(Interruptible::ANY), Interruptible::parse);
            faults |= read.is_none();
            read.unwrap_or(Interruptible::ANY)
        };
        let (interruptible, greeting_interruptible) = (
            interruptible_by("interruptible"),
            interruptible_by("welcomeGreetingInterruptible"),
        );
        let events: Vec<&str> = noun
            .attribute("events")
            .or(noun.attribute("debug"))
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let (mut languages, mut parameters) = (Vec::new(), Vec::new());
        for child in noun.children().filter(Node::is_element) {
            let attribute = |name| child.attribute(name).unwrap_or_default().to_owned();
            match child.tag_name().name() {
                "Language" => languages.push(attribute("code")),
                "Parameter" => parameters.push((attribute("name"), attribute("value"))),
                _ => self.warnings.push(WARNING),
            }
        }
        faults |= languages.iter().any(String::is_empty);
        Relay {
            url,
            greeting: noun
                .attribute("welcomeGreeting")
                .filter(|text| !text.is_empty())
                .map(str::to_owned),
            greeting_interruptible,
            interruptible,
            language: noun.attribute("language").unwrap_or("en-US").to_owned(),
            languages,
            partial_prompts,
            dtmf,
            preemptible,
            sends_speaker_events: events.contains(&"speaker-events"),
            sends_tokens_played: events.contains(&"tokens-played"),
            parameters,
            fault: faults.then_some(INVALID_ATTRIBUTE),
        }
    }

    fn start(&mut self, node: Node) -> Result<Option<Verb>, u32> {
        let noun = noun(node, "Recording")?;
        let names = [
            "channels",
            "track",
            "trim",
            "recordingStatusCallback",
            "recordingStatusCallbackMethod",
            "recordingStatusCallbackEvent",
        ];
        self.warn_unknown_attributes(noun, &names);
        Ok(Some(Verb::StartRecording(url_of(noun, "recordingStatusCallback")?)))
    }

    fn dial(&mut self, node: Node) -> Result<Verb, u32> {
        let names = [
            "action",
            "method",
            "timeout",
            "callerId",
            "timeLimit",
            "answerOnBridge",
            "hangupOnStar",
            "record",
            "recordingStatusCallback",
            "referUrl",
            "ringTone",
            "sequential",
            "trim",
        ];
        self.warn_unknown_attributes(node, &names);
        if let Ok(room) = noun(node, "Conference") {
            let names = [
                "beep",
                "startConferenceOnEnter",
                "endConferenceOnExit",
                "muted",
                "maxParticipants",
                "participantLabel",
                "coach",
                "record",
                "waitUrl",
                "waitMethod",
                "statusCallback",
                "statusCallbackEvent",
                "jitterBufferSize",
                "region",
                "trim",
            ];
            self.warn_unknown_attributes(room, &names);
            return Ok(Verb::Conference(text(room)));
        }
        let number = noun(node, "Number");
        let whisper = match number {
            Ok(number) => {
                self.warn_unknown_attributes(
                    number,
                    &[
                        "url",
                        "method",
                        "sendDigits",
                        "statusCallback",
                        "statusCallbackEvent",
                        "byoc",
                    ],
                );
                url_of(number, "url")?
            }
            Err(_) => None,
        };
        Ok(Verb::Dial {
            action: url_of(node, "action")?,
            ring_ms: seconds(node, "timeout", 30),
            number: text(number.unwrap_or(node)).trim().to_owned(),
            whisper,
        })
    }

    fn warn_unknown_attributes(&mut self, node: Node, names: &[&str]) {
        let unknown = node.attributes().filter(|attribute| !names.contains(&attribute.name()));
        self.warnings.extend(unknown.map(|_| WARNING));
    }
}

fn noun<'a>(node: Node<'a, 'a>, name: &str) -> Result<Node<'a, 'a>, u32> {
    node.children()
        .find(|child| child.tag_name().name() == name)
        .ok_or(PARSE_FAILURE)
}

fn text(node: Node) -> String {
    node.text().unwrap_or_default().to_owned()
}

fn seconds(node: Node, name: &str, default: u64) -> u64 {
    node.attribute(name)
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
        * 1_000
}

fn url_of(node: Node, name: &str) -> Result<Option<String>, u32> {
    node.attribute(name).map(web_url).transpose()
}

/// Parses a URL. Twilio also takes relative paths; ours are always absolute.
fn web_url(text: &str) -> Result<String, u32> {
    let is_web = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    match url::Url::parse(text.trim()) {
        Ok(url) if is_web(&url) => Ok(text.trim().to_owned()),
        _ => Err(PARSE_FAILURE),
    }
}
