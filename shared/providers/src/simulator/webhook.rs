//! Outgoing webhooks as data: the request, the vendor's retry policy and the result.

use axum::http::StatusCode;

/// A webhook to post. All attempts are identical.
#[derive(Clone)]
pub struct OutgoingWebhook {
    pub url: String,
    pub content_type: &'static str,
    pub headers: Headers,
    pub body: String,
    pub retry: RetryPolicy,
}

/// Names and values.
pub type Headers = Vec<(&'static str, String)>;

/// How often a vendor attempts a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Includes the first attempt.
    pub attempts: u32,
    /// Whether to retry after a 5xx or a missing response. A failed connection is always retried.
    pub retry_on_errors: bool,
}

impl RetryPolicy {
    pub const SINGLE_ATTEMPT: Self = Self {
        attempts: 1,
        retry_on_errors: false,
    };
}

/// The result of a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookOutcome {
    /// The status of the last response; `None` without a response.
    pub status: Option<StatusCode>,
    pub attempts: u32,
}

pub const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
pub const JSON: &str = "application/json";

/// The response to a webhook.
#[derive(Clone, Debug, Default)]
pub struct WebhookResponse {
    pub outcome: WebhookOutcome,
    pub content_type: String,
    pub body: String,
}
