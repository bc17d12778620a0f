//! Calls as agents have them in their hands, up to the relay: who holds a call's socket is played here, by the orders that it
//! is given and the signals that it gives.

use std::time::Duration;

use butt_dial_comms::{
    Comms,
    calls::{
        orders::{Order, Ordered, Outcome},
        signal::{self, Event, Signal},
        state::{self, CallState, Facts, Line, Speaker},
    },
};
use butt_dial_domain::{
    CallId, Clock,
    call::{Direction, Plan, Purpose},
    ports::bus::{Headers, Message},
    subjects,
};
use chrono::TimeDelta;
use futures::{StreamExt as _, stream::BoxStream};
use serde_json::{Value, json};

use crate::support::{Reply, Replying as _, Transport, World, answer, code, eventually, in_time};

/// Whoever holds a call.
struct Holder {
    comms: Comms,
    state: CallState,
    orders: BoxStream<'static, Message>,
}

impl Holder {
    async fn take(world: &World) -> Self {
        let (comms, now) = (world.comms().clone(), Clock::System.now());
        let mut state = CallState::new(Facts {
            call: CallId::generate(),
            org: world.account.org.clone(),
            agent: world.account.agent.clone(),
            carrier: "twilio".into(),
            carrier_id: Some("CA1".into()),
            direction: Direction::Inbound,
            local: world.account.phone.clone(),
            remote: "+14155550123".into(),
            name: "Ada".into(),
            plan: Plan {
                purpose: Purpose::Converse,
                greeting: None,
                system_prompt: Some("Sell flowers.".into()),
                voice: None,
                language: None,
            },
            language: "en-US".into(),
            started_at: now,
            limit_at: now + TimeDelta::minutes(9),
        });
        state.owner = Some(comms.replica.clone());
        state::create(&comms, &state).await.unwrap();
        let orders = comms.bus.subscribe(&subjects::call_orders(&state.facts.call)).await;
        let orders = orders.unwrap();
        Self { comms, state, orders }
    }

    fn call(&self) -> &str {
        self.state.facts.call.as_str()
    }

    fn notes(&mut self, by: Speaker, text: &str) {
        self.state.history.push(Line {
            by,
            text: text.into(),
            is_cut: false,
            at: Clock::System.now(),
        });
    }

    /// The caller says something: told to whoever waits, as soon as somebody does.
    async fn hears(&mut self, text: &str) {
        self.state.turn += 1;
        self.state.is_pending = true;
        self.notes(Speaker::Caller, text);
        self.tells(Event::Turn).await;
    }

    async fn tells(&self, event: Event) {
        let (signal, agent) = (Signal::new(event, &self.state), &self.state.facts.agent);
        eventually("somebody takes the signal", async || {
            signal::offer(&self.comms, agent, &signal).await.then_some(())
        })
        .await;
    }

    /// The next order, done.
    async fn is_ordered(&mut self) -> Order {
        let message = in_time("an order", self.orders.next()).await.unwrap();
        let Ordered { agent, order } = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(agent, self.state.facts.agent);
        let turn = self.state.turn;
        let outcome = match &order {
            Order::Answer { turn: Some(old), .. } if *old != turn => Outcome::Superseded { turn },
            Order::Answer { text, .. } => {
                self.state.is_pending = false;
                self.notes(Speaker::Agent, text);
                Outcome::Done { turn, pending: None }
            }
            _ => {
                let pending = self.state.is_pending;
                let pending = pending.then(|| Box::new(Signal::new(Event::Turn, &self.state)));
                Outcome::Done { turn, pending }
            }
        };
        let (reply_to, payload) = (message.reply_to.unwrap(), serde_json::to_vec(&outcome).unwrap());
        let told = self.comms.bus.publish(&reply_to, Headers::new(), payload.into());
        told.await.unwrap();
        order
    }

    /// The next order is an answer, and says this.
    async fn says(&mut self) -> String {
        match self.is_ordered().await {
            Order::Answer { text, .. } => text,
            _ => panic!("not an answer"),
        }
    }
}

