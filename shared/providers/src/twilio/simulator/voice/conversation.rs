//! What passes while a session of ConversationRelay lasts: we speak, the person speaks, presses keys or falls in. The order of
//! the frames is the one that Twilio was seen to keep.

use std::slice;

use butt_dial_domain::call::{CallStatus, Direction};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{
    frames::{self, Frame, Wrong},
    line::{Flow, Line},
    mouth::{Mouth, Utterance},
    relay::{ENDED, End},
    socket::{Arrival, Socket},
    speech::{Event, Speech, Terms},
    twiml::Relay,
};
use crate::{
    simulator::calls::{self, Command, Speaker},
    twilio::simulator::ACCOUNT_SID,
};

const GREETING_MS: u64 = 200;
const KEY_MS: u64 = 200;
const MOST_UNRECOGNIZED: u32 = 10;

pub struct Conversation<'a> {
    line: &'a mut Line,
    pub socket: Socket,
    relay: Relay,
    languages: Vec<String>,
    speech: Speech,
    mouth: Option<Mouth>,
    /// Waits until we have been speaking for so long.
    barge: Option<(u64, String, oneshot::Sender<bool>)>,
    unrecognized: u32,
}

/// What comes first.
enum Turn {
    Arrived(Arrival),
    Told(Command),
    Due,
    Out(Flow),
}

impl<'a> Conversation<'a> {
    pub fn new(line: &'a mut Line, socket: Socket, relay: Relay) -> Self {
        Self {
            line,
            socket,
            speech: Speech::default(),
            mouth: None,
            barge: None,
            unrecognized: 0,
            languages: [slice::from_ref(&relay.language), &relay.languages].concat(),
            relay,
        }
    }

    /// Until the session is over; the socket is still to be closed then.
    pub async fn run(&mut self, id: &str) -> End {
        self.set_up(id).await;
        self.line.answer();
        if let Some(code) = self.relay.fault {
            let text = format!("Invalid TwiML attribute, code: {code}");
            self.send(json!({ "type": "error", "description": text })).await;
            return End::Failed(code);
        }
        if let Some(greeting) = self.relay.greeting.clone() {
            let terms = Terms {
                interruptible: self.relay.greeting_interruptible,
                preemptible: false,
            };
            self.speech.token(self.now() + GREETING_MS, &greeting, true, terms);
        }
        loop {
            let end = match self.next().await {
                Turn::Arrived(Arrival::Text(text)) => self.take(&text).await,
                Turn::Arrived(Arrival::Gone) => Some(End::Failed(ENDED)),
                Turn::Told(command) => self.obey(command).await,
                Turn::Due => {
                    self.tick().await;
                    None
                }
                Turn::Out(Flow::Over(status)) => Some(End::Over(status)),
                Turn::Out(flow) => Some(End::Elsewhere(flow)),
            };
            if let Some(end) = end {
                // What was being said breaks off, on both sides.
                self.fall_silent();
                if let Some(mut mouth) = self.mouth.take() {
                    self.line.call.note(Speaker::Person, mouth.text());
                    mouth.close(false);
                }
                return end;
            }
        }
    }

    async fn set_up(&mut self, id: &str) {
        let call = &self.line.call;
        let status = match call.status() {
            CallStatus::InProgress => "IN_PROGRESS",
            _ => "RINGING",
        };
        let direction = match call.direction() {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound-api",
        };
        let parameters: serde_json::Map<String, Value> = self
            .relay
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let setup = json!({
            "type": "setup", "sessionId": id, "accountSid": ACCOUNT_SID, "callSid": call.id(), "parentCallSid": "",
            "from": call.from(), "to": call.to(), "forwardedFrom": "", "callerName": "", "direction": direction,
            "callType": "PSTN", "callStatus": status, "customParameters": parameters,
        });
        self.send(setup).await;
    }

    async fn next(&mut self) -> Turn {
        let due = [self.speech.due(), self.mouth.as_ref().map(Mouth::due), self.barges_at()];
        let due = due.into_iter().flatten().min();
        tokio::select! {
            biased;
            told = self.line.next_command(due) => match told {
                None => Turn::Due,
                Some(Ok(command)) => Turn::Told(command),
                Some(Err(flow)) => Turn::Out(flow),
            },
            arrival = self.socket.next() => Turn::Arrived(arrival),
        }
    }

