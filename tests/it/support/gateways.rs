//! The gateways of a test. Each request goes to the next one, as behind a load balancer without affinity.

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicUsize, Ordering},
};

use http::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::{WAIT_TIMEOUT, within_timeout};

/// Cheap to clone; all clones share the rotation.
#[derive(Clone)]
pub struct Gateways {
    pub http: Client,
    bases: Arc<RwLock<Vec<String>>>,
    next: Arc<AtomicUsize>,
}

impl Gateways {
    pub fn new(bases: Vec<String>) -> Self {
        let http = Client::builder().no_proxy().tcp_nodelay(true).build();
        Self {
            http: http.expect("an HTTP client"),
            bases: Arc::new(RwLock::new(bases)),
            next: Arc::default(),
        }
    }

    /// Returns a client of one gateway only.
    pub fn only(&self, index: usize) -> Self {
        Self {
            http: self.http.clone(),
            bases: Arc::new(RwLock::new(vec![self.base(index)])),
            next: Arc::default(),
        }
    }

    /// Replaces the gateways for all clones.
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
        bases[self.next.fetch_add(1, Ordering::Relaxed) % bases.len()].clone()
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

/// A response, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null when the body is not JSON.
    pub body: Value,
    pub text: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Returns the body. Fails when the status differs.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }
}

pub trait RequestExt {
    /// Sends the request and reads the response. Fails when there is none.
    fn reply(self) -> impl Future<Output = Reply> + Send;

    /// Sends the request. Returns `None` when the connection is refused or breaks.
    fn try_reply(self) -> impl Future<Output = Option<Reply>> + Send;
}

impl RequestExt for RequestBuilder {
    async fn reply(self) -> Reply {
        self.try_reply().await.expect("a response")
    }

    async fn try_reply(self) -> Option<Reply> {
        let exchange = async {
            let response = self.timeout(2 * WAIT_TIMEOUT).send().await.ok()?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let text = response.text().await.ok()?;
            Some(Reply {
                status,
                headers,
                body: serde_json::from_str(&text).unwrap_or_default(),
                text,
            })
        };
        within_timeout("an HTTP request", exchange).await
    }
}
