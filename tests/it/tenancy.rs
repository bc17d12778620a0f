//! Tenants do not see each other: what belongs to somebody else looks exactly like what does not exist.

use butt_dial_domain::{Channel, Clock};
use butt_dial_store::Suppression;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, HttpSession, LegacySession, Reply, Replying as _, Transport, sms, with};

const ANN: &str = "+14155550123";

/// Another organization with an agent of its own.
async fn another(world: &crate::support::World) -> Account {
    Account::found(&world.store, &world.gateways, "Other", "+14155550190").await
}

/// The answer without what differs between any two requests.
fn seen(reply: Reply) -> (u16, Value) {
    (reply.status, reply.body)
}

profiles! {
    async fn a_foreign_agent_does_not_exist(world: &World) {
        let other = another(world).await;
        let routes = [
            (Method::GET, "/api/v1/agents/{}"),
            (Method::GET, "/api/v1/agents/{}/tokens"),
            (Method::POST, "/api/v1/agents/{}/regenerate-token"),
        ];
        for (method, route) in routes {
            let ask = async |id: &str| {
                let request = world.gateways.request(method.clone(), &route.replace("{}", id));
                seen(request.bearer_auth(&world.account.team_token).reply().await)
            };
            let foreign = ask(other.agent.as_str()).await;
            assert_eq!(foreign, ask("agt_0").await, "{route}");
            assert_eq!((foreign.0, &foreign.1["code"]), (404, &json!("AGENT_NOT_FOUND")));
        }
        let limits = json!({ "agentId": other.agent, "limits": { "maxActionsPerDay": 1 } });
        let request = world
            .gateways
            .post("/api/v1/client-limits", &limits)
            .bearer_auth(&world.account.team_token);
        assert_eq!(request.reply().await.expect(404)["code"], "AGENT_NOT_FOUND");
        // Its token still works: nothing has happened to it.
        world
            .gateways
            .get("/api/v1/agents/me")
            .bearer_auth(&other.token)
            .reply()
            .await
            .expect(200);
    }
}

profiles! {
    async fn an_organization_lists_its_own_agents_only(world: &World) {
        let other = another(world).await;
        for account in [&world.account, &other] {
            let listed = world
                .gateways
                .get("/api/v1/agents")
                .bearer_auth(&account.team_token)
                .reply()
                .await
                .expect(200);
            assert_eq!(listed["count"], 1);
            assert_eq!(listed["agents"][0]["agentId"], account.agent.as_str());
        }
    }
}

profiles! {
    async fn nobody_sends_as_a_foreign_agent(world: &World) {
        let other = another(world).await;
        let admin = world
            .account
            .colleague(&world.store, &world.gateways, "org-admin", "+14155550101")
            .await;
        let colleague = world
            .account
            .colleague(&world.store, &world.gateways, "agent", "+14155550102")
            .await;
        let (agent, admin) = (world.rest().await, world.agent_of(&admin, Transport::Rest).await);
        let named = |id: &str| with(sms(ANN, "As somebody else"), json!({ "agentId": id }));
        let unknown = agent.send(named("agt_0")).await.unwrap_err();
        assert_eq!(unknown["code"], "AGENT_NOT_FOUND");
        assert_eq!(agent.send(named(other.agent.as_str())).await.unwrap_err(), unknown);
        assert_eq!(
            agent.send(named(colleague.agent.as_str())).await.unwrap_err(),
            unknown,
            "no administrator"
        );
        assert_eq!(admin.send(named(other.agent.as_str())).await.unwrap_err(), unknown);
        assert_eq!(world.carriers.requests_total("twilio"), 0);
        admin.send(named(colleague.agent.as_str())).await.unwrap();
    }
}

profiles! {
    async fn a_foreign_message_does_not_exist_under_any_of_its_ids(world: &World) {
        let other = another(world).await;
        let colleague = world
            .account
            .colleague(&world.store, &world.gateways, "agent", "+14155550101")
            .await;
        let sent = world.rest().await.send(sms(ANN, "Mine")).await.unwrap();
        for stranger in [&other, &colleague] {
            let stranger = world.agent_of(stranger, Transport::StreamableHttp).await;
            let unknown = stranger.status_of("msg_0").await.unwrap_err();
            assert_eq!(unknown["code"], "MESSAGE_NOT_FOUND");
            for id in ["messageId", "providerMessageId"] {
                assert_eq!(
                    stranger.status_of(sent[id].as_str().unwrap()).await.unwrap_err(),
                    unknown
                );
            }
        }
    }
}

