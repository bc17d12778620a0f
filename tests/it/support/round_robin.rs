//! rmcp's own HTTP client, behind a load balancer without affinity.

use std::{collections::HashMap, sync::Arc};

use futures::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use rmcp::{
    model::ClientJsonRpcMessage,
    transport::streamable_http_client::{
        SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    },
};
use sse_stream::Sse;

use super::Gateways;

/// Takes the path of a transport as its address, and sends each request to the next gateway.
#[derive(Clone)]
pub struct RoundRobin(pub Gateways);

type Headers = HashMap<HeaderName, HeaderValue>;
type Failed = StreamableHttpError<reqwest::Error>;

impl RoundRobin {
    fn next(&self, path: &str) -> Arc<str> {
        format!("{}{path}", self.0.next_base()).into()
    }
}

impl StreamableHttpClient for RoundRobin {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        path: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let url = self.next(&path);
        self.0.http.post_message(url, message, session, token, headers).await
    }

    async fn delete_session(
        &self,
        path: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<(), Failed> {
        let url = self.next(&path);
        self.0.http.delete_session(url, session, token, headers).await
    }

    async fn get_stream(
        &self,
        path: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failed> {
        let url = self.next(&path);
        self.0.http.get_stream(url, session, last_event, token, headers).await
    }
}
