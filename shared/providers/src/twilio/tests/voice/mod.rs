//! Calls through the simulator with a small server at the other end: the order of Twilio's frames and callbacks.

mod call_server;
mod exchange;

use std::time::Duration;

use butt_dial_domain::{
    Channel,
    call::{AnsweredBy, CallStatus, SessionOutcome},
    inbound::Attachment,
    ports::voice::{ControlError, Dial, OutgoingFrame, Script, Speech, Step},
};
use butt_dial_testkit::conformance::messaging::TestVendor;

use self::call_server::{CallServer, ServerAnswer, ServerSocket, speech};
use super::{VENDOR, open, simulator};
use crate::{
    WebhookBehavior, http,
    simulator::calls::{Call, CalleeBehavior, CallerStep, SocketDrop, Sound},
    tests::harness::{CarrierHarness, TEST_TIMEOUT},
};

const ANN: &str = "+14155550123";
const US: &str = "+14155550100";
/// Twenty times faster than real time.
const PACE: f64 = 0.05;

struct CallContext {
    harness: CarrierHarness,
    server: CallServer,
}

async fn context() -> CallContext {
    let harness = open(Channel::Voice).await;
    harness.state().set_pace(PACE);
    // The first use loads the phone number metadata, which is slow on a busy machine.
    let connected = (VENDOR.connect)(&harness.credentials(), &http::client().unwrap(), TEST_TIMEOUT).unwrap();
    let server = CallServer::open(connected.voice.unwrap(), connected.webhooks.unwrap()).await;
    harness.state().set_webhook_base_url(&server.base_url);
    harness.state().set_number_status_url(&server.url("/status"));
    CallContext { harness, server }
}

impl CallContext {
    /// Starts a call with a conversation.
    async fn conversation(&mut self) -> (Call, ServerSocket) {
        self.server.answer("/webhooks/twilio/voice", self.server.converse());
        let call = self.harness.state().dial(ANN, US).await.unwrap();
        let mut socket = self.server.socket().await;
        let setup = socket.frame().await.unwrap();
        assert_eq!(
            (&setup["type"], &setup["callSid"]),
            (&"setup".into(), &call.id().into())
        );
        (call, socket)
    }

    fn speak(&self, socket: &ServerSocket, text: &str) {
        socket.speak(&*self.server.voice, text);
    }
}

/// Returns a text that is long enough to be interrupted on a busy machine.
fn long() -> String {
    format!("One two {}end.", "and another ".repeat(40))
}

fn say(text: &str) -> Step {
    Step::Say(Speech {
        text: text.to_owned(),
        language: None,
        voice: None,
    })
}

#[tokio::test]
async fn caller_and_agent_exchange_turns() {
    let mut context = context().await;
    let (call, mut socket) = context.conversation().await;
    let (path, report) = context.server.report().await;
    assert_eq!(
        (path.as_str(), report.status),
        ("/webhooks/twilio/voice", Some(CallStatus::Ringing))
    );

    context.speak(&socket, "Hello, this is Ada.");
    assert_eq!(
        socket.labels(4).await,
        [
            "agentSpeaking on",
            "tokensPlayed Hello,",
            "tokensPlayed this is Ada.",
            "agentSpeaking off"
        ]
    );
    assert!(call.wait_for_quiet(TEST_TIMEOUT).await);
    assert_eq!(call.heard_text(), "Hello, this is Ada.");

    assert!(call.say("I need help").await);
    assert_eq!(
        socket.labels(6).await,
        [
            "clientSpeaking on",
            "prompt I...",
            "prompt I need...",
            "prompt I need help...",
            "prompt I need help.",
            "clientSpeaking off"
        ]
    );

    call.hang_up().await;
    socket.is_closed().await;
    let action = context.server.report_at("/action").await;
    assert_eq!(action.session.unwrap().outcome, SessionOutcome::Completed);
    assert_eq!(action.status, Some(CallStatus::Completed));
    let status = context.server.report_at("/status").await;
    assert_eq!(status.status, Some(CallStatus::Completed));
    assert!(status.duration_seconds.is_some() && status.sequence.is_some());
    assert!(call.wait_for_end(TEST_TIMEOUT).await);
    assert_eq!(call.alerts(), [] as [u32; 0]);
}

