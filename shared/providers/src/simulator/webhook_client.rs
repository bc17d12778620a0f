//! The client that sends a vendor's webhooks, with the vendor's retry policy.

use std::time::Duration;

use axum::http::StatusCode;

use super::state::SimulatorState;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

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

impl SimulatorState {
    /// Posts until the webhook is accepted or the attempts are used up. Retries at once, unlike the vendors.
    pub(crate) async fn post(&self, webhook: &OutgoingWebhook) -> WebhookOutcome {
        self.post_for_response(webhook).await.outcome
    }

    /// Posts the webhook and returns the response, which holds instructions.
    pub(crate) async fn post_for_response(&self, webhook: &OutgoingWebhook) -> WebhookResponse {
        let mut response = WebhookResponse::default();
        let Some(http) = self.http() else {
            return response;
        };
        while response.outcome.attempts < webhook.retry.attempts {
            response.outcome.attempts += 1;
            let mut request = http
                .post(self.routed(&webhook.url))
                .timeout(REQUEST_TIMEOUT)
                .header("content-type", webhook.content_type)
                .body(webhook.body.clone());
            for (name, value) in &webhook.headers {
                request = request.header(*name, value);
            }
            let should_retry = match request.send().await {
                Ok(answer) => {
                    response.outcome.status = Some(answer.status());
                    let retry = answer.status().is_server_error() && webhook.retry.retry_on_errors;
                    let content_type = answer.headers().get("content-type");
                    response.content_type = content_type
                        .and_then(|value| value.to_str().ok())
                        .unwrap_or_default()
                        .to_owned();
                    response.body = answer.text().await.unwrap_or_default();
                    retry
                }
                Err(error) => {
                    response.outcome.status = None;
                    let retry = error.is_connect() || webhook.retry.retry_on_errors;
                    tracing::debug!(error = %error.without_url(), "simulator webhook failed");
                    retry
                }
            };
            if !should_retry {
                break;
            }
        }
        response
    }
}
