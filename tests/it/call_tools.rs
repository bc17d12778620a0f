//! The call tools of agents, up to the relay. The test plays the relay: it receives the commands and sends the
//! notifications.

use std::{sync::Arc, time::Duration};

use butt_dial_calls::{
    Calls,
    commands::{self, CallCommand, CommandOutcome, CommandStream},
    notifications::{self, CallNotification, NotificationKind},
    state::{CallInfo, CallState, Speaker, TranscriptEntry},
};
use butt_dial_domain::{
    CallId, Clock,
    call::{Direction, Plan, Purpose},
};
use chrono::TimeDelta;
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::support::{
    Agent, Cluster, HttpSession, Reply, RequestExt as _, Transport, error_code, eventually, jsonrpc_response,
    within_timeout,
};

/// The test's relay, which owns one call.
struct TestRelay {
    calls: Arc<Calls>,
    state: CallState,
    commands: CommandStream,
}

impl TestRelay {
    async fn own_call(cluster: &Cluster) -> Self {
        let (calls, now) = (cluster.calls().clone(), Clock::System.now());
        let mut state = CallState::new(CallInfo {
            call: CallId::generate(),
            org: cluster.account.org.clone(),
            agent: cluster.account.agent.clone(),
            carrier: "twilio".into(),
            account: None,
            carrier_id: Some("CA1".into()),
            direction: Direction::Inbound,
            local: cluster.account.phone.clone(),
            remote: "+14155550123".into(),
            name: "Ada".into(),
            plan: Plan {
                purpose: Purpose::Converse,
                greeting: None,
                system_prompt: Some("Sell flowers.".into()),
                ..Plan::default()
            },
            language: "en-US".into(),
            started_at: now,
            limit_at: now + TimeDelta::minutes(9),
        });
        state.owner = Some(calls.replica().clone());
        calls.create_state(&state).await.unwrap();
        let commands = commands::subscribe(&calls, &state.info.call).await.unwrap();
        Self { calls, state, commands }
    }

    fn call(&self) -> &str {
        self.state.info.call.as_str()
    }

    fn record(&mut self, by: Speaker, text: &str) {
        self.state.history.push(TranscriptEntry {
            by,
            text: text.into(),
            is_cut: false,
            unheard: None,
            at: Clock::System.now(),
        });
    }

    /// The caller says something; the turn is offered until a client claims it.
    async fn hears(&mut self, text: &str) {
        self.state.turn += 1;
        self.state.is_pending = true;
        self.record(Speaker::Caller, text);
        self.offer(NotificationKind::Turn).await;
    }

    async fn offer(&self, event: NotificationKind) {
        let (notification, agent) = (CallNotification::new(event, &self.state), &self.state.info.agent);
        eventually("a client claims the notification", async || {
            notifications::offer_claim(&self.calls, agent, &notification)
                .await
                .then_some(())
        })
        .await;
    }

    /// Receives the next command and executes it.
    async fn next_command(&mut self) -> CallCommand {
        let received = within_timeout("a command", self.commands.recv()).await.unwrap();
        let (agent, command, replier) = received.split();
        assert_eq!(agent, self.state.info.agent);
        let turn = self.state.turn;
        let outcome = match &command {
            CallCommand::Answer { turn: Some(old), .. } if *old != turn => CommandOutcome::Superseded { turn },
            CallCommand::Answer { text, .. } => {
                self.state.is_pending = false;
                self.record(Speaker::Agent, text);
                CommandOutcome::Done { turn, pending: None }
            }
            _ => {
                let pending = self.state.is_pending;
                let pending = pending.then(|| Box::new(CallNotification::new(NotificationKind::Turn, &self.state)));
                CommandOutcome::Done { turn, pending }
            }
        };
        replier.reply(&outcome).await;
        command
    }

    /// Rejects all commands, as a relay rejects the commands of other agents.
    async fn reject_commands(&mut self) {
        while let Some(received) = self.commands.recv().await {
            let (_, _, replier) = received.split();
            replier.reply(&CommandOutcome::NotYours).await;
        }
    }

    /// Receives the next command, which must be a reply, and returns its text.
    async fn says(&mut self) -> String {
        match self.next_command().await {
            CallCommand::Answer { text, .. } => text,
            _ => panic!("not a reply"),
        }
    }
}

