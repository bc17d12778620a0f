//! The sanitizer: protects destinations and leaves harmless text unchanged, byte for byte.

use serde_json::{Value, json};

use crate::support::{Agent, TestContext, Transport, email, sms, with};

const ANN: &str = "+14155550123";
const HARMLESS: &str = include_str!("../../shared/compliance/src/corpus/harmless.txt");

const HARMLESS_SAMPLES: &[&str] = &[
    "Did you hurt your knee?",
    "1 or 2=2",
    "die-cut this, please",
    "'; DROP TABLE messages; --",
    "<b>5 > 3 && 2 < 4</b> \"quoted\" 'single' `tick` \\ backslash",
    "{{7*7}} ${HOME} %s %n $(id) {0}",
    "First line\nSecond line\n\n\tindented",
    "Ünïcödé, naïve, œuvre, ß",
    "Привет, как дела?",
    "مرحبا، كيف حالك؟",
    "שלום, מה נשמע?",
    "नमस्ते, क्या हाल है?",
    "你好,今天怎么样?",
    "こんにちは、元気ですか",
    "สวัสดี สบายดีไหม",
    "Family: 👨‍👩‍👧‍👦 flag: 🇩🇪 skin: 👍🏽 keycap: 1️⃣",
    "Zalgo: H̸̡̪̯ͨ͊̽̅",
    "a\u{200f}b\u{200e}c marks of direction are letters of some scripts",
    "fn main() { println!(\"{}\", 1 + 1); }",
    "https://example.com/a?b=c&d=%20#e",
    "   spaces around stay   ",
];

async fn expect_refused(context: &TestContext, agent: &Agent, message: Value, code: &str) -> Value {
    let requests_before = (
        context.carriers.requests_total("twilio"),
        context.carriers.requests_total("resend"),
    );
    let refused = agent.send(message.clone()).await.expect_err(&message.to_string());
    assert_eq!(
        (refused["code"].as_str().unwrap(), &refused["retryable"]),
        (code, &json!(false)),
        "{message}"
    );
    let now = (
        context.carriers.requests_total("twilio"),
        context.carriers.requests_total("resend"),
    );
    assert_eq!(requests_before, now, "no carrier request");
    refused
}

profiles! {
    with [
        ("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"),
        ("DEFAULT_MAX_ACTIONS_PER_HOUR", "none"),
        ("DEFAULT_MAX_SPEND_PER_DAY", "none"),
    ];
    async fn delivers_harmless_text_unchanged(cluster: &Cluster) {
        let corpus = HARMLESS
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("##"));
        let texts: Vec<String> = HARMLESS_SAMPLES
            .iter()
            .map(|text| (*text).to_owned())
            .chain(corpus.map(|line| line.replace("\\n", "\n")))
            .collect();
        let agent = cluster.agent(Transport::StreamableHttp).await;
        for text in &texts {
            for message in [sms(ANN, text), email("ann@example.com", text)] {
                let receipt = agent.send(message).await.expect(text);
                assert_eq!(&cluster.expect_arrival(&receipt).await.body, text);
            }
        }
    }
}

profiles! {
    async fn normalizes_line_breaks_and_strips_control_characters(cluster: &Cluster) {
        let agent = cluster.rest().await;
        for (sent, arrives) in [
            ("one\r\ntwo\rthree", "one\ntwo\nthree"),
            ("a\u{0}b\u{7}c\u{1b}[31md", "abc[31md"),
            ("safe\u{202e}gpj.exe", "safegpj.exe"),
            ("x\u{202d}y", "xy"),
        ] {
            let receipt = agent.send(sms(ANN, sent)).await.unwrap();
            assert_eq!(cluster.expect_arrival(&receipt).await.body, arrives, "{sent:?}");
        }
        expect_refused(cluster, &agent, sms(ANN, "\u{0}\u{202e}"), "MISSING_FIELDS").await;
    }
}

profiles! {
    async fn rejects_header_injection(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let injections = [
            "Hello\r\nBcc: victim@example.com",
            "Hello\nX: y",
            "Hello\rX: y",
            "a\u{0}b",
            "a\u{202e}b",
        ];
        for injection in injections {
            for field in ["subject", "senderName"] {
                let message = with(email("ann@example.com", "Hi"), json!({ field: injection }));
                expect_refused(cluster, &agent, message, "INVALID_CONTENT").await;
            }
            for field in ["threadId", "entityId", "replyMsgId", "idempotencyKey"] {
                if injection.chars().any(char::is_control) {
                    let message = with(email("ann@example.com", "Hi"), json!({ field: injection }));
                    expect_refused(cluster, &agent, message, "INVALID_ARGUMENT").await;
                }
            }
            expect_refused(
                cluster,
                &agent,
                email(&format!("ann@example.com{injection}"), "Hi"),
                "INVALID_RECIPIENT",
            )
            .await;
        }
        // A name with an address in it stays a name.
        let message = with(
            email("ann@example.com", "Hi"),
            json!({ "senderName": "Eve <eve@evil.example>, \"x\"" }),
        );
        let arrived = cluster.expect_arrival(&agent.send(message).await.unwrap()).await;
        assert_eq!(arrived.from, cluster.account.email);
        assert_eq!(arrived.from_name.as_deref(), Some("Eve <eve@evil.example>, \"x\""));
    }
}

