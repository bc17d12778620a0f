//! Sessions: messages with a contact belong to the open session, on whatever channel.

use serde_json::{Value, json};

use crate::support::{Account, Transport, email, sms, with};

const ANN: &str = "+14155550123";
const MAIL: &str = "ann@example.com";

profiles! {
    async fn session_follows_contact_over_channels(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let call = async |tool, arguments: Value| agent.call(tool, arguments).await.expect(tool);
        let participants = json!([{ "id": "+1 415-555-0123", "type": "human", "name": "Ann" }, { "id": MAIL, "type": "human" }]);
        let created = call("comms_create_session", json!({ "participants": participants, "channel": "sms", "context": "table" })).await;
        let id = created["sessionId"].as_str().unwrap().to_owned();
        assert_eq!((&created["status"], &created["threadId"]), (&json!("active"), &json!(id)));
        assert_eq!(created["participants"][0]["id"], ANN);

        let first = agent.send(sms(ANN, "Hello Ann")).await.unwrap();
        assert_eq!((&first["sessionId"], &first["threadId"]), (&json!(id), &json!(id)));
        let second = agent.send(email(MAIL, "Hello by mail")).await.unwrap();
        assert_eq!(second["sessionId"], json!(id));
        let own_thread = agent.send(with(sms(ANN, "Other topic"), json!({ "threadId": "t-1" }))).await.unwrap();
        assert!(own_thread.get("sessionId").is_none());
        let stranger = agent.send(sms("+14155550124", "Hello Bob")).await.unwrap();
        assert!(stranger.get("threadId").is_none());

        cluster.texts(ANN, "Hello back").await;
        let event = agent.expect_events(1).await.remove(0);
        assert_eq!((&event["sessionId"], &event["threadId"]), (&json!(id), &json!(id)));
        assert_eq!(event["session"]["participants"][0]["name"], "Ann");
        assert_eq!(event["session"]["history"].as_array().unwrap().len(), 2);

        let read = call("comms_get_session", json!({ "sessionId": id, "historyLimit": 20 })).await;
        let shown = |field: &str| -> Vec<Value> {
            let history = read["history"].as_array().unwrap();
            history.iter().map(|entry| entry[field].clone()).collect()
        };
        assert_eq!(shown("direction"), ["outbound", "outbound", "inbound"]);
        assert_eq!(shown("channel"), ["sms", "email", "sms"]);
        assert_eq!((&read["context"], &read["channel"]), (&json!("table"), &json!("sms")));
        let limited = call("comms_get_session", json!({ "sessionId": id, "historyLimit": 1 })).await;
        assert_eq!(limited["history"].as_array().unwrap().len(), 1);

        let listed = call("comms_list_sessions", json!({ "status": "active", "limit": 50 })).await;
        assert_eq!((&listed["count"], &listed["sessions"][0]["sessionId"]), (&json!(1), &json!(id)));
        let preview = call("comms_close_session", json!({ "sessionId": id, "confirm": false })).await;
        assert_eq!((&preview["preview"], &preview["wouldClose"]), (&json!(true), &json!(true)));
        let closed = call("comms_close_session", json!({ "sessionId": id, "confirm": true, "summary": "done" })).await;
        assert_eq!(closed["closed"], true);
        let after = agent.send(sms(ANN, "A new topic")).await.unwrap();
        assert!(after.get("sessionId").is_none());
        let read = call("comms_get_session", json!({ "sessionId": id })).await;
        assert_eq!((&read["status"], &read["summary"]), (&json!("closed"), &json!("done")));
    }
}

profiles! {
    async fn sessions_of_others_do_not_exist(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        let foreign = cluster.agent_of(&other, Transport::StreamableHttp).await;
        let participants = json!([{ "id": ANN, "type": "human" }]);
        let created = foreign.call("comms_create_session", json!({ "participants": participants })).await.unwrap();
        let id = &created["sessionId"];
        let unknown = json!("ses_0");
        for tool in ["comms_get_session", "comms_close_session"] {
            let read = async |id: &Value| agent.call(tool, json!({ "sessionId": id, "confirm": true })).await.unwrap_err();
            assert_eq!(read(id).await, read(&unknown).await, "{tool}");
            assert_eq!(read(id).await["code"], "NOT_FOUND");
        }
        assert!(agent.send(sms(ANN, "Hi")).await.unwrap().get("sessionId").is_none());
        let foreign_agent = json!([{ "id": other.agent, "type": "agent" }]);
        let refused = agent.call("comms_create_session", json!({ "participants": foreign_agent })).await.unwrap_err();
        assert_eq!(refused["code"], "AGENT_NOT_FOUND");
        for invalid in [json!([]), json!([{ "id": ANN, "type": "robot" }])] {
            let refused = agent.call("comms_create_session", json!({ "participants": invalid })).await.unwrap_err();
            assert_eq!(refused["code"], "INVALID_ARGUMENT");
        }
    }
}
