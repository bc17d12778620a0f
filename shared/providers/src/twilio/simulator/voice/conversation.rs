//! The frames of one ConversationRelay session: our speech, and the caller's speech, keys and barge-ins. The frame
//! order is the one observed at Twilio.

use std::slice;

use butt_dial_domain::call::CallStatus;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{
    frames::{self, Frame, FrameError},
    live_call::{Flow, LiveCall},
    socket::{Socket, SocketEvent},
    speech::{Event, Speech, SpeechOptions},
    speech_input::{SpeechInput, SpeechProgress},
    twiml::Relay,
};
use crate::simulator::calls::{self, Command, Speaker};

const GREETING_MS: u64 = 200;
const KEY_MS: u64 = 200;
const MAX_UNRECOGNIZED: u32 = 10;
/// Twilio's error for a socket that broke or was closed.
pub const ENDED: u32 = 64_105;

/// Why a session ended.
pub enum End {
    /// Our side ended it.
    Ended(Option<String>),
    Failed(u32),
    /// The call is over.
    CallOver(CallStatus),
    /// The API redirected the call.
    Redirected(Flow),
}

pub struct Conversation<'a> {
    live: &'a mut LiveCall,
    pub socket: Socket,
    relay: Relay,
    languages: Vec<String>,
    speech: Speech,
    input: Option<SpeechInput>,
    /// A barge-in that waits until we have spoken this long.
    pending_barge_in: Option<(u64, String, oneshot::Sender<bool>)>,
    unrecognized: u32,
}

/// The next event of the session.
enum NextEvent {
    Socket(SocketEvent),
    Command(Command),
    Due,
    Flow(Flow),
}

impl<'a> Conversation<'a> {
    pub fn new(live: &'a mut LiveCall, socket: Socket, relay: Relay) -> Self {
        Self {
            live,
            socket,
            speech: Speech::default(),
            input: None,
            pending_barge_in: None,
            unrecognized: 0,
            languages: [slice::from_ref(&relay.language), &relay.languages].concat(),
            relay,
        }
    }

    /// Runs the session until it ends. The caller closes the socket afterwards.
    pub async fn run(&mut self, id: &str) -> End {
        let setup = frames::setup(&self.live.call, &self.relay.parameters, id);
        self.send(setup).await;
        self.live.answer();
        if let Some(code) = self.relay.fault {
            let text = format!("Invalid TwiML attribute, code: {code}");
            self.send(json!({ "type": "error", "description": text })).await;
            return End::Failed(code);
        }
        if let Some(greeting) = self.relay.greeting.clone() {
            let options = SpeechOptions {
                interruptible: self.relay.greeting_interruptible,
                preemptible: false,
            };
            self.speech.token(self.now() + GREETING_MS, &greeting, true, options);
        }
        loop {
            let end = match self.next().await {
                NextEvent::Socket(SocketEvent::Text(text)) => self.handle_frame(&text).await,
                NextEvent::Socket(SocketEvent::Gone) => Some(End::Failed(ENDED)),
                NextEvent::Command(command) => self.handle_command(command).await,
                NextEvent::Due => {
                    self.tick().await;
                    None
                }
                NextEvent::Flow(Flow::Over(status)) => Some(End::CallOver(status)),
                NextEvent::Flow(flow) => Some(End::Redirected(flow)),
            };
            if let Some(end) = end {
                // Ongoing speech breaks off on both sides.
                self.stop_speaking();
                if let Some(mut input) = self.input.take() {
                    self.live.call.note(Speaker::Person, input.text());
                    input.close(false);
                }
                return end;
            }
        }
    }

    async fn next(&mut self) -> NextEvent {
        let due = [
            self.speech.due(),
            self.input.as_ref().map(SpeechInput::due),
            self.barge_in_at(),
        ];
        let due = due.into_iter().flatten().min();
        tokio::select! {
            biased;
            event = self.live.next_command(due) => match event {
                None => NextEvent::Due,
                Some(Ok(command)) => NextEvent::Command(command),
                Some(Err(flow)) => NextEvent::Flow(flow),
            },
            event = self.socket.next() => NextEvent::Socket(event),
        }
    }

