//! Handmade call sockets: opened without the carrier's signature, opened twice, with invalid frames, and closed.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::support::{
    expect_close, next_speech, open_socket, ring_by_hand, send_frame, setup_frame, start_conversation,
    twilio_signature, within_timeout,
};

profiles! {
    async fn accepts_carrier_socket_only_once(cluster: &Cluster) {
        let call = ring_by_hand(cluster).await;
        let (sid, url) = (&call.sid, &call.socket_url);
        let signature = twilio_signature(cluster, url);
        assert_eq!(open_socket(url, None).await.err(), Some(403));
        assert_eq!(open_socket(url, Some("AAAA")).await.err(), Some(403));
        let elsewhere = twilio_signature(cluster, &format!("{url}x"));
        assert_eq!(open_socket(url, Some(&elsewhere)).await.err(), Some(403));
        assert_eq!(open_socket(&format!("{url}x"), Some(&elsewhere)).await.err(), Some(404));
        let mut first = open_socket(url, Some(&signature)).await.unwrap();
        assert_eq!(open_socket(url, Some(&signature)).await.err(), Some(409), "a ticket is valid for one socket");
        // A setup frame for another call is rejected.
        let other = setup_frame(&sid.replacen("CA", "CAffff", 1)[..34]);
        first.send(Message::text(other.to_string())).await.unwrap();
        expect_close(first).await;
    }
}

profiles! {
    async fn invalid_frames_are_ignored(cluster: &Cluster) {
        let prompt = |prompt: Value, last: Value| json!({ "type": "prompt", "voicePrompt": prompt, "lang": "en-US", "last": last });
        let mut socket = start_conversation(cluster).await;
        for hostile in [
            "null".to_owned(),
            "{".to_owned(),
            "[]".to_owned(),
            "7".to_owned(),
            json!({ "foo": 1 }).to_string(),
            json!({ "type": 7 }).to_string(),
            json!({ "type": "weather", "value": "fine" }).to_string(),
            json!({ "type": "dtmf", "digit": "x" }).to_string(),
            json!({ "type": "info", "name": "tokensPlayed" }).to_string(),
            json!({ "type": "interrupt", "utteranceUntilInterrupt": null }).to_string(),
            prompt(json!(null), json!(true)).to_string(),
            prompt(json!(["a"]), json!(true)).to_string(),
            "[".repeat(100_000),
        ] {
            socket.send(Message::text(hostile)).await.unwrap();
        }
        socket.send(Message::binary(vec![0_u8; 64])).await.unwrap();
        send_frame(&mut socket, prompt(json!("a".repeat(70_000)), json!("true"))).await;
        assert!(!next_speech(&mut socket).await.is_empty(), "the call continues");
    }
}

profiles! {
    async fn frame_that_is_too_long_closes_only_its_own_socket(cluster: &Cluster) {
        let mut bystander = start_conversation(cluster).await;
        let mut socket = start_conversation(cluster).await;
        // The relay may close the socket before the whole frame is sent.
        socket.send(Message::text("a".repeat(2 << 20))).await.ok();
        expect_close(socket).await;
        send_frame(&mut bystander, json!({ "type": "dtmf", "digit": 5 })).await;
        assert!(!next_speech(&mut bystander).await.is_empty(), "the other call continues");
    }
}

profiles! {
    async fn unusual_setup_opens_the_conversation(cluster: &Cluster) {
        for nulls in [&["from"][..], &["from", "to", "sessionId", "callSid", "customParameters"]] {
            let call = ring_by_hand(cluster).await;
            let signature = twilio_signature(cluster, &call.socket_url);
            let mut socket = open_socket(&call.socket_url, Some(&signature)).await.unwrap();
            let mut setup = setup_frame(&call.sid);
            nulls.iter().for_each(|name| setup[*name] = Value::Null);
            send_frame(&mut socket, json!({ "foo": 1 })).await;
            send_frame(&mut socket, setup).await;
            assert!(next_speech(&mut socket).await.contains(" AI "), "{nulls:?}");
        }
    }
}

profiles! {
    async fn close_frame_is_answered(cluster: &Cluster) {
        let mut socket = start_conversation(cluster).await;
        let close = CloseFrame { code: CloseCode::Normal, reason: "Closing websocket session".into() };
        socket.send(Message::Close(Some(close))).await.unwrap();
        let answer = async {
            loop {
                match socket.next().await {
                    Some(Ok(frame)) if frame.is_close() => return true,
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return false,
                }
            }
        };
        assert!(within_timeout("the answer to the Close frame", answer).await);
    }
}
