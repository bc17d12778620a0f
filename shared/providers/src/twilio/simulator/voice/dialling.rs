//! Calls that we make: somebody takes them or not, or a machine does; and legs that a call dials (Twilio, Calls resource;
//! Answering machine detection; TwiML Dial).

use butt_dial_domain::call::{AnsweredBy, CallStatus};

use super::{
    line::{Flow, Line},
    twiml::Verb,
};
use crate::simulator::calls::{Behaviour, Order, Sound, Speaker};

const QUEUE_MS: u64 = 200;
const RING_MS: u64 = 500;
/// How long Twilio listens to a human before it is sure.
const HUMAN_MS: u64 = 3_000;
const MACHINE_WORD_MS: u64 = 300;
/// How long two people talk once they were connected.
const TALK_MS: u64 = 4_000;
const BEEP_MS: u64 = 500;

/// What a call that we make is to do.
pub struct Placed {
    pub plan: Plan,
    pub ring_ms: u64,
    pub limit_ms: Option<u64>,
    /// Whether somebody is to be asked who answered: `Some(url)` is told beside the call, `Some("")` with the answer.
    pub detection: Option<String>,
}

pub enum Plan {
    Ask(String),
    Run(String),
    Join(String),
}

/// Rings, and follows the plan once somebody answers.
pub async fn place(mut line: Line, placed: Placed) {
    line.settle(QUEUE_MS).await;
    let status = match ring(&mut line, &placed).await {
        Ok(behaviour) => answered(&mut line, placed, behaviour).await,
        Err(status) => status,
    };
    line.end(status).await;
}

async fn ring(line: &mut Line, placed: &Placed) -> Result<Behaviour, CallStatus> {
    let behaviour = line.world.behaviour_of(line.call.to());
    line.call.change(|state| state.status = CallStatus::Initiated);
    line.report("initiated", CallStatus::Initiated).await;
    if behaviour == Behaviour::Fails {
        return Err(CallStatus::Failed);
    }
    line.settle(RING_MS).await;
    line.call.change(|state| state.status = CallStatus::Ringing);
    line.report("ringing", CallStatus::Ringing).await;
    let patience = line.call.now_ms() + placed.ring_ms;
    let after = match &behaviour {
        Behaviour::Answers { after_ms, .. } | Behaviour::Machine { after_ms, .. } => Some(*after_ms),
        Behaviour::Busy => Some(0),
        _ => None,
    };
    let until = after.map_or(patience, |after| patience.min(line.call.now_ms() + after));
    if let Some(Flow::Over(_)) = line.wait(Some(until)).await {
        // Nobody had answered yet.
        return Err(CallStatus::Canceled);
    }
    match behaviour {
        Behaviour::Busy => Err(CallStatus::Busy),
        _ if until == patience => Err(CallStatus::NoAnswer),
        behaviour => Ok(behaviour),
    }
}

async fn answered(line: &mut Line, placed: Placed, behaviour: Behaviour) -> CallStatus {
    line.answer();
    line.limit_ms = placed.limit_ms.map(|limit| line.call.now_ms() + limit);
    line.report("answered", CallStatus::InProgress).await;
    let who = behaves(line, behaviour);
    let mut more = Vec::new();
    match &placed.detection {
        Some(url) if !url.is_empty() => detect_beside(line, who.clone(), url.clone()),
        Some(_) => {
            // Who answered hears nothing meanwhile; the machine speaks and beeps.
            let at = line.call.now_ms() + who.certain_ms;
            if let Some(Flow::Over(status)) = line.wait(Some(at)).await {
                return status;
            }
            line.found_out(who.who);
            more.push(("AnsweredBy", who.word.to_owned()));
        }
        None => {}
    }
    let flow = match placed.plan {
        Plan::Ask(url) => line.goto(&url, &more).await,
        Plan::Run(document) => line.follow_order(Order::Run(document)).await.unwrap_or(Flow::Next),
        Plan::Join(name) => Flow::Goto(vec![Verb::Conference(name)]),
    };
    match flow {
        Flow::Goto(verbs) => line.follow(verbs).await,
        Flow::Over(status) => status,
        Flow::Next => CallStatus::Completed,
    }
}

#[derive(Clone)]
struct Who {
    who: AnsweredBy,
    word: &'static str,
    certain_ms: u64,
}

