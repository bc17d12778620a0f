//! Relay failover with ten concurrent calls: each caller hears the whole text in order, and each conversation
//! continues.

use std::time::Duration;

use butt_dial_providers::simulator::calls::{Call, Sound};
use futures::future::join_all;
use serde_json::json;

use crate::support::{Agent, ProcessCluster, SeededRng, Service, TestContext, expect_heard_once, hears, says};

const CALLS: usize = 10;
const SENTENCES: usize = 14;
const GREETING: &str = "Shall I tell you a story?";
/// Real milliseconds per millisecond of a call.
const PACE: f64 = 0.3;
/// Timeout for the whole text with its gaps.
const STORY_TIMEOUT: Duration = Duration::from_secs(60);
/// Playback progress of the last real milliseconds before a crash may not be stored yet.
const UNSAVED_MS: f64 = 250.0;

const UNLIMITED: [(&str, &str); 2] = [
    ("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"),
    ("DEFAULT_MAX_ACTIONS_PER_HOUR", "none"),
];

/// Returns sentences of one clause each, with different beginnings.
fn story() -> Vec<String> {
    let sentence = |n| format!("Part-{n} of the story is here.");
    (1..=SENTENCES).map(sentence).collect()
}

struct Talk {
    id: String,
    call: Call,
}

/// Calls all people, who ask for the story.
async fn start_calls(context: &TestContext, agent: &Agent) -> Vec<Talk> {
    context.carriers.set_pace(PACE);
    let talks = (0..CALLS).map(|n| async move {
        let person = format!("+141555502{n:02}");
        let id = agent.make_call(&person, json!({ "greeting": GREETING })).await;
        let call = context.expect_greeted_call(&person, GREETING).await;
        let (turn, ()) = tokio::join!(agent.attend(&id), says(&call, "Yes, please."));
        agent.reply_to_turn(&turn, &story().join(" ")).await.unwrap();
        Talk { id, call }
    });
    join_all(talks).await
}

/// Proves that the conversation continues.
async fn expect_call_continues(agent: &Agent, talk: &Talk) {
    let Talk { id, call } = talk;
    let (turn, ()) = tokio::join!(agent.attend(id), says(call, "And then?"));
    assert_eq!(turn["text"], "And then?");
    agent.reply_to_turn(&turn, "That was all.").await.unwrap();
    hears(call, "That was all.").await;
    expect_heard_once(call, &["AI assistant", GREETING, "That was all."]);
    call.hang_up().await;
    let record = agent.wait_for_call_end(id).await;
    assert_eq!(
        (&record["status"], &record["turns"]),
        (&json!("completed"), &json!(2)),
        "{record}"
    );
}

/// Proves that the story was heard word for word. Only the sentence in which a socket was lost may be repeated, or one
/// that ended too shortly before the loss to be stored.
fn expect_whole_story(call: &Call) {
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
            let lost = lost.unwrap_or_else(|| panic!("{word:?} repeated without a lost socket: {}", call.heard_text()));
            // Real time since the last word of the repeated sentence.
            let ended_at = heard_at.get(back + sentence - 1).copied().unwrap_or_default();
            let silent_ms = lost.saturating_sub(ended_at) as f64 * PACE;
            let is_cut = back < next && next < back + sentence;
            let is_unsaved = back + sentence <= next && silent_ms < UNSAVED_MS;
            assert!(
                back % sentence == 0 && (is_cut || is_unsaved),
                "{word:?} repeated after {next} words and {silent_ms} ms: {}",
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
    assert!(
        again < call.sessions().len(),
        "{again} repetitions in {:?}",
        call.sessions()
    );
}

async fn expect_story_end(talk: &Talk) {
    let last = story().pop().unwrap();
    let heard = talk
        .call
        .wait_for_speech(|heard| heard.contains(&last), STORY_TIMEOUT)
        .await;
    assert!(
        heard.is_some(),
        "{:?} {:#?}",
        talk.call.sessions(),
        talk.call.transcript()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resumes_ten_calls_after_relay_kills_chaos_servers() {
    const KILLS: usize = 3;
    let mut rng = SeededRng::new();
    let mut cluster = ProcessCluster::with_gateways(1, &UNLIMITED).await;
    for _ in 0..2 {
        cluster.start(Service::Relay).await;
    }
    let agent = cluster.rest().await;
    let talks = start_calls(&cluster, &agent).await;
    for kill in 0..KILLS {
        // Waits until one call reaches a random part in the next third of the story.
        let witness = &talks[rng.below(CALLS)].call;
        let part = 1 + kill * SENTENCES / KILLS + rng.below(SENTENCES / KILLS);
        let word = format!("Part-{part} ");
        witness
            .wait_for_speech(|heard| heard.contains(&word), STORY_TIMEOUT)
            .await;
        cluster.kill_service(Service::Relay, rng.below(2)).await;
        cluster.start(Service::Relay).await;
    }
    join_all(talks.iter().map(expect_story_end)).await;
    let sessions: Vec<usize> = talks.iter().map(|talk| talk.call.sessions().len()).collect();
    println!("sessions of each call: {sessions:?}");
    assert!(sessions.iter().any(|sessions| *sessions > 1), "no kill hit a call");
    talks.iter().for_each(|talk| expect_whole_story(&talk.call));
    join_all(talks.iter().map(|talk| expect_call_continues(&agent, talk))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaces_both_relays_without_dropped_calls_servers() {
    // Long enough to wait for silence in each call.
    let shutdown_timeout = ("SHUTDOWN_TIMEOUT_SECONDS", "25");
    let mut cluster = ProcessCluster::with_gateways(1, &[UNLIMITED[0], UNLIMITED[1], shutdown_timeout]).await;
    for _ in 0..2 {
        cluster.start(Service::Relay).await;
    }
    let agent = cluster.rest().await;
    let talks = start_calls(&cluster, &agent).await;
    for _ in 0..2 {
        cluster.start(Service::Relay).await;
        let mut draining = cluster.retire(Service::Relay, 0).await;
        assert!(
            draining.wait_for_exit_within(STORY_TIMEOUT).await.success(),
            "{}",
            draining.log()
        );
    }
    join_all(talks.iter().map(expect_story_end)).await;
    for talk in &talks {
        expect_whole_story(&talk.call);
        assert!(
            talk.call.wait_for_sessions(2, STORY_TIMEOUT).await,
            "{:?}",
            talk.call.sessions()
        );
        let sessions = talk.call.sessions();
        assert!((2..=3).contains(&sessions.len()), "{sessions:?}");
        // The old relay ends each session at a quiet moment.
        let handed_over = &sessions[..sessions.len() - 1];
        assert!(
            handed_over
                .iter()
                .all(|session| session.outcome.as_deref() == Some("ended")),
            "{sessions:?}"
        );
    }
    join_all(talks.iter().map(|talk| expect_call_continues(&agent, talk))).await;
}
