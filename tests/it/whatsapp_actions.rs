//! Actions on WhatsApp: performed where the carrier has them, refused with its name where not.

use butt_dial_domain::{Channel, Clock};
use butt_dial_providers::PersonMessage;
use serde_json::{Value, json};

use crate::support::{Account, Agent, Cluster, Transport, Webhook};

const ANN: &str = "+14155550123";
const CARD: &str = "BEGIN:VCARD\nVERSION:3.0\nFN:Bob Lee\nTEL:+14155550124\nEND:VCARD";

async fn act(agent: &Agent, arguments: Value) -> Result<Value, Value> {
    agent.call("comms_whatsapp_action", arguments).await
}

/// Arguments of actions that neither carrier has.
fn unsupported_everywhere() -> Vec<Value> {
    vec![
        json!({ "action": "edit", "messageId": "msg_1", "body": "x" }),
        json!({ "action": "delete", "messageId": "msg_1" }),
        json!({ "action": "forward", "messageId": "msg_1", "to": ANN }),
        json!({ "action": "send_poll", "to": ANN, "title": "When?", "options": ["Now", "Later"] }),
        json!({ "action": "post_status", "body": "Open" }),
        json!({ "action": "set_chat_ttl", "chatId": ANN, "ttlSeconds": 86400 }),
        json!({ "action": "send_view_once", "to": ANN, "mediaUrl": "https://x.example.com/a.jpg" }),
    ]
}

async fn expect_unsupported(agent: &Agent, provider: &str, arguments: Value) {
    let refused = act(agent, arguments.clone()).await.expect_err(&arguments.to_string());
    assert_eq!(
        (
            &refused["code"],
            &refused["provider"],
            &refused["action"],
            &refused["channel"]
        ),
        (
            &json!("PROVIDER_UNSUPPORTED"),
            &json!(provider),
            &arguments["action"],
            &json!("whatsapp")
        ),
    );
}

profiles! {
    async fn twilio_has_typing_buttons_and_places(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let unread = act(&agent, json!({ "action": "typing", "to": ANN })).await.unwrap_err();
        assert_eq!(unread["code"], "MESSAGE_NOT_FOUND");
        cluster.deliver_accepted(PersonMessage::new(Channel::Whatsapp, ANN, &cluster.account.phone, "Hello")).await;
        let event = agent.expect_events(1).await.remove(0);
        act(&agent, json!({ "action": "typing", "to": ANN })).await.unwrap();
        act(&agent, json!({ "action": "typing", "messageId": event["messageId"] })).await.unwrap();
        act(&agent, json!({ "action": "mark_read", "messageId": event["messageId"] })).await.unwrap();
        let actions = cluster.carriers.chat_actions();
        assert_eq!(actions.len(), 3);
        assert!(actions.iter().all(|action| json!(action.message) == event["providerMessageId"]));

        let buttons = json!({ "action": "send_buttons", "to": ANN, "body": "Coming?", "idempotencyKey": "b-1",
            "buttons": [{ "id": "y", "label": "Yes" }, { "id": "n", "label": "No" }] });
        let sent = act(&agent, buttons.clone()).await.unwrap();
        assert_eq!(cluster.expect_arrival(&sent).await.body, "Coming? [Yes] [No]");
        // The same key: nothing is sent again.
        assert_eq!(act(&agent, buttons).await.unwrap()["messageId"], sent["messageId"]);
        let place = json!({ "action": "send_location", "to": ANN, "lat": 52.5, "lng": 13.4, "name": "Office" });
        let sent = act(&agent, place).await.unwrap();
        assert_eq!(cluster.expect_arrival(&sent).await.body, "[geo:52.5,13.4|Office] Office");

        for arguments in unsupported_everywhere().into_iter().chain([
            json!({ "action": "react", "messageId": event["messageId"], "emoji": "👍" }),
            json!({ "action": "send_contact", "to": ANN, "vcard": CARD }),
        ]) {
            expect_unsupported(&agent, "twilio", arguments).await;
        }
        let members = agent.call("comms_get_group_members", json!({ "groupId": "120363025555550000@g.us" })).await;
        assert_eq!(members.unwrap_err()["code"], "PROVIDER_UNSUPPORTED");
    }
}

