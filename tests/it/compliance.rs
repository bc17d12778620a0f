//! What must not be sent is not sent, whoever asks for it, and the carrier is not even asked.

use butt_dial_domain::{Channel, Clock};
use butt_dial_store::Suppression;
use serde_json::{Value, json};

use crate::support::{Agent, Stage, Transport, email, sms, whatsapp, with};

const ANN: &str = "+14155550123";
/// Somebody outside the numbers kept for fiction: she has never written.
const STRANGER: &str = "+4917612345678";
const REFUSED: &str = include_str!("../../shared/comms/src/compliance/corpus/refused.txt");

async fn expect_blocked(stage: &Stage, agent: &Agent, message: Value, code: &str, rule: &str) {
    let asked = stage.carriers.requests_total("twilio") + stage.carriers.requests_total("resend");
    let refused = agent.send(message.clone()).await.expect_err(&message.to_string());
    assert_eq!(
        (&refused["code"], &refused["rule"]),
        (&json!(code), &json!(rule)),
        "{message}"
    );
    assert_eq!(
        (&refused["retryable"], &refused["channel"]),
        (&json!(false), &message["channel"])
    );
    assert!(refused["remediation"].is_string());
    let now = stage.carriers.requests_total("twilio") + stage.carriers.requests_total("resend");
    assert_eq!(asked, now, "the carrier is not asked");
}

profiles! {
    async fn whoever_is_on_the_do_not_contact_list_is_not_contacted(world: &World) {
        let agent = world.agent(Transport::Sse).await;
        let org = &world.account.org;
        let everywhere = Suppression {
            org,
            channel: None,
            address: ANN,
            reason: "asked for it",
        };
        let by_mail = Suppression {
            org,
            channel: Some(Channel::Email),
            address: "ann@example.com",
            reason: "bounced",
        };
        for entry in [everywhere, by_mail] {
            world.store.suppress(&entry, Clock::System.now()).await.unwrap();
        }
        for message in [
            sms(ANN, "Hi"),
            whatsapp(ANN, "Hi"),
            sms("+1 415-555-0123", "Hi"),
            email("ann@EXAMPLE.com", "Hi"),
        ] {
            expect_blocked(world, &agent, message, "DO_NOT_CONTACT", "do-not-contact").await;
        }
        agent.send(sms("+14155550124", "Hi")).await.unwrap();
    }
}

profiles! {
    async fn a_revoked_consent_holds_on_its_channel_until_it_is_given_again(world: &World) {
        let agent = world.rest().await;
        let record = async |granted: bool| {
            let org = &world.account.org;
            world
                .store
                .record_consent(org, Channel::Sms, ANN, granted, "test", Clock::System.now())
                .await
                .unwrap();
        };
        record(false).await;
        expect_blocked(world, &agent, sms(ANN, "Hi"), "CONTACT_OPTED_OUT", "consent-revoked").await;
        world.person_writes(ANN).await;
        agent.send(whatsapp(ANN, "Hi")).await.unwrap();
        record(true).await;
        agent.send(sms(ANN, "Hi")).await.unwrap();
    }
}

profiles! {
    async fn an_opt_out_that_the_carrier_knows_of_becomes_ours(world: &World) {
        let agent = world.agent(Transport::StreamableHttp).await;
        world.carriers.opt_out(ANN);
        let refused = agent.send(sms(ANN, "Hi")).await.unwrap_err();
        assert_eq!(
            (&refused["code"], &refused["providerCode"]),
            (&json!("CONTACT_OPTED_OUT"), &json!("21610"))
        );
        assert_eq!(world.carriers.requests_total("twilio"), 1);
        expect_blocked(
            world,
            &agent,
            sms(ANN, "Hi again"),
            "CONTACT_OPTED_OUT",
            "consent-revoked",
        )
        .await;
    }
}

profiles! {
    async fn texts_that_harm_people_are_refused_wherever_they_stand(world: &World) {
        let agent = world.rest().await;
        let texts = REFUSED
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("##"));
        for text in texts.map(|line| line.replace("\\n", "\n")) {
            expect_blocked(world, &agent, sms(ANN, &text), "CONTENT_BLOCKED", "content").await;
        }
        let threat = "I will kill you";
        for fields in [json!({ "subject": threat }), json!({ "html": threat })] {
            let letter = with(email("ann@example.com", "Hi"), fields);
            expect_blocked(world, &agent, letter, "CONTENT_BLOCKED", "content").await;
        }
        let template =
            json!({ "templateId": "HX00000000000000000000000000000001", "templateVariables": { "1": threat } });
        expect_blocked(
            world,
            &agent,
            with(whatsapp(ANN, ""), template),
            "CONTENT_BLOCKED",
            "content",
        )
        .await;
    }
}

profiles! {
    async fn a_stranger_on_whatsapp_gets_templates_until_she_writes(world: &World) {
        let agent = world.agent(Transport::Sse).await;
        let refused = whatsapp(STRANGER, "Hi");
        expect_blocked(world, &agent, refused, "WHATSAPP_WINDOW_CLOSED", "whatsapp-window").await;
        let template = json!({ "templateId": "HX00000000000000000000000000000001" });
        agent.send(with(whatsapp(STRANGER, ""), template)).await.unwrap();
        agent
            .send(sms(STRANGER, "The window is WhatsApp's alone"))
            .await
            .unwrap();
        world.person_writes(STRANGER).await;
        let sent = agent.send(whatsapp(STRANGER, "Hi")).await.unwrap();
        assert_eq!(world.arrival(&sent).await.body, "Hi");
        // The window is between her and this sender only.
        let colleague = world
            .account
            .colleague(&world.store, &world.gateways, "agent", "+14155550101")
            .await;
        let colleague = world.agent_of(&colleague, Transport::Rest).await;
        expect_blocked(
            world,
            &colleague,
            whatsapp(STRANGER, "Hi"),
            "WHATSAPP_WINDOW_CLOSED",
            "whatsapp-window",
        )
        .await;
    }
}

profiles! {
    async fn the_verdict_is_kept_with_the_message(world: &World) {
        let agent = world.rest().await;
        let sent = agent.send(sms(ANN, "Hi")).await.unwrap();
        let status = agent.status_of(sent["messageId"].as_str().unwrap()).await.unwrap();
        assert_eq!(status["verdict"], "allow");
        assert!(status.get("rule").is_none());
    }
}