profiles! {
    async fn enforces_text_length_limits(cluster: &Cluster) {
        let agent = cluster.rest().await;
        for channel in ["sms", "whatsapp"] {
            let long = with(sms(ANN, &"a".repeat(1_601)), json!({ "channel": channel }));
            let refused = expect_refused(cluster, &agent, long, "INVALID_CONTENT").await;
            assert_eq!(
                (&refused["maxLength"], &refused["channel"]),
                (&json!(1_600), &json!(channel))
            );
        }
        // The limit counts characters, not bytes.
        let receipt = agent.send(sms(ANN, &"ж".repeat(1_600))).await.unwrap();
        assert_eq!(receipt["segments"], 24);
        agent
            .send(email("ann@example.com", &"a".repeat(100_000)))
            .await
            .unwrap();
        expect_refused(
            cluster,
            &agent,
            email("ann@example.com", &"a".repeat(1_000_001)),
            "INVALID_CONTENT",
        )
        .await;
        let subject = with(email("ann@example.com", "Hi"), json!({ "subject": "s".repeat(901) }));
        expect_refused(cluster, &agent, subject, "INVALID_CONTENT").await;
        let key = with(sms(ANN, "Hi"), json!({ "idempotencyKey": "k".repeat(256) }));
        expect_refused(cluster, &agent, key, "INVALID_ARGUMENT").await;
    }
}

profiles! {
    async fn validates_and_normalizes_recipients(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let numbers = [
            "",
            "4155550123",
            "+",
            "+0123456789",
            "+1415555012x",
            "+999123456789",
            "ann@example.com",
            "+1415555+0123",
            "٠١٢٣٤٥٦٧٨",
        ];
        for number in numbers {
            for channel in ["sms", "whatsapp"] {
                let message = with(sms(number, "Hi"), json!({ "channel": channel }));
                expect_refused(cluster, &agent, message, "INVALID_RECIPIENT").await;
            }
        }
        for address in [
            "",
            "ann",
            "ann@",
            "@example.com",
            "ann@example",
            "a b@example.com",
            "ann@example.com,bob@example.com",
            "<ann@example.com>",
            ANN,
        ] {
            expect_refused(cluster, &agent, email(address, "Hi"), "INVALID_RECIPIENT").await;
        }
        let receipt = agent.send(sms(" +1 (415) 555-0123 ", "Hi")).await.unwrap();
        assert_eq!(
            (&receipt["to"], cluster.expect_arrival(&receipt).await.to.as_str()),
            (&json!(ANN), ANN)
        );
    }
}

profiles! {
    async fn rejects_media_urls_that_are_not_public(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let media = |urls: Value| with(sms(ANN, "Look"), json!({ "media": urls }));
        for url in [
            "file:///etc/passwd",
            "ftp://example.com/a.png",
            "javascript:alert(1)",
            "https://user:secret@example.com/a.png",
            "http://localhost/a.png",
            "http://localhost./a.png",
            "http://metadata.google.internal/a.png",
            "http://127.0.0.1/a.png",
            "http://2130706433/a.png",
            "http://0x7f.1/a.png",
            "http://10.0.0.1/a.png",
            "http://192.168.1.1/a.png",
            "http://169.254.169.254/latest/meta-data",
            "http://0.0.0.0/a.png",
            "http://[::1]/a.png",
            "http://[::ffff:127.0.0.1]/a.png",
            "http://[fd00::1]/a.png",
            "http://[fe80::1]/a.png",
            "not a url",
            "",
        ] {
            expect_refused(cluster, &agent, media(json!([url])), "INVALID_CONTENT").await;
        }
        let eleven: Vec<String> = (0..11).map(|n| format!("https://example.com/{n}.png")).collect();
        expect_refused(cluster, &agent, media(json!(eleven)), "INVALID_CONTENT").await;
        let receipt = agent.send(media(json!(eleven[..10]))).await.unwrap();
        assert_eq!(cluster.expect_arrival(&receipt).await.media, eleven[..10]);
    }
}

profiles! {
    async fn rejects_invalid_template_ids(cluster: &Cluster) {
        let agent = cluster.rest().await;
        for id in ["../HX1", "HX 1", "HX1\n", "", "booking:", "booking:de:x", &"H".repeat(513)] {
            let message = with(sms(ANN, ""), json!({ "channel": "whatsapp", "templateId": id }));
            expect_refused(cluster, &agent, message, "INVALID_CONTENT").await;
        }
    }
}
