//! A handmade carrier: it announces a call and opens its socket, so that a test chooses every frame.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

use super::{Cluster, Webhook, message_sid, twilio_signature, within_timeout};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A call that rings.
pub struct RungCall {
    /// The carrier's id.
    pub sid: String,
    pub socket_url: String,
    /// The whole script.
    pub script: String,
}

/// Announces a ringing call.
pub async fn ring_by_hand(cluster: &Cluster) -> RungCall {
    let sid = message_sid().replacen("SM", "CA", 1);
    let script = post_call_webhook(cluster, "/webhooks/twilio/voice", &sid, &[("CallStatus", "ringing")]).await;
    let url = script.split('"').find(|text| text.starts_with("wss://"));
    RungCall {
        sid,
        socket_url: url.expect("a socket").to_owned(),
        script,
    }
}

/// Reports that the caller has hung up, after the end of the socket.
pub async fn report_hang_up(cluster: &Cluster, call: &RungCall) {
    let action = call
        .script
        .split('"')
        .find(|text| text.contains("/action/") || text.contains("/action?"));
    let action = action.expect("an action").split('#').next().unwrap_or_default();
    let path = action
        .strip_prefix(cluster.public_url.as_str())
        .expect("a path")
        .replace("&amp;", "&");
    let fields = [
        ("CallStatus", "completed"),
        ("SessionStatus", "completed"),
        ("SessionId", &call.sid.replacen("CA", "VX", 1)),
        ("SessionDuration", "9"),
    ];
    post_call_webhook(cluster, &path, &call.sid, &fields).await;
}

async fn post_call_webhook(cluster: &Cluster, path: &str, sid: &str, more: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("CallSid", sid),
        ("AccountSid", "AC00000000000000000000000000000000"),
        ("From", "+14155550123"),
        ("To", cluster.account.phone.as_str()),
        ("Direction", "inbound"),
    ];
    fields.extend(more);
    let reply = Webhook::twilio(cluster, path, &fields).post(cluster).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text
}

/// Opens the socket with this signature. Returns the HTTP status of a rejection.
pub async fn open_socket(url: &str, signature: Option<&str>) -> Result<Socket, u16> {
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

pub fn setup_frame(call: &str) -> Value {
    json!({
        "type": "setup", "sessionId": call.replacen("CA", "VX", 1), "callSid": call, "from": "+14155550123",
        "to": "+14155550100", "direction": "inbound", "callType": "PSTN", "customParameters": {},
    })
}

/// Opens the socket of a call and sends the first frame.
pub async fn open_conversation(cluster: &Cluster, call: &RungCall) -> Socket {
    let signature = twilio_signature(cluster, &call.socket_url);
    let mut socket = open_socket(&call.socket_url, Some(&signature)).await.unwrap();
    send_frame(&mut socket, setup_frame(&call.sid)).await;
    socket
}

/// Opens a call that has heard its greeting.
pub async fn start_conversation(cluster: &Cluster) -> Socket {
    let call = ring_by_hand(cluster).await;
    let mut socket = open_conversation(cluster, &call).await;
    assert!(next_speech(&mut socket).await.contains(" AI "));
    socket
}

/// Returns the next frame.
pub async fn next_frame(socket: &mut Socket) -> Value {
    loop {
        let frame = within_timeout("a frame", socket.next())
            .await
            .expect("an open socket")
            .unwrap();
        if let Some(frame) = frame.to_text().ok().and_then(|text| serde_json::from_str(text).ok()) {
            return frame;
        }
    }
}

/// Returns the next frame of this type.
pub async fn next_frame_of(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let frame = next_frame(socket).await;
        if frame["type"] == kind {
            return frame;
        }
    }
}

/// Returns the next text to be spoken.
pub async fn next_speech(socket: &mut Socket) -> String {
    let frame = next_frame_of(socket, "text").await;
    frame["token"].as_str().expect("a text").to_owned()
}

pub async fn expect_close(mut socket: Socket) {
    let end = async {
        while let Some(Ok(frame)) = socket.next().await {
            if frame.is_close() {
                return;
            }
        }
    };
    within_timeout("the socket's end", end).await;
}

/// Sends a frame.
pub async fn send_frame(socket: &mut Socket, frame: Value) {
    socket.send(Message::text(frame.to_string())).await.unwrap();
}
