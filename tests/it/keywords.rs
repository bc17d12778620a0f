//! STOP, START and HELP: the keywords that people are entitled to.

use std::time::Duration;

use butt_dial_domain::Channel;
use butt_dial_providers::{PersonMessage, WebhookBehavior};
use serde_json::{Value, json};

use crate::support::{bodies, eventually, sms, whatsapp, with};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
const ARRIVAL: Duration = Duration::from_secs(10);
const STOPS: &[&str] = &[
    "STOP",
    "stop",
    " Stop. ",
    "STOP!!",
    "\"stop\"",
    "StopAll",
    "stop all",
    "UNSUBSCRIBE",
    "cancel",
    "End",
    "quit",
    "REVOKE",
    "opt-out",
    "OPTOUT",
    "remove",
    "ＳＴＯＰ",
    "Arrêt",
    "alto",
    "parar",
    "BAJA",
    "no más",
    "Stop 🛑",
];

/// Returns the number of a person.
fn person(number: usize) -> String {
    format!("+141655502{number:02}")
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none")];
    async fn stop_in_any_spelling_opts_out_and_start_opts_in(cluster: &Cluster) {
        let agent = cluster.rest().await;
        for (number, spelling) in STOPS.iter().enumerate() {
            cluster.texts(&person(number), spelling).await;
        }
        let events = agent.expect_events(STOPS.len()).await;
        assert!(events.iter().all(|event| event["keyword"] == "stop"), "{events:?}");
        let requests_before = cluster.carriers.requests_total("twilio");
        for (number, spelling) in STOPS.iter().enumerate() {
            let refused = agent.send(sms(&person(number), "Buy!")).await.unwrap_err();
            assert_eq!(refused["code"], "CONTACT_OPTED_OUT", "{spelling}");
            assert_eq!(refused["retryable"], false);
        }
        assert_eq!(cluster.carriers.requests_total("twilio"), requests_before, "no carrier request");
        for (number, spelling) in ["START", "unstop", "Start!"].into_iter().enumerate() {
            // The carrier's own list knows fewer words, so it is cleared.
            cluster.carriers.opt_in(&person(number));
            cluster.texts(&person(number), spelling).await;
            assert_eq!(agent.expect_events(1).await[0]["keyword"], "start", "{spelling}");
            assert_eq!(agent.send(sms(&person(number), "Hello again")).await.unwrap()["status"], "accepted");
        }
        assert_eq!(agent.send(sms(&person(3), "Buy!")).await.unwrap_err()["code"], "CONTACT_OPTED_OUT");
    }
}

profiles! {
    async fn ignores_keywords_in_sentences_and_answered_mail(cluster: &Cluster) {
        let agent = cluster.rest().await;
        for text in ["stop by at five", "I can't stop", "cancel my appointment", "Yes", "the end"] {
            cluster.texts(ANN, text).await;
        }
        let text = "Yes, please.\n\n> To unsubscribe, write STOP";
        let mut mail = PersonMessage::new(Channel::Email, "ann@example.com", &cluster.account.email, text);
        mail.subject = Some("Re: Stop".into());
        cluster.deliver_accepted(mail).await;
        let events = agent.expect_events(6).await;
        assert!(events.iter().all(|event| event.get("keyword").is_none()), "{events:?}");
        assert_eq!(agent.send(sms(ANN, "Hello")).await.unwrap()["status"], "accepted");
    }
}

profiles! {
    async fn stop_holds_for_all_channels_of_the_number(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let to = &cluster.account.phone;
        cluster.open_whatsapp_window(ANN).await;
        let in_a_minute = butt_dial_domain::Clock::System.now() + chrono::TimeDelta::seconds(60);
        let later = with(whatsapp(ANN, "Later"), json!({ "scheduledAt": in_a_minute.to_rfc3339() }));
        let later = agent.send(later).await.unwrap();
        let mut answered = PersonMessage::new(Channel::Sms, ANN, to, "Ya basta");
        answered.opt_out_type = Some("STOP".into());
        cluster.deliver_accepted(answered).await;
        agent.poll_until("Ya basta").await;
        let refused = |reply: Result<Value, Value>| assert_eq!(reply.unwrap_err()["code"], "CONTACT_OPTED_OUT");
        refused(agent.send(whatsapp(ANN, "Buy!")).await);
        refused(agent.send(sms(ANN, "Buy!")).await);
        refused(agent.call("comms_make_call", json!({ "to": ANN, "greeting": "Buy!" })).await);
        refused(agent.call("comms_send_voice_message", json!({ "to": ANN, "text": "Buy!" })).await);
        let id = later["messageId"].as_str().unwrap();
        eventually("the scheduled message is cancelled", async || {
            let status = agent.status_of(id).await.ok()?;
            (status["status"] == "failed" && status["code"] == "CONTACT_OPTED_OUT").then_some(())
        })
        .await;

        // Another channel undoes it.
        cluster.carriers.opt_in(ANN);
        cluster.deliver_accepted(PersonMessage::new(Channel::Whatsapp, ANN, to, "START")).await;
        agent.poll_until("START").await;
        agent.send(sms(ANN, "Hello again")).await.unwrap();
        agent.send(whatsapp(ANN, "Hello again")).await.unwrap();
    }
}

