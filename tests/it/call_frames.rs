//! Conversations frame by frame, in both directions.

use serde_json::{Value, json};

use crate::support::{
    Agent, Cluster, RungCall, Socket, eventually, next_frame_of, next_speech, open_conversation, report_hang_up,
    ring_by_hand, send_frame,
};

/// A conversation of an agent with a caller. The test sends the frames of the caller.
struct Conversation {
    agent: Agent,
    rung: RungCall,
    socket: Socket,
    /// The greeting.
    greeting: String,
    /// The first turn.
    turn: Value,
}

impl Conversation {
    /// The agent attends, and the caller says `words`.
    async fn begin(cluster: &Cluster, words: Value) -> Self {
        let agent = cluster.rest().await;
        let (turn, (rung, socket, greeting)) = tokio::join!(agent.attend_any(), async {
            cluster.wait_until_agent_attends().await;
            let rung = ring_by_hand(cluster).await;
            let mut socket = open_conversation(cluster, &rung).await;
            let greeting = next_speech(&mut socket).await;
            send_frame(
                &mut socket,
                json!({ "type": "info", "name": "tokensPlayed", "value": greeting }),
            )
            .await;
            send_frame(&mut socket, words).await;
            (rung, socket, greeting)
        });
        Self {
            agent,
            rung,
            socket,
            greeting,
            turn,
        }
    }

    fn id(&self) -> &str {
        self.turn["callId"].as_str().unwrap()
    }

    async fn call(&self, tool: &'static str, mut arguments: Value) -> Result<Value, Value> {
        arguments["callId"] = json!(self.id());
        self.agent.call(tool, arguments).await
    }

    async fn reply(&self, text: &str) -> Result<Value, Value> {
        self.call("comms_call_reply", json!({ "text": text, "waitMs": 0 }))
            .await
    }
}

fn prompt(text: &str) -> Value {
    json!({ "type": "prompt", "voicePrompt": text, "lang": "en-US", "last": true })
}

profiles! {
    async fn speaks_words_without_markup(cluster: &Cluster) {
        let mut conversation = Conversation::begin(cluster, prompt("Where is my order?")).await;
        for silent in ["", " ", "\u{200b}", "😀", "<think>Hm.</think>"] {
            for (tool, arguments) in [
                ("comms_call_reply", json!({ "text": silent, "waitMs": 0 })),
                ("comms_say", json!({ "text": silent })),
            ] {
                let refused = conversation.call(tool, arguments).await.unwrap_err();
                assert_eq!(refused["code"], "INVALID_ARGUMENT", "{tool} {silent:?}: {refused}");
            }
        }
        let reply = "**Sure!** Your order is *on its way* 😀, see [our page](https://example.com/a).";
        conversation.reply(reply).await.unwrap();
        let spoken = next_speech(&mut conversation.socket).await;
        assert_eq!(spoken, "Sure! Your order is on its way, see our page.");
        let long = "This is a sentence. ".repeat(190);
        conversation.call("comms_say", json!({ "text": long })).await.unwrap();
        let mut heard = String::new();
        while heard.trim().len() < long.trim().len() {
            let frame = next_frame_of(&mut conversation.socket, "text").await;
            let token = frame["token"].as_str().unwrap();
            assert!(token.len() <= 4_000 && !token.is_empty());
            heard.push_str(token);
        }
        assert_eq!(heard.trim(), long.trim());
    }
}

profiles! {
    async fn turn_has_language_keys_and_words(cluster: &Cluster) {
        let mut conversation = Conversation::begin(cluster, json!({ "type": "dtmf", "digit": "1#" })).await;
        assert_eq!((&conversation.turn["text"], &conversation.turn["digits"]), (&json!("[pressed 1#]"), &json!("1")));
        let answer = json!({ "text": "Claro.", "language": "es-ES", "voice": "Polly.Lucia", "waitMs": 9_000 });
        let arguments = { let mut answer = answer; answer["callId"] = json!(conversation.id()); answer };
        let socket = &mut conversation.socket;
        let (next, ()) = tokio::join!(conversation.agent.call("comms_call_reply", arguments), async {
            let switch = next_frame_of(socket, "language").await;
            assert_eq!((&switch["ttsLanguage"], &switch["transcriptionLanguage"]), (&json!("es-ES"), &json!("es-ES")));
            assert_eq!((&switch["ttsProvider"], &switch["voice"]), (&json!("Amazon"), &json!("Lucia")));
            assert_eq!(next_speech(socket).await, "Claro.");
            send_frame(socket, json!({ "type": "dtmf", "digit": "2" })).await;
            let words = json!({ "type": "prompt", "voicePrompt": "¿Está abierto?", "lang": "es-MX", "last": true });
            send_frame(socket, words.clone()).await;
            send_frame(socket, words).await;
        });
        let turn = next.unwrap()["next"].clone();
        assert_eq!((&turn["text"], &turn["digits"]), (&json!("[pressed 2] ¿Está abierto?"), &json!("2")), "{turn}");
        assert_eq!((&turn["language"], &turn["turnId"]), (&json!("es-MX"), &json!("2")), "the same words twice are one turn");
        let refused = conversation.call("comms_say", json!({ "text": "Hi.", "language": "in English" })).await.unwrap_err();
        assert_eq!(refused["code"], "INVALID_ARGUMENT", "{refused}");
    }
}

