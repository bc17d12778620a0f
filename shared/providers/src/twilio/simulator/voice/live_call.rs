//! A live call as the verbs use it: waits for commands, requests TwiML, and reports the status. It does not know the
//! verbs; `script` runs them.

use std::time::Duration;

use butt_dial_domain::{
    call::{AnsweredBy, CallStatus, Direction},
    ports::voice::RecordingChange,
};
use tokio::{sync::mpsc, time};

use super::{
    call_webhooks, recording,
    twiml::{self, Verb},
};
use crate::{
    simulator::{
        OutgoingWebhook, SimulatorState,
        calls::{ApiCommand, Call, Command, NewCall, Speaker},
    },
    twilio::simulator::{ACCOUNT_SID, ID},
};

/// From the end of a call to its last report.
const LAST_REPORT_MS: u64 = 700;
const HTTP_FAILURE: u32 = 11_200;
const WRONG_CONTENT_TYPE: u32 = 12_300;
pub struct LiveCall {
    pub simulator: SimulatorState,
    pub call: Call,
    pub commands: mpsc::UnboundedReceiver<Command>,
    /// Receives the status reports.
    pub status_url: Option<String>,
    pub events: Vec<String>,
    pub limit_ms: Option<u64>,
    sequence: u32,
    held: Vec<OutgoingWebhook>,
}

/// How the call continues.
pub enum Flow {
    Next,
    Goto(Vec<Verb>),
    /// The call is over.
    Over(CallStatus),
}

impl LiveCall {
    pub fn new(simulator: &SimulatorState, new_call: NewCall) -> Self {
        Self {
            simulator: simulator.clone(),
            call: new_call.call,
            commands: new_call.commands,
            status_url: None,
            events: Vec::new(),
            limit_ms: None,
            sequence: 0,
            held: Vec::new(),
        }
    }

    pub fn answer(&self) {
        let now = self.call.now_ms();
        self.call.change(|state| {
            if state.status.rank() < CallStatus::InProgress.rank() {
                state.status = CallStatus::InProgress;
                state.answered_ms = Some(now);
            }
        });
    }

    /// Sleeps without handling commands, as Twilio does between two steps.
    pub async fn sleep(&self, ms: u64) {
        time::sleep_until(self.call.instant(self.call.now_ms() + ms)).await;
    }

    /// Waits until this time, or forever. Returns `Some` if the call continues otherwise.
    pub async fn wait(&mut self, until: Option<u64>) -> Option<Flow> {
        loop {
            let command = self.next_command(until).await?;
            match command {
                Ok(command) => {
                    if let Some(flow) = self.handle_command(command).await {
                        return Some(flow);
                    }
                }
                Err(flow) => return Some(flow),
            }
        }
    }

    /// Returns the next command before this time; `None` at that time, an error at the call's time limit.
    pub async fn next_command(&mut self, until: Option<u64>) -> Option<Result<Command, Flow>> {
        let at = [until, self.limit_ms].into_iter().flatten().min();
        // A far instant stands for forever.
        let due = at.map_or_else(|| time::Instant::now() + FOREVER, |at| self.call.instant(at));
        tokio::select! {
            biased;
            command = self.commands.recv() => command.map(Ok),
            () = time::sleep_until(due) => {
                let is_limit = self.limit_ms.is_some() && at == self.limit_ms;
                is_limit.then_some(Err(Flow::Over(CallStatus::Completed)))
            }
        }
    }

    /// Handles a command outside a conversation.
    pub async fn handle_command(&mut self, command: Command) -> Option<Flow> {
        match command {
            Command::Say(text, done) | Command::BargeIn(_, text, done) => {
                self.call.note(Speaker::Person, text);
                let _ = done.send(false);
                None
            }
            Command::Press(_, done) | Command::DropSocket(_, done) => {
                let _ = done.send(false);
                None
            }
            Command::HangUp(done) => {
                let _ = done.send(true);
                Some(Flow::Over(CallStatus::Completed))
            }
            Command::Api(command) => self.run_api_command(command).await,
        }
    }

    pub async fn run_api_command(&mut self, command: ApiCommand) -> Option<Flow> {
        match command {
            ApiCommand::HangUp => Some(Flow::Over(CallStatus::Completed)),
            ApiCommand::Run(document) => Some(self.read(&document)),
            ApiCommand::Fetch(url) => Some(self.fetch_and_run(&url, &[]).await),
            ApiCommand::Record { id, url } => {
                recording::start(&self.simulator, &self.call, id, url);
                None
            }
        }
    }