#[tokio::test]
async fn barge_in_sends_frames_in_twilios_order() {
    let mut context = context().await;
    let (call, mut socket) = context.conversation().await;
    let speaks = async {
        context.speak(&socket, "One two three four five six seven eight.");
        context.speak(&socket, "This is never heard.");
    };
    // A word takes 364 ms, so two were heard completely.
    let (was_heard, ()) = tokio::join!(call.barge_in_after(900, "Stop"), speaks);
    assert!(was_heard);
    assert_eq!(
        socket.labels(8).await,
        [
            "agentSpeaking on",
            "clientSpeaking on",
            "tokensPlayed One two",
            "interrupt One two",
            "prompt Stop...",
            "agentSpeaking off",
            "prompt Stop.",
            "clientSpeaking off",
        ]
    );
    assert_eq!(call.heard_text(), "One two");
    let heard = call.heard();
    assert_eq!(heard[1].at_ms - heard[0].at_ms, 364);
}

#[tokio::test]
async fn next_frame_preempts_preemptible_frame() {
    let mut context = context().await;
    let (call, mut socket) = context.conversation().await;
    let long = long();
    socket.send(&*context.server.voice, &speech(&long, true));
    assert!(
        call.wait_for_speech(|heard| heard.starts_with("One two"), TEST_TIMEOUT)
            .await
            .is_some()
    );
    context.speak(&socket, "Here it is.");
    assert_eq!(socket.label().await.unwrap(), "agentSpeaking on");
    let cut = socket.label().await.unwrap();
    let fragment = cut.strip_prefix("tokensPlayed ").unwrap();
    assert!(long.starts_with(fragment) && long != fragment, "{cut}");
    assert_eq!(
        socket.labels(4).await,
        [
            "agentSpeaking off",
            "agentSpeaking on",
            "tokensPlayed Here it is.",
            "agentSpeaking off"
        ]
    );
    assert_eq!(call.heard_text(), format!("{fragment} Here it is."));
}

#[tokio::test]
async fn forwards_caller_keys_and_plays_sent_digits() {
    let mut context = context().await;
    let (call, mut socket) = context.conversation().await;
    assert!(call.press("1#").await);
    assert_eq!(socket.labels(2).await, ["key 1", "key #"]);
    socket.send(&*context.server.voice, &OutgoingFrame::Digits("1234#".into()));
    assert_eq!(
        socket.labels(3).await,
        ["agentSpeaking on", "tokensPlayed 1234#", "agentSpeaking off"]
    );
    assert_eq!(call.heard().last().unwrap().sound, Sound::Keys("1234#".into()));

    context.speak(&socket, &long());
    assert!(
        call.wait_for_speech(|heard| heard.contains("One"), TEST_TIMEOUT)
            .await
            .is_some()
    );
    call.press("9").await;
    assert_eq!(socket.label().await.unwrap(), "agentSpeaking on");
    let frames = socket.labels(4).await;
    assert!(
        frames[0].starts_with("tokensPlayed One") && frames[1].starts_with("interrupt One"),
        "{frames:?}"
    );
    assert_eq!(frames[2..], ["key 9", "agentSpeaking off"]);
}

#[tokio::test]
async fn ended_session_continues_in_new_session() {
    let mut context = context().await;
    let (call, mut socket) = context.conversation().await;
    context.server.answer("/action", context.server.converse());
    let handoff = r#"{"resume":"é&1"}"#.to_owned();
    socket.send(
        &*context.server.voice,
        &OutgoingFrame::End {
            handoff: Some(handoff.clone()),
        },
    );
    socket.is_closed().await;
    let action = context.server.report_at("/action").await;
    assert_eq!(action.status, Some(CallStatus::InProgress));
    let session = action.session.unwrap();
    assert_eq!(
        (session.outcome, session.handoff),
        (SessionOutcome::Ended, Some(handoff))
    );

    let mut next = context.server.socket().await;
    let setup = next.frame().await.unwrap();
    assert_eq!(setup["callSid"], call.id());
    assert_ne!(setup["sessionId"], session.id.as_str());
    assert_eq!(setup["callStatus"], "IN_PROGRESS");
    assert!(call.wait_for_sessions(2, TEST_TIMEOUT).await);
    assert!(call.say("Still there?").await);
}

