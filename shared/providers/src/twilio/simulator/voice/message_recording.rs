//! Records the caller's message after a beep (Twilio, TwiML Record).

use super::{
    live_call::{Flow, LiveCall},
    recording,
};
use crate::simulator::calls::{Command, Sound, Speaker};

/// The silence that ends a `Record`.
const SILENCE_MS: u64 = 5_000;
const BEEP_MS: u64 = 500;

/// Beeps, records until the caller is silent, presses a key or hangs up, and requests the action. Without speech, the
/// next verb follows and no request is made (Twilio, TwiML Record: action).
pub async fn record(live: &mut LiveCall, action: Option<String>, callback: Option<String>, max_ms: u64) -> Flow {
    let beep = live.call.now_ms() + BEEP_MS;
    if let Some(flow) = live.wait(Some(beep)).await {
        return flow;
    }
    live.call.hear(beep, Sound::Beep);
    let (end, mut quiet) = (beep + max_ms, beep + SILENCE_MS);
    let (mut text, mut digits, mut flow) = (Vec::new(), None, None);
    loop {
        let Some(command) = live.next_command(Some(quiet.min(end))).await else {
            break;
        };
        match command {
            Ok(Command::Say(words, done) | Command::BargeIn(_, words, done)) => {
                live.sleep(words.split_whitespace().count() as u64 * 300).await;
                live.call.note(Speaker::Person, words.clone());
                text.push(words);
                quiet = live.call.now_ms() + SILENCE_MS;
                let _ = done.send(true);
            }
            Ok(Command::Press(keys, done)) => {
                let _ = done.send(true);
                digits = Some(keys);
                break;
            }
            Ok(command) => {
                flow = live.handle_command(command).await;
                if flow.is_some() {
                    break;
                }
            }
            Err(over) => {
                flow = Some(over);
                break;
            }
        }
    }
    let id = recording::new_id();
    if text.is_empty() {
        if let Some(url) = callback {
            let fields = recording::fields(&live.simulator, &id, "absent", None);
            recording::report(&live.simulator, &live.call, &url, &fields);
        }
        return flow.unwrap_or(Flow::Next);
    }
    let seconds = live.call.now_ms().saturating_sub(beep) / 1_000;
    recording::keep(&live.call, &id, text.join(" "));
    if let Some(url) = callback {
        let fields = recording::fields(&live.simulator, &id, "completed", Some(seconds));
        recording::report(&live.simulator, &live.call, &url, &fields);
    }
    let mut more = vec![
        ("RecordingSid", id.clone()),
        ("RecordingUrl", recording::url(&live.simulator, &id)),
        ("RecordingDuration", seconds.to_string()),
    ];
    match (flow, action) {
        (Some(Flow::Over(status)), Some(action)) => {
            more.extend([
                ("Digits", "hangup".to_owned()),
                ("CallStatus", status.as_str().to_owned()),
            ]);
            live.spawn_webhook(live.form(&action, &more));
            Flow::Over(status)
        }
        (Some(flow), _) => flow,
        (None, Some(action)) => {
            more.push(("Digits", digits.unwrap_or_default()));
            live.fetch_and_run(&action, &more).await
        }
        (None, None) => Flow::Next,
    }
}
