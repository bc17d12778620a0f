//! Conversations with simulated time.

use std::time::Duration;

use butt_dial_domain::{
    call::{Direction, Plan, Purpose},
    clock::{Clock, Timestamp},
    ports::voice::{self, IncomingFrame, OutgoingFrame, RecordingChange},
};
use chrono::TimeDelta;
use tokio::time::Instant;

use super::{
    super::{
        settings::{CallSettings, Timeouts},
        state::{AfterSession, CallInfo, CallState, Responder, Speaker},
    },
    Conversation, Effect, Moment, ReplyChunk, ReplyRejected,
};

mod hearing;
mod recording;

struct Scenario {
    conversation: Conversation,
    wall: Timestamp,
    now: Instant,
    /// All texts sent to the carrier, in order.
    spoken: Vec<String>,
    /// The language of each text.
    languages: Vec<Option<String>>,
    requested: Vec<u64>,
    recording_changes: Vec<RecordingChange>,
    cancelled: usize,
    is_closed: bool,
}

fn info() -> CallInfo {
    let now = Clock::System.now();
    CallInfo {
        call: "call_1".into(),
        org: "org_1".into(),
        agent: "agt_1".into(),
        carrier: "twilio".into(),
        account: None,
        carrier_id: Some("CA1".into()),
        direction: Direction::Inbound,
        local: "+14155550100".into(),
        remote: "+14155550123".into(),
        name: "Ann's shop".into(),
        plan: Plan {
            purpose: Purpose::Converse,
            ..Plan::default()
        },
        language: "en-US".into(),
        started_at: now,
        limit_at: now + TimeDelta::hours(1),
    }
}

impl Scenario {
    fn of(state: CallState, is_reachable: bool, has_model: bool) -> Self {
        let mut scenario = Self {
            conversation: Conversation::new(state, &CallSettings::default(), has_model),
            wall: Clock::System.now(),
            now: Instant::now(),
            spoken: Vec::new(),
            languages: Vec::new(),
            requested: Vec::new(),
            recording_changes: Vec::new(),
            cancelled: 0,
            is_closed: false,
        };
        let effects = scenario.conversation.open(is_reachable, scenario.moment());
        scenario.execute(effects);
        scenario
    }

    fn moment(&self) -> Moment {
        Moment {
            wall: self.wall,
            instant: self.now,
        }
    }

    /// A call with a greeting that was played.
    fn greeted() -> Self {
        let mut scenario = Self::of(CallState::new(info()), true, true);
        scenario.play_all();
        scenario.spoken.clear();
        scenario
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(OutgoingFrame::Speak { text, language, .. }) => {
                    self.spoken.push(text);
                    self.languages.push(language);
                }
                Effect::Send(_) | Effect::Save => {}
                Effect::RequestReply { turn } => self.requested.push(turn),
                Effect::ChangeRecording(change) => self.recording_changes.push(change),
                Effect::CancelRequest => self.cancelled += 1,
                Effect::Close => self.is_closed = true,
            }
        }
    }

    fn receive(&mut self, frame: IncomingFrame) {
        let effects = self.conversation.on_frame(frame, self.moment());
        self.execute(effects);
    }

    fn caller_says(&mut self, text: &str) {
        self.receive(IncomingFrame::Transcript {
            text: text.into(),
            language: None,
            is_last: true,
        });
    }

    fn played(&mut self, text: &str) {
        self.receive(IncomingFrame::Played(text.into()));
    }

    /// The carrier plays everything that it was sent.
    fn play_all(&mut self) {
        for text in std::mem::take(&mut self.spoken) {
            if !text.trim().is_empty() {
                self.played(&text);
            }
            self.spoken.push(text);
        }
    }

    fn reply(&mut self, by: Speaker, turn: Option<u64>, text: &str, is_last: bool) -> Result<(), ReplyRejected> {
        let chunk = ReplyChunk {
            by,
            turn,
            text: text.into(),
            is_last,
            is_in_callers_language: false,
        };
        let effects = self.conversation.reply(chunk, self.moment())?;
        self.execute(effects);
        Ok(())
    }

    fn agent(&mut self, text: &str) {
        self.reply(Speaker::Agent, None, text, true).unwrap();
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.conversation.deadline().filter(|next| *next <= end) {
            self.wall += TimeDelta::from_std(next.saturating_duration_since(self.now)).unwrap();
            self.now = self.now.max(next);
            let effects = self.conversation.tick(self.moment());
            self.execute(effects);
        }
        self.wall += TimeDelta::from_std(end - self.now).unwrap();
        self.now = end;
    }

    fn transcript(&self) -> Vec<(Speaker, &str, bool)> {
        let lines = self.conversation.state().history.iter();
        lines.map(|line| (line.by, line.text.as_str(), line.is_cut)).collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn requests_reply_and_records_playback() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Are you open?");
    assert_eq!(scenario.requested, [1]);
    scenario.agent("Until eight.");
    scenario.played("Until eight.");
    assert_eq!(scenario.spoken, ["Until eight."]);
    let transcript = scenario.transcript();
    assert_eq!(
        transcript[transcript.len() - 2..],
        [
            (Speaker::Caller, "Are you open?", false),
            (Speaker::Agent, "Until eight.", false)
        ]
    );
    assert!(scenario.conversation.is_quiet());
}

