//! An agent's own host: a web server that takes callbacks, keeps every call, and answers as it is told.

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

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Call {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What it was answered with.
    pub status: u16,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name}"));
        value.to_str().expect("a text")
    }

    /// What the host knows a repetition by.
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// What the person wrote.
    pub fn text(&self) -> String {
        self.json()["body"].as_str().unwrap_or("-").to_owned()
    }
}

#[derive(Default)]
struct Desk {
    calls: Vec<Call>,
    answers: VecDeque<u16>,
    otherwise: Option<u16>,
    thinks: Duration,
}

#[derive(Clone)]
pub struct Host {
    pub base_url: String,
    desk: Arc<Mutex<Desk>>,
}

impl Host {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no lifecycle; the server ends with the test's runtime"
    )]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = Self {
            base_url: format!("http://{}", listener.local_addr().expect("an address")),
            desk: Arc::default(),
        };
        let router = Router::new().fallback(take).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        host
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// The next calls are answered with these, one after the other; 301 to 308 lead to `/elsewhere`.
    pub fn answer(&self, statuses: &[u16]) {
        self.desk.lock().unwrap().answers.extend(statuses);
    }

    /// Calls that nothing else is said about are answered with this; 200 until it is said.
    pub fn answer_always(&self, status: u16) {
        self.desk.lock().unwrap().otherwise = Some(status);
    }

    /// From now on it takes its time over each call.
    pub fn think_for(&self, time: Duration) {
        self.desk.lock().unwrap().thinks = time;
    }

    pub fn calls(&self) -> Vec<Call> {
        self.desk.lock().unwrap().calls.clone()
    }

    pub async fn expect_calls(&self, count: usize) -> Vec<Call> {
        eventually("the host is called", async || {
            let calls = self.calls();
            (calls.len() >= count).then_some(calls)
        })
        .await
    }

    /// All calls up to the one with this text.
    pub async fn calls_until(&self, last: &str) -> Vec<Call> {
        eventually("the host is told the last", async || {
            let mut calls = self.calls();
            let end = calls.iter().position(|call| call.text() == last)?;
            calls.truncate(end);
            Some(calls)
        })
        .await
    }
}

async fn take(State(host): State<Host>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let thinks = host.desk.lock().unwrap().thinks;
    tokio::time::sleep(thinks).await; // not a synchronisation: a slow host
    let mut desk = host.desk.lock().unwrap();
    let status = desk.answers.pop_front().or(desk.otherwise).unwrap_or(200);
    desk.calls.push(Call {
        path: uri.path().to_owned(),
        headers,
        body,
        status,
    });
    let answer = StatusCode::from_u16(status).expect("a status");
    if answer.is_redirection() {
        return (answer, [("location", host.url("/elsewhere"))]).into_response();
    }
    answer.into_response()
}
