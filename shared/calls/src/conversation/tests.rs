//! Stories of conversations, with time that is told.

use std::time::Duration;

use butt_dial_domain::{
    call::{Direction, Plan, Purpose},
    clock::{Clock, Timestamp},
    ports::voice::{self, IncomingFrame, OutgoingFrame},
};
use chrono::TimeDelta;
use tokio::time::Instant;

use super::{
    super::{
        CallSettings,
        state::{AfterSession, CallInfo, CallState, Responder, Speaker},
    },
    Answer, Conversation, Effect, ReplyRejected, Timeouts,
};

struct Story {
    conversation: Conversation,
    wall: Timestamp,
    now: Instant,
    /// Everything that was sent to be spoken, in order.
    spoken: Vec<String>,
    asked: Vec<u64>,
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
        carrier_id: Some("CA1".into()),
        direction: Direction::Inbound,
        local: "+14155550100".into(),
        remote: "+14155550123".into(),
        name: "Ann's shop".into(),
        plan: Plan {
            purpose: Purpose::Converse,
            greeting: None,
            system_prompt: None,
            voice: None,
            language: None,
        },
        language: "en-US".into(),
        started_at: now,
        limit_at: now + TimeDelta::hours(1),
    }
}

impl Story {
    fn of(state: CallState, is_reachable: bool, has_model: bool) -> Self {
        let mut story = Self {
            conversation: Conversation::new(state, &CallSettings::default(), has_model),
            wall: Clock::System.now(),
            now: Instant::now(),
            spoken: Vec::new(),
            asked: Vec::new(),
            cancelled: 0,
            is_closed: false,
        };
        let acts = story.conversation.open(is_reachable, story.wall, story.now);
        story.perform(acts);
        story
    }

    /// Greeted, and heard.
    fn begun() -> Self {
        let mut story = Self::of(CallState::new(info()), true, true);
        story.hear_all();
        story.spoken.clear();
        story
    }

    fn perform(&mut self, acts: Vec<Effect>) {
        for act in acts {
            match act {
                Effect::Send(OutgoingFrame::Speak { text, .. }) => self.spoken.push(text),
                Effect::Send(_) | Effect::Save => {}
                Effect::Ask { turn } => self.asked.push(turn),
                Effect::Cancel => self.cancelled += 1,
                Effect::Close => self.is_closed = true,
            }
        }
    }

    fn receives(&mut self, frame: IncomingFrame) {
        let acts = self.conversation.on_frame(frame, self.wall, self.now);
        self.perform(acts);
    }

    fn caller_says(&mut self, text: &str) {
        self.receives(IncomingFrame::Said {
            text: text.into(),
            language: None,
            is_last: true,
        });
    }

    fn played(&mut self, text: &str) {
        self.receives(IncomingFrame::Played(text.into()));
    }

    /// The carrier speaks all that it has been sent.
    fn hear_all(&mut self) {
        for text in std::mem::take(&mut self.spoken) {
            if !text.trim().is_empty() {
                self.played(&text);
            }
            self.spoken.push(text);
        }
    }

    fn answers(&mut self, by: Speaker, turn: Option<u64>, text: &str, is_last: bool) -> Result<(), ReplyRejected> {
        let answer = Answer {
            by,
            turn,
            text: text.into(),
            is_last,
        };
        let acts = self.conversation.answer(answer, self.wall, self.now)?;
        self.perform(acts);
        Ok(())
    }

    fn agent(&mut self, text: &str) {
        self.answers(Speaker::Agent, None, text, true).unwrap();
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.conversation.deadline().filter(|next| *next <= end) {
            self.wall += TimeDelta::from_std(next.saturating_duration_since(self.now)).unwrap();
            self.now = self.now.max(next);
            let acts = self.conversation.tick(self.wall, self.now);
            self.perform(acts);
        }
        self.wall += TimeDelta::from_std(end - self.now).unwrap();
        self.now = end;
    }

