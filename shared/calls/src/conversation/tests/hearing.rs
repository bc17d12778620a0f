//! The words, keys and interruptions of a caller, as carriers report them.

use butt_dial_domain::call::{AutomatonAction, AutomatonActions, InterruptSensitivity};

use super::*;
use crate::notifications::{CallNotification, NotificationKind};

fn partial(text: &str) -> IncomingFrame {
    IncomingFrame::Transcript {
        text: text.into(),
        language: None,
        is_last: false,
    }
}

fn interrupted(spoken: &str) -> IncomingFrame {
    IncomingFrame::Interrupted { spoken: spoken.into() }
}

fn speaking(is_speaking: bool) -> IncomingFrame {
    IncomingFrame::Speaking {
        who: voice::Speaker::Caller,
        is_speaking,
    }
}

fn keys(keys: &str) -> IncomingFrame {
    IncomingFrame::Keys(keys.into())
}

impl Scenario {
    /// The agent's notification of the current turn.
    fn turn(&self) -> CallNotification {
        CallNotification::new(NotificationKind::Turn, self.conversation.state())
    }

    fn words(&self) -> String {
        self.turn().text.unwrap_or_default()
    }

    /// A call in which the agent speaks. The carrier reports no playback of it.
    fn talking(text: &str) -> Self {
        let mut scenario = Self::greeted();
        scenario.caller_says("Tell me everything.");
        scenario.agent(text);
        scenario.spoken.clear();
        scenario
    }
}

#[test]
fn heard_words_of_interrupted_reply_stand_in_history() {
    let mut scenario = Scenario::talking("One two three four five six seven eight nine ten.");
    scenario.receive(interrupted("One two three four five"));
    scenario.caller_says("Stop.");
    let transcript = scenario.transcript();
    assert_eq!(
        transcript[transcript.len() - 2..],
        [
            (Speaker::Agent, "One two three four five", true),
            (Speaker::Caller, "Stop.", false)
        ]
    );
    assert_eq!(scenario.words(), "Stop.");
}

#[test]
fn next_turn_has_only_new_words_without_any_position() {
    for played in [None, Some("One two.")] {
        let mut scenario = Scenario::talking("One two. Three four.");
        played.into_iter().for_each(|text| scenario.played(text));
        scenario.receive(interrupted(""));
        scenario.caller_says("Stop.");
        assert_eq!(scenario.words(), "Stop.");
        let heard = scenario.transcript().iter().any(|(_, text, _)| *text == "One two.");
        assert_eq!(heard, played.is_some());
    }
}

#[test]
fn heard_sentence_is_not_repeated_after_noise() {
    for reports in [true, false] {
        let mut scenario = Scenario::talking("The first sentence is this. And here is the second.");
        if reports {
            scenario.played("The first sentence is this.");
        }
        scenario.receive(interrupted("The first sentence is this."));
        scenario.wait(4 * SECOND);
        assert_eq!(scenario.spoken, ["And here is the second."]);
    }
}

#[test]
fn continues_at_the_start_of_a_cut_word() {
    let mut scenario = Scenario::talking("Your appointment is tomorrow.");
    scenario.receive(interrupted("Your appoint"));
    scenario.wait(4 * SECOND);
    assert_eq!(scenario.spoken, ["appointment is tomorrow."]);
}

#[test]
fn utterances_without_words_are_no_turn() {
    for text in [".", "…", "?!", "-", "\u{200b}", "\u{feff}", "👍", " ", "Hmm.", "äh"] {
        let mut scenario = Scenario::greeted();
        scenario.caller_says(text);
        scenario.receive(partial(text));
        scenario.wait(14 * SECOND);
        assert!(scenario.requested.is_empty(), "{text:?}");
        let mut scenario = Scenario::talking("One two three. Four five six seven eight.");
        scenario.receive(partial(text));
        scenario.caller_says(text);
        assert_eq!(scenario.requested, [1], "{text:?} over speech");
        assert!(scenario.conversation.state().reply.is_some(), "{text:?} ends no reply");
    }
}

