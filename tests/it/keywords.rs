//! STOP, START and HELP: words that people have a right to, whatever the agent is doing.

use std::time::Duration;

use butt_dial_domain::Channel;
use butt_dial_providers::{Manner, PersonWrites};

use crate::support::{bodies, sms, whatsapp};

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

/// A number for each person of a crowd.
fn person(number: usize) -> String {
    format!("+141655502{number:02}")
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none")];
    async fn stop_in_any_spelling_stops_and_start_starts_again(world: &World) {
        let agent = world.rest().await;
        for (number, spelling) in STOPS.iter().enumerate() {
            world.texts(&person(number), spelling).await;
        }
        let events = agent.take(STOPS.len()).await;
        assert!(events.iter().all(|event| event["keyword"] == "stop"), "{events:?}");
        let asked = world.carriers.requests_total("twilio");
        for (number, spelling) in STOPS.iter().enumerate() {
            let refused = agent.send(sms(&person(number), "Buy!")).await.unwrap_err();
            assert_eq!(refused["code"], "CONTACT_OPTED_OUT", "{spelling}");
            assert_eq!(refused["retryable"], false);
        }
        assert_eq!(world.carriers.requests_total("twilio"), asked, "no carrier was even asked");
        for (number, spelling) in ["START", "unstop", "Start!"].into_iter().enumerate() {
            // Whatever the carrier's own list says, which knows fewer words.
            world.carriers.opt_in(&person(number));
            world.texts(&person(number), spelling).await;
            assert_eq!(agent.take(1).await[0]["keyword"], "start", "{spelling}");
            assert_eq!(agent.send(sms(&person(number), "Hello again")).await.unwrap()["status"], "accepted");
        }
        assert_eq!(agent.send(sms(&person(3), "Buy!")).await.unwrap_err()["code"], "CONTACT_OPTED_OUT");
    }
}

profiles! {
    async fn words_in_a_sentence_and_subjects_of_mails_stop_nothing(world: &World) {
        let agent = world.rest().await;
        for text in ["stop by at five", "I can't stop", "cancel my appointment", "Yes", "the end"] {
            world.texts(ANN, text).await;
        }
        let mut mail = PersonWrites::new(Channel::Email, "ann@example.com", &world.account.email, "STOP");
        mail.subject = Some("Stop".into());
        world.taken_in(mail).await;
        let events = agent.take(6).await;
        assert!(events.iter().all(|event| event.get("keyword").is_none()), "{events:?}");
        assert_eq!(agent.send(sms(ANN, "Hello")).await.unwrap()["status"], "accepted");
    }
}

profiles! {
    async fn stop_holds_on_the_channel_it_was_said_on_also_where_the_carrier_has_answered(world: &World) {
        let agent = world.rest().await;
        let to = &world.account.phone;
        world.taken_in(PersonWrites::new(Channel::Whatsapp, ANN, to, "Stop")).await;
        let mut answered = PersonWrites::new(Channel::Sms, BOB, to, "Ya basta");
        answered.opt_out_type = Some("STOP".into());
        world.taken_in(answered).await;
        assert_eq!(bodies(&agent.take(2).await), ["Stop", "Ya basta"]);
        assert_eq!(agent.send(whatsapp(ANN, "Buy!")).await.unwrap_err()["code"], "CONTACT_OPTED_OUT");
        assert_eq!(agent.send(sms(BOB, "Buy!")).await.unwrap_err()["code"], "CONTACT_OPTED_OUT");
        assert_eq!(agent.send(sms(ANN, "By SMS")).await.unwrap()["status"], "accepted");
    }
}

profiles! {
    async fn help_is_answered_once_and_not_where_the_carrier_did(world: &World) {
        world.carriers.set_manner("twilio", Manner { copies: 3, reversed: false });
        let mut answered = PersonWrites::new(Channel::Sms, BOB, &world.account.phone, "HELP");
        answered.opt_out_type = Some("HELP".into());
        world.taken_in(answered).await;
        world.texts(ANN, "help?").await;
        let is_help = |to: &'static str| {
            move |message: &butt_dial_providers::simulator::SimulatedMessage| {
                message.to == to && message.body.contains("Reply STOP")
            }
        };
        let answer = world.carriers.wait_for(is_help(ANN), ARRIVAL).await.expect("an answer");
        assert_eq!((answer.channel, &answer.from), (Channel::Sms, &world.account.phone));
        world.taken_in(PersonWrites::new(Channel::Whatsapp, ANN, &world.account.phone, "INFO")).await;
        let on_whatsapp = world.carriers.wait_for(|message| message.channel == Channel::Whatsapp, ARRIVAL).await;
        assert!(on_whatsapp.expect("an answer").body.contains("Reply STOP"));
        world.texts("+14155550125", "Last").await;
        let events = world.rest().await.take_until("Last").await;
        assert!(events.iter().all(|event| event["keyword"] == "help"), "{events:?}");
        assert_eq!(events.len(), 3);
        assert_eq!(world.carriers.messages_to(ANN).len(), 2);
        assert!(world.carriers.messages_to(BOB).is_empty());
    }
}

profiles! {
    async fn who_has_stopped_gets_no_help_either_and_messages_still_reach_the_agent(world: &World) {
        let agent = world.rest().await;
        world.texts(ANN, "STOP").await;
        world.texts(ANN, "HELP").await;
        world.texts(BOB, "HELP").await;
        let answered = world.carriers.wait_for(|message| message.to == BOB, ARRIVAL).await;
        answered.expect("an answer to who did not stop");
        world.texts(ANN, "Why don't you answer?").await;
        let events = agent.take(4).await;
        assert_eq!(bodies(&events), ["STOP", "HELP", "HELP", "Why don't you answer?"]);
        assert!(world.carriers.messages_to(ANN).is_empty());
    }
}