    /// Handles all due events in time order, so that the words heard before a barge-in do not depend on the machine's
    /// load.
    async fn tick(&mut self) {
        let now = self.now();
        loop {
            let speech = self.speech.due().unwrap_or(u64::MAX);
            let pending_barge_in = self.barge_in_at().unwrap_or(u64::MAX);
            let input = self.input.as_ref().map_or(u64::MAX, SpeechInput::due);
            let first = speech.min(pending_barge_in).min(input);
            if first > now {
                return;
            }
            if first == speech {
                for (at, event) in self.speech.advance(first) {
                    self.handle_speech_event(at, event).await;
                }
            } else if first == pending_barge_in {
                if let Some((_, text, done)) = self.pending_barge_in.take() {
                    self.start_speech_input(&text, first, done);
                }
            } else {
                self.advance_speech_input(first).await;
            }
        }
    }

    /// Returns when the pending barge-in is due, if we are speaking.
    fn barge_in_at(&self) -> Option<u64> {
        let (after, ..) = self.pending_barge_in.as_ref()?;
        Some(self.speech.began_at()? + after)
    }

    fn start_speech_input(&mut self, text: &str, at: u64, done: oneshot::Sender<bool>) {
        if let Some(mut before) = self.input.replace(SpeechInput::new(text, at, done)) {
            before.close(false);
        }
    }

    async fn handle_speech_event(&mut self, at: u64, event: Event) {
        match event {
            Event::Heard(sound) => self.live.call.hear(at, sound),
            Event::Speaking(is_speaking) => {
                self.live.call.change(|state| state.is_speaking = is_speaking);
                self.speaker("agentSpeaking", is_speaking).await;
            }
            Event::Played(text) => {
                self.live.call.note(Speaker::Us, text.clone());
                self.played(&text).await;
            }
        }
    }

    async fn advance_speech_input(&mut self, at: u64) {
        let Some(mut input) = self.input.take() else { return };
        let speaking = self.speech.began_at().is_some();
        let lets = self.speech.interruptible().by_speech;
        match input.speak() {
            SpeechProgress::Started(text) => {
                input.is_lost = speaking && !lets;
                self.speaker("clientSpeaking", true).await;
                self.partial(&input, text, speaking.then_some(at)).await;
            }
            SpeechProgress::Continued(text) => self.partial(&input, text, (speaking && lets).then_some(at)).await,
            SpeechProgress::Ended(text) => {
                if !input.is_lost {
                    self.prompt(&text, true).await;
                }
                self.speaker("clientSpeaking", false).await;
                self.live.call.note(Speaker::Person, text);
                input.close(!input.is_lost && !self.socket.is_severed);
                return;
            }
        }
        self.input = Some(input);
    }

