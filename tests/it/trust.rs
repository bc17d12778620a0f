//! One-time codes, trust and consent: a code confirms once, and the word of a person is not overruled.

use butt_dial_domain::{Channel, Clock};
use serde_json::{Value, json};

use crate::support::{Account, Agent, Transport, sms};

const ANN: &str = "+14155550123";
const SPELLED: &str = "+1 (415) 555-0123";

async fn call(agent: &Agent, tool: &'static str, arguments: Value) -> Value {
    agent.call(tool, arguments).await.expect(tool)
}

async fn refusal(agent: &Agent, tool: &'static str, arguments: Value) -> Value {
    agent.call(tool, arguments).await.expect_err(tool)["code"].clone()
}

profiles! {
    async fn confirmed_code_opens_trust(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let sent = call(&agent, "comms_send_otp", json!({ "to": ANN, "channel": "sms" })).await;
        let arrived = cluster.wait_for_acceptance(ANN).await;
        assert!(sent["messageId"].is_string());
        let code: String = arrived.body.chars().filter(char::is_ascii_digit).take(6).collect();
        assert_eq!(arrived.to, ANN);
        let checked = call(&agent, "comms_check_trust", json!({ "contact": ANN })).await;
        assert_eq!((&checked["trusted"], &checked["status"]), (&json!(false), &json!("none")));

        let wrong = json!({ "code": "000000" });
        assert_eq!(refusal(&agent, "comms_verify_otp", wrong).await, "OTP_INVALID");
        // A number, and without a contact: the latest code.
        let number: u32 = code.parse().unwrap();
        let verified = call(&agent, "comms_verify_otp", json!({ "code": number })).await;
        assert_eq!((&verified["verified"], &verified["contact"]), (&json!(true), &json!(ANN)));
        let again = json!({ "code": code, "to": SPELLED });
        assert_eq!(refusal(&agent, "comms_verify_otp", again).await, "CHALLENGE_NOT_FOUND");

        let checked = call(&agent, "comms_check_trust", json!({ "contactAddress": SPELLED })).await;
        assert_eq!((&checked["trusted"], &checked["status"]), (&json!(true), &json!("trusted")));
        assert_eq!(checked["channel"], "sms");
        let preview = call(&agent, "comms_revoke_trust", json!({ "contact": ANN })).await;
        assert_eq!((&preview["preview"], &preview["wouldRevoke"]), (&json!(true), &json!(true)));
        assert!(preview.get("error").is_none());
        call(&agent, "comms_revoke_trust", json!({ "number": ANN, "confirm": true })).await;
        let checked = call(&agent, "comms_check_trust", json!({ "to": ANN })).await;
        assert_eq!((&checked["trusted"], &checked["status"]), (&json!(false), &json!("revoked")));
        let preview = call(&agent, "comms_revoke_trust", json!({ "contact": ANN })).await;
        assert_eq!(preview["wouldRevoke"], false);
    }
}

profiles! {
    async fn code_fails_over_to_next_channel(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        // A stranger's window on WhatsApp is closed.
        let stranger = "+4917612345678";
        let arguments = json!({ "to": stranger, "channel": "whatsapp", "channels": ["email", "sms"], "language": "de" });
        let sent = call(&agent, "comms_send_otp", arguments).await;
        assert_eq!(sent["channel"], "sms");
        let arrived = cluster.wait_for_acceptance(stranger).await;
        assert_eq!(arrived.channel, Channel::Sms);
        assert!(arrived.body.contains("ist Ihr Code"), "{}", arrived.body);
        let alone = json!({ "to": stranger, "channel": "whatsapp", "failover": false, "channels": ["sms"] });
        assert_eq!(refusal(&agent, "comms_send_otp", alone).await, "WHATSAPP_WINDOW_CLOSED");
        let by_mail = call(&agent, "comms_send_otp", json!({ "to": "ann@example.com" })).await;
        assert_eq!(by_mail["channel"], "email");
        let code = by_mail["devOtp"].as_str().map(str::to_owned);
        let arrived = cluster.wait_for_acceptance("ann@example.com").await;
        if let Some(code) = code {
            assert!(arrived.body.starts_with(&code));
        }
    }
}

profiles! {
    with [("CODE_WHATSAPP_TEMPLATE", "HX00000000000000000000000000000002")];
    async fn template_brings_a_code_to_a_closed_window(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let (ann, bob) = ("+4917612345678", "+4917612345679");
        let own = json!({ "to": bob, "channel": "whatsapp", "templateId": "HX00000000000000000000000000000001" });
        for (to, arguments, template) in [(ann, json!({ "to": ann, "channel": "whatsapp" }), "[HX00000000000000000000000000000002]"), (bob, own, "[HX00000000000000000000000000000001]")] {
            let sent = call(&agent, "comms_send_otp", arguments).await;
            assert_eq!(sent["channel"], "whatsapp", "{sent}");
            let arrived = cluster.wait_for_acceptance(to).await;
            assert!(arrived.body.starts_with(template), "{}", arrived.body);
            let (_, variables) = arrived.body.split_once("\"1\":\"").expect("the code is the variable 1");
            let code = variables.split('"').next().unwrap();
            call(&agent, "comms_verify_otp", json!({ "code": code, "to": to })).await;
            assert_eq!(call(&agent, "comms_check_trust", json!({ "to": to })).await["trusted"], true);
        }
    }
}

