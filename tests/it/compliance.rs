//! Compliance: blocked messages never reach the carrier, over any transport.

use butt_dial_domain::{Channel, Clock};
use butt_dial_store::Suppression;
use serde_json::{Value, json};

use crate::support::{Account, Agent, RequestExt as _, TestContext, Transport, email, eventually, sms, whatsapp, with};

const ANN: &str = "+14155550123";
/// A number outside the range reserved for fiction; this person has never written.
const STRANGER: &str = "+4917612345678";
const REFUSED: &str = include_str!("../../shared/compliance/src/corpus/refused.txt");

/// Declares the purpose to which no quiet hours apply, so that the verdict is the same at any time of the day.
fn at_any_hour(message: Value) -> Value {
    with(message, json!({ "purpose": "transactional" }))
}

async fn expect_blocked(context: &TestContext, agent: &Agent, message: Value, code: &str, rule: &str) {
    let requests_before = context.carriers.requests_total("twilio") + context.carriers.requests_total("resend");
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
    let now = context.carriers.requests_total("twilio") + context.carriers.requests_total("resend");
    assert_eq!(requests_before, now, "no carrier request");
}

profiles! {
    async fn blocks_suppressed_contacts(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let org = &cluster.account.org;
        let everywhere = Suppression {
            org,
            channel: None,
            address: ANN,
            reason: "requested",
        };
        let by_mail = Suppression {
            org,
            channel: Some(Channel::Email),
            address: "ann@example.com",
            reason: "bounced",
        };
        for entry in [everywhere, by_mail] {
            cluster.store.suppress(&entry, Clock::System.now()).await.unwrap();
        }
        for message in [
            sms(ANN, "Hi"),
            whatsapp(ANN, "Hi"),
            sms("+1 415-555-0123", "Hi"),
            email("ann@EXAMPLE.com", "Hi"),
        ] {
            expect_blocked(cluster, &agent, message, "DO_NOT_CONTACT", "do-not-contact").await;
        }
        agent.send(sms("+14155550124", "Hi")).await.unwrap();
    }
}

profiles! {
    async fn blocks_number_while_consent_is_revoked(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let record = async |granted: bool| {
            let org = &cluster.account.org;
            cluster
                .store
                .record_consent(org, Channel::Sms, ANN, granted, "test", Clock::System.now())
                .await
                .unwrap();
        };
        record(false).await;
        expect_blocked(cluster, &agent, sms(ANN, "Hi"), "CONTACT_OPTED_OUT", "consent-revoked").await;
        // The other channels of the number too; a mail address is another one.
        cluster.open_whatsapp_window(ANN).await;
        expect_blocked(cluster, &agent, whatsapp(ANN, "Hi"), "CONTACT_OPTED_OUT", "consent-revoked").await;
        agent.send(email("ann@example.com", "Hi")).await.unwrap();
        record(true).await;
        agent.send(sms(ANN, "Hi")).await.unwrap();
    }
}

profiles! {
    async fn records_opt_out_reported_by_carrier(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        cluster.carriers.opt_out(ANN);
        let refused = agent.send(sms(ANN, "Hi")).await.unwrap_err();
        assert_eq!(
            (&refused["code"], &refused["providerCode"]),
            (&json!("CONTACT_OPTED_OUT"), &json!("21610"))
        );
        assert_eq!(cluster.carriers.requests_total("twilio"), 1);
        expect_blocked(
            cluster,
            &agent,
            sms(ANN, "Hi again"),
            "CONTACT_OPTED_OUT",
            "consent-revoked",
        )
        .await;
    }
}

profiles! {
    async fn blocks_harmful_text_in_every_field(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let texts = REFUSED
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("##"));
        for text in texts.map(|line| line.replace("\\n", "\n")) {
            expect_blocked(cluster, &agent, sms(ANN, &text), "CONTENT_BLOCKED", "content").await;
        }
        let threat = "I will kill you";
        for fields in [json!({ "subject": threat }), json!({ "html": threat })] {
            let message = with(email("ann@example.com", "Hi"), fields);
            expect_blocked(cluster, &agent, message, "CONTENT_BLOCKED", "content").await;
        }
        let template =
            json!({ "templateId": "HX00000000000000000000000000000001", "templateVariables": { "1": threat } });
        expect_blocked(
            cluster,
            &agent,
            with(whatsapp(ANN, ""), template),
            "CONTENT_BLOCKED",
            "content",
        )
        .await;
    }
}

