//! Where requests go: each to the next gateway, as a load balancer without affinity would send them.

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicUsize, Ordering},
};

use http::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::{PATIENCE, in_time};

/// Cheap to clone: all clones take turns together.
#[derive(Clone)]
pub struct Gateways {
    pub http: Client,
    bases: Arc<RwLock<Vec<String>>>,
    turn: Arc<AtomicUsize>,
}

impl Gateways {
    pub fn new(bases: Vec<String>) -> Self {
        let http = Client::builder().no_proxy().tcp_nodelay(true).build();
        Self {
            http: http.expect("an HTTP client"),
            bases: Arc::new(RwLock::new(bases)),
            turn: Arc::default(),
        }
    }

    /// One gateway and no other.
    pub fn only(&self, index: usize) -> Self {
        Self {
            http: self.http.clone(),
            bases: Arc::new(RwLock::new(vec![self.base(index)])),
            turn: Arc::default(),
        }
    }

    /// The gateways from now on.
    pub fn replace(&self, bases: Vec<String>) {
        *self.bases.write().unwrap() = bases;
    }

    pub fn count(&self) -> usize {
        self.bases.read().unwrap().len()
    }

    pub fn base(&self, index: usize) -> String {
        self.bases.read().unwrap()[index].clone()
    }

    pub fn next_base(&self) -> String {
        let bases = self.bases.read().unwrap();
        bases[self.turn.fetch_add(1, Ordering::Relaxed) % bases.len()].clone()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.next_base()))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null where the answer is no JSON.
    pub body: Value,
    pub text: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body of an answer that must have this status.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }
}

pub trait Replying {
    /// Asks, and reads the answer. Fails when there is none.
    fn reply(self) -> impl Future<Output = Reply> + Send;

    /// Asks; `None` when the connection is refused or breaks.
    fn try_reply(self) -> impl Future<Output = Option<Reply>> + Send;
}

impl Replying for RequestBuilder {
    async fn reply(self) -> Reply {
        self.try_reply().await.expect("an answer")
    }

    async fn try_reply(self) -> Option<Reply> {
        let asked = async {
            let response = self.timeout(2 * PATIENCE).send().await.ok()?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let text = response.text().await.ok()?;
            Some(Reply {
                status,
                headers,
                body: serde_json::from_str(&text).unwrap_or_default(),
                text,
            })
        };
        in_time("an HTTP request", asked).await
    }
}
