//! An agent's own web server: receives callbacks, records each one, and responds as the test configures it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tokio::net::TcpListener;

use super::eventually;

/// One received request.
#[derive(Clone, Debug)]
pub struct Callback {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Status of the response.
    pub status: u16,
}

impl Callback {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name}"));
        value.to_str().expect("a string")
    }

    /// The id by which a host recognizes a repetition.
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Text of the message.
    pub fn text(&self) -> String {
        self.json()["body"].as_str().unwrap_or("-").to_owned()
    }
}

#[derive(Default)]
struct HostState {
    callbacks: Vec<Callback>,
    next_statuses: VecDeque<u16>,
    default_status: Option<u16>,
    delay: Duration,
}

#[derive(Clone)]
pub struct CallbackHost {
    pub base_url: String,
    state: Arc<Mutex<HostState>>,
}

impl CallbackHost {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no lifecycle; the server ends with the test's runtime"
    )]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = Self {
            base_url: format!("http://{}", listener.local_addr().expect("an address")),
            state: Arc::default(),
        };
        let router = Router::new().fallback(receive).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        host
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// Sets the statuses of the next responses, in order. Statuses 301 to 308 redirect to `/elsewhere`.
    pub fn respond_with(&self, statuses: &[u16]) {
        self.state.lock().unwrap().next_statuses.extend(statuses);
    }

    /// Sets the status of all other responses. The default is 200.
    pub fn respond_always(&self, status: u16) {
        self.state.lock().unwrap().default_status = Some(status);
    }

    /// Delays each response from now on.
    pub fn delay_responses(&self, time: Duration) {
        self.state.lock().unwrap().delay = time;
    }

    pub fn callbacks(&self) -> Vec<Callback> {
        self.state.lock().unwrap().callbacks.clone()
    }

    pub async fn expect_callbacks(&self, count: usize) -> Vec<Callback> {
        eventually("the host receives callbacks", async || {
            let callbacks = self.callbacks();
            (callbacks.len() >= count).then_some(callbacks)
        })
        .await
    }

    /// Waits for the callback with this text, and returns the callbacks before it.
    pub async fn callbacks_until(&self, last: &str) -> Vec<Callback> {
        eventually("the host receives the last message", async || {
            let mut callbacks = self.callbacks();
            let end = callbacks.iter().position(|callback| callback.text() == last)?;
            callbacks.truncate(end);
            Some(callbacks)
        })
        .await
    }
}

async fn receive(State(host): State<CallbackHost>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let delay = host.state.lock().unwrap().delay;
    tokio::time::sleep(delay).await; // not a synchronisation: a slow host
    let mut state = host.state.lock().unwrap();
    let status = state.next_statuses.pop_front().or(state.default_status).unwrap_or(200);
    state.callbacks.push(Callback {
        path: uri.path().to_owned(),
        headers,
        body,
        status,
    });
    let response = StatusCode::from_u16(status).expect("a status");
    if response.is_redirection() {
        return (response, [("location", host.url("/elsewhere"))]).into_response();
    }
    response.into_response()
}