profiles! {
    async fn reply_returns_next_turn(cluster: &Cluster) {
        for transport in Transport::ALL {
            let agent = cluster.agent(transport).await;
            let mut relay = TestRelay::own_call(cluster).await;
            let call = relay.call().to_owned();
            let attend = agent.call("comms_attend_call", json!({ "callId": call }));
            let (attended, ()) = tokio::join!(attend, async {
                assert!(matches!(relay.next_command().await, CallCommand::Attend));
                relay.hears("Do you have roses?").await;
            });
            let turn = attended.unwrap();
            assert_eq!((&turn["status"], &turn["next"]["text"]), (&json!("turn"), &json!("Do you have roses?")));
            assert_eq!(turn["next"]["systemPrompt"], "Sell flowers.");
            let reply = json!({ "callSid": call, "turnId": turn["next"]["turnId"], "text": "Red ones." });
            let reply = agent.call("comms_call_reply", if transport == Transport::Rest {
                json!({ "callId": call, "turnId": 1, "text": "Red ones." })
            } else { reply });
            let (replied, ()) = tokio::join!(reply, async {
                assert_eq!(relay.says().await, "Red ones.");
                relay.hears("How much?").await;
            });
            let replied = replied.unwrap();
            assert_eq!((&replied["spoken"], &replied["status"]), (&json!(true), &json!("turn")), "{replied}");
            assert_eq!(replied["next"]["history"][2]["text"], "How much?");

            // A late reply gets the current turn in its error.
            let late = json!({ "callId": call, "turnId": "1", "text": "Really." });
            let late = agent.call("comms_say", late);
            let (late, ()) = tokio::join!(late, async {
                relay.next_command().await;
                relay.next_command().await;
            });
            let late = late.unwrap_err();
            assert_eq!((error_code(&late), &late["next"]["text"]), ("TURN_SUPERSEDED", &json!("How much?")), "{late}");
            let end = agent.call("comms_end_call", json!({ "callId": call, "text": "Bye." }));
            let (ended, command) = tokio::join!(end, relay.next_command());
            assert_eq!(ended.unwrap()["status"], "ending");
            assert!(matches!(command, CallCommand::HangUp { text: Some(text) } if text == "Bye."));
        }
    }
}

profiles! {
    async fn wait_events_returns_call_turns(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let mut relay = TestRelay::own_call(cluster).await;
        let wait = agent.call("comms_wait_events", json!({ "timeoutMs": 9_000 }));
        let (page, ()) = tokio::join!(wait, relay.hears("Hello?"));
        let page = page.unwrap();
        assert_eq!((&page["events"][0]["event"], &page["cursor"]), (&json!("call.turn"), &json!("0")), "{page}");
        let wait = agent.call("comms_wait_events", json!({ "timeoutMs": 0, "types": ["message.received"] }));
        assert_eq!(wait.await.unwrap()["events"], json!([]));
    }
}

profiles! {
    async fn attends_next_incoming_call(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let mut relay = TestRelay::own_call(cluster).await;
        let attend = agent.call("comms_attend_call", json!({}));
        let (attended, ()) = tokio::join!(attend, async {
            relay.offer(NotificationKind::Incoming).await;
            assert!(matches!(relay.next_command().await, CallCommand::Attend));
            relay.hears("Are you open?").await;
        });
        let attended = attended.unwrap();
        assert_eq!((&attended["status"], &attended["callId"]), (&json!("turn"), &json!(relay.call())), "{attended}");
        // The pending turn is returned again to a client that names the call.
        let waiting = agent.call("comms_attend_call", json!({ "callId": relay.call(), "waitMs": 0 }));
        let (waiting, _) = tokio::join!(waiting, relay.next_command());
        assert_eq!(waiting.unwrap()["next"]["text"], "Are you open?");
    }
}

profiles! {
    async fn delivers_turn_to_one_of_several_waiters(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let mut relay = TestRelay::own_call(cluster).await;
        let call = relay.call().to_owned();
        let attend = || agent.call("comms_attend_call", json!({ "callId": call, "waitMs": 2_500 }));
        let (first, second, ()) = tokio::join!(attend(), attend(), async {
            relay.next_command().await;
            relay.next_command().await;
            relay.hears("Who answers?").await;
        });
        let mut found = [first.unwrap(), second.unwrap()].map(|attended| attended["status"].as_str().unwrap().to_owned());
        found.sort();
        assert_eq!(found, ["turn", "waiting"]);
    }
}

profiles! {
    async fn announces_incoming_call_once_per_waiting_client(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let relay = TestRelay::own_call(cluster).await;
        let wait = || agent.call("comms_wait_events", json!({ "timeoutMs": 1_500 }));
        let (page, ()) = tokio::join!(wait(), relay.offer(NotificationKind::Incoming));
        assert_eq!(page.unwrap()["events"].as_array().unwrap().len(), 1);
        // The polling client does not claim the call either.
        let notification = CallNotification::new(NotificationKind::Incoming, &relay.state);
        let offers = async {
            loop {
                assert!(!notifications::offer_claim(&relay.calls, &relay.state.info.agent, &notification).await);
                tokio::time::sleep(Duration::from_millis(100)).await; // not a synchronisation: the interval of the offers
            }
        };
        let page = tokio::select! {
            page = wait() => page,
            () = offers => unreachable!("the offers never end"),
        };
        assert_eq!(page.unwrap()["events"], json!([]));
    }
}

