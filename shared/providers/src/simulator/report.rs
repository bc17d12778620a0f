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

impl World {
    /// Posts until it is taken or the vendor's patience is at its end. Vendors wait between tries; this does not.
    pub(crate) async fn post(&self, report: &Report) -> Heard {
        let mut heard = Heard::default();
        let Some(http) = self.http() else {
            return heard;
        };
        while heard.tries < report.patience.tries {
            heard.tries += 1;
            let mut request = http
                .post(&report.url)
                .timeout(DEADLINE)
                .header("content-type", report.content_type)
                .body(report.body.clone());
            for (name, value) in &report.headers {
                request = request.header(*name, value);
            }
            let is_worth_another = match request.send().await {
                Ok(answer) => {
                    heard.status = Some(answer.status());
                    answer.status().is_server_error() && report.patience.after_errors
                }
                Err(error) => {
                    heard.status = None;
                    let again = error.is_connect() || report.patience.after_errors;
                    tracing::debug!(error = %error.without_url(), "nobody took the simulator's webhook");
                    again
                }
            };
            if !is_worth_another {
                break;
            }
        }
        heard
    }
}
