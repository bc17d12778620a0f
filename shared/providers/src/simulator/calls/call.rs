//! A simulated call, as tests and caller scripts use it. Clones share the call.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_domain::{
    call::{AnsweredBy, CallStatus, Direction},
    clock::Timestamp,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{HeardSound, RunningRecording, Session, SimulatedRecording, SocketDrop, Sound, Speaker, TranscriptLine};

#[derive(Clone)]
pub struct Call {
    inner: Arc<Inner>,
}

struct Inner {
    id: String,
    vendor: &'static str,
    from: String,
    to: String,
    direction: Direction,
    created_at: Timestamp,
    started_at: Instant,
    pace: f64,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    commands: mpsc::UnboundedSender<Command>,
}

/// A snapshot of a call.
#[derive(Clone)]
pub struct State {
    pub status: CallStatus,
    pub answered_ms: Option<u64>,
    pub ended_ms: Option<u64>,
    pub answered_by: Option<AnsweredBy>,
    pub heard: Vec<HeardSound>,
    pub transcript: Vec<TranscriptLine>,
    pub sessions: Vec<Session>,
    /// The recording of both sides that has not ended.
    pub running_recording: Option<RunningRecording>,
    pub recordings: Vec<SimulatedRecording>,
    /// Error codes that the carrier recorded.
    pub alerts: Vec<u32>,
    pub conferences: Vec<String>,
    /// Whether the caller hears us speak now.
    pub is_speaking: bool,
    /// How many sounds the caller had heard at its last action.
    pub acted_at: usize,
}

/// An action on the call. The sender receives whether it had an effect; it is dropped when the call is over.
pub enum Command {
    /// Completes when the text is spoken, with whether our side received it.
    Say(String, oneshot::Sender<bool>),
    /// Like `Say`, this many milliseconds after we start to speak.
    BargeIn(u64, String, oneshot::Sender<bool>),
    Press(String, oneshot::Sender<bool>),
    HangUp(oneshot::Sender<bool>),
    DropSocket(SocketDrop, oneshot::Sender<bool>),
    /// A command over the carrier's API.
    Api(ApiCommand),
}

pub enum ApiCommand {
    /// Continues with this script in the carrier's language.
    Run(String),
    /// Continues with the script at this URL.
    Fetch(String),
    HangUp,
    /// Starts a recording with this id and reports to this URL.
    Record {
        id: String,
        url: Option<String>,
    },
}