#[test]
fn acknowledgement_does_not_end_speech() {
    let text = "We have three kinds. The first one is blue, the second one is red.";
    for word in ["Uh-huh.", "yeah", "Okay."] {
        let mut scenario = Scenario::talking(text);
        scenario.played("We have three kinds.");
        scenario.caller_says(word);
        assert_eq!(
            (scenario.requested.len(), scenario.spoken.len()),
            (1, 0),
            "{word}: the speech goes on"
        );
        scenario.receive(interrupted(""));
        scenario.receive(partial(word));
        scenario.wait(SECOND);
        scenario.caller_says(word);
        assert_eq!(scenario.requested.len(), 1, "{word}");
        assert_eq!(scenario.spoken, ["The first one is blue, the second one is red."]);
        scenario.caller_says("Stop it.");
        assert_eq!(scenario.requested.len(), 2);
    }
    let mut state = Scenario::greeted().conversation.state().clone();
    state.info.plan.interrupt_sensitivity = Some(InterruptSensitivity::High);
    let mut sensitive = Scenario::of(state, true, true);
    sensitive.agent(text);
    sensitive.caller_says("Yeah.");
    assert_eq!(sensitive.requested.len(), 1, "any word ends the speech");
}

#[test]
fn acknowledgement_answers_a_question() {
    for (question, played) in [
        ("It is blue. Shall I send it to you?", "It is blue."),
        ("Shall I send it to you?", "Shall I send it to you?"),
        ("That is all there is.", "That is all there"),
    ] {
        let mut scenario = Scenario::talking(question);
        scenario.played(played);
        scenario.receive(interrupted(""));
        scenario.caller_says("Yes.");
        assert_eq!(
            (scenario.requested.len(), scenario.words().as_str()),
            (2, "Yes."),
            "{question}"
        );
    }
}

#[test]
fn words_without_their_end_are_a_turn() {
    let mut scenario = Scenario::greeted();
    for text in ["do", "do you have", "do you have a table"] {
        scenario.receive(partial(text));
        scenario.wait(Duration::from_millis(300));
    }
    scenario.wait(8 * SECOND);
    assert_eq!(
        (scenario.requested.as_slice(), scenario.words().as_str()),
        (&[1][..], "do you have a table")
    );
    // The end arrives late.
    scenario.caller_says("Do you have a table?");
    assert_eq!(scenario.requested, [1]);
    scenario.caller_says("For two.");
    assert_eq!(scenario.words(), "do you have a table For two.");
    // The carrier reports the end of the speech, or an end without words.
    for end in [
        speaking(false),
        IncomingFrame::Transcript {
            text: String::new(),
            language: None,
            is_last: true,
        },
    ] {
        let mut scenario = Scenario::greeted();
        scenario.receive(partial("Is it open"));
        scenario.receive(end);
        scenario.wait(3 * SECOND);
        assert_eq!(scenario.words(), "Is it open");
    }
}

#[test]
fn words_before_a_lost_socket_stand_in_the_transcript() {
    let mut scenario = Scenario::greeted();
    scenario.receive(partial("I would like to"));
    assert_eq!(scenario.conversation.state().partial, "I would like to");
    let mut again = Scenario::of(scenario.conversation.state().clone(), true, true);
    assert_eq!(
        again.transcript().last(),
        Some(&(Speaker::Caller, "I would like to", false))
    );
    assert!(again.spoken[0].contains("missed"), "{:?}", again.spoken);
    again.caller_says("Book a table.");
    assert_eq!(again.words(), "I would like to Book a table.");
}

#[test]
fn repeated_final_prompt_is_answered_once() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says("Are you open?");
    scenario.wait(Duration::from_millis(50));
    scenario.caller_says("Are you open?");
    assert_eq!(
        (scenario.requested.as_slice(), scenario.words().as_str()),
        (&[1][..], "Are you open?")
    );
    scenario.agent("Yes.");
    scenario.wait(SECOND);
    scenario.caller_says("Are you open?");
    assert_eq!(scenario.requested, [1, 2]);
}