profiles! {
    async fn codes_of_other_tenants_do_not_exist(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        let other = cluster.agent_of(&other, Transport::Sse).await;
        let sent = call(&other, "comms_send_otp", json!({ "to": ANN })).await;
        let arrived = cluster.wait_for_acceptance(ANN).await;
        assert!(sent["messageId"].is_string());
        let code: String = arrived.body.chars().filter(char::is_ascii_digit).take(6).collect();
        for arguments in [json!({ "code": code }), json!({ "code": code, "to": ANN })] {
            assert_eq!(refusal(&agent, "comms_verify_otp", arguments).await, "CHALLENGE_NOT_FOUND");
        }
        call(&other, "comms_verify_otp", json!({ "code": code })).await;
        let checked = call(&agent, "comms_check_trust", json!({ "contact": ANN })).await;
        assert_eq!(checked["status"], "none");
    }
}

profiles! {
    async fn recorded_consent_obeys_the_person(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let check = async |contact: &str| {
            let arguments = json!({ "contact": contact, "channel": "sms" });
            call(&agent, "comms_check_consent", arguments).await
        };
        let none = check(ANN).await;
        assert_eq!((&none["hasConsent"], &none["status"]), (&json!(false), &json!("none")));
        let record = json!({ "contactAddress": ANN, "channel": "whatsapp", "consentType": "express", "source": "web form" });
        call(&agent, "comms_record_consent", record.clone()).await;
        let granted = check(SPELLED).await;
        assert_eq!((&granted["hasConsent"], &granted["consentType"]), (&json!(true), &json!("express")));

        let revoke = json!({ "contactAddress": ANN, "channel": "sms" });
        let preview = call(&agent, "comms_revoke_consent", revoke.clone()).await;
        assert_eq!((&preview["preview"], &preview["wouldRevoke"]), (&json!(true), &json!(true)));
        agent.send(sms(ANN, "Still allowed")).await.unwrap();
        let confirmed = json!({ "contactAddress": ANN, "channel": "sms", "confirm": true });
        call(&agent, "comms_revoke_consent", confirmed).await;
        assert_eq!(agent.send(sms(ANN, "Hi")).await.unwrap_err()["code"], "CONTACT_OPTED_OUT");
        // The agent's own revocation can be undone by it, a STOP can't.
        call(&agent, "comms_record_consent", record.clone()).await;
        agent.send(sms(ANN, "Hi again")).await.unwrap();
        cluster.texts(ANN, "STOP").await;
        agent.expect_events(1).await;
        assert_eq!(refusal(&agent, "comms_record_consent", record).await, "CONTACT_OPTED_OUT");
        let revoked = check(ANN).await;
        assert_eq!((&revoked["status"], &revoked["source"]), (&json!("revoked"), &json!("keyword")));
        let invalid = json!({ "contact": ANN, "channel": "sms", "consentType": "maybe" });
        assert_eq!(refusal(&agent, "comms_record_consent", invalid).await, "INVALID_ARGUMENT");
    }
}

profiles! {
    async fn describes_numbers_without_asking_anyone(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let requests = cluster.carriers.requests_total("twilio");
        let mobile = call(&agent, "comms_validate_number", json!({ "number": "+49 176 04069012" })).await;
        assert_eq!((&mobile["valid"], &mobile["countryCode"]), (&json!(true), &json!("DE")));
        assert_eq!((&mobile["lineType"], &mobile["carrier"]), (&json!("mobile"), &Value::Null));
        assert_eq!(mobile["phoneNumber"], "+4917604069012");
        let invalid = call(&agent, "comms_validate_number", json!({ "phoneNumber": "12" })).await;
        assert_eq!(invalid["valid"], false);
        assert_eq!(cluster.carriers.requests_total("twilio"), requests);
    }
}

profiles! {
    async fn profile_of_contact_names_what_is_known(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let unknown = call(&agent, "comms_get_contact_profile", json!({ "contact": ANN })).await;
        assert_eq!((&unknown["known"], &unknown["consent"]), (&json!(false), &json!("none")));
        cluster.texts(ANN, "STOP").await;
        agent.expect_events(1).await;
        call(&agent, "comms_grant_trust", json!({ "contactAddress": ANN, "channel": "manual", "durationMinutes": 5 })).await;
        let known = call(&agent, "comms_get_contact_profile", json!({ "contact": SPELLED })).await;
        assert_eq!((&known["known"], &known["consent"]), (&json!(true), &json!("revoked")));
        assert_eq!(known["trusted"], true);
        assert!(known["lastInboundAt"]["sms"].is_string(), "{known}");
        let org = &cluster.account.org;
        let start = cluster.store.record_consent(org, Channel::Sms, ANN, true, "keyword", Clock::System.now());
        start.await.unwrap();
        let known = call(&agent, "comms_get_contact_profile", json!({ "contact": ANN })).await;
        assert_eq!(known["consent"], "granted");
    }
}
