//! Telephone calls: people who call, agents who answer or do not, relays that come and go.

use butt_dial_comms::calls::{
    orders::{self, Order},
    signal::{Ear, Event, Signal},
};
use butt_dial_domain::{AgentId, CallId};
use butt_dial_providers::simulator::calls::Call;
use tokio::sync::mpsc;

use crate::support::{PATIENCE, World, eventually, in_time};

const ANN: &str = "+14155550123";

/// An agent whose tool calls wait for what happens on the telephone.
struct Attendant<'a> {
    world: &'a World,
    agent: AgentId,
    signals: mpsc::UnboundedReceiver<Signal>,
}

impl<'a> Attendant<'a> {
    async fn at(world: &'a World) -> Self {
        let agent = world.account.agent.clone();
        let mut ear = Ear::open(world.comms(), &agent, None).await.unwrap();
        ear.announce(&agent).await;
        let (heard, signals) = mpsc::unbounded_channel();
        world.comms().tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = heard.closed() => return,
                    Some(signal) = ear.next() => drop(heard.send(signal)),
                }
            }
        });
        Self { world, agent, signals }
    }

    async fn next(&mut self) -> Signal {
        in_time("a call's signal", self.signals.recv()).await.expect("a signal")
    }

    async fn turn(&mut self) -> Signal {
        loop {
            let signal = self.next().await;
            if signal.event == Event::Turn {
                return signal;
            }
        }
    }

    async fn say(&self, call: &CallId, text: &str) {
        self.order(call, answer(None, text)).await;
    }

    async fn order(&self, call: &CallId, order: Order) {
        orders::give(self.world.comms(), &self.agent, call, order)
            .await
            .unwrap();
    }
}

fn answer(turn: Option<u64>, text: &str) -> Order {
    Order::Answer {
        turn,
        text: text.into(),
        is_last: true,
        ends: false,
        key: None,
    }
}

async fn rings(world: &World) -> Call {
    world.carriers.set_pace(0.1);
    world.carriers.dial(ANN, &world.account.phone).await.unwrap()
}

async fn hears(call: &Call, text: &str) {
    let heard = call.wait_for_speech(|heard| heard.contains(text), PATIENCE).await;
    assert!(heard.is_some(), "{text:?} was not heard: {:#?}", call.transcript());
}

profiles! {
    async fn a_person_calls_and_talks_with_the_agent(world: &World) {
        let mut agent = Attendant::at(world).await;
        let call = rings(world).await;
        let incoming = agent.next().await;
        assert_eq!((incoming.event, incoming.from.as_str()), (Event::Incoming, ANN));
        hears(&call, "AI assistant").await;
        assert!(call.wait_for_quiet(PATIENCE).await);
        call.say("Are you open today?").await;
        let turn = agent.turn().await;
        assert_eq!(turn.text.as_deref(), Some("Are you open today?"));
        agent.say(&turn.call_id, "Yes, until eight.").await;
        hears(&call, "until eight.").await;
        agent
            .order(&turn.call_id, Order::HangUp { text: Some("Goodbye!".into()) })
            .await;
        hears(&call, "Goodbye!").await;
        assert!(call.wait_for_end(PATIENCE).await);
        assert_eq!(call.heard_text().matches("AI assistant").count(), 1, "{}", call.heard_text());
        let kept = eventually("the call's record", async || {
            let kept = world.store.find_call(&world.account.agent, turn.call_id.as_str()).await.unwrap()?;
            (kept.status.is_over() && kept.turns == 1).then_some(kept)
        })
        .await;
        assert_eq!(kept.carrier_id.as_deref(), Some(call.id()));
        assert_eq!(kept.handled_by.as_deref(), Some("agent"));
    }
}

profiles! {
    async fn nobody_is_there_and_the_machine_takes_a_message(world: &World) {
        let call = rings(world).await;
        hears(&call, "your name").await;
        for (words, then) in [
            ("My name is Ann.", "called back"),
            ("+1 415 555 0123", "reason"),
            ("The boiler leaks", "best time"),
            ("After five", "Goodbye."),
        ] {
            assert!(call.wait_for_quiet(PATIENCE).await);
            call.say(words).await;
            hears(&call, then).await;
        }
        assert!(call.wait_for_end(PATIENCE).await, "{:#?}", call.transcript());
        let heard = call.heard_text();
        assert!(!heard.contains("END") && !heard.contains('{'), "{heard}");
        let left = world.rest().await.take(1).await;
        let message = &left[0];
        assert_eq!(message["channel"], "voice", "{message}");
        assert_eq!((&message["from"], &message["reason"]), (&ANN.into(), &"agent_offline".into()));
        assert_eq!(message["body"], "Ann called about The boiler leaks.");
        let transcript = message["voiceTranscription"].as_str().unwrap();
        assert!(transcript.contains("Caller: The boiler leaks"), "{transcript}");
    }
}

profiles! {
    async fn whoever_is_interrupted_stops_and_hears_what_is_said_instead(world: &World) {
        let mut agent = Attendant::at(world).await;
        let call = rings(world).await;
        hears(&call, "AI assistant").await;
        assert!(call.wait_for_quiet(PATIENCE).await);
        call.say("Tell me everything.").await;
        let first = agent.turn().await;
        let story = "Once upon a time there was a king who had three daughters, and each of them had a cat, and each cat had \
                     a mouse, and so on and so forth until the very end of the story.";
        agent.say(&first.call_id, story).await;
        hears(&call, "king").await;
        call.barge_in_after(0, "Stop, please.").await;
        let second = agent.turn().await;
        assert!(second.text.as_deref().is_some_and(|text| text.contains("Stop, please.")));
        let cut = second.history.iter().rfind(|line| line.is_cut).expect("what was cut");
        assert!(cut.text.starts_with("Once upon a time") && !cut.text.contains("very end"), "{}", cut.text);
        let late = orders::give(world.comms(), &world.account.agent, &first.call_id, answer(Some(1), "And a dog.")).await;
        assert_eq!(late.err().map(|failure| failure.code.as_str()), Some("TURN_SUPERSEDED"));
        agent.say(&second.call_id, "I have stopped.").await;
        hears(&call, "I have stopped.").await;
        assert!(!call.heard_text().contains("very end"));
        call.hang_up().await;
        let ended = loop {
            let signal = agent.next().await;
            if signal.event == Event::Ended {
                break signal;
            }
        };
        assert_eq!(ended.reason.as_deref(), Some("completed"));
    }
}

profiles! {
    async fn a_call_goes_on_when_its_socket_is_lost(world: &World) {
        use butt_dial_providers::simulator::calls::Drop;
        let mut agent = Attendant::at(world).await;
        let call = rings(world).await;
        hears(&call, "AI assistant").await;
        assert!(call.wait_for_quiet(PATIENCE).await);
        call.say("Count to ten.").await;
        let turn = agent.turn().await;
        agent
            .say(&turn.call_id, "One and two. Three and four. Five and six. Seven and eight. Nine and ten.")
            .await;
        hears(&call, "four.").await;
        call.drop_socket(Drop::Reset).await;
        hears(&call, "ten.").await;
        let heard = call.heard_text();
        assert_eq!(call.sessions().len(), 2);
        assert_eq!(heard.matches("AI assistant").count(), 1, "{heard}");
        assert_eq!(heard.matches("One and two.").count(), 1, "{heard}");
    }
}
