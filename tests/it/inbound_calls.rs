//! Inbound calls: agents that answer, voicemail when they do not, interruptions, and lost sockets.

use butt_dial_calls::{
    commands::{self, CallCommand},
    notifications::{CallNotification, CallSubscription, NotificationKind},
};
use butt_dial_domain::{AgentId, CallId};
use butt_dial_providers::simulator::calls::Call;
use tokio::sync::mpsc;

use crate::support::{Cluster, WAIT_TIMEOUT, eventually, within_timeout};

const ANN: &str = "+14155550123";

/// An agent that waits for call notifications.
struct WaitingAgent<'a> {
    cluster: &'a Cluster,
    agent: AgentId,
    notifications: mpsc::UnboundedReceiver<CallNotification>,
}

impl<'a> WaitingAgent<'a> {
    async fn connect(cluster: &'a Cluster) -> Self {
        let agent = cluster.account.agent.clone();
        let mut subscription = CallSubscription::open(cluster.calls(), &agent, None).await.unwrap();
        subscription.announce_presence(&agent).await;
        let (sender, notifications) = mpsc::unbounded_channel();
        cluster.calls().tasks().spawn(async move {
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    Some(notification) = subscription.claim_next() => drop(sender.send(notification)),
                }
            }
        });
        Self {
            cluster,
            agent,
            notifications,
        }
    }

    async fn next(&mut self) -> CallNotification {
        within_timeout("a call notification", self.notifications.recv())
            .await
            .expect("a notification")
    }

    async fn turn(&mut self) -> CallNotification {
        loop {
            let notification = self.next().await;
            if notification.event == NotificationKind::Turn {
                return notification;
            }
        }
    }

    async fn say(&self, call: &CallId, text: &str) {
        self.send_command(call, answer(None, text)).await;
    }

    async fn send_command(&self, call: &CallId, command: CallCommand) {
        commands::send(self.cluster.calls(), &self.agent, call, command)
            .await
            .unwrap();
    }
}

fn answer(turn: Option<u64>, text: &str) -> CallCommand {
    CallCommand::Answer {
        turn,
        text: text.into(),
        is_last: true,
        ends: false,
        key: None,
        language: None,
        voice: None,
    }
}

async fn ring(cluster: &Cluster) -> Call {
    cluster.carriers.set_pace(0.1);
    cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap()
}

async fn hears(call: &Call, text: &str) {
    let heard = call.wait_for_speech(|heard| heard.contains(text), WAIT_TIMEOUT).await;
    assert!(heard.is_some(), "no {text:?} in the speech: {:#?}", call.transcript());
}

profiles! {
    async fn connects_caller_with_agent(cluster: &Cluster) {
        let mut agent = WaitingAgent::connect(cluster).await;
        let call = ring(cluster).await;
        let incoming = agent.next().await;
        assert_eq!((incoming.event, incoming.from.as_str()), (NotificationKind::Incoming, ANN));
        hears(&call, "AI assistant").await;
        assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);
        call.say("Are you open today?").await;
        let turn = agent.turn().await;
        assert_eq!(turn.text.as_deref(), Some("Are you open today?"));
        agent.say(&turn.call_id, "Yes, until eight.").await;
        hears(&call, "until eight.").await;
        agent

            .send_command(&turn.call_id, CallCommand::HangUp { text: Some("Goodbye!".into()) })
            .await;
        hears(&call, "Goodbye!").await;
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        assert_eq!(call.heard_text().matches("AI assistant").count(), 1, "{}", call.heard_text());
        let record = eventually("the call's record", async || {
            let record = cluster.store.find_call(&cluster.account.agent, turn.call_id.as_str()).await.unwrap()?;
            (record.status.is_over() && record.turns == 1).then_some(record)
        })
        .await;
        assert_eq!(record.carrier_id.as_deref(), Some(call.id()));
        assert_eq!(record.handled_by.as_deref(), Some("agent"));
    }
}