#[test]
fn discloses_ai_and_resumes_greeting_where_it_stopped() {
    let scenario = Scenario::of(CallState::new(info()), true, true);
    assert_eq!(scenario.spoken, ["I'm an AI assistant. Hello, this is Ann's shop."]);
    let mut again = Scenario::of(scenario.conversation.state().clone(), true, true);
    assert_eq!(
        again.spoken,
        ["I'm an AI assistant. Hello, this is Ann's shop."],
        "nothing was played"
    );
    again.played("I'm an AI assistant.");
    let third = Scenario::of(again.conversation.state().clone(), true, true);
    assert_eq!(
        third.spoken,
        ["Hello, this is Ann's shop."],
        "continues after the played part"
    );
}

#[test]
fn resumes_reply_after_the_played_part() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Tell me all.");
    scenario.reply(Speaker::Agent, Some(1), "First this. ", false).unwrap();
    scenario
        .reply(Speaker::Agent, Some(1), "Then that. And more.", true)
        .unwrap();
    scenario.played("First this.");
    let resumed = Scenario::of(scenario.conversation.state().clone(), true, true);
    assert_eq!(resumed.spoken, ["Then that. And more."]);
    assert!(resumed.requested.is_empty());
}

#[test]
fn requests_pending_turn_again_on_next_socket() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Are you open?");
    let resumed = Scenario::of(scenario.conversation.state().clone(), true, true);
    assert_eq!(resumed.requested, [1]);
    assert!(resumed.spoken.is_empty());
}

#[test]
fn barge_in_ends_turn_and_keeps_played_text() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Tell me all.");
    scenario
        .reply(Speaker::Agent, Some(1), "First this. Then that.", false)
        .unwrap();
    scenario.played("First this.");
    scenario.played("Then");
    scenario.receive(IncomingFrame::Interrupted { spoken: "Then".into() });
    assert_eq!(scenario.cancelled, 1);
    scenario.caller_says("Stop.");
    assert_eq!(scenario.requested, [1, 2]);
    let transcript = scenario.transcript();
    assert!(
        transcript.contains(&(Speaker::Agent, "First this. Then", true)),
        "{transcript:?}"
    );
    let cut = scenario.conversation.state().history.iter().rfind(|entry| entry.is_cut);
    assert_eq!(cut.and_then(|entry| entry.unheard.as_deref()), Some("that."));
    assert_eq!(
        scenario.reply(Speaker::Agent, Some(1), " The rest.", true),
        Err(ReplyRejected::Superseded)
    );
}

#[test]
fn continues_reply_after_noise() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Tell me all.");
    scenario.agent("First this. Then that.");
    scenario.played("First this.");
    scenario.receive(IncomingFrame::Interrupted { spoken: String::new() });
    scenario.spoken.clear();
    scenario.wait(4 * SECOND);
    assert_eq!(scenario.spoken, ["Then that."]);
}

