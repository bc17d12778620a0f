//! A carrier took a message, and tells later that it has failed: the next channel is tried, once, and nothing that goes
//! nowhere is sent again.

use std::time::Duration;

use butt_dial_domain::Channel;
use serde_json::{Value, json};

use crate::support::{Dice, Fleet, Service, Stage, Webhook, sms, whatsapp, with};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
const ARRIVAL: Duration = Duration::from_secs(10);

/// A dispatcher that was killed over a message keeps its right to send it for two minutes.
const UNTIL_TAKEN_OVER: Duration = Duration::from_secs(140);

async fn tells(world: &Stage, receipt: &Value, status: &str, code: &str) {
    let (message, carrier_id) = (&receipt["messageId"], &receipt["providerMessageId"]);
    let told = Webhook::status_with_code(world, message, carrier_id, (status, code));
    assert_eq!(told.post(world).await.status, 200, "{status} {code}");
}

profiles! {
    async fn what_a_carrier_fails_later_goes_out_on_the_next_channel_once(world: &World) {
        let agent = world.rest().await;
        for (number, code) in ["63016", "30003", "30006", "30999"].into_iter().enumerate() {
            let person = format!("+1415555012{number}");
            world.person_writes(&person).await;
            let message = with(
                whatsapp(&person, "Are you there?"),
                json!({ "fallbackChannels": ["email", "sms"], "idempotencyKey": code }),
            );
            let first = agent.send(message.clone()).await.unwrap();
            assert_eq!((&first["status"], &first["channel"]), (&json!("accepted"), &json!("whatsapp")));
            // Told again and again, in both words.
            for status in ["sent", "undelivered", "undelivered", "failed", "undelivered"] {
                tells(world, &first, status, code).await;
            }
            let second = world.carriers.wait_for(
                |message| message.to == person && message.channel == Channel::Sms,
                ARRIVAL,
            ).await;
            assert_eq!(second.expect("the next channel is tried").body, "Are you there?");
            let events = agent.take(3).await;
            let statuses: Vec<_> = events.iter().map(|event| event["status"].as_str().unwrap()).collect();
            assert_eq!(statuses, ["sent", "failed", "accepted"], "{events:?}");
            assert_eq!((&events[1]["messageId"], &events[1]["providerCode"]), (&first["messageId"], &json!(code)));
            assert_eq!(events[1]["fallingBackTo"], "sms");
            assert_eq!(events[1]["fallbackMessageId"], events[2]["messageId"]);
            // The same request again is answered with where it went in the end.
            let again = agent.send(message).await.unwrap();
            assert_eq!((&again["channel"], &again["replayed"]), (&json!("sms"), &json!(true)), "{again}");
            assert_eq!(again["messageId"], events[2]["messageId"]);
            assert_eq!(world.carriers.messages_to(&person).len(), 2);
        }
        world.texts(BOB, "Last").await;
        assert!(agent.take_until("Last").await.is_empty());
    }
}

profiles! {
    async fn what_was_delivered_or_had_one_channel_only_goes_nowhere_else(world: &World) {
        let agent = world.rest().await;
        world.person_writes(ANN).await;
        let delivered = with(whatsapp(ANN, "One"), json!({ "fallbackChannels": ["sms"] }));
        let delivered = agent.send(delivered).await.unwrap();
        tells(world, &delivered, "delivered", "").await;
        tells(world, &delivered, "undelivered", "30003").await;
        let alone = agent.send(whatsapp(ANN, "Two")).await.unwrap();
        tells(world, &alone, "undelivered", "30003").await;
        world.texts(BOB, "Last").await;
        let events = agent.take_until("Last").await;
        assert_eq!(events.len(), 2, "{events:?}");
        assert_eq!((&events[1]["status"], &events[1]["code"]), (&json!("failed"), &json!("PROVIDER_RATE_LIMITED")));
        assert!(events[1].get("fallingBackTo").is_none(), "{}", events[1]);
        let remedy = events[1]["remediation"].as_str().unwrap();
        assert!(remedy.contains("new idempotencyKey") && !remedy.contains("same"), "{remedy}");
        assert_eq!(world.carriers.accepted_total("twilio"), 2);
    }
}