#[tokio::test]
async fn lost_socket_reports_failure_and_call_continues() {
    for drop in [
        Some(SocketDrop::Reset),
        Some(SocketDrop::Close1000),
        Some(SocketDrop::Close1007),
        None,
    ] {
        let mut context = context().await;
        let (call, socket) = context.conversation().await;
        context.server.answer("/action", context.server.converse());
        context.speak(&socket, &long());
        assert!(
            call.wait_for_speech(|heard| heard.contains("two"), TEST_TIMEOUT)
                .await
                .is_some()
        );
        let mut socket = Some(socket);
        match drop {
            Some(drop) => assert!(call.drop_socket(drop).await),
            None => socket.take().unwrap().kill(),
        }
        let action = context.server.report_at("/action").await;
        assert_eq!(action.status, Some(CallStatus::InProgress), "{drop:?}");
        let session = action.session.unwrap();
        assert_eq!(
            (session.outcome, session.error_code.as_deref()),
            (SessionOutcome::Failed, Some("64105"))
        );
        let mut next = context.server.socket().await;
        assert_eq!(next.label().await.unwrap(), "setup");
        context.speak(&next, "Where was I?");
        assert!(
            call.wait_for_speech(|heard| heard.ends_with("Where was I?"), TEST_TIMEOUT)
                .await
                .is_some()
        );
        assert!(!call.heard_text().contains("end"));
    }
}

#[tokio::test]
async fn redirect_recovers_call_with_severed_socket() {
    let mut context = context().await;
    let (call, socket) = context.conversation().await;
    assert!(call.drop_socket(SocketDrop::BlackHole).await);
    assert!(!call.say("Hello?").await, "nobody was told");
    context.speak(&socket, "This is not heard.");
    let script = Script(context.server.converse());
    context.server.voice.redirect(call.id(), &script).await.unwrap();
    let mut next = context.server.socket().await;
    assert_eq!(next.label().await.unwrap(), "setup");
    assert!(call.say("Hello?").await);
    assert_eq!(call.heard_text(), "");
    assert_eq!(call.sessions()[0].outcome.as_deref(), Some("redirected"));
}

#[tokio::test]
async fn reports_socket_that_fails_to_open() {
    let mut context = context().await;
    context.harness.state().refuse_sockets(1);
    context
        .server
        .answer("/webhooks/twilio/voice", context.server.converse());
    context.server.answer("/action", vec![say("Call later"), Step::Hangup]);
    let call = context.harness.state().dial(ANN, US).await.unwrap();
    let session = context.server.report_at("/action").await.session.unwrap();
    assert_eq!(session.error_code.as_deref(), Some("64102"));
    assert!(call.wait_for_end(TEST_TIMEOUT).await);
    assert_eq!(call.heard_text(), "Call later");
}