#[test]
fn requests_reply_again_after_noise_over_filler() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("How?");
    scenario.wait(2 * SECOND);
    scenario.receive(IncomingFrame::Interrupted { spoken: String::new() });
    scenario.wait(4 * SECOND);
    assert_eq!(scenario.requested, [1, 1], "the pending reply is requested again");
}

#[test]
fn rejects_reply_to_superseded_turn() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("I'd like a table.");
    scenario.caller_says("For two.");
    assert_eq!((scenario.requested.as_slice(), scenario.cancelled), (&[1, 2][..], 1));
    assert_eq!(
        scenario.reply(Speaker::Agent, Some(1), "No.", true),
        Err(ReplyRejected::Superseded)
    );
    scenario.reply(Speaker::Agent, Some(2), "For two, yes.", true).unwrap();
    assert_eq!(
        scenario.reply(Speaker::Agent, Some(2), "For two, yes.", true),
        Err(ReplyRejected::Answered),
        "a turn has one reply"
    );
    assert_eq!(scenario.spoken, ["For two, yes."]);
}

#[test]
fn speaks_late_fillers_that_differ() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Quick?");
    scenario.wait(SECOND);
    scenario.agent("Yes.");
    scenario.play_all();
    scenario.wait(3 * SECOND);
    assert_eq!(scenario.spoken, ["Yes."], "a fast turn has no filler");
    let mut last = String::new();
    for _ in 0..20 {
        scenario.spoken.clear();
        scenario.caller_says("And?");
        scenario.wait(2 * SECOND);
        assert_eq!(scenario.spoken.len(), 1);
        assert_ne!(scenario.spoken[0], last);
        last = scenario.spoken[0].clone();
        scenario.play_all();
        scenario.agent("So.");
        scenario.play_all();
    }
}

#[test]
fn silent_agent_is_replaced_and_can_return() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Hello?");
    scenario.wait(13 * SECOND);
    assert_eq!(scenario.conversation.state().responder, Responder::Voicemail);
    assert!(
        scenario
            .spoken
            .iter()
            .any(|text| text.contains("May I take a message?"))
    );
    scenario.play_all();
    scenario.caller_says("I am Bob.");
    assert_eq!(scenario.requested, [1, 2]);
    scenario.spoken.clear();
    scenario.agent("Bob! I am back.");
    assert_eq!(scenario.conversation.state().responder, Responder::Agent);
    assert_eq!(scenario.spoken, ["Bob! I am back."]);
    assert_eq!(
        scenario.reply(Speaker::Voicemail, Some(2), "Your number?", false),
        Err(ReplyRejected::Answered)
    );
}

#[test]
fn agent_that_replaces_voicemail_mid_reply_gets_the_turn() {
    let mut scenario = Scenario::of(CallState::new(info()), false, true);
    scenario.play_all();
    scenario.caller_says("I am Bob.");
    scenario
        .reply(Speaker::Voicemail, Some(1), "Thank you. What", false)
        .unwrap();
    scenario.spoken.clear();
    let effects = scenario.conversation.attend(scenario.moment());
    scenario.execute(effects);
    assert_eq!(
        (scenario.cancelled, scenario.conversation.state().is_pending),
        (1, true)
    );
    assert_eq!(scenario.spoken, [""], "ends the utterance of the voicemail service");
    scenario.played("Thank you. What");
    scenario.wait(2 * SECOND);
    assert_eq!(scenario.spoken.len(), 2, "a filler");
    assert_eq!(
        scenario.reply(Speaker::Voicemail, Some(1), " number?", true),
        Err(ReplyRejected::Answered)
    );
    scenario.wait(13 * SECOND);
    assert_eq!(
        scenario.conversation.state().responder,
        Responder::Voicemail,
        "the agent can be replaced again"
    );
}