profiles! {
    async fn hides_calls_of_other_tenants(cluster: &Cluster) {
        let stranger = crate::support::Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550101").await;
        let mut relay = TestRelay::own_call(cluster).await;
        let call = relay.call().to_owned();
        let expect_not_found = async |agent: &Agent, tool: &'static str, id: &str, text: &str| {
            let args = match text {
                "" => json!({ "callId": id }),
                text => json!({ "callId": id, "text": text }),
            };
            let refused = agent.call(tool, args).await;
            assert_eq!(error_code(&refused.unwrap_err()), "CALL_NOT_FOUND", "{tool} {id}");
        };
        let requests = async {
            for transport in [Transport::StreamableHttp, Transport::Rest] {
                let agent = cluster.agent_of(&stranger, transport).await;
                for (tool, text) in [
                    ("comms_get_call", ""),
                    ("comms_call_reply", "Hi"),
                    ("comms_say", "Hi"),
                    ("comms_end_call", ""),
                ] {
                    for id in [&call, "call_0", "CA1"] {
                        expect_not_found(&agent, tool, id, text).await;
                    }
                }
            }
        };
        tokio::select! {
            () = requests => {}
            () = relay.reject_commands() => unreachable!("the subscription stays open"),
        }
        // The gateway checks the agent as well, when the relay does not answer.
        let agent = cluster.agent_of(&stranger, Transport::Rest).await;
        expect_not_found(&agent, "comms_say", &call, "Hi").await;
        let own = cluster.agent(Transport::Rest).await;
        let record = own.call("comms_get_call", json!({ "callId": call })).await.unwrap();
        assert_eq!((&record["from"], &record["live"]["handledBy"]), (&json!("+14155550123"), &json!("agent")), "{record}");
    }
}

profiles! {
    async fn turn_goes_to_the_newest_waiting_tool_call(cluster: &Cluster) {
        let mut relay = TestRelay::own_call(cluster).await;
        let mut presence = notifications::subscribe_presence(cluster.calls(), &cluster.account.agent).await.unwrap();
        let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let mut unread = Vec::new();
        for (tool, wait) in [
            ("comms_attend_call", "waitMs"),
            ("comms_wait_events", "timeoutMs"),
            ("comms_attend_call", "waitMs"),
        ] {
            // A client that stops to read and keeps its connection.
            let params = json!({ "name": tool, "arguments": { (wait): 30_000 } });
            let message = json!({ "jsonrpc": "2.0", "id": unread.len(), "method": "tools/call", "params": params });
            let request = session.request(&cluster.gateways.only(0), reqwest::Method::POST).json(&message);
            unread.push(request.send().await.unwrap());
            within_timeout("the first wait", presence.next()).await.unwrap();
            let attended = async {
                within_timeout("the newer wait", presence.next()).await.unwrap();
                relay.hears("Hello?").await;
            };
            let (turn, ()) = tokio::join!(agent.attend_any(), attended);
            assert!(turn["text"].as_str().unwrap().ends_with("Hello?"), "{tool}: {turn}");
        }
    }
}

/// Attends a call as a client of the stateless revision with its own model.
async fn stateless(cluster: &Cluster, rounds: Option<(&Value, Value)>, call: Option<&str>) -> Reply {
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
    let request = cluster
        .gateways
        .post("/mcp", &message)
        .bearer_auth(&cluster.account.token);
    let request = request.header("accept", "application/json, text/event-stream");
    let request = request
        .header("mcp-protocol-version", VERSION)
        .header("mcp-method", "tools/call");
    request.header("mcp-name", "comms_attend_call").reply().await
}

profiles! {
    async fn stateless_client_with_model_converses_in_one_tool_call(cluster: &Cluster) {
        const ROUNDS: u64 = 8;
        let mut relay = TestRelay::own_call(cluster).await;
        let call = relay.call().to_owned();
        let (first, ()) = tokio::join!(stateless(cluster, None, Some(&call)), async {
            assert!(matches!(relay.next_command().await, CallCommand::Attend));
            relay.hears("Question 1").await;
        });
        let mut response = jsonrpc_response(&first)["result"].clone();
        for turn in 1..=ROUNDS {
            assert_eq!(response["resultType"], "input_required", "{response}");
            let question = &response["inputRequests"][format!("turn-{turn}")];
            assert_eq!(question["method"], "sampling/createMessage", "{response}");
            assert_eq!(question["params"]["systemPrompt"], "Sell flowers.");
            assert!(question["params"]["messages"].to_string().contains(&format!("Question {turn}")), "{response}");
            let content = json!({ "type": "text", "text": format!("Answer {turn}") });
            let sample = json!({ "role": "assistant", "model": "m", "content": content });
            let responses = json!({ format!("turn-{turn}"): sample });
            let again = stateless(cluster, Some((&response["requestState"], responses)), Some(&call));
            let (next, ()) = tokio::join!(again, async {
                assert_eq!(relay.says().await, format!("Answer {turn}"));
                if turn < ROUNDS {
                    relay.hears(&format!("Question {}", turn + 1)).await;
                }
            });
            response = jsonrpc_response(&next)["result"].clone();
        }
        let text = response["content"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap()["status"], "continue", "{response}");
        let forged = jsonrpc_response(&stateless(cluster, Some((&json!("AAAA"), json!({}))), Some(&call)).await);
        assert_eq!(forged["result"]["isError"], true, "{forged}");
    }
}