profiles! {
    async fn a_turn_is_answered_and_the_next_one_comes_with_the_answer(world: &World) {
        for transport in Transport::ALL {
            let agent = world.agent(transport).await;
            let mut holder = Holder::take(world).await;
            let call = holder.call().to_owned();
            let attend = agent.call("comms_attend_call", json!({ "callId": call }));
            let (attended, ()) = tokio::join!(attend, async {
                assert!(matches!(holder.is_ordered().await, Order::Attend));
                holder.hears("Do you have roses?").await;
            });
            let turn = attended.unwrap();
            assert_eq!((&turn["status"], &turn["next"]["text"]), (&json!("turn"), &json!("Do you have roses?")));
            assert_eq!(turn["next"]["systemPrompt"], "Sell flowers.");
            let reply = json!({ "callSid": call, "turnId": turn["next"]["turnId"], "text": "Red ones." });
            let reply = agent.call("comms_call_reply", if transport == Transport::Rest {
                json!({ "callId": call, "turnId": 1, "text": "Red ones." })
            } else { reply });
            let (replied, ()) = tokio::join!(reply, async {
                assert_eq!(holder.says().await, "Red ones.");
                holder.hears("How much?").await;
            });
            let replied = replied.unwrap();
            assert_eq!((&replied["spoken"], &replied["status"]), (&json!(true), &json!("turn")), "{replied}");
            assert_eq!(replied["next"]["history"][2]["text"], "How much?");

            // Who is late learns what to answer instead.
            let late = json!({ "callId": call, "turnId": "1", "text": "Really." });
            let late = agent.call("comms_say", late);
            let (late, ()) = tokio::join!(late, async {
                holder.is_ordered().await;
                holder.is_ordered().await;
            });
            let late = late.unwrap_err();
            assert_eq!((code(&late), &late["next"]["text"]), ("TURN_SUPERSEDED", &json!("How much?")), "{late}");
            let end = agent.call("comms_end_call", json!({ "callId": call, "text": "Bye." }));
            let (ended, order) = tokio::join!(end, holder.is_ordered());
            assert_eq!(ended.unwrap()["status"], "ending");
            assert!(matches!(order, Order::HangUp { text: Some(text) } if text == "Bye."));
        }
    }
}

profiles! {
    async fn who_waits_for_events_hears_callers_too(world: &World) {
        let agent = world.agent(Transport::StreamableHttp).await;
        let mut holder = Holder::take(world).await;
        let wait = agent.call("comms_wait_events", json!({ "timeoutMs": 9_000 }));
        let (page, ()) = tokio::join!(wait, holder.hears("Hello?"));
        let page = page.unwrap();
        assert_eq!((&page["events"][0]["event"], &page["cursor"]), (&json!("call.turn"), &json!("0")), "{page}");
        let wait = agent.call("comms_wait_events", json!({ "timeoutMs": 0, "types": ["message.received"] }));
        assert_eq!(wait.await.unwrap()["events"], json!([]));
    }
}

profiles! {
    async fn whoever_calls_is_attended(world: &World) {
        let agent = world.agent(Transport::Sse).await;
        let mut holder = Holder::take(world).await;
        let attend = agent.call("comms_attend_call", json!({}));
        let (attended, ()) = tokio::join!(attend, async {
            holder.tells(Event::Incoming).await;
            assert!(matches!(holder.is_ordered().await, Order::Attend));
            holder.hears("Is anybody there?").await;
        });
        let attended = attended.unwrap();
        assert_eq!((&attended["status"], &attended["callId"]), (&json!("turn"), &json!(holder.call())), "{attended}");
        // Nothing more is said: the agent knows whom it attends.
        let waiting = agent.call("comms_attend_call", json!({ "callId": holder.call(), "waitMs": 0 }));
        let (waiting, _) = tokio::join!(waiting, holder.is_ordered());
        assert_eq!(waiting.unwrap()["next"]["text"], "Is anybody there?");
    }
}

profiles! {
    async fn an_agent_that_waits_in_several_places_answers_in_one(world: &World) {
        let agent = world.agent(Transport::StreamableHttp).await;
        let mut holder = Holder::take(world).await;
        let call = holder.call().to_owned();
        let attend = || agent.call("comms_attend_call", json!({ "callId": call, "waitMs": 2_500 }));
        let (first, second, ()) = tokio::join!(attend(), attend(), async {
            holder.is_ordered().await;
            holder.is_ordered().await;
            holder.hears("Who answers?").await;
        });
        let mut found = [first.unwrap(), second.unwrap()].map(|attended| attended["status"].as_str().unwrap().to_owned());
        found.sort();
        assert_eq!(found, ["turn", "waiting"]);
    }
}