#[test]
fn key_and_words_are_one_turn_in_order() {
    let mut scenario = Scenario::greeted();
    scenario.receive(keys("1"));
    scenario.wait(Duration::from_millis(300));
    scenario.caller_says("is that the sales team");
    scenario.wait(5 * SECOND);
    assert_eq!(scenario.requested, [1]);
    assert_eq!(scenario.words(), "[pressed 1] is that the sales team");
    assert_eq!(scenario.turn().digits.as_deref(), Some("1"));
    // The words begin before the time for the next key is over, and end later.
    scenario.agent("Yes.");
    scenario.receive(keys("2"));
    scenario.receive(partial("and is"));
    scenario.wait(4 * SECOND);
    scenario.caller_says("And is that support?");
    assert_eq!(
        (scenario.requested.len(), scenario.words().as_str()),
        (2, "[pressed 2] And is that support?")
    );
    // Words, then a key.
    scenario.agent("Yes.");
    scenario.caller_says("My number is");
    scenario.receive(keys("42"));
    scenario.wait(3 * SECOND);
    assert_eq!(scenario.words(), "My number is [pressed 42]");
    assert_eq!(scenario.turn().digits.as_deref(), Some("42"));
}

#[test]
fn finish_key_of_the_call_ends_the_input() {
    for (finish, pressed, digits) in [
        (None, "12#", "12"),
        (Some("*"), "1#2*", "1#2"),
        (Some(""), "12#", "12#"),
    ] {
        let mut state = Scenario::greeted().conversation.state().clone();
        state.info.plan.finish_on_key = finish.map(str::to_owned);
        let mut scenario = Scenario::of(state, true, true);
        for key in pressed.chars() {
            scenario.receive(IncomingFrame::Keys(key.into()));
            scenario.wait(Duration::ZERO);
        }
        assert_eq!(scenario.requested.len(), usize::from(finish != Some("")), "{finish:?}");
        scenario.wait(3 * SECOND);
        assert_eq!(
            (scenario.requested.len(), scenario.turn().digits.as_deref()),
            (1, Some(digits)),
            "{finish:?}"
        );
    }
}

#[test]
fn turn_and_prompts_have_the_callers_language() {
    let mut scenario = Scenario::greeted();
    let says = |text: &str, language: &str| IncomingFrame::Transcript {
        text: text.into(),
        language: Some(language.into()),
        is_last: true,
    };
    scenario.receive(says("Hello.", "en"));
    scenario.wait(2 * SECOND);
    assert_eq!(
        (scenario.turn().language.as_str(), scenario.languages.last()),
        ("en", Some(&None))
    );
    scenario.agent("Hello.");
    scenario.receive(says("¿Está abierto?", "es-ES"));
    assert_eq!(scenario.turn().language, "es-ES");
    scenario.wait(2 * SECOND);
    let spanish = CallSettings::default().phrases.get("es");
    assert!(
        spanish.fillers.contains(scenario.spoken.last().unwrap()),
        "{:?}",
        scenario.spoken
    );
    assert_eq!(scenario.languages.last(), Some(&Some("es-ES".to_owned())));
    let effects = scenario.conversation.set_language(Some("es-ES"), Some("Polly.Lucia"));
    let frame = OutgoingFrame::Language {
        language: "es-ES".into(),
        voice: Some("Polly.Lucia".into()),
    };
    assert!(effects.contains(&Effect::Send(frame)));
    assert!(scenario.conversation.set_language(Some("es-ES"), None).is_empty());
    scenario.receive(says("¿Y mañana?", "es-MX"));
    scenario.wait(2 * SECOND);
    assert_eq!(scenario.languages.last(), Some(&None), "the session speaks it");
}

