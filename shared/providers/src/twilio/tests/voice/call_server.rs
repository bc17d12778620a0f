//! A web server for tests that returns prepared scripts and accepts conversation sockets.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::{
    extract::{
        FromRequestParts, Request, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use butt_dial_domain::{
    Clock,
    call::CallReport,
    ports::{
        voice::{ConversationSocket, IncomingFrame, OutgoingFrame, Script, Step, Voice},
        webhook::{WebhookRequest, Webhooks},
    },
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use crate::tests::harness::TEST_TIMEOUT;

pub struct CallServer {
    pub base_url: String,
    pub voice: Arc<dyn Voice>,
    pub webhooks: Arc<dyn Webhooks>,
    state: ServerState,
    received: mpsc::UnboundedReceiver<WebhookRequest>,
    opened: mpsc::UnboundedReceiver<ServerSocket>,
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct ServerState {
    base_url: String,
    answers: Arc<Mutex<HashMap<String, VecDeque<ServerAnswer>>>>,
    received: mpsc::UnboundedSender<WebhookRequest>,
    opened: mpsc::UnboundedSender<ServerSocket>,
}

#[derive(Clone)]
pub enum ServerAnswer {
    Script(String),
    Status(StatusCode),
}

/// The server's end of a conversation socket.
pub struct ServerSocket {
    pub url: String,
    pub headers: HeaderMap,
    frames: mpsc::UnboundedReceiver<String>,
    sender: mpsc::UnboundedSender<String>,
}

impl CallServer {
    pub async fn open(voice: Arc<dyn Voice>, webhooks: Arc<dyn Webhooks>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let ((requests, received), (open, opened)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let state = ServerState {
            base_url: base_url.clone(),
            answers: Arc::default(),
            received: requests,
            opened: open,
        };
        let mut server = JoinSet::new();
        let router = axum::Router::new().fallback(serve).with_state(state.clone());
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            base_url,
            voice,
            webhooks,
            state,
            received,
            opened,
            _server: server,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// Queues the script for the next request to this path; the last one repeats.
    pub fn answer(&self, path: &str, steps: Vec<Step>) {
        self.answer_with(path, ServerAnswer::Script(self.voice.render(&Script(steps)).body));
    }

    /// Queues raw TwiML, for verbs that the adapter does not render.
    pub fn answer_with_twiml(&self, path: &str, verbs: &str) {
        self.answer_with(path, ServerAnswer::Script(format!("<Response>{verbs}</Response>")));
    }

    pub fn answer_with(&self, path: &str, answer: ServerAnswer) {
        let mut answers = self.state.answers.lock().unwrap();
        answers.entry(path.to_owned()).or_default().push_back(answer);
    }

    pub fn conversation(&self) -> ConversationSocket {
        ConversationSocket {
            socket_url: format!("{}/relay/t0ken", self.base_url.replace("http://", "wss://")),
            action_url: self.url("/action"),
            greeting: None,
            language: "en-US".to_owned(),
            voice: None,
            languages: vec!["de-DE".to_owned()],
            hints: Vec::new(),
            partial_transcripts: true,
            interrupt_sensitivity: Default::default(),
        }
    }

    pub fn converse(&self) -> Vec<Step> {
        vec![Step::Converse(Box::new(self.conversation()))]
    }

    /// Returns the next request, which must be signed, with its path and report.
    pub async fn report(&mut self) -> (String, CallReport) {
        let request = self.request().await;
        let path = request.url.strip_prefix(&self.base_url).unwrap().to_owned();
        (path, self.voice.parse_report(&request).unwrap())
    }

    pub async fn request(&mut self) -> WebhookRequest {
        let request = tokio::time::timeout(TEST_TIMEOUT, self.received.recv()).await;
        let request = request.expect("a request").expect("the server runs");
        assert_eq!(self.webhooks.verify(&request), Ok(()), "{}", request.url);
        request
    }

    /// Returns the next report at this path and skips others.
    pub async fn report_at(&mut self, path: &str) -> CallReport {
        loop {
            let (at, report) = self.report().await;
            if at == path {
                return report;
            }
        }
    }

    pub async fn next_socket_unchecked(&mut self) -> ServerSocket {
        let opened = tokio::time::timeout(TEST_TIMEOUT, self.opened.recv()).await;
        opened.expect("a socket").expect("the server runs")
    }

    pub async fn socket(&mut self) -> ServerSocket {
        let socket = self.next_socket_unchecked().await;
        assert_eq!(self.voice.verify_socket(&socket.url, &socket.headers), Ok(()));
        socket
    }
}

impl ServerSocket {
    /// Returns the next frame; `None` when the socket is closed.
    pub async fn frame(&mut self) -> Option<Value> {
        let frame = tokio::time::timeout(TEST_TIMEOUT, self.frames.recv()).await;
        let frame = frame.expect("a frame or an end")?;
        Some(serde_json::from_str(&frame).unwrap())
    }

    /// Returns a short form of the next frame: `agentSpeaking on`, `prompt Hi.`, `prompt Hi...`.
    pub async fn label(&mut self) -> Option<String> {
        let frame = self.frame().await?;
        let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
        Some(match text("type").as_str() {
            "info" => format!("{} {}", text("name"), text("value")),
            "prompt" if frame["last"] == true => format!("prompt {}.", text("voicePrompt")),
            "prompt" => format!("prompt {}...", text("voicePrompt")),
            "interrupt" => format!("interrupt {}", text("utteranceUntilInterrupt")),
            "dtmf" => format!("key {}", text("digit")),
            "error" => format!("error {}", text("description")),
            other => other.to_owned(),
        })
    }

    /// Returns the short forms of the next frames.
    pub async fn labels(&mut self, count: usize) -> Vec<String> {
        let mut labels = Vec::new();
        for _ in 0..count {
            labels.push(self.label().await.expect("a frame"));
        }
        labels
    }

    /// Skips frames until this one.
    pub async fn until(&mut self, wanted: &str) {
        while self.label().await.expect("a frame") != wanted {}
    }

    pub async fn is_closed(&mut self) {
        while self.frame().await.is_some() {}
    }

    pub fn send(&self, voice: &dyn Voice, frame: &OutgoingFrame) {
        self.send_raw(&voice.encode_frame(frame));
    }

    pub fn send_raw(&self, frame: &str) {
        // After the socket's end the test fails at its next read.
        let _ = self.sender.send(frame.to_owned());
    }

    pub fn speak(&self, voice: &dyn Voice, text: &str) {
        self.send(voice, &speech(text, false));
    }

    /// Drops the socket without a close frame.
    pub fn kill(self) {}
}

pub fn speech(text: &str, preemptible: bool) -> OutgoingFrame {
    OutgoingFrame::Speak {
        text: text.to_owned(),
        is_last: true,
        language: None,
        interruptible: None,
        preemptible,
    }
}

/// Asserts that the adapter reads each frame of the simulator.
fn check(voice_frame: &str) {
    let read = crate::twilio::voice::relay::parse_frame(voice_frame);
    assert!(!matches!(read, Err(_) | Ok(IncomingFrame::Other)), "{voice_frame}");
}

async fn serve(State(state): State<ServerState>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if parts.headers.contains_key("upgrade") {
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.unwrap();
        let url = format!("{}{}", state.base_url.replace("http://", "wss://"), parts.uri);
        return upgrade.on_upgrade(move |socket| serve_socket(state, url, parts.headers, socket));
    }
    let path = parts.uri.path().to_owned();
    let request = WebhookRequest {
        method: parts.method,
        url: format!("{}{}", state.base_url, parts.uri),
        headers: parts.headers,
        body: axum::body::to_bytes(body, usize::MAX).await.unwrap(),
        received_at: Clock::System.now(),
    };
    // The test may have dropped its end.
    let _ = state.received.send(request);
    let answer = {
        let mut answers = state.answers.lock().unwrap();
        match answers.get_mut(&path) {
            Some(answers) if answers.len() > 1 => answers.pop_front(),
            Some(answers) => answers.front().cloned(),
            None => None,
        }
    };
    match answer {
        Some(ServerAnswer::Script(script)) => ([("content-type", "text/xml")], script).into_response(),
        Some(ServerAnswer::Status(status)) => status.into_response(),
        None => ([("content-type", "text/xml")], "<Response/>").into_response(),
    }
}

async fn serve_socket(state: ServerState, url: String, headers: HeaderMap, mut socket: WebSocket) {
    let ((requests, frames), (sender, mut to_send)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel::<String>());
    let server = ServerSocket {
        url,
        headers,
        frames,
        sender,
    };
    if state.opened.send(server).is_err() {
        return;
    }
    loop {
        tokio::select! {
            frame = socket.recv() => match frame {
                Some(Ok(Message::Text(text))) => {
                    check(&text);
                    let _ = requests.send(text.to_string());
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            frame = to_send.recv() => match frame {
                Some(frame) => {
                    if socket.send(Message::text(frame)).await.is_err() {
                        return;
                    }
                }
                // The test has dropped its end.
                None => return,
            },
        }
    }
}