#[test]
fn voicemail_playback_does_not_count_for_the_agent() {
    let mut scenario = Scenario::of(CallState::new(info()), false, true);
    scenario.played("Hello, this is the AI answering service of Ann's shop.");
    scenario.spoken.clear();
    scenario.agent("I am here.");
    scenario.played("I'm sorry, nobody can take your call right now.");
    scenario.played("May I take a message? Please tell me your name.");
    let resumed = Scenario::of(scenario.conversation.state().clone(), true, true);
    assert_eq!(resumed.spoken, ["I am here."]);
    scenario.played("I am here.");
    assert_eq!(
        scenario.transcript().last(),
        Some(&(Speaker::Agent, "I am here.", false))
    );
    assert!(scenario.conversation.is_quiet());
}

#[test]
fn finishes_last_words_on_next_socket() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Bye.");
    scenario.agent("Thank you for your call. Goodbye then.");
    let effects = scenario.conversation.end(AfterSession::HangUp, scenario.moment());
    scenario.execute(effects);
    scenario.played("Thank you for your call.");
    let mut resumed = Scenario::of(scenario.conversation.state().clone(), true, true);
    assert_eq!(resumed.spoken, ["Goodbye then."]);
    assert!(!resumed.is_closed);
    resumed.play_all();
    assert!(resumed.is_closed);
    assert_eq!(resumed.conversation.state().after_session, AfterSession::HangUp);
}

#[test]
fn records_message_without_a_model() {
    let mut scenario = Scenario::of(CallState::new(info()), false, false);
    assert!(scenario.spoken[0].contains("leave a message"));
    assert!(!scenario.is_closed, "the prompt is played first");
    scenario.play_all();
    assert!(scenario.is_closed);
    assert_eq!(scenario.conversation.state().after_session, AfterSession::Record);
}

#[test]
fn voicemail_ends_within_its_limits() {
    let mut scenario = Scenario::of(CallState::new(info()), false, true);
    scenario.play_all();
    for turn in 1..=Timeouts::default().voicemail_turns {
        assert!(!scenario.is_closed);
        scenario.wait(SECOND);
        scenario.caller_says("And another thing.");
        scenario
            .reply(Speaker::Voicemail, Some(u64::from(turn)), "I see.", true)
            .unwrap();
        scenario.play_all();
        scenario.spoken.clear();
    }
    scenario.wait(10 * SECOND);
    assert!(scenario.is_closed);
    assert_eq!(scenario.conversation.state().after_session, AfterSession::HangUp);

    let mut slow = Scenario::of(CallState::new(info()), false, true);
    slow.play_all();
    slow.receive(IncomingFrame::Speaking {
        who: voice::Speaker::Caller,
        is_speaking: true,
    });
    slow.wait(Timeouts::default().voicemail_timeout + 30 * SECOND);
    assert!(slow.is_closed, "a long utterance does not extend the limit");
}

#[test]
fn prompts_once_in_silence_then_ends_the_call() {
    let mut scenario = Scenario::greeted();
    scenario.wait(25 * SECOND);
    assert_eq!(scenario.spoken, ["Are you still there?"]);
    scenario.play_all();
    scenario.caller_says("Yes.");
    scenario.agent("Good.");
    scenario.play_all();
    scenario.spoken.clear();
    scenario.wait(60 * SECOND);
    assert_eq!(scenario.spoken, ["Are you still there?", "Goodbye."]);
    assert!(scenario.is_closed);
}

#[test]
fn complete_keys_begin_a_turn() {
    let mut scenario = Scenario::greeted();
    for key in "12".chars() {
        scenario.receive(IncomingFrame::Keys(key.into()));
    }
    assert!(scenario.requested.is_empty());
    scenario.wait(3 * SECOND);
    assert_eq!(scenario.requested, [1]);
    scenario.receive(IncomingFrame::Keys("7".into()));
    scenario.receive(IncomingFrame::Keys("#".into()));
    scenario.wait(Duration::ZERO);
    assert_eq!(scenario.requested, [1, 2]);
    assert_eq!(
        scenario.transcript().last(),
        Some(&(Speaker::Caller, "[pressed 7#]", false))
    );
}