#[tokio::test]
async fn malformed_frames_end_the_session() {
    let mut context = context().await;
    let (call, mut socket) = context.conversation().await;
    socket.send_raw(r#"{"type":"text"}"#);
    let error = socket.label().await.unwrap();
    assert_eq!(error, r#"error Invalid message received, code: 64107, {"type":"text"}"#);
    for _ in 0..10 {
        socket.send_raw("nonsense");
    }
    socket.is_closed().await;
    let session = context.server.report_at("/action").await.session.unwrap();
    assert_eq!(
        (session.outcome, session.error_code.as_deref()),
        (SessionOutcome::Failed, Some("64105"))
    );
    assert!(call.wait_for_end(TEST_TIMEOUT).await, "the action said nothing more");
}

#[tokio::test]
async fn caller_hears_busy_when_webhook_fails() {
    let mut context = context().await;
    let broken = ServerAnswer::Status(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
    context.server.answer_with("/webhooks/twilio/voice", broken);
    let call = context.harness.state().dial(ANN, US).await.unwrap();
    assert_eq!(context.server.report_at("/status").await.status, Some(CallStatus::Busy));
    assert_eq!(call.alerts(), [11_200]);
}

#[tokio::test]
async fn caller_leaves_message_after_beep() {
    let mut context = context().await;
    let record = Step::Record {
        max_seconds: 60,
        action_url: context.server.url("/recorded"),
        recording_url: context.server.url("/recording"),
    };
    context
        .server
        .answer("/webhooks/twilio/voice", vec![say("Speak after the tone"), record]);
    let call = context.harness.state().dial(ANN, US).await.unwrap();
    let beeped =
        |state: &crate::simulator::calls::CallState| state.heard.iter().any(|heard| heard.sound == Sound::Beep);
    assert!(call.wait_until(beeped, TEST_TIMEOUT).await);
    assert!(call.say("Call me back please").await);
    call.press("#").await;
    let recorded = context.server.report_at("/recorded").await;
    assert_eq!(recorded.digits.as_deref(), Some("#"));
    let state = call.state();
    assert_eq!(state.recordings[0].text, "Call me back please");
    assert_eq!(recorded.recording.unwrap().id, state.recordings[0].id);
}

#[tokio::test]
async fn call_is_dialed_onward_and_joins_conference() {
    let mut context = context().await;
    let dial = |to: &str, base: &str| {
        Step::Dial(Dial {
            to: to.to_owned(),
            caller_id: None,
            ring_seconds: 20,
            limit_seconds: None,
            action_url: format!("{base}/dialled"),
            whisper_url: Some(format!("{base}/whisper")),
            digits: None,
        })
    };
    let base = context.server.base_url.clone();
    context
        .harness
        .state()
        .set_callee_behavior("+14155550177", CalleeBehavior::Busy);
    context
        .server
        .answer("/webhooks/twilio/voice", vec![dial("+14155550177", &base)]);
    context.server.answer("/dialled", vec![dial("+14155550188", &base)]);
    context
        .server
        .answer_with_twiml("/dialled", "<Dial><Conference>room</Conference></Dial>");
    context.server.answer("/whisper", vec![say("It is Ann")]);
    let call = context.harness.state().dial(ANN, US).await.unwrap();
    assert_eq!(
        context.server.report_at("/dialled").await.dialled,
        Some(CallStatus::Busy)
    );
    context.server.report_at("/whisper").await;
    assert_eq!(
        context.server.report_at("/dialled").await.dialled,
        Some(CallStatus::Completed)
    );
    assert!(
        call.wait_until(|state| state.conferences == ["room"], TEST_TIMEOUT)
            .await
    );
    context.server.voice.hang_up(call.id()).await.unwrap();
    assert!(call.wait_for_end(TEST_TIMEOUT).await);
    assert_eq!(
        context.server.voice.hang_up(call.id()).await,
        Err(ControlError::CallEnded)
    );
}

#[tokio::test]
async fn outbound_call_reports_its_statuses() {
    let mut context = context().await;
    let steps = vec![
        CallerStep::WaitForSpeech { containing: None },
        CallerStep::Say {
            text: "Yes please".into(),
        },
        CallerStep::HangUp,
    ];
    let behavior = CalleeBehavior::Answers { after_ms: 500, steps };
    context.harness.state().set_callee_behavior(ANN, behavior);
    context.server.answer("/answer", context.server.converse());
    let dispatch = calls_ann(&context);
    context.harness.send(&dispatch).await;
    let call = context.harness.state().wait_for_call(ANN, TEST_TIMEOUT).await.unwrap();
    let mut socket = context.server.socket().await;
    assert_eq!(socket.frame().await.unwrap()["direction"], "outbound-api");
    context.speak(&socket, "Shall I book it?");
    socket.until("prompt Yes please.").await;
    assert!(call.wait_for_end(TEST_TIMEOUT).await);
    let mut statuses = Vec::new();
    while statuses.len() < 4 {
        let (path, report) = context.server.report().await;
        if path == "/status" {
            statuses.push((report.sequence.unwrap(), report.status.unwrap()));
        }
    }
    let expected = [
        CallStatus::Initiated,
        CallStatus::Ringing,
        CallStatus::InProgress,
        CallStatus::Completed,
    ];
    assert_eq!(statuses, (0..).zip(expected).collect::<Vec<_>>());
    assert_eq!(
        context.server.voice.fetch_call(call.id()).await.unwrap().status,
        CallStatus::Completed
    );
}

#[tokio::test]
async fn detects_answering_machine() {
    let mut context = context().await;
    let machine = CalleeBehavior::Machine {
        after_ms: 500,
        greeting: "You have reached Ann".into(),
        beeps: true,
    };
    context.harness.state().set_callee_behavior(ANN, machine);
    context
        .server
        .answer_with_twiml("/answer", r#"<Say>Your table is ready</Say><Pause length="10"/>"#);
    let mut dispatch = calls_ann(&context);
    if let Some(options) = &mut dispatch.content.call {
        options.detects_machine = true;
    }
    // A conversation starts at once, and the detection result comes later.
    context.harness.send(&dispatch).await;
    let answer = context.server.report_at("/answer").await;
    assert_eq!(answer.answered_by, None);
    let machine = context.server.report_at("/machine").await;
    assert_eq!(machine.answered_by, Some(AnsweredBy::MachineEnd));
    // A message waits for the beep.
    let text = "Your table is ready".to_owned();
    if let Some(options) = &mut dispatch.content.call {
        options.plan.purpose = butt_dial_domain::call::Purpose::Message { text, sound_url: None };
    }
    context.harness.send(&dispatch).await;
    let answer = context.server.report_at("/answer").await;
    assert_eq!(answer.answered_by, Some(AnsweredBy::MachineEnd));
    let call = context.harness.state().calls().pop().unwrap();
    assert!(call.wait_for_end(TEST_TIMEOUT).await);
    assert_eq!(call.heard()[0].sound, Sound::Beep);
    assert_eq!(call.heard_text(), "Your table is ready");
}

#[tokio::test]
async fn sends_reports_reversed_and_twice() {
    let mut context = context().await;
    let twice = WebhookBehavior {
        copies: 2,
        reversed: true,
    };
    context.harness.state().set_webhook_behavior("twilio", twice);
    context.harness.state().set_callee_behavior(ANN, CalleeBehavior::Busy);
    context.harness.send(&calls_ann(&context)).await;
    let mut sequences = Vec::new();
    while sequences.len() < 6 {
        sequences.push(context.server.report_at("/status").await.sequence.unwrap());
    }
    assert_eq!(sequences, [2, 2, 1, 1, 0, 0]);
}

#[tokio::test]
async fn sends_reports_with_delay() {
    let mut context = context().await;
    context.harness.state().delay_call_reports(60_000);
    context.harness.state().set_callee_behavior(ANN, CalleeBehavior::Busy);
    context.harness.send(&calls_ann(&context)).await;
    let call = context.harness.state().wait_for_call(ANN, TEST_TIMEOUT).await.unwrap();
    assert!(call.wait_for_end(TEST_TIMEOUT).await);
    // The API returns the true status.
    assert_eq!(
        context.server.voice.fetch_call(call.id()).await.unwrap().status,
        CallStatus::Busy
    );
    let first = context.server.report_at("/status").await;
    assert!(call.now_ms() >= 60_000, "{first:?}");
}

#[tokio::test]
async fn recording_is_reported_and_can_be_fetched() {
    let mut context = context().await;
    let (call, socket) = context.conversation().await;
    let recording = context.server.url("/recording");
    let path = format!("Calls/{}/Recordings.json", call.id());
    post_to_api(&context, &path, &[("RecordingStatusCallback", &recording)]).await;
    let begun = context.server.report_at("/recording").await.recording.unwrap();
    assert!(!begun.is_completed);
    context.speak(&socket, "Hello.");
    assert!(call.wait_for_quiet(TEST_TIMEOUT).await);
    assert!(call.say("Hi Ada").await);
    call.hang_up().await;
    let done = context.server.report_at("/recording").await.recording.unwrap();
    assert!(done.is_completed && done.id == begun.id);
    let state = call.state();
    assert!(
        state.recordings[0].text.contains("Hello. Hi Ada"),
        "{:?}",
        state.recordings
    );
    let file = Attachment {
        source: done.url.unwrap(),
        content_type: None,
        filename: None,
        size: None,
        is_voice: true,
    };
    let fetch = context.server.webhooks.media(&file).await.ok().unwrap();
    let sound = http::client().unwrap().get(&fetch.url).headers(fetch.headers);
    assert!(sound.send().await.unwrap().bytes().await.unwrap().starts_with(b"RIFF"));
}

#[tokio::test]
async fn invites_callee_into_conference() {
    let mut context = context().await;
    let status = context.server.url("/status");
    let mut form = vec![("From", US), ("To", ANN), ("StatusCallback", &status)];
    form.extend(["initiated", "completed"].map(|event| ("StatusCallbackEvent", event)));
    post_to_api(&context, "Conferences/a%20room/Participants.json", &form).await;
    let call = context.harness.state().wait_for_call(ANN, TEST_TIMEOUT).await.unwrap();
    assert!(
        call.wait_until(|state| state.conferences == ["a room"], TEST_TIMEOUT)
            .await
    );
    call.hang_up().await;
    assert!(call.wait_for_end(TEST_TIMEOUT).await);
    assert_eq!(
        context.server.report_at("/status").await.status,
        Some(CallStatus::Initiated)
    );
}

#[tokio::test]
async fn routes_public_url_to_local_server() {
    let mut context = context().await;
    context.harness.state().set_webhook_base_url("https://bd.example.com");
    context
        .harness
        .state()
        .route("https://bd.example.com", &context.server.base_url);
    let mut conversation = context.server.conversation();
    conversation.socket_url = "wss://bd.example.com/relay/t0ken".to_owned();
    let steps = vec![Step::Converse(Box::new(conversation))];
    context.server.answer("/webhooks/twilio/voice", steps);
    context.harness.state().dial(ANN, US).await.unwrap();
    let opened = context.server.next_socket_unchecked().await;
    let signed = |url: &str| context.server.voice.verify_socket(url, &opened.headers);
    assert_eq!(signed("wss://bd.example.com/relay/t0ken"), Ok(()));
    assert!(signed(&opened.url).is_err(), "signed is what the TwiML says");
}

#[tokio::test]
async fn unanswered_calls_end_with_their_status() {
    for (behavior, status) in [
        (CalleeBehavior::Busy, CallStatus::Busy),
        (CalleeBehavior::NoAnswer, CallStatus::NoAnswer),
        (CalleeBehavior::Fails, CallStatus::Failed),
    ] {
        let mut context = context().await;
        context.harness.state().set_callee_behavior(ANN, behavior);
        context.harness.send(&calls_ann(&context)).await;
        loop {
            let report = context.server.report_at("/status").await;
            if report.status.is_some_and(CallStatus::is_over) {
                assert_eq!(report.status, Some(status));
                break;
            }
        }
    }
}

/// Posts to a resource that the adapter does not use.
async fn post_to_api(context: &CallContext, path: &str, form: &[(&str, &str)]) {
    let credentials = context.harness.credentials();
    let account = simulator::ACCOUNT_SID;
    let url = format!("{}/2010-04-01/Accounts/{account}/{path}", credentials.endpoint);
    let request = http::client().unwrap().post(url);
    let request = request.basic_auth(account, Some(simulator::AUTH_TOKEN)).form(form);
    assert!(request.send().await.unwrap().status().is_success());
}

fn calls_ann(context: &CallContext) -> butt_dial_domain::ports::carrier::Dispatch {
    let mut dispatch = context.harness.text("");
    dispatch.to = context.harness.to();
    let url = |path| context.server.url(path);
    dispatch.call_urls = Some(butt_dial_domain::ports::carrier::CallUrls {
        answer: url("/answer"),
        status: url("/status"),
        machine: url("/machine"),
    });
    dispatch
}

#[tokio::test]
async fn control_routes_run_a_caller_script() {
    let mut context = context().await;
    context
        .server
        .answer("/webhooks/twilio/voice", context.server.converse());
    let base = context.harness.simulator.base_url();
    let order = serde_json::json!({
        "from": ANN, "to": US,
        "steps": [{ "do": "wait_for_speech" }, { "do": "say", "text": "Bye" }, { "do": "hang_up" }],
    });
    let client = http::client().unwrap();
    let begun = client
        .post(format!("{base}/phone-calls"))
        .json(&order)
        .send()
        .await
        .unwrap();
    let begun: serde_json::Value = begun.json().await.unwrap();
    let socket = context.server.socket().await;
    context.speak(&socket, "Hello.");
    let call = context
        .harness
        .state()
        .find_call(begun["id"].as_str().unwrap())
        .unwrap();
    assert!(call.wait_for_end(TEST_TIMEOUT).await);
    let shown = client
        .get(format!("{base}/phone-calls/{}", call.id()))
        .send()
        .await
        .unwrap();
    let shown: serde_json::Value = shown.json().await.unwrap();
    assert_eq!(shown["status"], "completed");
    assert_eq!(shown["heard"][0]["sound"]["word"], "Hello.");
    let late = tokio::time::timeout(Duration::from_secs(1), call.say("too late")).await;
    assert_eq!(late, Ok(false));
}