    /// Everything that is due by now, the earliest first: what was heard when somebody fell in does not depend on how busy
    /// this machine is.
    async fn tick(&mut self) {
        let now = self.now();
        loop {
            let speech = self.speech.due().unwrap_or(u64::MAX);
            let barge = self.barges_at().unwrap_or(u64::MAX);
            let mouth = self.mouth.as_ref().map_or(u64::MAX, Mouth::due);
            let first = speech.min(barge).min(mouth);
            if first > now {
                return;
            }
            if first == speech {
                for (at, event) in self.speech.advance(first) {
                    self.happened(at, event).await;
                }
            } else if first == barge {
                if let Some((_, text, done)) = self.barge.take() {
                    self.open_mouth(&text, first, done);
                }
            } else {
                self.tick_mouth(first).await;
            }
        }
    }

    /// When the person falls in, once we speak.
    fn barges_at(&self) -> Option<u64> {
        let (after, ..) = self.barge.as_ref()?;
        Some(self.speech.began_at()? + after)
    }

    fn open_mouth(&mut self, text: &str, at: u64, done: oneshot::Sender<bool>) {
        if let Some(mut before) = self.mouth.replace(Mouth::new(text, at, done)) {
            before.close(false);
        }
    }

    async fn happened(&mut self, at: u64, event: Event) {
        match event {
            Event::Heard(sound) => self.line.call.hear(at, sound),
            Event::Speaking(is_speaking) => {
                self.line.call.change(|state| state.is_speaking = is_speaking);
                self.speaker("agentSpeaking", is_speaking).await;
            }
            Event::Played(text) => {
                self.line.call.note(Speaker::Us, text.clone());
                self.played(&text).await;
            }
        }
    }

    async fn tick_mouth(&mut self, at: u64) {
        let Some(mut mouth) = self.mouth.take() else { return };
        let speaking = self.speech.began_at().is_some();
        let lets = self.speech.lets_interrupt().by_speech;
        match mouth.speak() {
            Utterance::Begins(text) => {
                mouth.is_lost = speaking && !lets;
                self.speaker("clientSpeaking", true).await;
                self.partial(&mouth, text, speaking.then_some(at)).await;
            }
            Utterance::GoesOn(text) => self.partial(&mouth, text, (speaking && lets).then_some(at)).await,
            Utterance::Ends(text) => {
                if !mouth.is_lost {
                    self.prompt(&text, true).await;
                }
                self.speaker("clientSpeaking", false).await;
                self.line.call.note(Speaker::Person, text);
                mouth.close(!mouth.is_lost && !self.socket.is_severed);
                return;
            }
        }
        self.mouth = Some(mouth);
    }

    /// What is being said, and the end of what we were saying.
    async fn partial(&mut self, mouth: &Mouth, text: String, interrupts: Option<u64>) {
        if mouth.is_lost {
            return;
        }
        if let Some(at) = interrupts {
            self.interrupt(at).await;
        }
        if self.relay.partial_prompts {
            self.prompt(&text, false).await;
        }
        if interrupts.is_some() {
            self.speaker("agentSpeaking", false).await;
        }
    }

    /// Everything that was to be spoken is thrown away.
    async fn interrupt(&mut self, at: u64) {
        let began = self.speech.began_at().unwrap_or_default();
        let Some(heard) = self.fall_silent() else { return };
        if !heard.is_empty() {
            self.played(&heard).await;
        }
        let lasted = at.saturating_sub(began);
        let frame = json!({
            "type": "interrupt", "utteranceUntilInterrupt": heard, "durationUntilInterruptMs": lasted,
        });
        self.send(frame).await;
    }

    fn fall_silent(&mut self) -> Option<String> {
        let heard = self.speech.cut()?;
        self.line.call.change(|state| state.is_speaking = false);
        if !heard.is_empty() {
            self.line.call.note(Speaker::Us, heard.clone());
        }
        Some(heard)
    }

