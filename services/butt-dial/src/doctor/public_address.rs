//! The check of the public address: the program asks itself through it, as carriers and agents would. Only a replica with the key of
//! this installation can answer.

use std::time::Duration;

use butt_dial_runtime::{
    Platform,
    installation_proof::{PathOfRequest, Question},
};
use serde_json::Value;

use super::report::Report;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 16_384;

pub(super) async fn check(platform: &Platform, report: &mut Report) {
    let config = &platform.config;
    let Some(url) = &config.webhook_base_url else {
        if platform.simulator.is_none() {
            report.warn(
                "public",
                "WEBHOOK_BASE_URL is not set: carriers can't call this installation, and no webhook is accepted",
            );
        }
        return;
    };
    let base = url.as_str().trim_end_matches('/');
    let path = match ask(platform, base).await {
        Ok(path) => path,
        Err(reason) => return report.check("public", Err(reason)),
    };
    report.ok("public", &format!("{base} leads to this installation"));
    if url.scheme() == "http" && !config.carriers.are_simulated() {
        report.warn(
            "public",
            "WEBHOOK_BASE_URL has no TLS: tokens and messages can be read on the way",
        );
    }
    match path {
        PathOfRequest::TrustedProxy => report.ok("proxies", "the proxy is in TRUSTED_PROXIES"),
        PathOfRequest::UnknownProxy => report.warn(
            "proxies",
            "requests come through a proxy that is not in TRUSTED_PROXIES: all clients have its address, and ten wrong tokens of \
             one client lock out unknown tokens of all",
        ),
        // This program serves no TLS.
        PathOfRequest::Direct if url.scheme() == "https" => report.warn(
            "proxies",
            "the proxy before this installation does not name the client (X-Forwarded-For), or is not in TRUSTED_PROXIES: all \
             clients have its address",
        ),
        PathOfRequest::Direct => report.ok("proxies", "none between the public address and the replica"),
    }
}

/// Asks the public address. Returns how the request came to the replica that answered.
async fn ask(platform: &Platform, base: &str) -> Result<PathOfRequest, String> {
    let question = platform.proof.ask();
    // Carriers follow no redirects of webhooks.
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.timeout(TIMEOUT).build().map_err(|error| error.to_string())?;
    let response = client.get(format!("{base}/health?{}", question.query())).send().await;
    let response = response.map_err(|error| {
        format!(
            "{base}/health can't be reached from here: {}. Start a replica, and check WEBHOOK_BASE_URL, DNS, the firewall and the \
             proxy (some networks do not let a machine reach its own public address)",
            causes(&error.without_url())
        )
    })?;
    let status = response.status();
    if status.is_redirection() {
        return Err(format!(
            "{base}/health answers {status}: carriers follow no redirect. Set WEBHOOK_BASE_URL to its target"
        ));
    }
    if !status.is_success() {
        return Err(format!(
            "{base}/health answers {status}: the proxy has to lead it to the gateways"
        ));
    }
    let answer = read(response).await.unwrap_or_default();
    verify(platform, &question, &answer).ok_or_else(|| {
        format!(
            "{base}/health is answered by another installation, an older release, or a process that is still starting: compare \
             WEBHOOK_BASE_URL and the encryption key"
        )
    })
}

fn verify(platform: &Platform, question: &Question, answer: &Value) -> Option<PathOfRequest> {
    let path = answer["path"].as_str()?.parse().ok()?;
    let proof = answer["proof"].as_str()?;
    platform.proof.answered(question, path, proof).then_some(path)
}

async fn read(mut response: reqwest::Response) -> Option<Value> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER_BYTES {
            return None;
        }
    }
    serde_json::from_slice(&bytes).ok()
}

/// Returns the texts of an error and its causes: the outermost one says only that the request failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