profiles! {
    async fn words_before_hang_up_stand_in_the_transcript(cluster: &Cluster) {
        let mut conversation = Conversation::begin(cluster, prompt("Hello.")).await;
        conversation.reply("Yes?").await.unwrap();
        for words in ["I would", "I would like to book"] {
            send_frame(&mut conversation.socket, json!({ "type": "prompt", "voicePrompt": words, "last": false })).await;
        }
        conversation.socket.close(None).await.unwrap();
        eventually("the words are persisted", async || {
            let state = cluster.calls().find_state(&conversation.id().into()).await.unwrap();
            state.filter(|state| state.partial.ends_with("book")).map(drop)
        })
        .await;
        report_hang_up(cluster, &conversation.rung).await;
        let record = conversation.agent.wait_for_call_end(conversation.id()).await;
        let transcript = record["transcript"].as_str().unwrap();
        assert!(transcript.contains("Caller: I would like to book"), "{transcript}");
    }
}

profiles! {
    async fn agent_presses_keys_once(cluster: &Cluster) {
        let mut conversation = Conversation::begin(cluster, prompt("For sales, press one.")).await;
        for _ in 0..2 {
            let sent = conversation.call("comms_send_digits", json!({ "digits": "1w-2#", "idempotencyKey": "k" })).await;
            assert_eq!(sent.unwrap()["sent"], true);
        }
        conversation.call("comms_send_digits", json!({ "digits": "3" })).await.unwrap();
        for digits in ["1w2#", "3"] {
            assert_eq!(next_frame_of(&mut conversation.socket, "sendDigits").await["digits"], digits);
        }
        let refused = conversation.call("comms_send_digits", json!({ "digits": "one" })).await.unwrap_err();
        assert_eq!(refused["code"], "INVALID_ARGUMENT", "{refused}");
    }
}

profiles! {
    async fn inbound_call_has_voice_settings_of_agent(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let settings = json!({
            "language": "de-DE", "voice": "Google.de-DE-Neural2-A", "greeting": "Willkommen bei **Ada**! 😀",
            "hints": ["Brezel"], "interruptSensitivity": "low", "finishOnKey": "*",
        });
        let set = agent.call("comms_set_voice_settings", settings).await.unwrap();
        assert_eq!((&set["language"], &set["finishOnKey"]), (&json!("de-DE"), &json!("*")), "{set}");
        eventually("the route has the settings", async || {
            let rung = ring_by_hand(cluster).await;
            rung.script.contains("de-DE").then_some(())
        })
        .await;
        let conversation = Conversation::begin(cluster, json!({ "type": "dtmf", "digit": "12*" })).await;
        for attribute in [
            "language=\"de-DE\"",
            "ttsProvider=\"Google\" voice=\"de-DE-Neural2-A\"",
            "hints=\"Brezel\"",
            "interruptSensitivity=\"low\" ignoreBackchannel=\"true\"",
        ] {
            assert!(conversation.rung.script.contains(attribute), "{attribute}: {}", conversation.rung.script);
        }
        assert!(conversation.greeting.ends_with("Willkommen bei Ada!"), "{}", conversation.greeting);
        assert!(conversation.greeting.contains("KI"), "{}", conversation.greeting);
        assert_eq!((&conversation.turn["digits"], &conversation.turn["language"]), (&json!("12"), &json!("de-DE")));
        let kept = conversation.agent.call("comms_set_voice_settings", json!({ "greeting": "" })).await.unwrap();
        assert_eq!((kept.get("greeting"), &kept["language"]), (None, &json!("de-DE")), "{kept}");
    }
}

profiles! {
    async fn stop_by_sms_refuses_calls_and_voice_messages(cluster: &Cluster) {
        let (agent, person) = (cluster.rest().await, "+14155550177");
        cluster.texts(person, "STOP").await;
        agent.expect_events(1).await;
        for (tool, arguments) in [
            ("comms_make_call", json!({ "to": person, "greeting": "Hi." })),
            ("comms_send_voice_message", json!({ "to": person, "text": "Hi." })),
            ("comms_call_on_behalf", json!({ "target": person, "requesterPhone": "+14155550101" })),
        ] {
            let refused = agent.call(tool, arguments).await.unwrap_err();
            assert_eq!(refused["code"], "CONTACT_OPTED_OUT", "{tool}: {refused}");
        }
    }
}