profiles! {
    async fn an_address_that_a_receipt_calls_unreachable_is_not_sent_to_again(world: &World) {
        let agent = world.rest().await;
        let receipt = agent.send(sms(ANN, "Hello?")).await.unwrap();
        tells(world, &receipt, "undelivered", "30005").await;
        let event = &agent.take(1).await[0];
        assert_eq!((&event["status"], &event["code"]), (&json!("failed"), &json!("INVALID_RECIPIENT")));
        let asked = world.carriers.requests_total("twilio");
        let refused = agent.send(sms(ANN, "Hello again?")).await.unwrap_err();
        assert_eq!((&refused["code"], &refused["rule"]), (&json!("INVALID_RECIPIENT"), &json!("do-not-contact")));
        assert_eq!(world.carriers.requests_total("twilio"), asked, "no carrier was even asked");
        // It was nobody's wish: another channel may do, and another person.
        world.person_writes(ANN).await;
        let other = agent.send(with(sms(ANN, "On WhatsApp"), json!({ "fallbackChannels": ["whatsapp"] }))).await.unwrap();
        assert_eq!(other["channel"], "whatsapp");
        agent.send(sms(BOB, "Hello")).await.unwrap();
        world.texts(ANN, "START").await;
        agent.take_until("START").await;
        assert_eq!(agent.send(sms(ANN, "Welcome back")).await.unwrap()["status"], "accepted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_leaves_once_although_dispatchers_are_killed_chaos_servers() {
    let mut dice = Dice::new();
    let unlimited = [
        ("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"),
        ("DEFAULT_MAX_ACTIONS_PER_HOUR", "none"),
    ];
    let mut fleet = Fleet::replicas(&unlimited).await;
    let stage = fleet.stage();
    let agent = stage.rest().await;
    let mut sent = Vec::new();
    for number in 0..12 {
        let person = format!("+141655502{number:02}");
        stage.person_writes(&person).await;
        let message = with(
            whatsapp(&person, "Are you there?"),
            json!({ "fallbackChannels": ["sms"] }),
        );
        sent.push((person, agent.send(message).await.unwrap()));
    }
    let asking: Vec<String> = (0..sent.len()).map(|number| format!("+141655503{number:02}")).collect();
    let doomed = [dice.below(6), 6 + dice.below(6)];
    for (number, ((_, receipt), asking)) in sent.iter().zip(&asking).enumerate() {
        stage.texts(asking, "HELP").await;
        tells(&stage, receipt, "undelivered", "63016").await;
        if doomed.contains(&number) {
            println!("after {number} failures: kill -9 of a dispatcher");
            fleet.kill_one(Service::Dispatcher, dice.below(2)).await;
            fleet.start(Service::Dispatcher).await;
        }
        tells(&stage, receipt, "failed", "63016").await;
    }
    let sms_to = |person: &str| {
        let to = stage.carriers.messages_to(person);
        to.into_iter().filter(|message| message.channel == Channel::Sms).count()
    };
    let everybody: Vec<&String> = sent.iter().map(|(person, _)| person).chain(&asking).collect();
    for person in &everybody {
        let arrived = stage
            .carriers
            .wait_for(
                |message| &&message.to == person && message.channel == Channel::Sms,
                UNTIL_TAKEN_OVER,
            )
            .await;
        assert!(arrived.is_some(), "nothing follows for {person}");
    }
    // Everything has been read and sent by now; whatever comes again has come.
    stage.texts(BOB, "Last").await;
    agent.take_until("Last").await;
    for person in everybody {
        assert_eq!(sms_to(person), 1, "{person}");
    }
}