#[test]
fn outbound_call_recognizes_each_automaton() {
    let outbound = || {
        let mut state = CallState::new(info());
        state.info.direction = Direction::Outbound;
        state.info.plan.greeting = Some("It is about the flowers.".into());
        let mut scenario = Scenario::of(state, true, true);
        scenario.play_all();
        scenario.spoken.clear();
        scenario
    };
    let mut screened = outbound();
    screened.caller_says("Please record your name and reason for calling.");
    assert!(screened.requested.is_empty());
    assert!(
        screened.spoken[0].ends_with("It is about the flowers."),
        "{:?}",
        screened.spoken
    );
    screened.play_all();
    screened.caller_says("Please stay on the line.");
    screened.wait(300 * SECOND);
    assert_eq!(
        (screened.requested.len(), screened.spoken.len()),
        (0, 1),
        "no prompt over music"
    );
    screened.caller_says("Hello, this is Bob.");
    assert_eq!(
        (screened.words().as_str(), screened.turn().callee),
        ("Hello, this is Bob.", None)
    );
    let mut menu = outbound();
    menu.caller_says("For sales, press 1.");
    assert_eq!(
        (menu.requested.len(), menu.turn().callee),
        (1, Some(crate::callee::Automaton::Menu))
    );
    let mut inbound = Scenario::greeted();
    inbound.caller_says("Please hold.");
    assert_eq!((inbound.requested.len(), inbound.turn().callee), (1, None));
}

#[test]
fn agent_chooses_what_automata_cause() {
    use AutomatonAction::{End, Introduce, Tell, Wait};
    let outbound = |automata| {
        let mut state = CallState::new(info());
        state.info.direction = Direction::Outbound;
        state.info.plan.greeting = Some("It is about the flowers.".into());
        state.info.plan.automata = automata;
        let mut scenario = Scenario::of(state, true, true);
        scenario.play_all();
        scenario.spoken.clear();
        scenario
    };
    let all = |action| AutomatonActions {
        screening: Some(action),
        hold: Some(action),
        menu: Some(action),
        voicemail: Some(action),
    };
    for words in [
        "Please record your name and reason for calling.",
        "Your call is important to us, please hold.",
        "For sales, press 1.",
        "Please leave a message after the tone.",
    ] {
        for (action, turns, spoken, after) in [
            (Tell, 1, 0, AfterSession::Resume),
            (Wait, 0, 0, AfterSession::Resume),
            (Introduce, 0, 1, AfterSession::Resume),
            (End, 0, 0, AfterSession::HangUp),
        ] {
            let mut scenario = outbound(all(action));
            scenario.caller_says(words);
            let state = scenario.conversation.state();
            assert_eq!(
                (scenario.requested.len(), scenario.spoken.len(), &state.after_session),
                (turns, spoken, &after),
                "{words} {action:?}"
            );
        }
    }
}

#[test]
fn blank_text_is_never_sent() {
    for parts in [&["", " "][..], &["\n", "<think>Hm."], &[" ", "😀"]] {
        let mut scenario = Scenario::greeted();
        scenario.caller_says("Are you open?");
        for part in parts {
            scenario.reply(Speaker::Agent, Some(1), part, false).unwrap();
        }
        assert_eq!(
            scenario.reply(Speaker::Agent, Some(1), "", true),
            Err(ReplyRejected::Silent)
        );
        scenario.wait(60 * SECOND);
        assert!(
            scenario.spoken.iter().all(|text| !text.trim().is_empty()),
            "{parts:?}: {:?}",
            scenario.spoken
        );
    }
}

#[test]
fn very_long_prompt_is_one_bounded_turn() {
    let mut scenario = Scenario::greeted();
    scenario.caller_says(&"a".repeat(70_000));
    assert_eq!((scenario.requested.len(), scenario.words().len()), (1, 4_000));
    for _ in 0..9 {
        scenario.wait(SECOND);
        scenario.caller_says(&"ä".repeat(70_000));
    }
    assert_eq!(scenario.words().chars().count(), 16_000);
}