    async fn take(&mut self, text: &str) -> Option<End> {
        self.tick().await;
        let (now, terms) = (self.now(), self.terms());
        let frame = match frames::read(text, terms, &self.languages) {
            Ok(frame) => frame,
            Err(wrong) => return self.refuse(text, &wrong).await,
        };
        self.unrecognized = 0;
        let events = match frame {
            Frame::Token { token, is_last, terms } => self.speech.token(now, &token, is_last, terms),
            Frame::Play { url, times, terms } => self.speech.file(now, &url, times, terms),
            Frame::Digits(digits) => {
                self.speech.keys(now, &digits, terms);
                Vec::new()
            }
            Frame::Language => Vec::new(),
            Frame::End(handoff) => return Some(End::Ended(handoff)),
        };
        for (at, event) in events {
            self.happened(at, event).await;
        }
        None
    }

    async fn refuse(&mut self, text: &str, wrong: &Wrong) -> Option<End> {
        let shown: String = text.chars().take(500).collect();
        let description = format!("Invalid message received, code: 64107, {shown}");
        self.send(json!({ "type": "error", "description": description })).await;
        self.line.alert(64_107);
        match wrong {
            Wrong::Invalid => self.unrecognized = 0,
            Wrong::Unrecognized => self.unrecognized += 1,
        }
        if self.unrecognized < MOST_UNRECOGNIZED {
            return None;
        }
        self.socket
            .close(1007, "Too many consecutive malformed messages.")
            .await;
        Some(End::Failed(ENDED))
    }

    async fn obey(&mut self, command: Command) -> Option<End> {
        self.tick().await;
        match command {
            Command::Say(text, done) => {
                let now = self.now();
                self.open_mouth(&text, now, done);
            }
            Command::BargeIn(after, text, done) => self.barge = Some((after, text, done)),
            Command::Press(keys, done) => {
                let reached = self.press(&keys).await;
                // Whoever pressed may not have waited.
                let _ = done.send(reached);
            }
            Command::Drop(how, done) => {
                let _ = done.send(true);
                match how {
                    calls::Drop::Reset => return Some(End::Failed(ENDED)),
                    calls::Drop::BlackHole => self.socket.is_severed = true,
                    calls::Drop::Close1000 => {
                        self.socket.close(1000, "Closing websocket session").await;
                        return Some(End::Failed(ENDED));
                    }
                    calls::Drop::Close1007 => {
                        self.socket
                            .close(1007, "Too many consecutive malformed messages.")
                            .await;
                        return Some(End::Failed(ENDED));
                    }
                }
            }
            command => {
                return self.line.obey(command).await.map(|flow| match flow {
                    Flow::Over(status) => End::Over(status),
                    flow => End::Elsewhere(flow),
                });
            }
        }
        None
    }

    /// Whether we were told.
    async fn press(&mut self, keys: &str) -> bool {
        if !self.relay.dtmf {
            return false;
        }
        let mut reached = false;
        for key in keys.chars() {
            self.tick().await;
            let speaking = self.speech.began_at().is_some();
            if speaking && !self.speech.lets_interrupt().by_keys {
                self.line.settle(KEY_MS).await;
                continue;
            }
            if speaking {
                let now = self.now();
                self.interrupt(now).await;
            }
            self.send(json!({ "type": "dtmf", "digit": key.to_string() })).await;
            if speaking {
                self.speaker("agentSpeaking", false).await;
            }
            reached = !self.socket.is_severed;
            self.line.settle(KEY_MS).await;
        }
        reached
    }

    fn terms(&self) -> Terms {
        Terms {
            interruptible: self.relay.interruptible,
            preemptible: self.relay.preemptible,
        }
    }

    fn now(&self) -> u64 {
        self.line.call.now_ms()
    }

    async fn send(&mut self, frame: Value) {
        self.socket.send(&frame).await;
    }

    async fn speaker(&mut self, name: &str, is_on: bool) {
        if self.relay.tells_speakers {
            let value = if is_on { "on" } else { "off" };
            self.send(json!({ "type": "info", "name": name, "value": value })).await;
        }
    }

    async fn played(&mut self, text: &str) {
        if self.relay.tells_tokens {
            self.send(json!({ "type": "info", "name": "tokensPlayed", "value": text }))
                .await;
        }
    }

    async fn prompt(&mut self, text: &str, is_last: bool) {
        let frame = json!({ "type": "prompt", "voicePrompt": text, "lang": self.relay.language, "last": is_last });
        self.send(frame).await;
    }
}