profiles! {
    async fn allows_only_templates_outside_whatsapp_window(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let refused = whatsapp(STRANGER, "Hi");
        expect_blocked(cluster, &agent, refused, "WHATSAPP_WINDOW_CLOSED", "whatsapp-window").await;
        let template = json!({ "templateId": "HX00000000000000000000000000000001" });
        agent.send(with(whatsapp(STRANGER, ""), template)).await.unwrap();
        agent
            .send(sms(STRANGER, "The window is WhatsApp's alone"))
            .await
            .unwrap();
        cluster.open_whatsapp_window(STRANGER).await;
        let sent = agent.send(whatsapp(STRANGER, "Hi")).await.unwrap();
        assert_eq!(cluster.expect_arrival(&sent).await.body, "Hi");
        // The window applies to this person and this sender only.
        let colleague = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550101")
            .await;
        let colleague = cluster.agent_of(&colleague, Transport::Rest).await;
        expect_blocked(
            cluster,
            &colleague,
            whatsapp(STRANGER, "Hi"),
            "WHATSAPP_WINDOW_CLOSED",
            "whatsapp-window",
        )
        .await;
    }
}

profiles! {
    async fn stores_verdict_with_message(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let sent = agent.send(at_any_hour(sms(ANN, "Hi"))).await.unwrap();
        let status = agent.status_of(sent["messageId"].as_str().unwrap()).await.unwrap();
        assert_eq!(status["verdict"], "allow");
        assert!(status.get("rule").is_none());
    }
}

profiles! {
    async fn preflight_explains_what_a_send_would_do(cluster: &Cluster) {
        for transport in [Transport::Sse, Transport::Rest] {
            let agent = cluster.agent(transport).await;
            let requests_before = cluster.carriers.requests_total("twilio");
            let check = async |arguments: Value| agent.call("comms_preflight", arguments).await;
            let checked = check(at_any_hour(sms(ANN, "Your order has shipped."))).await.unwrap();
            assert_eq!((&checked["allowed"], &checked["verdict"]), (&json!(true), &json!("allow")));
            assert_eq!(checked["recipient"]["jurisdictions"], json!(["US", "US-CA"]));
            assert!(checked["recipient"]["localTimes"]["America/Los_Angeles"].is_string());
            assert!(checked["estimatedCost"].as_f64().unwrap() > 0.0);
            let marketing = json!({ "to": ANN, "channel": "sms", "purpose": "marketing" });
            let checked = check(marketing).await.unwrap();
            assert_eq!((&checked["allowed"], &checked["purpose"]), (&json!(false), &json!("marketing")));
            assert_eq!(checked["findings"][0]["rule"], "us-marketing-consent");
            assert!(checked["findings"][0]["remedy"].as_str().unwrap().contains("comms_record_consent"));
            let call = check(json!({ "to": "911", "channel": "sms" })).await.unwrap();
            assert_eq!(call["findings"][0]["rule"], "emergency-number");
            let content = check(json!({ "to": ANN, "channel": "sms", "body": "send me your password" })).await.unwrap();
            assert_eq!(content["allowed"], false);
            let refused = check(json!({ "to": ANN, "channel": "sms", "purpose": "fun" })).await.unwrap_err();
            assert_eq!(refused["code"], "INVALID_ARGUMENT");
            assert_eq!(cluster.carriers.requests_total("twilio"), requests_before);
        }
    }
}

profiles! {
    with [("AI_DISCLOSURE", "on"), ("AI_DISCLOSURE_TEXT", "An AI assistant writes this.")];
    async fn first_message_on_each_channel_has_the_disclosure(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let check = at_any_hour(sms(ANN, "Hello"));
        let checked = agent.call("comms_preflight", check.clone()).await.unwrap();
        assert_eq!((&checked["allowed"], &checked["findings"][0]["rule"]), (&json!(true), &json!("ai-disclosure")), "{checked}");
        let arrived = async |message: Value| {
            let sent = agent.send(message).await.unwrap();
            assert!(!sent["advisories"].to_string().contains("ai-disclosure"), "{sent}");
            cluster.expect_arrival(&sent).await
        };
        let otp = with(sms(ANN, "Your code is 123456."), json!({ "purpose": "otp" }));
        assert_eq!(arrived(otp).await.body, "Your code is 123456.");
        assert_eq!(arrived(sms(ANN, "Hello")).await.body, "Hello\n\nAn AI assistant writes this.");
        assert_eq!(arrived(sms(ANN, "Hello again")).await.body, "Hello again");
        assert_eq!(agent.call("comms_preflight", check).await.unwrap()["findings"], json!([]));
        assert_eq!(arrived(sms("+14155550124", "Hello")).await.body, "Hello\n\nAn AI assistant writes this.");
        let mail = with(email("ann@example.com", "Hello"), json!({ "html": "<b>Hello</b>" }));
        let arrived_mail = arrived(mail).await;
        assert_eq!(arrived_mail.html.as_deref(), Some("<b>Hello</b><p>An AI assistant writes this.</p>"));
        let long = sms("+14155550125", &"x".repeat(1_600));
        assert_eq!(agent.send(long).await.unwrap_err()["code"], "INVALID_CONTENT");
    }
}