impl Call {
    pub(super) fn new(
        info: (&'static str, String, String, String, Direction),
        created_at: Timestamp,
        pace: f64,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Self {
        let (vendor, id, from, to, direction) = info;
        let state = State {
            status: CallStatus::Queued,
            answered_ms: None,
            ended_ms: None,
            answered_by: None,
            heard: Vec::new(),
            transcript: Vec::new(),
            sessions: Vec::new(),
            running_recording: None,
            recordings: Vec::new(),
            alerts: Vec::new(),
            conferences: Vec::new(),
            is_speaking: false,
            acted_at: 0,
        };
        let inner = Inner {
            id,
            vendor,
            from,
            to,
            direction,
            created_at,
            started_at: Instant::now(),
            pace,
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            commands,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the carrier's id.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    pub fn vendor(&self) -> &'static str {
        self.inner.vendor
    }

    pub fn from(&self) -> &str {
        &self.inner.from
    }

    pub fn to(&self) -> &str {
        &self.inner.to
    }

    pub fn direction(&self) -> Direction {
        self.inner.direction
    }

    pub fn created_at(&self) -> Timestamp {
        self.inner.created_at
    }

    pub fn status(&self) -> CallStatus {
        self.lock().status
    }

    /// Returns a snapshot of the call.
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    /// Returns all sounds that the caller heard, in order.
    pub fn heard(&self) -> Vec<HeardSound> {
        self.lock().heard.clone()
    }

    /// Returns the heard words, separated by single spaces.
    pub fn heard_text(&self) -> String {
        words(&self.lock().heard)
    }

    pub fn transcript(&self) -> Vec<TranscriptLine> {
        self.lock().transcript.clone()
    }

    pub fn sessions(&self) -> Vec<Session> {
        self.lock().sessions.clone()
    }

    pub fn alerts(&self) -> Vec<u32> {
        self.lock().alerts.clone()
    }

    /// Returns the time of the call, in its own pace.
    pub fn now_ms(&self) -> u64 {
        let real = self.inner.started_at.elapsed().as_secs_f64();
        (real * 1_000.0 / self.inner.pace) as u64
    }

    /// Returns the real instant of a call time.
    pub fn instant(&self, at_ms: u64) -> Instant {
        self.inner.started_at + Duration::from_secs_f64(at_ms as f64 * self.inner.pace / 1_000.0)
    }

    /// Speaks as the caller. Returns when the text is spoken: whether our side received it.
    pub async fn say(&self, text: &str) -> bool {
        self.send_command(|done| Command::Say(text.to_owned(), done)).await
    }

    /// Interrupts this many milliseconds after we start to speak, or after the start of the current speech.
    pub async fn barge_in_after(&self, after_ms: u64, text: &str) -> bool {
        self.send_command(|done| Command::BargeIn(after_ms, text.to_owned(), done))
            .await
    }

    pub async fn press(&self, keys: &str) -> bool {
        self.send_command(|done| Command::Press(keys.to_owned(), done)).await
    }

    pub async fn hang_up(&self) {
        self.send_command(Command::HangUp).await;
    }

    /// Breaks the socket of the conversation. Returns `false` if there is none.
    pub async fn drop_socket(&self, drop: SocketDrop) -> bool {
        self.send_command(|done| Command::DropSocket(drop, done)).await
    }

    /// Waits in the call's time.
    pub async fn stay_silent(&self, for_ms: u64) {
        tokio::time::sleep_until(self.instant(self.now_ms() + for_ms)).await;
    }

    /// Waits until the heard words match. Returns them, or `None` after this real time.
    pub async fn wait_for_speech(&self, fits: impl Fn(&str) -> bool, timeout: Duration) -> Option<String> {
        let heard = |state: &State| fits(&words(&state.heard));
        let matched = self.wait_until(heard, timeout).await;
        matched.then(|| self.heard_text())
    }

    /// Waits until we have spoken since the caller's last action and are silent again.
    pub async fn wait_for_quiet(&self, timeout: Duration) -> bool {
        self.wait_until(
            |state| !state.is_speaking && state.heard.len() > state.acted_at,
            timeout,
        )
        .await
    }

    /// Waits until this many sessions were opened on the call.
    pub async fn wait_for_sessions(&self, count: usize, timeout: Duration) -> bool {
        self.wait_until(|state| state.sessions.len() >= count, timeout).await
    }

    /// Waits until the call is over and the carrier has sent its last report.
    pub async fn wait_for_end(&self, timeout: Duration) -> bool {
        let mut changed = self.inner.changed.subscribe();
        let ended = async {
            while !self.inner.commands.is_closed() {
                tokio::select! {
                    () = self.inner.commands.closed() => {}
                    _ = changed.changed() => {}
                }
            }
        };
        tokio::time::timeout(timeout, ended).await.is_ok()
    }

    pub async fn wait_until(&self, is_met: impl Fn(&State) -> bool, timeout: Duration) -> bool {
        let mut changed = self.inner.changed.subscribe();
        let wait = async {
            while !is_met(&self.lock()) {
                // The sender lives as long as this call.
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(timeout, wait).await.is_ok()
    }

    /// Sends a command over the carrier's API. Returns `false` when the call is over.
    pub(crate) fn send_api_command(&self, command: ApiCommand) -> bool {
        self.inner.commands.send(Command::Api(command)).is_ok()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.inner.changed.send_replace(());
    }

    pub(crate) fn hear(&self, at_ms: u64, sound: Sound) {
        self.change(|state| state.heard.push(HeardSound { at_ms, sound }));
    }

    pub(crate) fn note(&self, who: Speaker, text: impl Into<String>) {
        let line = TranscriptLine {
            at_ms: self.now_ms(),
            who,
            text: text.into(),
        };
        self.change(|state| state.transcript.push(line));
    }

    async fn send_command(&self, command: impl FnOnce(oneshot::Sender<bool>) -> Command) -> bool {
        let (done, reached) = oneshot::channel();
        self.change(|state| state.acted_at = state.heard.len());
        if self.inner.commands.send(command(done)).is_err() {
            return false;
        }
        reached.await.unwrap_or(false)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn words(heard: &[HeardSound]) -> String {
    let words = heard.iter().filter_map(|heard| match &heard.sound {
        Sound::Word(word) => Some(word.as_str()),
        _ => None,
    });
    words.collect::<Vec<_>>().join(" ")
}