    /// Sends a partial prompt, and interrupts our speech if it is allowed.
    async fn partial(&mut self, input: &SpeechInput, text: String, interrupts: Option<u64>) {
        if input.is_lost {
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

    /// Discards the queued speech and reports the interruption.
    async fn interrupt(&mut self, at: u64) {
        let began = self.speech.began_at().unwrap_or_default();
        let Some(heard) = self.stop_speaking() else { return };
        if !heard.is_empty() {
            self.played(&heard).await;
        }
        let lasted = at.saturating_sub(began);
        let frame = json!({
            "type": "interrupt", "utteranceUntilInterrupt": heard, "durationUntilInterruptMs": lasted,
        });
        self.send(frame).await;
    }

    fn stop_speaking(&mut self) -> Option<String> {
        let heard = self.speech.clear()?;
        self.live.call.change(|state| state.is_speaking = false);
        if !heard.is_empty() {
            self.live.call.note(Speaker::Us, heard.clone());
        }
        Some(heard)
    }

    async fn handle_frame(&mut self, text: &str) -> Option<End> {
        self.tick().await;
        let (now, options) = (self.now(), self.options());
        let frame = match frames::read(text, options, &self.languages) {
            Ok(frame) => frame,
            Err(error) => return self.refuse(text, &error).await,
        };
        self.unrecognized = 0;
        let events = match frame {
            Frame::Token {
                token,
                is_last,
                options,
            } => self.speech.token(now, &token, is_last, options),
            Frame::Play { url, times, options } => self.speech.file(now, &url, times, options),
            Frame::Digits(digits) => {
                self.speech.keys(now, &digits, options);
                Vec::new()
            }
            Frame::Language(languages) => {
                self.languages.extend(languages);
                Vec::new()
            }
            Frame::End(handoff) => return Some(End::Ended(handoff)),
        };
        for (at, event) in events {
            self.handle_speech_event(at, event).await;
        }
        None
    }

    async fn refuse(&mut self, text: &str, error: &FrameError) -> Option<End> {
        let shown: String = text.chars().take(500).collect();
        let description = format!("Invalid message received, code: 64107, {shown}");
        self.send(json!({ "type": "error", "description": description })).await;
        self.live.alert(64_107);
        match error {
            FrameError::Invalid => self.unrecognized = 0,
            FrameError::Unrecognized => self.unrecognized += 1,
        }
        if self.unrecognized < MAX_UNRECOGNIZED {
            return None;
        }
        self.socket
            .close(1007, "Too many consecutive malformed messages.")
            .await;
        Some(End::Failed(ENDED))
    }

    async fn handle_command(&mut self, command: Command) -> Option<End> {
        self.tick().await;
        match command {
            Command::Say(text, done) => {
                let now = self.now();
                self.start_speech_input(&text, now, done);
            }
            Command::BargeIn(after, text, done) => self.pending_barge_in = Some((after, text, done)),
            Command::Press(keys, done) => {
                let reached = self.press(&keys).await;
                // The test may have dropped its end.
                let _ = done.send(reached);
            }
            Command::DropSocket(drop, done) => {
                let _ = done.send(true);
                match drop {
                    calls::SocketDrop::Reset => return Some(End::Failed(ENDED)),
                    calls::SocketDrop::BlackHole => self.socket.is_severed = true,
                    calls::SocketDrop::Close1000 => {
                        self.socket.close(1000, "Closing websocket session").await;
                        return Some(End::Failed(ENDED));
                    }
                    calls::SocketDrop::Close1007 => {
                        self.socket
                            .close(1007, "Too many consecutive malformed messages.")
                            .await;
                        return Some(End::Failed(ENDED));
                    }
                }
            }
            command => {
                return self.live.handle_command(command).await.map(|flow| match flow {
                    Flow::Over(status) => End::CallOver(status),
                    flow => End::Redirected(flow),
                });
            }
        }
        None
    }

    /// Presses keys and returns whether our side received them.
    async fn press(&mut self, keys: &str) -> bool {
        if !self.relay.dtmf {
            return false;
        }
        let mut reached = false;
        for key in keys.chars() {
            self.tick().await;
            let speaking = self.speech.began_at().is_some();
            if speaking && !self.speech.interruptible().by_keys {
                self.live.sleep(KEY_MS).await;
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
            self.live.sleep(KEY_MS).await;
        }
        reached
    }

    fn options(&self) -> SpeechOptions {
        SpeechOptions {
            interruptible: self.relay.interruptible,
            preemptible: self.relay.preemptible,
        }
    }

    fn now(&self) -> u64 {
        self.live.call.now_ms()
    }

    async fn send(&mut self, frame: Value) {
        self.socket.send(&frame).await;
    }

    async fn speaker(&mut self, name: &str, is_on: bool) {
        if self.relay.sends_speaker_events {
            let value = if is_on { "on" } else { "off" };
            self.send(json!({ "type": "info", "name": name, "value": value })).await;
        }
    }

    async fn played(&mut self, text: &str) {
        if self.relay.sends_tokens_played {
            self.send(json!({ "type": "info", "name": "tokensPlayed", "value": text }))
                .await;
        }
    }

    async fn prompt(&mut self, text: &str, is_last: bool) {
        let frame = json!({ "type": "prompt", "voicePrompt": text, "lang": self.relay.language, "last": is_last });
        self.send(frame).await;
    }
}
