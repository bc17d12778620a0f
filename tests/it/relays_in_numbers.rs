//! Ten calls at once, and the relays below them die or are replaced: everybody hears all that was to be said, in order, and
//! goes on talking.

use std::time::Duration;

use butt_dial_providers::simulator::calls::{Call, Sound};
use futures::future::join_all;
use serde_json::json;

use crate::support::{Agent, Dice, Fleet, Service, Stage, expect_once, hears, says};

const CALLS: usize = 10;
const SENTENCES: usize = 14;
const GREETING: &str = "Shall I tell you a story?";
/// A call's milliseconds in real ones.
const PACE: f64 = 0.3;
/// For the whole story, with its gaps.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// What was heard so shortly before its relay died was not written down yet. In real milliseconds.
const UNWRITTEN_MS: f64 = 250.0;

const UNLIMITED: [(&str, &str); 2] = [
    ("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"),
    ("DEFAULT_MAX_ACTIONS_PER_HOUR", "none"),
];

/// One clause each, and no two begin alike.
fn story() -> Vec<String> {
    let sentence = |n| format!("Part-{n} of the story is told here.");
    (1..=SENTENCES).map(sentence).collect()
}

struct Talk {
    id: String,
    call: Call,
}

/// Everybody is called, and asks for the story.
async fn everybody_listens(stage: &Stage, agent: &Agent) -> Vec<Talk> {
    stage.carriers.set_pace(PACE);
    let talks = (0..CALLS).map(|n| async move {
        let person = format!("+141555502{n:02}");
        let id = agent.calls(&person, json!({ "greeting": GREETING })).await;
        let call = stage.takes(&person, GREETING).await;
        let (turn, ()) = tokio::join!(agent.turn(&id), says(&call, "Yes, please."));
        agent.answers(&turn, &story().join(" ")).await.unwrap();
        Talk { id, call }
    });
    join_all(talks).await
}

/// The call lives, whoever holds it by now.
async fn goes_on(agent: &Agent, talk: &Talk) {
    let Talk { id, call } = talk;
    let (turn, ()) = tokio::join!(agent.turn(id), says(call, "And then?"));
    assert_eq!(turn["text"], "And then?");
    agent.answers(&turn, "That was all.").await.unwrap();
    hears(call, "That was all.").await;
    expect_once(call, &["AI assistant", GREETING, "That was all."]);
    call.hang_up().await;
    let seen = agent.ended_call(id).await;
    assert_eq!(
        (&seen["status"], &seen["turns"]),
        (&json!("completed"), &json!(2)),
        "{seen}"
    );
}

/// The story was heard word for word. Said again is nothing but the sentence in which a socket was lost, or one whose last
/// word was heard so shortly before that nobody had written it down.
fn expect_told(call: &Call) {
    let story = story().join(" ");
    let planned: Vec<&str> = story.split(' ').collect();
    let sentence = planned.len() / SENTENCES;
    let heard = call.heard();
    let words = heard.iter().filter_map(|heard| match &heard.sound {
        Sound::Word(word) => Some((heard.at_ms, word.as_str())),
        _ => None,
    });
    let (mut next, mut last_at, mut again) = (0, 0, 0);
    let mut heard_at = vec![0; planned.len()];
    for (at, word) in words.skip_while(|(_, word)| *word != planned[0]) {
        if planned.get(next) != Some(&word) {
            let back = planned.iter().position(|planned| *planned == word);
            let back = back.unwrap_or_else(|| panic!("{word:?} after {next} words: {}", call.heard_text()));
            let lost = call.sessions().into_iter().filter_map(|session| session.ended_ms);
            let lost = lost.filter(|ended| (last_at..=at).contains(ended)).min();
            let lost = lost.unwrap_or_else(|| panic!("{word:?} again for no reason: {}", call.heard_text()));
            // Real time, from the last word of the sentence that is said again.
            let ended_at = heard_at.get(back + sentence - 1).copied().unwrap_or_default();
            let silent_ms = lost.saturating_sub(ended_at) as f64 * PACE;
            let is_cut = back < next && next < back + sentence;
            let is_unwritten = back + sentence <= next && silent_ms < UNWRITTEN_MS;
            assert!(
                back % sentence == 0 && (is_cut || is_unwritten),
                "{word:?} again after {next} words and {silent_ms} ms: {}",
                call.heard_text()
            );
            (next, again) = (back, again + 1);
        }
        heard_at[next] = at;
        (next, last_at) = (next + 1, at);
        if next == planned.len() {
            break;
        }
    }
    assert_eq!(next, planned.len(), "{}", call.heard_text());
    assert!(again < call.sessions().len(), "{again} times in {:?}", call.sessions());
}