/// Whoever answers begins to do what they do.
fn behaves(line: &Line, behaviour: Behaviour) -> Who {
    let (greeting, beeps) = match behaviour {
        Behaviour::Machine { greeting, beeps, .. } => (greeting, beeps),
        Behaviour::Answers { steps, .. } => {
            line.world.act_on(&line.call, steps);
            return Who {
                who: AnsweredBy::Human,
                word: "human",
                certain_ms: HUMAN_MS,
            };
        }
        _ => (String::new(), false),
    };
    let speaks_ms = greeting.split_whitespace().count() as u64 * MACHINE_WORD_MS;
    let (call, beep_at) = (line.call.clone(), line.call.now_ms() + speaks_ms + BEEP_MS);
    line.world.run(async move {
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
    Who {
        who: AnsweredBy::MachineEnd,
        word: if beeps {
            "machine_end_beep"
        } else {
            "machine_end_silence"
        },
        certain_ms: speaks_ms + BEEP_MS,
    }
}

/// The call goes on, and who answered is told when it is known.
fn detect_beside(line: &Line, who: Who, url: String) {
    let (world, call) = (line.world.clone(), line.call.clone());
    let begun = call.now_ms();
    line.world.run(async move {
        tokio::time::sleep_until(call.instant(begun + who.certain_ms)).await;
        if call.status().is_over() {
            return;
        }
        call.change(|state| state.answered_by = Some(who.who));
        let fields = [
            ("AccountSid", crate::twilio::simulator::ACCOUNT_SID.to_owned()),
            ("CallSid", call.id().to_owned()),
            ("AnsweredBy", who.word.to_owned()),
            ("MachineDetectionDuration", who.certain_ms.to_string()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        world.post(&super::super::signed(&url, &fields)).await;
    });
}

/// Dials somebody else and connects both, for as long as they talk.
pub async fn dial(
    line: &mut Line,
    action: Option<String>,
    ring_ms: u64,
    number: &str,
    whisper: Option<String>,
) -> Flow {
    line.call.note(Speaker::Carrier, format!("dials {number}"));
    let behaviour = line.world.behaviour_of(number);
    let (after, status) = match behaviour {
        Behaviour::Answers { after_ms, .. } | Behaviour::Machine { after_ms, .. } if after_ms < ring_ms => {
            (after_ms, CallStatus::Completed)
        }
        Behaviour::Busy => (RING_MS, CallStatus::Busy),
        Behaviour::Fails => (RING_MS, CallStatus::Failed),
        _ => (ring_ms, CallStatus::NoAnswer),
    };
    let begun = line.call.now_ms();
    if let Some(flow) = line.wait(Some(begun + after)).await {
        return flow;
    }
    let child = format!("CA{}", uuid::Uuid::new_v4().simple());
    let mut more = vec![
        ("DialCallSid", child.clone()),
        ("DialCallStatus", status.as_str().to_owned()),
    ];
    if status == CallStatus::Completed {
        if let Some(url) = whisper {
            whispered(line, &url, &child, number).await;
        }
        line.call.note(Speaker::Carrier, format!("is connected with {number}"));
        if let Some(flow) = line.wait(Some(line.call.now_ms() + TALK_MS)).await {
            return flow;
        }
        more.push(("DialCallDuration", (TALK_MS / 1_000).to_string()));
        more.push(("DialBridged", "true".to_owned()));
    }
    match action {
        Some(action) => line.goto(&action, &more).await,
        None => Flow::Next,
    }
}

/// What the one who was dialled hears before both are connected.
async fn whispered(line: &mut Line, url: &str, child: &str, number: &str) {
    let more = [
        ("CallSid", child.to_owned()),
        ("ParentCallSid", line.call.id().to_owned()),
        ("Direction", "outbound-dial".to_owned()),
        ("To", number.to_owned()),
    ];
    let report = line.form(url, &more);
    let answered = line.world.ask(&report).await;
    match super::twiml::parse(&answered.body) {
        Ok((verbs, _)) => {
            for verb in verbs {
                if let Verb::Say(text) = verb {
                    line.call
                        .note(Speaker::Carrier, format!("whispers to {number}: {text}"));
                }
            }
        }
        Err(code) => line.alert(code),
    }
}