profiles! {
    async fn takes_voicemail_when_agent_is_offline(cluster: &Cluster) {
        let call = ring(cluster).await;
        hears(&call, "your name").await;
        for (words, reply) in [
            ("My name is Ann.", "called back"),
            ("+1 415 555 0123", "reason"),
            ("The boiler leaks", "best time"),
            ("After five", "Goodbye."),
        ] {
            assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);
            call.say(words).await;
            hears(&call, reply).await;
        }
        assert!(call.wait_for_end(WAIT_TIMEOUT).await, "{:#?}", call.transcript());
        let heard = call.heard_text();
        assert!(!heard.contains("END") && !heard.contains('{'), "{heard}");
        let events = cluster.rest().await.expect_events(1).await;
        let message = &events[0];
        assert_eq!(message["channel"], "voice", "{message}");
        assert_eq!((&message["from"], &message["reason"]), (&ANN.into(), &"agent_offline".into()));
        assert_eq!(message["body"], "Ann called about The boiler leaks.");
        let transcript = message["voiceTranscription"].as_str().unwrap();
        assert!(transcript.contains("Caller: The boiler leaks"), "{transcript}");
    }
}

profiles! {
    async fn barge_in_stops_playback_and_starts_new_turn(cluster: &Cluster) {
        let mut agent = WaitingAgent::connect(cluster).await;
        let call = ring(cluster).await;
        hears(&call, "AI assistant").await;
        assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);
        call.say("Tell me everything.").await;
        let first = agent.turn().await;
        let story = "Once upon a time there was a king who had three daughters, and each of them had a cat, and each cat had \
                     a mouse, and so on and so forth until the very end of the story.";
        agent.say(&first.call_id, story).await;
        hears(&call, "king").await;
        call.barge_in_after(0, "Stop, please.").await;
        let second = agent.turn().await;
        assert!(second.text.as_deref().is_some_and(|text| text.contains("Stop, please.")));
        let cut = second.history.iter().rfind(|line| line.is_cut).expect("an interrupted entry");
        assert!(cut.text.starts_with("Once upon a time") && !cut.text.contains("very end"), "{}", cut.text);
        let unheard = cut.unheard.as_deref().unwrap_or_default();
        assert!(unheard.ends_with("very end of the story.") && !unheard.contains("king who"), "{unheard}");
        let late = commands::send(cluster.calls(), &cluster.account.agent, &first.call_id, answer(Some(1), "And a dog.")).await;
        assert_eq!(late.err().map(|failure| failure.code.as_str()), Some("TURN_SUPERSEDED"));
        agent.say(&second.call_id, "I have stopped.").await;
        hears(&call, "I have stopped.").await;
        assert!(!call.heard_text().contains("very end"));
        call.hang_up().await;
        let ended = loop {
            let notification = agent.next().await;
            if notification.event == NotificationKind::Ended {
                break notification;
            }
        };
        assert_eq!(ended.reason.as_deref(), Some("completed"));
    }
}

profiles! {
    async fn resumes_call_after_socket_reset(cluster: &Cluster) {
        use butt_dial_providers::simulator::calls::SocketDrop;
        let mut agent = WaitingAgent::connect(cluster).await;
        let call = ring(cluster).await;
        hears(&call, "AI assistant").await;
        assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);
        call.say("Count to ten.").await;
        let turn = agent.turn().await;
        agent
            .say(&turn.call_id, "One and two. Three and four. Five and six. Seven and eight. Nine and ten.")
            .await;
        hears(&call, "four.").await;
        call.drop_socket(SocketDrop::Reset).await;
        hears(&call, "ten.").await;
        let heard = call.heard_text();
        assert_eq!(call.sessions().len(), 2);
        assert_eq!(heard.matches("AI assistant").count(), 1, "{heard}");
        assert_eq!(heard.matches("One and two.").count(), 1, "{heard}");
    }
}