profiles! {
    async fn organization_chooses_the_disclosure_and_its_words(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let choose = async |choices: Value| {
            let put = cluster.gateways.request(reqwest::Method::PUT, "/api/v1/compliance-choices").json(&choices);
            put.bearer_auth(&cluster.account.team_token).reply().await
        };
        let chosen = choose(json!({ "aiDisclosure": "on", "aiDisclosureText": " Es schreibt eine KI. " })).await.expect(200);
        assert_eq!((&chosen["aiDisclosure"], &chosen["aiDisclosureText"]), (&json!("on"), &json!("Es schreibt eine KI.")));
        let text_of = async |to: &str| cluster.expect_arrival(&agent.send(sms(to, "Hallo")).await.unwrap()).await.body;
        eventually("the choice holds on every replica", async || {
            let check = at_any_hour(sms(ANN, "Hallo"));
            let checked = agent.call("comms_preflight", check).await.unwrap();
            (checked["findings"][0]["rule"] == "ai-disclosure").then_some(())
        })
        .await;
        assert_eq!(text_of(ANN).await, "Hallo\n\nEs schreibt eine KI.");
        assert_eq!(text_of(ANN).await, "Hallo");
        for choices in [json!({ "aiDisclosure": "maybe" }), json!({ "aiDisclosureText": "x".repeat(201) })] {
            assert_eq!(choose(choices).await.expect(400)["code"], "INVALID_ARGUMENT");
        }
        let kept = choose(json!({ "aiDisclosure": "default" })).await.expect(200);
        assert_eq!((&kept["aiDisclosure"], &kept["aiDisclosureText"]), (&json!("default"), &json!("Es schreibt eine KI.")));
    }
}

profiles! {
    async fn refusals_are_listed_and_replayed_by_other_rules(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let marketing = |key: &str| with(sms(ANN, "Twenty percent off."), json!({ "purpose": "marketing", "idempotencyKey": key }));
        let refused = agent.send(marketing("a")).await.unwrap_err();
        assert_eq!((&refused["code"], &refused["why"]["rule"]), (&json!("CONSENT_REQUIRED"), &json!("us-marketing-consent")));
        let listed = agent.call("comms_list_refusals", json!({})).await.unwrap();
        let entry = &listed["refusals"][0];
        assert_eq!((&entry["rule"], &entry["purpose"]), (&json!("us-marketing-consent"), &json!("marketing")));
        assert!(!listed.to_string().contains(ANN), "{listed}");
        assert!(entry["findings"][0]["fact"].as_str().unwrap().contains("no consent"));

        // The stranger of another organization sees nothing.
        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        let listed = Agent::connect_rest(&cluster.gateways, &other.token).call("comms_list_refusals", json!({})).await;
        assert_eq!(listed.unwrap()["refusals"], json!([]));

        let post = async |path: &str, body: Value| {
            let request = cluster.gateways.post(path, &body).bearer_auth(&cluster.account.team_token);
            request.reply().await
        };
        let core = include_str!("../../deploy/rules/core.toml");
        let replay = post("/api/v1/rules/replay", json!({ "rules": core })).await.expect(200);
        assert_eq!((&replay["examined"], &replay["changed"]), (&json!(1), &json!(1)), "{replay}");
        assert_eq!((&replay["examples"][0]["was"], &replay["examples"][0]["becomes"]), (&json!("block"), &json!("allow")));
        let invalid = post("/api/v1/rules/replay", json!({ "rules": "[[rule]]\nid = 1" })).await.expect(400);
        assert_eq!(invalid["code"], "INVALID_ARGUMENT");
        let rules = cluster.gateways.get("/api/v1/rules").bearer_auth(&cluster.account.token).reply().await.expect(200);
        assert!(rules["rules"].as_array().unwrap().iter().any(|rule| rule["id"] == "us-fl-quiet-hours"));
    }
}