#[test]
fn plays_goodbye_before_closing() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Bye.");
    scenario.agent("Goodbye then.");
    let effects = scenario.conversation.end(AfterSession::HangUp, scenario.moment());
    scenario.execute(effects);
    assert!(!scenario.is_closed);
    scenario.caller_says("One more thing!");
    assert_eq!(scenario.requested, [1], "the call is ending");
    scenario.play_all();
    assert!(scenario.is_closed);
}

#[test]
fn closes_without_playback_report_of_goodbye() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Bye.");
    scenario.agent("Goodbye.");
    let effects = scenario.conversation.end(AfterSession::HangUp, scenario.moment());
    scenario.execute(effects);
    scenario.wait(10 * SECOND);
    assert!(scenario.is_closed);
}

#[test]
fn ends_at_the_time_limit_with_words() {
    let mut state = CallState::new(info());
    state.info.limit_at = Clock::System.now() + TimeDelta::seconds(30);
    let mut scenario = Scenario::of(state, true, true);
    scenario.play_all();
    scenario.caller_says("So let me tell you.");
    scenario.wait(31 * SECOND);
    assert!(scenario.spoken.iter().any(|text| text.contains("time is up")));
    scenario.play_all();
    scenario.wait(10 * SECOND);
    assert!(scenario.is_closed);
}

#[test]
fn speaks_pieces_at_once_and_ends_a_broken_reply() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Tell me.");
    scenario.reply(Speaker::Agent, Some(1), "Once", false).unwrap();
    scenario.reply(Speaker::Agent, Some(1), " upon", false).unwrap();
    assert_eq!(scenario.spoken, ["Once", " upon"]);
    scenario.played("Once upon");
    scenario.wait(6 * SECOND);
    assert_eq!(
        scenario.spoken.len(),
        3,
        "a filler between two pieces: {:?}",
        scenario.spoken
    );
    scenario.wait(4 * SECOND);
    assert_eq!(scenario.conversation.state().reply, None);
    assert_eq!(
        scenario.transcript().last(),
        Some(&(Speaker::Agent, "Once upon", false))
    );
}

#[test]
fn noise_over_filler_leaves_no_silence() {
    let speaking = |is_speaking| IncomingFrame::Speaking {
        who: voice::Speaker::Caller,
        is_speaking,
    };
    let partial = IncomingFrame::Transcript {
        text: "Er".into(),
        language: None,
        is_last: false,
    };
    // The carrier reports the end of speech, an empty utterance, or nothing.
    for ends in [
        Some(speaking(false)),
        Some(IncomingFrame::Transcript {
            text: " ".into(),
            language: None,
            is_last: true,
        }),
        None,
    ] {
        let mut scenario = Scenario::greeted();
        scenario.caller_says("Are you open?");
        scenario.wait(2 * SECOND);
        assert_eq!(scenario.spoken.len(), 1, "a filler");
        scenario.receive(IncomingFrame::Interrupted { spoken: "One".into() });
        assert_eq!(scenario.cancelled, 1, "a barge-in cancels the request");
        scenario.receive(partial.clone());
        scenario.wait(5 * SECOND);
        ends.into_iter().for_each(|frame| scenario.receive(frame));
        scenario.wait(11 * SECOND);
        assert_eq!(scenario.requested.last(), Some(&1));
        assert_eq!(scenario.requested.len(), 2, "the reply is requested again");
        assert!(scenario.spoken.len() > 1, "a filler");
    }
    let mut scenario = Scenario::greeted();
    scenario.receive(partial);
    scenario.wait(25 * SECOND);
    assert!(
        scenario.spoken.iter().any(|text| text.contains("there?")),
        "{:?}",
        scenario.spoken
    );
}

#[test]
fn continues_after_unmatched_playback_reports() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Tell me.");
    scenario.agent("Wait. <break time=\"500ms\"/> Now.");
    scenario.played("Wait. Now.");
    scenario.caller_says("And then?");
    scenario.wait(2 * SECOND);
    assert_eq!(scenario.spoken.len(), 2, "a filler: {:?}", scenario.spoken);
    scenario.agent("That is all.");
    scenario.played("That is all.");
    assert_eq!(
        scenario.transcript().last(),
        Some(&(Speaker::Agent, "That is all.", false))
    );
    // The carrier reports no playback.
    scenario.agent("Anything else?");
    scenario.wait(8 * SECOND);
    assert!(scenario.conversation.is_quiet());
    assert_eq!(
        scenario.transcript().last(),
        Some(&(Speaker::Agent, "Anything else?", false))
    );
}