profiles! {
    async fn who_does_not_care_for_calls_is_not_told_of_one_again_and_again(world: &World) {
        let agent = world.agent(Transport::StreamableHttp).await;
        let holder = Holder::take(world).await;
        let wait = || agent.call("comms_wait_events", json!({ "timeoutMs": 1_500 }));
        let (page, ()) = tokio::join!(wait(), holder.tells(Event::Incoming));
        assert_eq!(page.unwrap()["events"].as_array().unwrap().len(), 1);
        // Nor does it keep the call from anybody else.
        let signal = Signal::new(Event::Incoming, &holder.state);
        let offers = async {
            loop {
                assert!(!signal::offer(&holder.comms, &holder.state.facts.agent, &signal).await);
                tokio::time::sleep(Duration::from_millis(100)).await; // not a synchronisation: it is offered again and again
            }
        };
        let page = tokio::select! {
            page = wait() => page,
            () = offers => unreachable!("they do not end"),
        };
        assert_eq!(page.unwrap()["events"], json!([]));
    }
}

profiles! {
    async fn calls_of_others_do_not_exist(world: &World) {
        let stranger = crate::support::Account::found(&world.store, &world.gateways, "Other", "+14155550101").await;
        let holder = Holder::take(world).await;
        for transport in [Transport::StreamableHttp, Transport::Rest] {
            let agent = world.agent_of(&stranger, transport).await;
            for (tool, text) in [
                ("comms_get_call", None),
                ("comms_call_reply", Some("Hi")),
                ("comms_say", Some("Hi")),
                ("comms_end_call", None),
            ] {
                for id in [holder.call(), "call_0", "CA1"] {
                    let refused = agent.call(tool, json!({ "callId": id, "text": text.unwrap_or("") })).await;
                    assert_eq!(code(&refused.unwrap_err()), "CALL_NOT_FOUND", "{tool} {id}");
                }
            }
        }
        let own = world.agent(Transport::Rest).await;
        let seen = own.call("comms_get_call", json!({ "callId": holder.call() })).await.unwrap();
        assert_eq!((&seen["from"], &seen["live"]["handledBy"]), (&json!("+14155550123"), &json!("agent")), "{seen}");
    }
}

/// A client of the stateless revision with a model of its own.
async fn stateless(world: &World, rounds: Option<(&Value, Value)>, call: Option<&str>) -> Reply {
    const VERSION: &str = "2026-07-28";
    let mut params = json!({ "name": "comms_attend_call", "arguments": { "callId": call, "waitMs": 9_000 } });
    if let Some((state, responses)) = rounds {
        params["requestState"] = state.clone();
        params["inputResponses"] = responses;
    }
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": { "name": "by-hand", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": { "sampling": {} },
    });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = world.gateways.post("/mcp", &message).bearer_auth(&world.account.token);
    let request = request.header("accept", "application/json, text/event-stream");
    let request = request
        .header("mcp-protocol-version", VERSION)
        .header("mcp-method", "tools/call");
    request.header("mcp-name", "comms_attend_call").reply().await
}

profiles! {
    async fn a_client_with_a_model_holds_a_conversation_within_one_tool_call(world: &World) {
        const ROUNDS: u64 = 8;
        let mut holder = Holder::take(world).await;
        let call = holder.call().to_owned();
        let (first, ()) = tokio::join!(stateless(world, None, Some(&call)), async {
            assert!(matches!(holder.is_ordered().await, Order::Attend));
            holder.hears("Question 1").await;
        });
        let mut asked = answer(&first)["result"].clone();
        for turn in 1..=ROUNDS {
            assert_eq!(asked["resultType"], "input_required", "{asked}");
            let question = &asked["inputRequests"][format!("turn-{turn}")];
            assert_eq!(question["method"], "sampling/createMessage", "{asked}");
            assert_eq!(question["params"]["systemPrompt"], "Sell flowers.");
            assert!(question["params"]["messages"].to_string().contains(&format!("Question {turn}")), "{asked}");
            let content = json!({ "type": "text", "text": format!("Answer {turn}") });
            let response = json!({ "role": "assistant", "model": "m", "content": content });
            let responses = json!({ format!("turn-{turn}"): response });
            let again = stateless(world, Some((&asked["requestState"], responses)), Some(&call));
            let (next, ()) = tokio::join!(again, async {
                assert_eq!(holder.says().await, format!("Answer {turn}"));
                if turn < ROUNDS {
                    holder.hears(&format!("Question {}", turn + 1)).await;
                }
            });
            asked = answer(&next)["result"].clone();
        }
        let text = asked["content"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap()["status"], "continue", "{asked}");
        let forged = answer(&stateless(world, Some((&json!("AAAA"), json!({}))), Some(&call)).await);
        assert_eq!(forged["result"]["isError"], true, "{forged}");
    }
}