    /// Requests TwiML and runs it.
    pub async fn fetch_and_run(&mut self, url: &str, more: &[(&str, String)]) -> Flow {
        let answered = self.simulator.post_for_response(&self.form(url, more)).await;
        let is_good = answered.outcome.status.is_some_and(|status| status.is_success());
        if !is_good {
            return self.fail(HTTP_FAILURE);
        }
        let kind = answered.content_type.split(';').next().unwrap_or_default().trim();
        if !matches!(kind, "text/xml" | "application/xml") {
            return self.fail(WRONG_CONTENT_TYPE);
        }
        self.read(&answered.body)
    }

    fn read(&mut self, document: &str) -> Flow {
        match twiml::parse(document) {
            Ok((verbs, warnings)) => {
                self.call.change(|state| state.alerts.extend(warnings));
                Flow::Goto(verbs)
            }
            Err(code) => self.fail(code),
        }
    }

    /// Ends the call with an application error: an unanswered caller gets a busy signal, an answered call is hung up.
    fn fail(&mut self, code: u32) -> Flow {
        self.alert(code);
        let was_answered = self.call.status().rank() >= CallStatus::InProgress.rank();
        Flow::Over(match (was_answered, self.call.direction()) {
            (false, Direction::Inbound) => CallStatus::Busy,
            _ => CallStatus::Completed,
        })
    }

    pub fn alert(&self, code: u32) {
        self.call.note(Speaker::Carrier, format!("error {code}"));
        self.call.change(|state| state.alerts.push(code));
    }

    /// Builds a request about the call.
    pub fn form(&self, url: &str, more: &[(&str, String)]) -> OutgoingWebhook {
        call_webhooks::form(&self.simulator, &self.call, url, more)
    }

    /// Sends a webhook in the background.
    pub fn spawn_webhook(&self, webhook: OutgoingWebhook) {
        call_webhooks::spawn(&self.simulator, webhook);
    }

    /// Reports a status change. `event` is Twilio's event name.
    pub async fn report(&mut self, event: &str, status: CallStatus) {
        let sequence = self.sequence;
        self.sequence += 1;
        let (Some(url), true) = (
            self.status_url.clone(),
            self.events.iter().any(|expected| expected == event),
        ) else {
            return;
        };
        let state = self.call.state();
        let mut more = vec![
            ("CallStatus", status.as_str().to_owned()),
            ("CallbackSource", "call-progress-events".to_owned()),
            ("SequenceNumber", sequence.to_string()),
            ("Timestamp", self.simulator.now().to_rfc2822()),
        ];
        if status.is_over() {
            let lasted = state
                .answered_ms
                .map_or(0, |from| self.call.now_ms().saturating_sub(from))
                / 1_000;
            more.push(("CallDuration", lasted.to_string()));
            more.push(("Duration", lasted.div_ceil(60).to_string()));
            if self.call.direction() == Direction::Outbound {
                more.push(("SipResponseCode", sip_code(status).to_owned()));
            }
        }
        if let Some(answered_by) = state.answered_by {
            more.push(("AnsweredBy", super::answered_by_label(answered_by).to_owned()));
        }
        let report = self.form(&url, &more);
        let delay = self.simulator.call_report_delay_ms();
        if delay > 0 {
            let (simulator, due) = (self.simulator.clone(), self.call.instant(self.call.now_ms() + delay));
            self.simulator.spawn(async move {
                time::sleep_until(due).await;
                simulator.post(&report).await;
            });
        } else if self.simulator.webhook_behavior(ID).reversed {
            self.held.push(report);
        } else {
            call_webhooks::post(&self.simulator, &report).await;
        }
        if status.is_over() {
            for report in std::mem::take(&mut self.held).iter().rev() {
                call_webhooks::post(&self.simulator, report).await;
            }
        }
    }

    /// Ends the call: reports the recording and the final status.
    pub async fn end(mut self, status: CallStatus) {
        let now = self.call.now_ms();
        self.call.change(|state| {
            state.status = status;
            state.ended_ms = Some(now);
            state.is_speaking = false;
        });
        recording::change(&self.simulator, &self.call, RecordingChange::Stop);
        self.sleep(LAST_REPORT_MS).await;
        self.report("completed", status).await;
        tracing::debug!(call = self.call.id(), account = ACCOUNT_SID, "simulated call ended");
    }

    pub fn set_answered_by(&self, answered_by: AnsweredBy) {
        self.call.change(|state| state.answered_by = Some(answered_by));
    }
}

const FOREVER: Duration = Duration::from_secs(60 * 60 * 24);

fn sip_code(status: CallStatus) -> &'static str {
    match status {
        CallStatus::Busy => "486",
        CallStatus::NoAnswer | CallStatus::Canceled => "487",
        CallStatus::Failed => "404",
        _ => "200",
    }
}