profiles! {
    async fn stop_holds_for_all_spellings_of_an_account(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let to = &cluster.account.phone;
        for [first, second] in [
            ["+5215512345678", "+525512345678"],
            ["+5491123456789", "+541123456789"],
            ["+551187654321", "+5511987654321"],
            ["+22507070701", "+2250707070701"],
        ] {
            for text in ["hi", "STOP"] {
                cluster.deliver_accepted(PersonMessage::new(Channel::Whatsapp, first, to, text)).await;
            }
            agent.poll_until("STOP").await;
            assert_eq!(agent.send(whatsapp(second, "Buy!")).await.unwrap_err()["code"], "CONTACT_OPTED_OUT", "{second}");
        }
    }
}

profiles! {
    async fn keyword_between_agents_has_no_effect(cluster: &Cluster) {
        let colleague = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550101").await;
        let (agent, other) = (cluster.rest().await, cluster.agent_of(&colleague, crate::support::Transport::Rest).await);
        other.send(sms(&cluster.account.phone, "STOP")).await.unwrap();
        let events = agent.expect_events(1).await;
        assert_eq!((&events[0]["body"], events[0].get("keyword")), (&json!("STOP"), None));
        agent.send(sms("+14155550101", "Why?")).await.unwrap();
    }
}

profiles! {
    with [("DEFAULT_MAX_SPEND_PER_DAY", "1")];
    async fn help_is_answered_once_and_not_at_the_agents_cost(cluster: &Cluster) {
        let agent = cluster.rest().await;
        for _ in 0..5 {
            cluster.texts(ANN, "HELP").await;
        }
        for number in 0..14 {
            cluster.texts(&format!("+371200000{number:02}"), "HELP").await;
        }
        let last = "+37120000013";
        cluster.carriers.wait_for(|message| message.to == last, ARRIVAL).await.expect("a help reply");
        agent.expect_events(19).await;
        assert_eq!(cluster.carriers.messages_to(ANN).len(), 1);
        agent.send(sms("+4917612345678", "The agent's own")).await.unwrap();
    }
}

profiles! {
    async fn answers_help_once_unless_carrier_did(cluster: &Cluster) {
        cluster.carriers.set_webhook_behavior("twilio", WebhookBehavior { copies: 3, reversed: false });
        let mut answered = PersonMessage::new(Channel::Sms, BOB, &cluster.account.phone, "HELP");
        answered.opt_out_type = Some("HELP".into());
        cluster.deliver_accepted(answered).await;
        cluster.texts(ANN, "help?").await;
        let is_help = |to: &'static str| {
            move |message: &butt_dial_providers::simulator::SimulatedMessage| {
                message.to == to && message.body.contains("Reply STOP")
            }
        };
        let answer = cluster.carriers.wait_for(is_help(ANN), ARRIVAL).await.expect("a help reply");
        assert_eq!((answer.channel, &answer.from), (Channel::Sms, &cluster.account.phone));
        cluster.deliver_accepted(PersonMessage::new(Channel::Whatsapp, ANN, &cluster.account.phone, "INFO")).await;
        let on_whatsapp = cluster.carriers.wait_for(|message| message.channel == Channel::Whatsapp, ARRIVAL).await;
        assert!(on_whatsapp.expect("a help reply").body.contains("Reply STOP"));
        cluster.texts("+14155550125", "Last").await;
        let events = cluster.rest().await.poll_until("Last").await;
        assert!(events.iter().all(|event| event["keyword"] == "help"), "{events:?}");
        assert_eq!(events.len(), 3);
        assert_eq!(cluster.carriers.messages_to(ANN).len(), 2);
        assert!(cluster.carriers.messages_to(BOB).is_empty());
    }
}

profiles! {
    async fn no_help_reply_after_stop_but_agent_gets_messages(cluster: &Cluster) {
        let agent = cluster.rest().await;
        cluster.texts(ANN, "STOP").await;
        cluster.texts(ANN, "HELP").await;
        cluster.texts(BOB, "HELP").await;
        let answered = cluster.carriers.wait_for(|message| message.to == BOB, ARRIVAL).await;
        answered.expect("a help reply without an opt-out");
        cluster.texts(ANN, "Why don't you answer?").await;
        let events = agent.expect_events(4).await;
        assert_eq!(bodies(&events), ["STOP", "HELP", "HELP", "Why don't you answer?"]);
        assert!(cluster.carriers.messages_to(ANN).is_empty());
    }
}

profiles! {
    async fn revocation_in_own_words_opts_out(cluster: &Cluster) {
        let agent = cluster.rest().await;
        for (number, text) in ["I told you people to stop calling me", "no me escriban más por favor, ya se lo dije", "I'll stop by at five"].into_iter().enumerate() {
            cluster.texts(&person(number), text).await;
        }
        let events = agent.expect_events(3).await;
        let revocation = |from: &str| {
            let event = events.iter().find(|event| event["from"] == from).unwrap();
            assert!(event["keyword"].is_null() && event["body"].is_string(), "the agent reads the text: {event}");
            event["revocation"]["certainty"].clone()
        };
        assert_eq!([0, 1, 2].map(|number| revocation(&person(number))), [json!("clear"), json!("clear"), Value::Null]);
        for number in [0, 1] {
            let refused = agent.send(sms(&person(number), "Buy!")).await.unwrap_err();
            assert_eq!(refused["code"], "CONTACT_OPTED_OUT");
        }
        agent.send(sms(&person(2), "See you at five.")).await.unwrap();
    }
}