profiles! {
    async fn rich_messages_pass_rules_of_all_messages(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let buttons = |to: &str, labels: &[&str]| {
            let buttons: Vec<Value> = labels.iter().map(|label| json!({ "id": label, "label": label })).collect();
            json!({ "action": "send_buttons", "to": to, "body": "Coming?", "buttons": buttons })
        };
        for (arguments, code) in [
            (buttons("+4917612345678", &["Yes"]), "WHATSAPP_WINDOW_CLOSED"),
            (buttons(ANN, &[]), "INVALID_CONTENT"),
            (buttons(ANN, &["a", "b", "c", "d"]), "INVALID_CONTENT"),
            (buttons(ANN, &["a label that is longer than twenty"]), "INVALID_CONTENT"),
            (buttons("12", &["Yes"]), "INVALID_RECIPIENT"),
            (json!({ "action": "send_location", "to": ANN, "lat": 91, "lng": 0 }), "INVALID_CONTENT"),
            (json!({ "action": "send_location", "to": ANN, "lat": 1 }), "MISSING_FIELDS"),
            (json!({ "action": "react", "messageId": "x" }), "MISSING_FIELDS"),
            (json!({ "action": "dance" }), "INVALID_ARGUMENT"),
        ] {
            let refused = act(&agent, arguments.clone()).await.expect_err(&arguments.to_string());
            assert_eq!(refused["code"], code, "{arguments}");
        }
        let org = &cluster.account.org;
        let stop = cluster.store.record_consent(org, Channel::Sms, ANN, false, "keyword", Clock::System.now());
        stop.await.unwrap();
        assert_eq!(act(&agent, buttons(ANN, &["Yes"])).await.unwrap_err()["code"], "CONTACT_OPTED_OUT");
    }
}

async fn receive(cluster: &Cluster, id: &str, group: Option<&str>) {
    let message = json!({ "id": id, "timestamp": Clock::System.now().timestamp().to_string(), "type": "text",
        "text": { "body": "Hello" }, "from": "14155550123", "group_id": group });
    let delivered = Webhook::meta(cluster, "messages", json!({ "messages": [message] }));
    assert_eq!(delivered.post(cluster).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meta_has_reactions_read_marks_and_cards() {
    let cluster = Cluster::embedded_with(&["meta"], &[]).await;
    let agent = cluster.agent(Transport::StreamableHttp).await;
    receive(&cluster, "wamid.1", None).await;
    let event = agent.expect_events(1).await.remove(0);
    let id = &event["messageId"];
    for action in ["mark_read", "typing"] {
        act(&agent, json!({ "action": action, "messageId": id })).await.unwrap();
    }
    let actions = cluster.carriers.chat_actions();
    let actions: Vec<_> = actions
        .iter()
        .map(|action| (action.action, action.message.as_str()))
        .collect();
    assert_eq!(actions, [("mark_read", "wamid.1"), ("typing", "wamid.1")]);
    let shown = || cluster.carriers.messages().last().map(|message| message.body.clone());
    act(&agent, json!({ "action": "react", "messageId": id, "emoji": "👍" }))
        .await
        .unwrap();
    assert_eq!(shown().as_deref(), Some("[wamid.1] 👍"));
    act(&agent, json!({ "action": "send_contact", "to": ANN, "vcard": CARD }))
        .await
        .unwrap();
    assert_eq!(shown().as_deref(), Some("[Bob Lee] +14155550124"));
    act(
        &agent,
        json!({ "action": "send_location", "to": ANN, "lat": 1.5, "lng": -2 }),
    )
    .await
    .unwrap();
    assert_eq!(shown().as_deref(), Some("[1.5,-2]"));
    let buttons = json!([{ "label": "Yes" }]);
    let sent = act(
        &agent,
        json!({ "action": "send_buttons", "to": ANN, "body": "Coming?", "buttons": buttons }),
    )
    .await;
    assert_eq!(shown().as_deref(), Some("Coming? [Yes]"));
    // A message that was sent can be reacted to, and not be marked as read.
    let own = &sent.unwrap()["messageId"];
    act(&agent, json!({ "action": "react", "messageId": own, "emoji": "" }))
        .await
        .unwrap();
    let refused = act(&agent, json!({ "action": "mark_read", "messageId": own }))
        .await
        .unwrap_err();
    assert_eq!(refused["code"], "INVALID_ARGUMENT");
    for arguments in unsupported_everywhere() {
        expect_unsupported(&agent, "meta", arguments).await;
    }
    // Messages of other agents are unknown.
    let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
    let other = cluster.agent_of(&other, Transport::StreamableHttp).await;
    for id in [id, own, &json!("evt_0")] {
        let refused = act(&other, json!({ "action": "react", "messageId": id, "emoji": "👍" }))
            .await
            .unwrap_err();
        assert_eq!(refused["code"], "MESSAGE_NOT_FOUND");
    }
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_listed_for_groups_that_wrote() {
    let cluster = Cluster::embedded_with(&["meta"], &[]).await;
    let agent = cluster.agent(Transport::StreamableHttp).await;
    let group = "Y2FwaV9ncm91cDox";
    let list = async |id: &str| agent.call("comms_get_group_members", json!({ "groupId": id })).await;
    assert_eq!(list(group).await.unwrap_err()["code"], "NOT_FOUND");
    receive(&cluster, "wamid.1", Some(group)).await;
    agent.expect_events(1).await;
    let found = list(group).await.unwrap();
    assert_eq!(
        (&found["count"], &found["members"][0]["contact"]),
        (&json!(2), &json!(ANN))
    );
    assert_eq!(list("+14155550123").await.unwrap_err()["code"], "NOT_FOUND");
    cluster.shut_down().await;
}
