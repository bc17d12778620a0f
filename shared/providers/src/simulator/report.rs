//! How a simulated vendor calls us: one webhook, tried as often as the vendor tries.

use std::time::Duration;

use axum::http::StatusCode;

use super::world::World;

const DEADLINE: Duration = Duration::from_secs(15);

/// A webhook that is to be posted. Every try is the same, byte for byte.
#[derive(Clone)]
pub struct Report {
    pub url: String,
    pub content_type: &'static str,
    pub headers: Headers,
    pub body: String,
    pub patience: Patience,
}

/// Names and values.
pub type Headers = Vec<(&'static str, String)>;

/// How often a vendor tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The first try included.
    pub tries: u32,
    /// Whether a 5xx or a missing answer is a reason to try again; a connection that can't be made always is.
    pub after_errors: bool,
}

impl Patience {
    pub const ONE_TRY: Self = Self {
        tries: 1,
        after_errors: false,
    };
}

/// What became of a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The last answer's status; `None` where nobody answered.
    pub status: Option<StatusCode>,
    pub tries: u32,
}

pub const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
pub const JSON: &str = "application/json";

/// What a webhook was answered with.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    pub heard: Heard,
    pub content_type: String,
    pub body: String,
}

impl World {
    /// Posts until it is taken or the vendor's patience is at its end. Vendors wait between tries; this does not.
    pub(crate) async fn post(&self, report: &Report) -> Heard {
        self.ask(report).await.heard
    }

    /// The same, for a webhook whose answer says what to do.
    pub(crate) async fn ask(&self, report: &Report) -> Answered {
        let mut answered = Answered::default();
        let Some(http) = self.http() else {
            return answered;
        };
        while answered.heard.tries < report.patience.tries {
            answered.heard.tries += 1;
            let mut request = http
                .post(self.routed(&report.url))
                .timeout(DEADLINE)
                .header("content-type", report.content_type)
                .body(report.body.clone());
            for (name, value) in &report.headers {
                request = request.header(*name, value);
            }
            let is_worth_another = match request.send().await {
                Ok(answer) => {
                    answered.heard.status = Some(answer.status());
                    let again = answer.status().is_server_error() && report.patience.after_errors;
                    let content_type = answer.headers().get("content-type");
                    answered.content_type = content_type
                        .and_then(|value| value.to_str().ok())
                        .unwrap_or_default()
                        .to_owned();
                    answered.body = answer.text().await.unwrap_or_default();
                    again
                }
                Err(error) => {
                    answered.heard.status = None;
                    let again = error.is_connect() || report.patience.after_errors;
                    tracing::debug!(error = %error.without_url(), "nobody took the simulator's webhook");
                    again
                }
            };
            if !is_worth_another {
                break;
            }
        }
        answered
    }
}
