//! What a person does on the telephone: a script, played against the call's handle.

use std::time::Duration;

use serde::Deserialize;

use super::Call;

/// Nobody waits longer for us to speak.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// Somebody calls one of our numbers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneCall {
    pub from: String,
    pub to: String,
    #[serde(default)]
    pub steps: Vec<CallerStep>,
    /// Only where several vendors handler calls, and not the first one is meant.
    #[serde(default)]
    pub vendor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum CallerStep {
    /// Until we have said something and stopped; or, with a text, until it was heard.
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
    /// Until so many conversations were opened on this call.
    WaitForSessions {
        count: usize,
    },
    HangUp,
}

/// What happens where a number is called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CalleeBehavior {
    /// A person takes the call and does this.
    Answers {
        #[serde(default = "default_answer_delay")]
        after_ms: u64,
        #[serde(default)]
        steps: Vec<CallerStep>,
    },
    /// A machine takes it, speaks, and beeps or not.
    Machine {
        #[serde(default = "default_answer_delay")]
        after_ms: u64,
        greeting: String,
        beeps: bool,
    },
    Busy,
    NoAnswer,
    /// There is no such number.
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

/// Does one thing after the other, until the call is over.
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
