//! Texts that are too long for one message: refused, or sent in parts as the caller says.

use serde_json::{Value, json};

use crate::{
    limits::set_limits,
    support::{Agent, TestContext, error_code, sms, with},
};

const ANN: &str = "+14155550123";

/// A text of this many sentences of forty characters.
fn sentences(count: usize) -> String {
    let sentence = |index| format!("This is sentence number {index:04} of the text. ");
    (0..count).map(sentence).collect::<String>().trim_end().to_owned()
}

fn split(text: &str, key: &str) -> Value {
    with(sms(ANN, text), json!({ "ifTooLong": "split", "idempotencyKey": key }))
}

fn bodies(cluster: &TestContext) -> Vec<String> {
    let messages = cluster.carriers.messages_to(ANN);
    messages.into_iter().map(|message| message.body).collect()
}

async fn status_of(agent: &Agent, receipt: &Value) -> Value {
    let arguments = json!({ "externalId": receipt["messageId"] });
    agent.call("comms_get_message_status", arguments).await.unwrap()
}

profiles! {
    async fn long_text_is_sent_in_parts_in_order(cluster: &Cluster) {
        let agent = cluster.rest().await;
        agent.send(sms(ANN, "Hello")).await.unwrap();
        let text = sentences(80);
        let refused = agent.send(sms(ANN, &text)).await.unwrap_err();
        assert_eq!((error_code(&refused), &refused["maxLength"]), ("INVALID_CONTENT", &json!(1_600)));
        let short = agent.send(split("See you", "short")).await.unwrap();
        assert!(short.get("parts").is_none(), "{short}");
        let receipt = agent.send(split(&text, "long")).await.unwrap();
        let parts = receipt["parts"].as_array().unwrap();
        assert_eq!(parts[0]["messageId"], receipt["messageId"]);
        assert!(parts.iter().all(|part| part["status"] == "accepted"), "{receipt}");
        let sent = bodies(cluster);
        assert_eq!(sent.len(), 2 + parts.len());
        assert!(sent[2..].iter().all(|part| part.len() <= 1_600 && part.ends_with('.')), "{sent:?}");
        assert_eq!(sent[2..].join(" "), text);
        // Each part costs, and the status of the first one shows all.
        let segments = receipt["segments"].as_i64().unwrap();
        assert!(segments >= 23, "{receipt}");
        let status = status_of(&agent, &receipt).await;
        let shown = |part: &Value| part["messageId"].clone();
        let of_status: Vec<Value> = status["parts"].as_array().unwrap().iter().map(shown).collect();
        assert_eq!(of_status, parts.iter().map(shown).collect::<Vec<_>>());
        assert!(status_of(&agent, &short).await.get("parts").is_none());
        // One key covers all parts.
        let again = agent.send(split(&text, "long")).await.unwrap();
        assert_eq!((&again["replayed"], &again["parts"]), (&json!(true), &receipt["parts"]));
        assert_eq!(bodies(cluster).len(), sent.len());
    }
}

profiles! {
    async fn failing_part_says_which_were_sent(cluster: &Cluster) {
        let agent = cluster.rest().await;
        set_limits(cluster, &cluster.account, false, json!({ "maxActionsPerMinute": 2 })).await;
        let text = sentences(150);
        let failed = agent.send(split(&text, "long")).await.unwrap_err();
        assert_eq!((error_code(&failed), &failed["failedPart"]), ("RATE_LIMITED", &json!(3)), "{failed}");
        assert_eq!(failed["sentParts"].as_array().unwrap().len(), 2);
        assert_eq!(bodies(cluster).len(), 2);
        // A repeat sends the others only.
        set_limits(cluster, &cluster.account, false, json!({ "maxActionsPerMinute": null })).await;
        let receipt = agent.send(split(&text, "long")).await.unwrap();
        let sent = bodies(cluster);
        assert_eq!(receipt["parts"].as_array().unwrap().len(), sent.len());
        assert_eq!(receipt["messageId"], failed["sentParts"][0]);
        assert!(sent[0].starts_with("This is sentence number 0000"), "{}", sent[0]);
        let words = sent.join(" ");
        let found: Vec<&str> = words.split_whitespace().filter(|word| word.parse::<u32>().is_ok()).collect();
        let expected: Vec<String> = (0..150).map(|index| format!("{index:04}")).collect();
        assert_eq!(found, expected);
    }
}