async fn hears_the_end(talk: &Talk) {
    let last = story().pop().unwrap();
    let heard = talk
        .call
        .wait_for_speech(|heard| heard.contains(&last), TOLD_WITHIN)
        .await;
    assert!(
        heard.is_some(),
        "{:?} {:#?}",
        talk.call.sessions(),
        talk.call.transcript()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_are_killed_again_and_again_while_a_story_is_told_chaos_servers() {
    const KILLS: usize = 3;
    let mut dice = Dice::new();
    let mut fleet = Fleet::gateways(1, &UNLIMITED).await;
    for _ in 0..2 {
        fleet.start(Service::Relay).await;
    }
    let agent = fleet.rest().await;
    let talks = everybody_listens(&fleet, &agent).await;
    for kill in 0..KILLS {
        // Somebody is somewhere in the next third of the story.
        let witness = &talks[dice.below(CALLS)].call;
        let part = 1 + kill * SENTENCES / KILLS + dice.below(SENTENCES / KILLS);
        let word = format!("Part-{part} ");
        witness
            .wait_for_speech(|heard| heard.contains(&word), TOLD_WITHIN)
            .await;
        fleet.kill_one(Service::Relay, dice.below(2)).await;
        fleet.start(Service::Relay).await;
    }
    join_all(talks.iter().map(hears_the_end)).await;
    let sessions: Vec<usize> = talks.iter().map(|talk| talk.call.sessions().len()).collect();
    println!("sessions of each call: {sessions:?}");
    assert!(
        sessions.iter().any(|sessions| *sessions > 1),
        "nobody's relay was killed"
    );
    talks.iter().for_each(|talk| expect_told(&talk.call));
    join_all(talks.iter().map(|talk| goes_on(&agent, talk))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_relays_are_replaced_under_calls_and_nobody_is_dropped_servers() {
    // Time enough to wait for quiet moments.
    let patient = ("SHUTDOWN_TIMEOUT_SECONDS", "25");
    let mut fleet = Fleet::gateways(1, &[UNLIMITED[0], UNLIMITED[1], patient]).await;
    for _ in 0..2 {
        fleet.start(Service::Relay).await;
    }
    let agent = fleet.rest().await;
    let talks = everybody_listens(&fleet, &agent).await;
    for _ in 0..2 {
        fleet.start(Service::Relay).await;
        let mut retiring = fleet.retire(Service::Relay, 0).await;
        assert!(retiring.ended_within(TOLD_WITHIN).await.success(), "{}", retiring.log());
    }
    join_all(talks.iter().map(hears_the_end)).await;
    for talk in &talks {
        expect_told(&talk.call);
        assert!(
            talk.call.wait_for_sessions(2, TOLD_WITHIN).await,
            "{:?}",
            talk.call.sessions()
        );
        let sessions = talk.call.sessions();
        assert!((2..=3).contains(&sessions.len()), "{sessions:?}");
        // Handed over by the relay that held it, at a quiet moment; the others have waited for that.
        let handed = &sessions[..sessions.len() - 1];
        assert!(
            handed.iter().all(|session| session.outcome.as_deref() == Some("ended")),
            "{sessions:?}"
        );
    }
    join_all(talks.iter().map(|talk| goes_on(&agent, talk))).await;
}
