//! Sockets of calls, opened by hand: what is no carrier's, is used again, or says what no carrier says.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

use crate::support::{Webhook, World, in_time, sid, twilio_signature};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A call that rings: its SID, and the address of the socket that is to be opened.
async fn rings(world: &World) -> (String, String) {
    let call = sid().replacen("SM", "CA", 1);
    let account = "AC00000000000000000000000000000000";
    let fields = [
        ("CallSid", call.as_str()),
        ("AccountSid", account),
        ("From", "+14155550123"),
        ("To", world.account.phone.as_str()),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
    ];
    let asked = Webhook::twilio(world, "/webhooks/twilio/voice", &fields)
        .post(world)
        .await;
    assert_eq!(asked.status, 200, "{}", asked.text);
    let url = asked.text.split('"').find(|text| text.starts_with("wss://"));
    (call, url.expect("a socket").to_owned())
}

/// Opens it as its signature has it; the refusal's status.
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

/// In conversation: greeted.
async fn talks(world: &World) -> Socket {
    let (call, url) = rings(world).await;
    let mut socket = open(&url, Some(&twilio_signature(&url))).await.unwrap();
    socket.send(Message::text(setup(&call).to_string())).await.unwrap();
    assert!(spoken(&mut socket).await.contains(" AI "));
    socket
}

/// The next words that are to be spoken.
async fn spoken(socket: &mut Socket) -> String {
    loop {
        let frame = in_time("a frame", socket.next())
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

async fn is_closed(mut socket: Socket) {
    let end = async {
        while let Some(Ok(frame)) = socket.next().await {
            if frame.is_close() {
                return;
            }
        }
    };
    in_time("the socket's end", end).await;
}

profiles! {
    async fn nobody_but_the_carrier_opens_a_calls_socket_and_only_once(world: &World) {
        let (call, url) = rings(world).await;
        let signature = twilio_signature(&url);
        assert_eq!(open(&url, None).await.err(), Some(403));
        assert_eq!(open(&url, Some("AAAA")).await.err(), Some(403));
        let elsewhere = twilio_signature(&format!("{url}x"));
        assert_eq!(open(&url, Some(&elsewhere)).await.err(), Some(403));
        assert_eq!(open(&format!("{url}x"), Some(&elsewhere)).await.err(), Some(404));
        let mut first = open(&url, Some(&signature)).await.unwrap();
        assert_eq!(open(&url, Some(&signature)).await.err(), Some(409), "a token is good for one socket");
        // A session of another call's is none.
        let other = setup(&call.replacen("CA", "CAffff", 1)[..34]);
        first.send(Message::text(other.to_string())).await.unwrap();
        is_closed(first).await;
    }
}

profiles! {
    async fn what_no_carrier_says_closes_that_socket_alone(world: &World) {
        let mut bystander = talks(world).await;
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
            let mut socket = talks(world).await;
            // The other side may have closed it before all of it was sent.
            socket.send(Message::text(hostile)).await.ok();
            is_closed(socket).await;
        }
        let mut socket = talks(world).await;
        socket.send(Message::binary(vec![0_u8; 64])).await.unwrap();
        is_closed(socket).await;
        // What is only unknown is passed over.
        bystander.send(Message::text(json!({ "type": "weather", "value": "fine" }).to_string())).await.unwrap();
        bystander.send(Message::text(json!({ "type": "dtmf", "digit": "#" }).to_string())).await.unwrap();
        bystander.send(Message::text(prompt(json!("Anybody?"), json!(true)).to_string())).await.unwrap();
        assert!(!spoken(&mut bystander).await.is_empty(), "the other call goes on");
    }
}
