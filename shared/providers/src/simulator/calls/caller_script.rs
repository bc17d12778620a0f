//! The caller's script: a list of steps that is run against the call.

use std::time::Duration;

use serde::Deserialize;

use super::Call;

/// The longest wait for our speech.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// An inbound call to one of our numbers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneCall {
    pub from: String,
    pub to: String,
    #[serde(default)]
    pub steps: Vec<CallerStep>,
    /// Selects the vendor where several carry calls. Default: the first one.
    #[serde(default)]
    pub vendor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum CallerStep {
    /// Waits until we have spoken and are silent; with a text, until it was heard.
    WaitForSpeech {
        #[serde(default)]
        containing: Option<String>,
    },
    Say {
        text: String,
    },
    BargeIn {
        after_ms: u64,
        text: String,
    },
    Press {
        keys: String,
    },
    StaySilent {
        for_ms: u64,
    },
    /// Waits until this many sessions were opened on the call.
    WaitForSessions {
        count: usize,
    },
    HangUp,
}

/// How a called number behaves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CalleeBehavior {
    /// A person answers and runs these steps.
    Answers {
        #[serde(default = "default_answer_delay")]
        after_ms: u64,
        #[serde(default)]
        steps: Vec<CallerStep>,
    },
    /// An answering machine answers, speaks, and beeps or not.
    Machine {
        #[serde(default = "default_answer_delay")]
        after_ms: u64,
        greeting: String,
        beeps: bool,
    },
    Busy,
    NoAnswer,
    /// The number does not exist.
    Fails,
}

fn default_answer_delay() -> u64 {
    1_500
}

impl Default for CalleeBehavior {
    fn default() -> Self {
        Self::Answers {
            after_ms: default_answer_delay(),
            steps: Vec::new(),
        }
    }
}

/// Runs the steps in order until the call is over.
pub async fn run(call: Call, steps: Vec<CallerStep>) {
    for step in steps {
        if call.status().is_over() {
            return;
        }
        match step {
            CallerStep::WaitForSpeech { containing: None } => {
                call.wait_for_quiet(WAIT_TIMEOUT).await;
            }
            CallerStep::WaitForSpeech { containing: Some(text) } => {
                call.wait_for_speech(|heard| heard.contains(&text), WAIT_TIMEOUT).await;
            }
            CallerStep::Say { text } => {
                call.say(&text).await;
            }
            CallerStep::BargeIn { after_ms, text } => {
                call.barge_in_after(after_ms, &text).await;
            }
            CallerStep::Press { keys } => {
                call.press(&keys).await;
            }
            CallerStep::StaySilent { for_ms } => call.stay_silent(for_ms).await,
            CallerStep::WaitForSessions { count } => {
                call.wait_for_sessions(count, WAIT_TIMEOUT).await;
            }
            CallerStep::HangUp => call.hang_up().await,
        }
    }
}
