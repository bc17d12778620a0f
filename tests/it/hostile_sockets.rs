//! Handmade call sockets: opened without the carrier's signature, opened twice, and with invalid frames.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

use crate::support::{Cluster, Webhook, message_sid, twilio_signature, within_timeout};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Announces a ringing call. Returns its SID and the URL of its socket.
async fn ring(cluster: &Cluster) -> (String, String) {
    let call = message_sid().replacen("SM", "CA", 1);
    let account = "AC00000000000000000000000000000000";
    let fields = [
        ("CallSid", call.as_str()),
        ("AccountSid", account),
        ("From", "+14155550123"),
        ("To", cluster.account.phone.as_str()),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
    ];
    let reply = Webhook::twilio(cluster, "/webhooks/twilio/voice", &fields)
        .post(cluster)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let url = reply.text.split('"').find(|text| text.starts_with("wss://"));
    (call, url.expect("a socket").to_owned())
}

/// Opens the socket with this signature. Returns the HTTP status of a rejection.
async fn open(url: &str, signature: Option<&str>) -> Result<Socket, u16> {
    let mut request = url.replacen("wss://", "ws://", 1).into_client_request().unwrap();
    if let Some(signature) = signature {
        request
            .headers_mut()
            .insert("x-twilio-signature", signature.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

fn setup(call: &str) -> Value {
    json!({
        "type": "setup", "sessionId": call.replacen("CA", "VX", 1), "callSid": call, "from": "+14155550123",
        "to": "+14155550100", "direction": "inbound", "callType": "PSTN", "customParameters": {},
    })
}

/// Opens a call that has heard its greeting.
async fn start_conversation(cluster: &Cluster) -> Socket {
    let (call, url) = ring(cluster).await;
    let mut socket = open(&url, Some(&twilio_signature(cluster, &url))).await.unwrap();
    socket.send(Message::text(setup(&call).to_string())).await.unwrap();
    assert!(next_speech(&mut socket).await.contains(" AI "));
    socket
}

/// Returns the next text to be spoken.
async fn next_speech(socket: &mut Socket) -> String {
    loop {
        let frame = within_timeout("a frame", socket.next())
            .await
            .expect("an open socket")
            .unwrap();
        let Ok(text) = frame.to_text() else { continue };
        let frame: Value = serde_json::from_str(text).unwrap();
        if let Some(token) = frame["token"].as_str() {
            return token.to_owned();
        }
    }
}

async fn expect_close(mut socket: Socket) {
    let end = async {
        while let Some(Ok(frame)) = socket.next().await {
            if frame.is_close() {
                return;
            }
        }
    };
    within_timeout("the socket's end", end).await;
}

profiles! {
    async fn accepts_carrier_socket_only_once(cluster: &Cluster) {
        let (call, url) = ring(cluster).await;
        let signature = twilio_signature(cluster, &url);
        assert_eq!(open(&url, None).await.err(), Some(403));
        assert_eq!(open(&url, Some("AAAA")).await.err(), Some(403));
        let elsewhere = twilio_signature(cluster, &format!("{url}x"));
        assert_eq!(open(&url, Some(&elsewhere)).await.err(), Some(403));
        assert_eq!(open(&format!("{url}x"), Some(&elsewhere)).await.err(), Some(404));
        let mut first = open(&url, Some(&signature)).await.unwrap();
        assert_eq!(open(&url, Some(&signature)).await.err(), Some(409), "a ticket is valid for one socket");
        // A setup frame for another call is rejected.
        let other = setup(&call.replacen("CA", "CAffff", 1)[..34]);
        first.send(Message::text(other.to_string())).await.unwrap();
        expect_close(first).await;
    }
}

profiles! {
    async fn invalid_frame_closes_only_its_own_socket(cluster: &Cluster) {
        let mut bystander = start_conversation(cluster).await;
        let prompt = |prompt: Value, last: Value| json!({ "type": "prompt", "voicePrompt": prompt, "lang": "en-US", "last": last });
        for hostile in [
            "null".to_owned(),
            "{".to_owned(),
            "[]".to_owned(),
            "7".to_owned(),
            json!({ "type": 7 }).to_string(),
            prompt(json!(7), json!(true)).to_string(),
            prompt(json!("Hello"), json!("yes")).to_string(),
            format!("{{\"type\":\"prompt\",\"voicePrompt\":\"{}\",\"last\":true}}", "a".repeat(1 << 20)),
            "[".repeat(100_000),
        ] {
            let mut socket = start_conversation(cluster).await;
            // The relay may close the socket before the whole frame is sent.
            socket.send(Message::text(hostile)).await.ok();
            expect_close(socket).await;
        }
        let mut socket = start_conversation(cluster).await;
        socket.send(Message::binary(vec![0_u8; 64])).await.unwrap();
        expect_close(socket).await;
        // Unknown frame types are ignored.
        bystander.send(Message::text(json!({ "type": "weather", "value": "fine" }).to_string())).await.unwrap();
        bystander.send(Message::text(json!({ "type": "dtmf", "digit": "#" }).to_string())).await.unwrap();
        bystander.send(Message::text(prompt(json!("Hello?"), json!(true)).to_string())).await.unwrap();
        assert!(!next_speech(&mut bystander).await.is_empty(), "the other call continues");
    }
}
