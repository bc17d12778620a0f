//! Revocations of consent that people speak in calls: the agent learns them with the turn, and the person is not called again.

use serde_json::{Value, json};

use crate::support::{
    Agent, Cluster, RequestExt as _, Transport, WAIT_TIMEOUT, error_code, eventually, hears, says, sms,
};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
const GREETING: &str = "It is about the flowers.";

/// Returns the ledger of a contact, once it has entries.
async fn ledger(cluster: &Cluster, contact: &str) -> Value {
    let path = format!("/api/v1/consents?contact={}", contact.replace('+', "%2B"));
    eventually("the ledger has an entry", async || {
        let request = cluster.gateways.get(&path).bearer_auth(&cluster.account.team_token);
        let entries = request.reply().await.expect(200)["entries"].clone();
        (entries != json!([])).then_some(entries)
    })
    .await
}

async fn expect_opted_out(cluster: &Cluster, agent: &Agent, contact: &str, call: &str) {
    let entries = ledger(cluster, contact).await;
    let entry = &entries[0];
    assert_eq!(
        (&entry["method"], &entry["status"], entries.as_array().unwrap().len()),
        (&json!("spoken"), &json!("revoked"), 1),
        "{entries}"
    );
    assert_eq!(entry["evidence"]["callId"], call, "{entry}");
    assert!(entry["words"].is_null(), "{entry}");
    let again = json!({ "to": contact, "greeting": GREETING });
    let refused = agent.call("comms_make_call", again).await.unwrap_err();
    assert_eq!(error_code(&refused), "CONTACT_OPTED_OUT", "{refused}");
    let refused = agent.send(sms(contact, "Hi")).await.unwrap_err();
    assert_eq!(error_code(&refused), "CONTACT_OPTED_OUT", "{refused}");
}

profiles! {
    async fn spoken_revocation_ends_calls_and_texts(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let created = agent.call("comms_make_call", json!({ "to": BOB, "greeting": GREETING })).await.unwrap();
        let id = created["callId"].as_str().unwrap();
        let (turn, call) = tokio::join!(agent.attend(id), async {
            let call = cluster.expect_greeted_call(BOB, GREETING).await;
            says(&call, "Please stop calling me.").await;
            call
        });
        assert_eq!(turn["revocation"], json!({ "certainty": "clear", "wrongNumber": false }), "{turn}");
        let reply = json!({ "callId": id, "turnId": turn["turnId"], "text": "Understood. Goodbye.", "end": true, "waitMs": 0 });
        agent.call("comms_call_reply", reply).await.unwrap();
        hears(&call, "Goodbye.").await;
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        expect_opted_out(cluster, &agent, BOB, id).await;
        let ended = eventually("the event of the end", async || {
            let events = agent.poll_messages().await;
            events.into_iter().find(|event| event["type"] == "call.ended")
        })
        .await;
        assert_eq!((&ended["callId"], &ended["revocation"]["certainty"]), (&json!(id), &json!("clear")), "{ended}");
    }
}

profiles! {
    async fn words_before_hanging_up_revoke_consent(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let (turn, call) = tokio::join!(agent.attend_any(), async {
            cluster.wait_until_agent_attends().await;
            let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
            hears(&call, "I'm an AI assistant.").await;
            says(&call, "Stop.").await;
            call
        });
        let id = turn["callId"].as_str().unwrap();
        // One word can be meant for the speech.
        assert_eq!(turn["revocation"]["certainty"], "likely", "{turn}");
        let reply = json!({ "callId": id, "turnId": turn["turnId"], "text": "Yes?", "waitMs": 9_000 });
        let (turn, ()) = tokio::join!(agent.call("comms_call_reply", reply), async {
            hears(&call, "Yes?").await;
            says(&call, "Take me off your list and don't call me again.").await;
        });
        assert!(turn.is_ok(), "{turn:?}");
        // The agent does not answer.
        call.hang_up().await;
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        expect_opted_out(cluster, &agent, ANN, id).await;
    }
}

profiles! {
    async fn ordinary_words_of_a_call_revoke_nothing(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let created = agent.call("comms_make_call", json!({ "to": BOB, "greeting": GREETING })).await.unwrap();
        let id = created["callId"].as_str().unwrap();
        let (turn, call) = tokio::join!(agent.attend(id), async {
            let call = cluster.expect_greeted_call(BOB, GREETING).await;
            says(&call, "Can you call me again tomorrow?").await;
            call
        });
        assert!(turn["revocation"].is_null(), "{turn}");
        call.hang_up().await;
        agent.wait_for_call_end(id).await;
        agent.send(sms(BOB, "Until tomorrow.")).await.unwrap();
    }
}
