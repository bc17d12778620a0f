//! Outbound calls and their callees: people, answering machines and busy numbers (Twilio, Calls resource; Answering
//! machine detection).

use butt_dial_domain::call::{AnsweredBy, CallStatus};

use super::{
    super::signed,
    account_of,
    live_call::{Flow, LiveCall},
    script,
    twiml::Verb,
};
use crate::simulator::calls::{ApiCommand, CalleeBehavior, Sound, Speaker};

const QUEUE_MS: u64 = 200;
const RING_MS: u64 = 500;
/// How long Twilio listens to a human before it decides.
const HUMAN_MS: u64 = 3_000;
const MACHINE_WORD_MS: u64 = 300;
const BEEP_MS: u64 = 500;

/// An outbound call to run.
pub struct OutboundCall {
    pub on_answer: OnAnswer,
    pub ring_ms: u64,
    pub limit_ms: Option<u64>,
    /// Machine detection: with a URL the result is reported there during the call; empty, it comes with the answer
    /// request.
    pub detection: Option<String>,
}

pub enum OnAnswer {
    Fetch(String),
    Run(String),
    Join(String),
}

/// Rings, and runs the script when the callee answers.
pub async fn run_outbound_call(mut live: LiveCall, outbound: OutboundCall) {
    live.sleep(QUEUE_MS).await;
    let status = match ring(&mut live, &outbound).await {
        Ok(behavior) => answered(&mut live, outbound, behavior).await,
        Err(status) => status,
    };
    live.end(status).await;
}

async fn ring(live: &mut LiveCall, outbound: &OutboundCall) -> Result<CalleeBehavior, CallStatus> {
    let behavior = live.simulator.callee_behavior(live.call.to());
    live.call.change(|state| state.status = CallStatus::Initiated);
    live.report("initiated", CallStatus::Initiated).await;
    if behavior == CalleeBehavior::Fails {
        return Err(CallStatus::Failed);
    }
    live.sleep(RING_MS).await;
    live.call.change(|state| state.status = CallStatus::Ringing);
    live.report("ringing", CallStatus::Ringing).await;
    let deadline = live.call.now_ms() + outbound.ring_ms;
    let after = match &behavior {
        CalleeBehavior::Answers { after_ms, .. } | CalleeBehavior::Machine { after_ms, .. } => Some(*after_ms),
        CalleeBehavior::Busy => Some(0),
        _ => None,
    };
    let until = after.map_or(deadline, |after| deadline.min(live.call.now_ms() + after));
    if let Some(Flow::Over(_)) = live.wait(Some(until)).await {
        // The call was not answered yet.
        return Err(CallStatus::Canceled);
    }
    match behavior {
        CalleeBehavior::Busy => Err(CallStatus::Busy),
        _ if until == deadline => Err(CallStatus::NoAnswer),
        behavior => Ok(behavior),
    }
}

async fn answered(live: &mut LiveCall, outbound: OutboundCall, behavior: CalleeBehavior) -> CallStatus {
    live.answer();
    live.limit_ms = outbound.limit_ms.map(|limit| live.call.now_ms() + limit);
    live.report("answered", CallStatus::InProgress).await;
    let callee = start_callee(live, behavior);
    let mut more = Vec::new();
    match &outbound.detection {
        Some(url) if !url.is_empty() => report_detection(live, callee.clone(), url.clone()),
        Some(_) => {
            // The callee hears nothing meanwhile; a machine speaks and beeps.
            let at = live.call.now_ms() + callee.detected_ms;
            if let Some(Flow::Over(status)) = live.wait(Some(at)).await {
                return status;
            }
            live.set_answered_by(callee.answered_by);
            more.push(("AnsweredBy", callee.label.to_owned()));
        }
        None => {}
    }
    let flow = match outbound.on_answer {
        OnAnswer::Fetch(url) => live.fetch_and_run(&url, &more).await,
        OnAnswer::Run(document) => live
            .run_api_command(ApiCommand::Run(document))
            .await
            .unwrap_or(Flow::Next),
        OnAnswer::Join(name) => Flow::Goto(vec![Verb::Conference(name)]),
    };
    match flow {
        Flow::Goto(verbs) => script::execute(live, verbs).await,
        Flow::Over(status) => status,
        Flow::Next => CallStatus::Completed,
    }
}

#[derive(Clone)]
struct Answerer {
    answered_by: AnsweredBy,
    label: &'static str,
    detected_ms: u64,
}

/// Starts the callee's script or greeting.
fn start_callee(live: &LiveCall, behavior: CalleeBehavior) -> Answerer {
    let (greeting, beeps) = match behavior {
        CalleeBehavior::Machine { greeting, beeps, .. } => (greeting, beeps),
        CalleeBehavior::Answers { steps, .. } => {
            live.simulator.run_caller_script(&live.call, steps);
            return Answerer {
                answered_by: AnsweredBy::Human,
                label: "human",
                detected_ms: HUMAN_MS,
            };
        }
        _ => (String::new(), false),
    };
    let speaks_ms = greeting.split_whitespace().count() as u64 * MACHINE_WORD_MS;
    let (call, beep_at) = (live.call.clone(), live.call.now_ms() + speaks_ms + BEEP_MS);
    live.simulator.spawn(async move {
        let speaks = call.clone();
        let beep = async {
            tokio::time::sleep_until(call.instant(beep_at)).await;
            if beeps {
                call.note(Speaker::Person, "(beep)");
                call.hear(beep_at, Sound::Beep);
            }
        };
        tokio::join!(speaks.say(&greeting), beep);
    });
    Answerer {
        answered_by: AnsweredBy::MachineEnd,
        label: if beeps {
            "machine_end_beep"
        } else {
            "machine_end_silence"
        },
        detected_ms: speaks_ms + BEEP_MS,
    }
}

/// Reports the machine detection while the call continues.
fn report_detection(live: &LiveCall, callee: Answerer, url: String) {
    let (simulator, call) = (live.simulator.clone(), live.call.clone());
    let started_at = call.now_ms();
    live.simulator.spawn(async move {
        tokio::time::sleep_until(call.instant(started_at + callee.detected_ms)).await;
        if call.status().is_over() {
            return;
        }
        call.change(|state| state.answered_by = Some(callee.answered_by));
        let fields = [
            ("AccountSid", account_of(&simulator, &call)),
            ("CallSid", call.id().to_owned()),
            ("AnsweredBy", callee.label.to_owned()),
            ("MachineDetectionDuration", callee.detected_ms.to_string()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        simulator.post(&signed(&simulator, &url, &fields)).await;
    });
}