profiles! {
    async fn a_key_a_list_and_a_consent_hold_in_their_organization_only(world: &World) {
        let other = another(world).await;
        let now = Clock::System.now();
        let entry = Suppression {
            org: &other.org,
            channel: None,
            address: ANN,
            reason: "asked for it",
        };
        world.store.suppress(&entry, now).await.unwrap();
        world
            .store
            .record_consent(&other.org, Channel::Sms, ANN, false, "test", now)
            .await
            .unwrap();
        let (ours, theirs) = (world.rest().await, world.agent_of(&other, Transport::Rest).await);
        let message = sms(ANN, "Hello");
        assert_eq!(
            theirs.send(message.clone()).await.unwrap_err()["code"],
            "DO_NOT_CONTACT"
        );
        assert_eq!(ours.send(message).await.unwrap()["status"], "accepted");
        let usage = theirs.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        assert_eq!(usage["totalActions"], 0);
    }
}

profiles! {
    async fn a_session_of_another_agent_is_404(world: &World) {
        let other = another(world).await;
        let colleague = world
            .account
            .colleague(&world.store, &world.gateways, "agent", "+14155550101")
            .await;
        let session = HttpSession::open(&world.gateways, "/mcp", &world.account.token).await;
        for stranger in [&other, &colleague] {
            let stolen = session.with_token(&stranger.token);
            for index in 0..world.gateways.count() {
                let gateway = world.gateways.only(index);
                let tools = stolen
                    .post(&gateway, &json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" }))
                    .await;
                assert_eq!(tools.status, 404, "{}", tools.text);
                assert_eq!(stolen.request(&gateway, Method::GET).reply().await.status, 404);
                assert_eq!(stolen.request(&gateway, Method::DELETE).reply().await.status, 404);
            }
        }
        let tools = session.call(&world.gateways, "tools/list", json!({})).await;
        assert!(
            tools["result"]["tools"].is_array(),
            "the owner is not disturbed: {tools}"
        );
    }
}

profiles! {
    async fn an_sse_stream_of_another_agent_is_404(world: &World) {
        let other = another(world).await;
        let mut session = LegacySession::open(&world.gateways, &world.account.token).await;
        for index in 0..world.gateways.count() {
            let gateway = world.gateways.only(index);
            let message = json!({ "jsonrpc": "2.0", "id": "theirs", "method": "tools/list" });
            let path = session.endpoint.clone();
            let stolen = gateway.post(&path, &message).bearer_auth(&other.token).reply().await;
            assert_eq!(stolen.status, 404, "{}", stolen.text);
            let unknown = gateway
                .post("/messages?sessionId=0.0", &message)
                .bearer_auth(&other.token)
                .reply()
                .await;
            assert_eq!(seen(unknown), seen(stolen));
        }
        let own = json!({ "jsonrpc": "2.0", "id": "ours", "method": "tools/list" });
        session.post(&world.gateways, &own).await.expect(202);
        assert_eq!(
            session.events.message().await["id"],
            "ours",
            "nothing of the stranger's came through"
        );
    }
}

profiles! {
    async fn names_cannot_climb_out_of_their_place(world: &World) {
        for id in ["../../etc/passwd", "a/b", "a b", "a.b", "a\u{0}b", "", &"x".repeat(65)] {
            let body = json!({ "agent_id": id, "display_name": "X" });
            let request = world
                .gateways
                .post("/api/v1/agents", &body)
                .bearer_auth(&world.account.team_token);
            assert_eq!(request.reply().await.expect(400)["code"], "INVALID_ARGUMENT", "{id:?}");
        }
        let body = json!({ "agent_id": world.account.agent, "display_name": "X" });
        let taken = world
            .gateways
            .post("/api/v1/agents", &body)
            .bearer_auth(&world.account.team_token);
        assert_eq!(taken.reply().await.expect(409)["code"], "ALREADY_EXISTS");
    }
}
