//! The client that sends a vendor's webhooks, with the vendor's retry policy.

use std::time::Duration;

use super::{
    state::SimulatorState,
    webhook::{OutgoingWebhook, WebhookOutcome, WebhookResponse},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

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