    fn said(&self) -> Vec<(Speaker, &str, bool)> {
        let lines = self.conversation.state.history.iter();
        lines.map(|line| (line.by, line.text.as_str(), line.is_cut)).collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_turn_is_asked_answered_and_heard() {
    let mut story = Story::begun();
    story.caller_says("Are you open?");
    assert_eq!(story.asked, [1]);
    story.agent("Until eight.");
    story.played("Until eight.");
    assert_eq!(story.spoken, ["Until eight."]);
    let said = story.said();
    assert_eq!(
        said[said.len() - 2..],
        [
            (Speaker::Caller, "Are you open?", false),
            (Speaker::Agent, "Until eight.", false)
        ]
    );
    assert!(story.conversation.is_quiet());
}

#[test]
fn the_greeting_says_what_speaks_and_is_said_once() {
    let story = Story::of(CallState::new(info()), true, true);
    assert_eq!(story.spoken, ["I'm an AI assistant. Hello, this is Ann's shop."]);
    let mut again = Story::of(story.conversation.state, true, true);
    assert_eq!(
        again.spoken,
        ["I'm an AI assistant. Hello, this is Ann's shop."],
        "not a word was heard"
    );
    again.played("I'm an AI assistant.");
    let third = Story::of(again.conversation.state, true, true);
    assert_eq!(
        third.spoken,
        ["Hello, this is Ann's shop."],
        "from the first word that was not heard"
    );
}

#[test]
fn what_is_not_heard_is_said_on_another_socket_and_nothing_twice() {
    let mut story = Story::begun();
    story.caller_says("Tell me all.");
    story.answers(Speaker::Agent, Some(1), "First this. ", false).unwrap();
    story
        .answers(Speaker::Agent, Some(1), "Then that. And more.", true)
        .unwrap();
    story.played("First this.");
    let resumed = Story::of(story.conversation.state, true, true);
    assert_eq!(resumed.spoken, ["Then that. And more."]);
    assert!(resumed.asked.is_empty());
}

#[test]
fn a_pending_turn_is_asked_again_on_another_socket() {
    let mut story = Story::begun();
    story.caller_says("Are you open?");
    let resumed = Story::of(story.conversation.state, true, true);
    assert_eq!(resumed.asked, [1]);
    assert!(resumed.spoken.is_empty());
}

#[test]
fn an_interruption_ends_the_turn_and_keeps_what_was_heard() {
    let mut story = Story::begun();
    story.caller_says("Tell me all.");
    story
        .answers(Speaker::Agent, Some(1), "First this. Then that.", false)
        .unwrap();
    story.played("First this.");
    story.played("Then");
    story.receives(IncomingFrame::Interrupted { heard: "Then".into() });
    assert_eq!(story.cancelled, 1);
    story.caller_says("Stop.");
    assert_eq!(story.asked, [1, 2]);
    let said = story.said();
    assert!(said.contains(&(Speaker::Agent, "First this. Then", true)), "{said:?}");
    assert_eq!(
        story.answers(Speaker::Agent, Some(1), " The rest.", true),
        Err(ReplyRejected::Superseded)
    );
}

#[test]
fn a_cough_does_not_end_what_was_being_said() {
    let mut story = Story::begun();
    story.caller_says("Tell me all.");
    story.agent("First this. Then that.");
    story.played("First this.");
    story.receives(IncomingFrame::Interrupted { heard: String::new() });
    story.spoken.clear();
    story.wait(4 * SECOND);
    assert_eq!(story.spoken, ["Then that."]);
}

#[test]
fn an_interruption_of_a_filler_leaves_the_turn_to_be_answered() {
    let mut story = Story::begun();
    story.caller_says("Hm?");
    story.wait(2 * SECOND);
    story.receives(IncomingFrame::Interrupted { heard: String::new() });
    story.wait(4 * SECOND);
    assert_eq!(story.asked, [1, 1], "asked again: nobody has spoken since");
}

#[test]
fn two_prompts_at_once_are_one_question_to_answer() {
    let mut story = Story::begun();
    story.caller_says("I'd like a table.");
    story.caller_says("For two.");
    assert_eq!((story.asked.as_slice(), story.cancelled), (&[1, 2][..], 1));
    assert_eq!(
        story.answers(Speaker::Agent, Some(1), "No.", true),
        Err(ReplyRejected::Superseded)
    );
    story.answers(Speaker::Agent, Some(2), "For two, yes.", true).unwrap();
    assert_eq!(
        story.answers(Speaker::Agent, Some(2), "For two, yes.", true),
        Err(ReplyRejected::Answered),
        "a turn has one answer"
    );
    assert_eq!(story.spoken, ["For two, yes."]);
}

#[test]
fn fillers_come_late_and_differ() {
    let mut story = Story::begun();
    story.caller_says("Quick?");
    story.wait(SECOND);
    story.agent("Yes.");
    story.hear_all();
    story.wait(3 * SECOND);
    assert_eq!(story.spoken, ["Yes."], "a fast turn has no filler");
    let mut last = String::new();
    for _ in 0..20 {
        story.spoken.clear();
        story.caller_says("And?");
        story.wait(2 * SECOND);
        assert_eq!(story.spoken.len(), 1);
        assert_ne!(story.spoken[0], last);
        last = story.spoken[0].clone();
        story.hear_all();
        story.agent("So.");
        story.hear_all();
    }
}

#[test]
fn an_agent_that_says_nothing_is_replaced_and_can_come_back() {
    let mut story = Story::begun();
    story.caller_says("Hello?");
    story.wait(13 * SECOND);
    assert_eq!(story.conversation.state.responder, Responder::Voicemail);
    assert!(story.spoken.iter().any(|text| text.contains("May I take a message?")));
    story.hear_all();
    story.caller_says("I am Bob.");
    assert_eq!(story.asked, [1, 2]);
    story.spoken.clear();
    story.agent("Bob! I am back.");
    assert_eq!(story.conversation.state.responder, Responder::Agent);
    assert_eq!(story.spoken, ["Bob! I am back."]);
    assert_eq!(
        story.answers(Speaker::Voicemail, Some(2), "Your number?", false),
        Err(ReplyRejected::Answered)
    );
}

#[test]
fn an_agent_that_attends_a_machine_in_mid_sentence_has_the_turn_to_answer() {
    let mut story = Story::of(CallState::new(info()), false, true);
    story.hear_all();
    story.caller_says("I am Bob.");
    story
        .answers(Speaker::Voicemail, Some(1), "Thank you. What", false)
        .unwrap();
    story.spoken.clear();
    let acts = story.conversation.attend(story.wall, story.now);
    story.perform(acts);
    assert_eq!((story.cancelled, story.conversation.state.is_pending), (1, true));
    assert_eq!(story.spoken, [""], "the machine's sentence is closed");
    story.played("Thank you. What");
    story.wait(2 * SECOND);
    assert_eq!(story.spoken.len(), 2, "the caller is kept company");
    assert_eq!(
        story.answers(Speaker::Voicemail, Some(1), " number?", true),
        Err(ReplyRejected::Answered)
    );
    story.wait(13 * SECOND);
    assert_eq!(
        story.conversation.state.responder,
        Responder::Voicemail,
        "it can be replaced again"
    );
}

#[test]
fn what_the_machine_still_says_does_not_count_for_the_agent_that_takes_over() {
    let mut story = Story::of(CallState::new(info()), false, true);
    story.played("Hello, this is the AI answering service of Ann's shop.");
    story.spoken.clear();
    story.agent("I am here.");
    story.played("I'm sorry, nobody can take your call right now.");
    story.played("May I take a message? Please tell me your name.");
    let resumed = Story::of(story.conversation.state.clone(), true, true);
    assert_eq!(resumed.spoken, ["I am here."]);
    story.played("I am here.");
    assert_eq!(story.said().last(), Some(&(Speaker::Agent, "I am here.", false)));
    assert!(story.conversation.is_quiet());
}

#[test]
fn last_words_that_a_lost_socket_cut_are_said_on_another_one_which_ends_then() {
    let mut story = Story::begun();
    story.caller_says("Bye.");
    story.agent("Thank you for your call. Goodbye then.");
    let acts = story.conversation.end(AfterSession::HangUp, story.now);
    story.perform(acts);
    story.played("Thank you for your call.");
    let mut resumed = Story::of(story.conversation.state, true, true);
    assert_eq!(resumed.spoken, ["Goodbye then."]);
    assert!(!resumed.is_closed);
    resumed.hear_all();
    assert!(resumed.is_closed);
    assert_eq!(resumed.conversation.state.after_session, AfterSession::HangUp);
}

#[test]
fn without_a_model_the_caller_speaks_after_the_beep() {
    let mut story = Story::of(CallState::new(info()), false, false);
    assert!(story.spoken[0].contains("leave a message"));
    assert!(!story.is_closed, "first it is heard");
    story.hear_all();
    assert!(story.is_closed);
    assert_eq!(story.conversation.state.after_session, AfterSession::Record);
}

#[test]
fn the_machine_ends_within_its_limits() {
    let mut story = Story::of(CallState::new(info()), false, true);
    story.hear_all();
    for turn in 1..=Timeouts::default().voicemail_turns {
        assert!(!story.is_closed);
        story.caller_says("And another thing.");
        story
            .answers(Speaker::Voicemail, Some(u64::from(turn)), "I see.", true)
            .unwrap();
        story.hear_all();
        story.spoken.clear();
    }
    story.wait(10 * SECOND);
    assert!(story.is_closed);
    assert_eq!(story.conversation.state.after_session, AfterSession::HangUp);

    let mut slow = Story::of(CallState::new(info()), false, true);
    slow.hear_all();
    slow.receives(IncomingFrame::Speaking {
        who: voice::Speaker::Caller,
        is_speaking: true,
    });
    slow.wait(Timeouts::default().voicemail_timeout + 30 * SECOND);
    assert!(slow.is_closed, "whoever talks on and on is thanked too");
}

#[test]
fn silence_is_asked_about_once_and_then_ends_the_call() {
    let mut story = Story::begun();
    story.wait(25 * SECOND);
    assert_eq!(story.spoken, ["Are you still there?"]);
    story.hear_all();
    story.caller_says("Yes.");
    story.agent("Good.");
    story.hear_all();
    story.spoken.clear();
    story.wait(60 * SECOND);
    assert_eq!(story.spoken, ["Are you still there?", "Goodbye."]);
    assert!(story.is_closed);
}

#[test]
fn keys_are_a_turn_once_they_are_complete() {
    let mut story = Story::begun();
    for key in "12".chars() {
        story.receives(IncomingFrame::Key(key));
    }
    assert!(story.asked.is_empty());
    story.wait(3 * SECOND);
    assert_eq!(story.asked, [1]);
    story.receives(IncomingFrame::Key('7'));
    story.receives(IncomingFrame::Key('#'));
    story.wait(Duration::ZERO);
    assert_eq!(story.asked, [1, 2]);
    assert_eq!(story.said().last(), Some(&(Speaker::Caller, "[pressed 7#]", false)));
}

#[test]
fn goodbye_is_heard_before_the_session_ends() {
    let mut story = Story::begun();
    story.caller_says("Bye.");
    story.agent("Goodbye then.");
    let acts = story.conversation.end(AfterSession::HangUp, story.now);
    story.perform(acts);
    assert!(!story.is_closed);
    story.caller_says("One more thing!");
    assert_eq!(story.asked, [1], "the call is ending");
    story.hear_all();
    assert!(story.is_closed);
}

#[test]
fn goodbye_that_nobody_confirms_does_not_hold_the_line() {
    let mut story = Story::begun();
    story.caller_says("Bye.");
    story.agent("Goodbye.");
    let acts = story.conversation.end(AfterSession::HangUp, story.now);
    story.perform(acts);
    story.wait(10 * SECOND);
    assert!(story.is_closed);
}

#[test]
fn a_call_ends_at_its_limit_with_a_sentence() {
    let mut state = CallState::new(info());
    state.info.limit_at = Clock::System.now() + TimeDelta::seconds(30);
    let mut story = Story::of(state, true, true);
    story.hear_all();
    story.caller_says("So let me tell you.");
    story.wait(31 * SECOND);
    assert!(story.spoken.iter().any(|text| text.contains("time is up")));
    story.hear_all();
    story.wait(10 * SECOND);
    assert!(story.is_closed);
}

#[test]
fn pieces_are_spoken_as_they_come_and_a_reply_that_breaks_off_is_over() {
    let mut story = Story::begun();
    story.caller_says("Tell me.");
    story.answers(Speaker::Agent, Some(1), "Once", false).unwrap();
    story.answers(Speaker::Agent, Some(1), " upon", false).unwrap();
    assert_eq!(story.spoken, ["Once", " upon"]);
    story.played("Once upon");
    story.wait(6 * SECOND);
    assert_eq!(
        story.spoken.len(),
        3,
        "between pieces it is not quiet for long: {:?}",
        story.spoken
    );
    story.wait(4 * SECOND);
    assert_eq!(story.conversation.state.reply, None);
    assert_eq!(story.said().last(), Some(&(Speaker::Agent, "Once upon", false)));
}

#[test]
fn noise_over_a_filler_leaves_nobody_in_silence() {
    let speaking = |is_speaking| IncomingFrame::Speaking {
        who: voice::Speaker::Caller,
        is_speaking,
    };
    let partial = IncomingFrame::Said {
        text: "Er".into(),
        language: None,
        is_last: false,
    };
    // It is told that they stop; it is told that nothing was said; nothing is told.
    for ends in [
        Some(speaking(false)),
        Some(IncomingFrame::Said {
            text: " ".into(),
            language: None,
            is_last: true,
        }),
        None,
    ] {
        let mut story = Story::begun();
        story.caller_says("Are you open?");
        story.wait(2 * SECOND);
        assert_eq!(story.spoken.len(), 1, "a filler");
        story.receives(IncomingFrame::Interrupted { heard: "One".into() });
        assert_eq!(story.cancelled, 1, "an interruption cancels at once");
        story.receives(partial.clone());
        story.wait(5 * SECOND);
        ends.into_iter().for_each(|frame| story.receives(frame));
        story.wait(11 * SECOND);
        assert_eq!(story.asked.last(), Some(&1));
        assert_eq!(story.asked.len(), 2, "the question still stands");
        assert!(story.spoken.len() > 1, "and they are kept company");
    }
    let mut story = Story::begun();
    story.receives(partial);
    story.wait(25 * SECOND);
    assert!(
        story.spoken.iter().any(|text| text.contains("there?")),
        "{:?}",
        story.spoken
    );
}

#[test]
fn what_is_played_otherwise_than_sent_stops_nothing() {
    let mut story = Story::begun();
    story.caller_says("Tell me.");
    story.agent("Wait. <break time=\"500ms\"/> Now.");
    story.played("Wait. Now.");
    story.caller_says("And then?");
    story.wait(2 * SECOND);
    assert_eq!(story.spoken.len(), 2, "a filler: {:?}", story.spoken);
    story.agent("That is all.");
    story.played("That is all.");
    assert_eq!(story.said().last(), Some(&(Speaker::Agent, "That is all.", false)));
    // Nothing is told at all.
    story.agent("Anything else?");
    story.wait(8 * SECOND);
    assert!(story.conversation.is_quiet());
    assert_eq!(story.said().last(), Some(&(Speaker::Agent, "Anything else?", false)));
}

#[test]
fn nobody_is_talked_to_while_they_type() {
    let mut story = Story::begun();
    story.agent("Please enter your number with all of its ten digits.");
    story.played("Please enter your number");
    story.spoken.clear();
    story.receives(IncomingFrame::Interrupted { heard: String::new() });
    for key in "41555".chars() {
        story.receives(IncomingFrame::Key(key));
        story.wait(SECOND);
    }
    assert!(story.spoken.is_empty(), "{:?}", story.spoken);
    story.receives(IncomingFrame::Key('#'));
    story.wait(Duration::ZERO);
    assert_eq!(story.said().last(), Some(&(Speaker::Caller, "[pressed 41555#]", false)));
}

#[test]
fn what_is_said_over_a_goodbye_is_kept_and_asks_nobody() {
    let mut story = Story::begun();
    story.agent("Goodbye.");
    let acts = story.conversation.end(AfterSession::HangUp, story.now);
    story.perform(acts);
    story.caller_says("One more thing!");
    story.played("Goodbye.");
    assert!(story.is_closed && story.asked.is_empty());
    story.caller_says("Hello?");
    assert_eq!(story.said().last(), Some(&(Speaker::Caller, "Hello?", false)));
    assert_eq!(
        story.answers(Speaker::Agent, None, "Yes?", true),
        Err(ReplyRejected::Answered)
    );
    let acts = story.conversation.end(AfterSession::Record, story.now);
    assert!(acts.is_empty());
    assert_eq!(
        (story.conversation.state.after_session.clone(), story.asked.len()),
        (AfterSession::HangUp, 0)
    );
}

#[test]
fn a_machine_that_was_lost_in_mid_sentence_answers_again() {
    let mut story = Story::of(CallState::new(info()), false, true);
    story.hear_all();
    story.caller_says("I am Bob.");
    story
        .answers(Speaker::Voicemail, Some(1), "Thank you. What number can you", false)
        .unwrap();
    story.played("Thank you.");
    let story = Story::of(story.conversation.state.clone(), false, true);
    assert_eq!((story.asked, story.spoken.len()), (vec![1], 0));
}

#[test]
fn frames_in_any_order_break_nothing() {
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut story = Story::of(CallState::new(info()), random.random(), random.random());
        for _ in 0..100 {
            match random.random_range(0..9) {
                0 => story.caller_says("Words."),
                1 => story.receives(IncomingFrame::Interrupted { heard: "W".into() }),
                2 => story.played("ord"),
                3 => story.receives(IncomingFrame::Key('#')),
                4 => story.wait(Duration::from_millis(random.random_range(0..9_000))),
                5 => drop(story.answers(
                    Speaker::Agent,
                    Some(random.random_range(0..5)),
                    "Yes. ",
                    random.random(),
                )),
                6 => drop(story.answers(Speaker::Voicemail, None, "Well, ", random.random())),
                7 => story.hear_all(),
                _ => {
                    let turn = story.conversation.state.turn;
                    let acts = story.conversation.cannot_answer(turn, story.wall, story.now);
                    story.perform(acts);
                }
            }
            if let Some(reply) = &story.conversation.state.reply {
                assert!(reply.played <= reply.planned.len(), "seed {seed}");
            }
        }
        story.wait(400 * SECOND);
        assert!(story.is_closed, "seed {seed}: silence ends every call");
    }
}