profiles! {
    async fn text_of_more_than_ten_parts_is_refused(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let refused = agent.send(split(&sentences(380), "a")).await.unwrap_err();
        assert_eq!(error_code(&refused), "INVALID_CONTENT", "{refused}");
        let wrong = with(sms(ANN, "Hi"), json!({ "ifTooLong": "cut" }));
        assert_eq!(error_code(&agent.send(wrong).await.unwrap_err()), "INVALID_ARGUMENT");
        assert!(bodies(cluster).is_empty());
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"), ("DEFAULT_MAX_ACTIONS_PER_HOUR", "none"), ("DEFAULT_MAX_SPEND_PER_DAY", "none")];
    async fn preflight_equals_send_for_each_length(cluster: &Cluster) {
        let colleague = cluster.account.add_named(&cluster.store, &cluster.gateways, "helper-1", "+14155550191").await;
        let agent = cluster.rest().await;
        let mut split_somewhere = false;
        for (place, to) in [ANN, "+14155550124", colleague.phone.as_str(), "+4917600000001"].into_iter().enumerate() {
            for (index, count) in [1, 40, 41, 80, 380].into_iter().enumerate() {
                for (if_too_long, purpose) in [("refuse", "conversational_reply"), ("split", "conversational_reply"), ("split", "marketing")] {
                    let key = format!("k-{place}-{index}-{if_too_long}-{purpose}");
                    let message = json!({
                        "to": to, "channel": "sms", "body": sentences(count), "ifTooLong": if_too_long, "purpose": purpose,
                        "idempotencyKey": key,
                    });
                    let checked = agent.call("comms_preflight", message.clone()).await;
                    let repeated = message.clone();
                    let sent = agent.send(message).await;
                    let case = format!("{key}: {checked:?} {sent:?}");
                    match (checked, sent) {
                        (Ok(checked), Ok(sent)) => {
                            assert_eq!(checked["allowed"], true, "{case}");
                            let parts = sent["parts"].as_array().map_or(1, Vec::len);
                            assert_eq!(checked["messages"].as_u64().unwrap_or(1), parts as u64, "{case}");
                            split_somewhere |= parts > 1;
                            let again = agent.call("comms_preflight", repeated).await.unwrap();
                            assert_eq!(again["duplicateOf"], sent["messageId"], "{case}: {again}");
                        }
                        (Ok(checked), Err(refused)) => {
                            assert_eq!(checked["allowed"], false, "{case}");
                            assert_eq!(checked["findings"][0]["rule"], refused["rule"], "{case}");
                        }
                        (Err(checked), Err(refused)) => assert_eq!(checked["code"], refused["code"], "{case}"),
                        (Err(_), Ok(_)) => panic!("{case}"),
                    }
                }
            }
        }
        assert!(split_somewhere);
    }
}

profiles! {
    async fn text_to_a_colleague_has_the_limit_of_its_channel(cluster: &Cluster) {
        let colleague = cluster.account.add_named(&cluster.store, &cluster.gateways, "helper-1", "+14155550191").await;
        let agent = cluster.agent(crate::support::Transport::Sse).await;
        let other = cluster.agent_of(&colleague, crate::support::Transport::Rest).await;
        // A carrier takes 1,600 characters on WhatsApp, and is not involved.
        let text = sentences(90);
        let message = json!({ "to": "helper-1", "channel": "whatsapp", "body": text, "idempotencyKey": "a" });
        let checked = agent.call("comms_preflight", message.clone()).await.unwrap();
        assert_eq!((&checked["allowed"], &checked["estimatedCost"]), (&json!(true), &json!(0.0)), "{checked}");
        agent.send(message).await.unwrap();
        let mail = json!({ "to": "helper-1", "channel": "email", "body": sentences(500), "idempotencyKey": "b" });
        agent.send(mail).await.unwrap();
        let long = json!({ "toAgent": "helper-1", "body": sentences(100) });
        agent.call("comms_message_agent", long).await.unwrap();
        let events = other.expect_events(3).await;
        let lengths: Vec<usize> = crate::support::bodies(&events).iter().map(|body| body.len()).collect();
        assert_eq!(lengths, [sentences(90), sentences(500), sentences(100)].map(|text| text.len()));
        let beyond = json!({ "to": "helper-1", "channel": "email", "body": "x".repeat(100_001), "idempotencyKey": "c" });
        for refused in [agent.call("comms_preflight", beyond.clone()).await.unwrap_err(), agent.send(beyond).await.unwrap_err()] {
            assert_eq!((error_code(&refused), &refused["maxLength"]), ("INVALID_CONTENT", &json!(100_000)), "{refused}");
        }
    }
}