#[test]
fn stays_silent_while_keys_are_pressed() {
    let mut scenario = Scenario::greeted();
    scenario.agent("Please enter your number with all of its ten digits.");
    scenario.played("Please enter your number");
    scenario.spoken.clear();
    scenario.receive(IncomingFrame::Interrupted { spoken: String::new() });
    for key in "41555".chars() {
        scenario.receive(IncomingFrame::Keys(key.into()));
        scenario.wait(SECOND);
    }
    assert!(scenario.spoken.is_empty(), "{:?}", scenario.spoken);
    scenario.receive(IncomingFrame::Keys("#".into()));
    scenario.wait(Duration::ZERO);
    assert_eq!(
        scenario.transcript().last(),
        Some(&(Speaker::Caller, "[pressed 41555#]", false))
    );
}

#[test]
fn records_words_over_goodbye_without_a_turn() {
    let mut scenario = Scenario::greeted();
    scenario.agent("Goodbye.");
    let effects = scenario.conversation.end(AfterSession::HangUp, scenario.moment());
    scenario.execute(effects);
    scenario.caller_says("One more thing!");
    scenario.played("Goodbye.");
    assert!(scenario.is_closed && scenario.requested.is_empty());
    scenario.caller_says("Hello?");
    assert_eq!(scenario.transcript().last(), Some(&(Speaker::Caller, "Hello?", false)));
    assert_eq!(
        scenario.reply(Speaker::Agent, None, "Yes?", true),
        Err(ReplyRejected::Answered)
    );
    let effects = scenario.conversation.end(AfterSession::Record, scenario.moment());
    assert!(effects.is_empty());
    assert_eq!(
        (
            scenario.conversation.state().after_session.clone(),
            scenario.requested.len()
        ),
        (AfterSession::HangUp, 0)
    );
}

#[test]
fn requests_voicemail_reply_again_when_lost_midway() {
    let mut scenario = Scenario::of(CallState::new(info()), false, true);
    scenario.play_all();
    scenario.caller_says("I am Bob.");
    scenario
        .reply(Speaker::Voicemail, Some(1), "Thank you. What number can you", false)
        .unwrap();
    scenario.played("Thank you.");
    let scenario = Scenario::of(scenario.conversation.state().clone(), false, true);
    assert_eq!((scenario.requested, scenario.spoken.len()), (vec![1], 0));
}

#[test]
fn survives_frames_in_random_order() {
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut scenario = Scenario::of(CallState::new(info()), random.random(), random.random());
        for _ in 0..100 {
            match random.random_range(0..9) {
                0 => scenario.caller_says("Words."),
                1 => scenario.receive(IncomingFrame::Interrupted { spoken: "W".into() }),
                2 => scenario.played("ord"),
                3 => scenario.receive(IncomingFrame::Keys("#".into())),
                4 => scenario.wait(Duration::from_millis(random.random_range(0..9_000))),
                5 => drop(scenario.reply(
                    Speaker::Agent,
                    Some(random.random_range(0..5)),
                    "Yes. ",
                    random.random(),
                )),
                6 => drop(scenario.reply(Speaker::Voicemail, None, "Well, ", random.random())),
                7 => scenario.play_all(),
                _ => {
                    let turn = scenario.conversation.state().turn;
                    let effects = scenario.conversation.reply_unavailable(turn, scenario.moment());
                    scenario.execute(effects);
                }
            }
            if let Some(reply) = &scenario.conversation.state().reply {
                assert!(reply.played <= reply.planned.len(), "seed {seed}");
            }
        }
        scenario.wait(400 * SECOND);
        assert!(scenario.is_closed, "seed {seed}: silence ends every call");
    }
}
