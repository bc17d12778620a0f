//! Callbacks: a POST to the agent's host, signed in the three ways that hosts check: Standard Webhooks, `X-BD-*` and
//! `X-Hub-Signature-256` (butt-dial-sdk). Only a 2xx means that the agent has the event.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use butt_dial_domain::{AgentId, Code, Failure, OrgId, clock::Timestamp, subjects};
use butt_dial_store::{AgentEvent, CallbackAttempt, CallbackAttemptFilter, Recipient};
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use tracing::Instrument;

use super::{Delivery, callback_body, event_view::view};
use crate::tainted_texts::{self, is_tainted};

/// Standard Webhooks recommends 15 to 30 s.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest Retry-After that is respected.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
const MAX_URL_LENGTH: usize = butt_dial_domain::bounds::URL;
/// The generation of the key that all agents of an organization shared. Only agents with a callback from that time have it.
const ORGANIZATION_KEY: i64 = -1;
/// The generation of the key of an agent that has never been rotated.
const FIRST_KEY: i64 = 0;

/// The result of one callback.
pub(super) enum CallbackResult {
    Delivered,
    /// 410: the callback is removed.
    Gone,
    Failed {
        retry_after: Option<Duration>,
    },
}

impl CallbackResult {
    pub fn label(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Gone => "gone",
            Self::Failed { .. } => "failed",
        }
    }
}

/// A request to a callback.
pub(super) struct CallbackRequest {
    pub result: CallbackResult,
    pub status: Option<u16>,
    /// Why there was no response.
    pub error: Option<String>,
    pub milliseconds: u64,
}

impl CallbackRequest {
    fn failed(error: String) -> Self {
        Self {
            result: CallbackResult::Failed { retry_after: None },
            status: None,
            error: Some(error),
            milliseconds: 0,
        }
    }
}

/// The secrets with which a host verifies callbacks: one key per agent in two encodings.
pub struct CallbackSecrets {
    /// Standard Webhooks: `whsec_` and base64.
    pub signing_secret: String,
    /// The key of `X-BD-Signature` and `X-Hub-Signature-256`, as text: 64 hexadecimal digits.
    pub webhook_secret: String,
}

impl CallbackSecrets {
    fn of(key: [u8; 32]) -> Self {
        Self {
            signing_secret: format!("whsec_{}", STANDARD.encode(key)),
            webhook_secret: hex::encode(key),
        }
    }
}

/// The keys that sign a callback.
struct CallbackKeys {
    current: [u8; 32],
    /// During a rotation.
    former: Option<[u8; 32]>,
}

impl Delivery {
    /// Returns the secrets of an agent. Fails with `AgentNotFound` if there is no such agent.
    pub async fn callback_secrets(&self, agent: &AgentId) -> Result<CallbackSecrets, Failure> {
        let recipient = self.store.find_recipient(agent).await?;
        let recipient = recipient.ok_or_else(|| Failure::new(Code::AgentNotFound, "there is no such agent"))?;
        let key = self.callback_key(&recipient, recipient.callback_key_generation);
        Ok(CallbackSecrets {
            webhook_secret: self.webhook_secret(&recipient, key),
            ..CallbackSecrets::of(key)
        })
    }

    /// Replaces the agent's key. Until the overlap ends, both keys sign: `webhook-signature` holds two signatures, and the
    /// headers with a single signature still use the former key. Returns the new secrets and the end of the overlap.
    pub async fn rotate_callback_key(
        &self,
        agent: &AgentId,
        overlap: TimeDelta,
    ) -> Result<(CallbackSecrets, Timestamp), Failure> {
        let until = self.clock.now() + overlap;
        self.store.rotate_callback_key(agent, until).await?;
        Ok((self.callback_secrets(agent).await?, until))
    }

    fn callback_key(&self, recipient: &Recipient, generation: i64) -> [u8; 32] {
        let (org, agent) = (recipient.org(), recipient.agent());
        if generation <= ORGANIZATION_KEY {
            return self.vault.key(&format!("callbacks {org}"));
        }
        self.vault.key(&format!("callbacks {org} {agent} {generation}"))
    }

    /// Returns the secret of the headers with one signature. The hosts of an organization with a webhook know its secret only,
    /// until the agent gets its own key.
    fn webhook_secret(&self, recipient: &Recipient, key: [u8; 32]) -> String {
        match &recipient.webhook_salt {
            Some(salt) if recipient.callback_key_generation == FIRST_KEY => {
                self.vault.webhook_secret(&recipient.org(), salt)
            }
            _ => hex::encode(key),
        }
    }

    fn callback_keys(&self, recipient: &Recipient) -> CallbackKeys {
        let generation = recipient.callback_key_generation;
        let overlaps = recipient
            .callback_key_overlap_until
            .is_some_and(|until| self.clock.now() < until);
        CallbackKeys {
            current: self.callback_key(recipient, generation),
            former: overlaps.then(|| self.callback_key(recipient, generation - 1)),
        }
    }

    /// Sets or removes the agent's callback URL, and tries the waiting events there at once.
    pub async fn set_callback_url(&self, agent: &AgentId, url: Option<&str>) -> Result<CallbackSecrets, Failure> {
        if let Some(url) = url {
            self.check_callback_url("callbackUrl", url)?;
        }
        self.store.set_callback_url(agent, url).await?;
        self.replay_callbacks(agent).await?;
        self.callback_secrets(agent).await
    }

    /// Sets or removes the URL for events of calls.
    pub async fn set_voice_callback_url(&self, agent: &AgentId, url: Option<&str>) -> Result<CallbackSecrets, Failure> {
        if let Some(url) = url {
            self.check_callback_url("voiceCallbackUrl", url)?;
        }
        self.store.set_voice_callback_url(agent, url).await?;
        self.replay_callbacks(agent).await?;
        self.callback_secrets(agent).await
    }

    pub async fn find_callback_url(&self, agent: &AgentId) -> Result<Option<String>, Failure> {
        let recipient = self.store.find_recipient(agent).await?;
        Ok(recipient.and_then(|recipient| recipient.callback_url))
    }

    /// Makes every waiting event due for the callback now, however often it failed. Returns how many events wait.
    pub async fn replay_callbacks(&self, agent: &AgentId) -> Result<i64, Failure> {
        let now = self.clock.now();
        self.store.reset_tries(agent).await?;
        if self.store.schedule_delivery_now(agent, now).await? {
            let payload = agent.as_str().to_owned().into();
            let published = self.bus.publish(subjects::AGENT_RETURNED, Default::default(), payload);
            if let Err(error) = published.await {
                tracing::debug!(%error, "dispatchers not notified; the next sweep delivers");
            }
        }
        Ok(self.store.count_waiting_events(agent).await?)
    }

    /// Lists requests to the callbacks of an organization's agents, newest first.
    pub async fn list_callback_attempts(
        &self,
        org: &OrgId,
        filter: &CallbackAttemptFilter<'_>,
        limit: u32,
    ) -> Result<Vec<CallbackAttempt>, Failure> {
        Ok(self.store.list_callback_attempts(org, filter, limit).await?)
    }

    fn check_callback_url(&self, field: &str, url: &str) -> Result<(), Failure> {
        let refuse = |text: String| Err(Failure::new(Code::InvalidArgument, text));
        if url.len() > MAX_URL_LENGTH {
            return refuse(format!("{field} is longer than {MAX_URL_LENGTH} characters"));
        }
        match self.egress.check(url) {
            Ok(_) => Ok(()),
            Err(error) => refuse(format!("{field}: {error}")),
        }
    }

    /// Calls the host once. The id of the delivery is the event's: a repeated delivery has the same id.
    pub(super) async fn call_back(&self, recipient: &Recipient, url: &str, event: &AgentEvent) -> CallbackRequest {
        let org = recipient.org();
        let mut view = view(&self.vault, &org, event);
        if is_tainted(&view)
            && let Err(error) = tainted_texts::note(&self.store, (&org, &recipient.agent()), self.clock.now()).await
        {
            tracing::warn!(%error, "callback put off: the database is not available");
            return CallbackRequest::failed(error.to_string());
        }
        view.insert("agentName".into(), json!(recipient.display_name));
        let body = callback_body::build(event, &view).to_string();
        let target = match self.egress.check(url) {
            Ok(target) => target,
            Err(error) => {
                tracing::warn!(%error, "callback URL not allowed");
                return CallbackRequest::failed(error.to_string());
            }
        };
        let Some(client) = self.egress.client() else {
            return CallbackRequest::failed("no client".to_owned());
        };
        let mut request = client.post(target).timeout(CALLBACK_TIMEOUT);
        for (name, value) in self.callback_headers(recipient, event, &body) {
            request = request.header(name, value);
        }
        let span =
            tracing::debug_span!("callback", otel.name = "POST callback", otel.kind = "client", event = %event.id);
        let started = Instant::now();
        let milliseconds = || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let response = match request.body(body).send().instrument(span).await {
            Ok(response) => response,
            Err(error) => {
                let error = error.without_url();
                tracing::info!(%error, "callback unreachable");
                return CallbackRequest {
                    milliseconds: milliseconds(),
                    ..CallbackRequest::failed(cause(&error))
                };
            }
        };
        CallbackRequest {
            status: Some(response.status().as_u16()),
            result: Self::result_of(&response),
            error: None,
            milliseconds: milliseconds(),
        }
    }

    fn result_of(response: &reqwest::Response) -> CallbackResult {
        let status = response.status();
        if status.is_success() {
            return CallbackResult::Delivered;
        }
        if status == reqwest::StatusCode::GONE {
            return CallbackResult::Gone;
        }
        let seconds = response.headers().get(reqwest::header::RETRY_AFTER);
        let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        tracing::info!(status = status.as_u16(), "callback refused the event");
        CallbackResult::Failed {
            retry_after: seconds.map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER)),
        }
    }

    fn callback_headers(&self, recipient: &Recipient, event: &AgentEvent, body: &str) -> Vec<(&'static str, String)> {
        let keys = self.callback_keys(recipient);
        // The time of this attempt: hosts refuse old signatures.
        let at = self.clock.now().timestamp();
        let timestamp = at.to_string();
        let (id, time, body) = (event.id.as_bytes(), timestamp.as_bytes(), body.as_bytes());
        let standard = |key: [u8; 32]| format!("v1,{}", STANDARD.encode(mac(&key, &[id, b".", time, b".", body])));
        let signatures: Vec<String> = [Some(keys.current), keys.former]
            .into_iter()
            .flatten()
            .map(standard)
            .collect();
        // A header with one signature: a host that has not stored the new secret yet must be able to verify it.
        let text = self.webhook_secret(recipient, keys.former.unwrap_or(keys.current));
        let own = mac(text.as_bytes(), &[time, b".", body]);
        let hub = mac(text.as_bytes(), &[body]);
        vec![
            ("content-type", "application/json".into()),
            ("user-agent", concat!("butt-dial/", env!("CARGO_PKG_VERSION")).into()),
            ("webhook-id", event.id.clone()),
            ("webhook-timestamp", timestamp.clone()),
            ("webhook-signature", signatures.join(" ")),
            ("x-bd-event", event.kind.clone()),
            ("x-bd-timestamp", timestamp.clone()),
            ("x-bd-signature", format!("hmac-sha256={}", hex::encode(own))),
            ("x-bd-delivery-id", event.id.clone()),
            ("x-hub-signature-256", format!("sha256={}", hex::encode(hub))),
        ]
    }
}

/// Returns the first cause of an error, in the words of the system.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no response within {} s", CALLBACK_TIMEOUT.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC accepts keys of any length (RFC 2104), so the fallback to an empty key is never taken.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[tokio::test]
    async fn former_callback_keeps_organization_key_until_rotation() {
        let bench = Bench::new().await;
        let (delivery, agent) = (&bench.delivery, &bench.agent);
        let mut recipient = bench.store.find_recipient(&agent.id).await.unwrap().unwrap();
        let shared = bench.vault.key(&format!("callbacks {}", agent.org_id));
        let own = delivery.callback_keys(&recipient).current;
        assert_ne!(own, shared);
        recipient.callback_key_generation = ORGANIZATION_KEY;
        assert_eq!(delivery.callback_keys(&recipient).current, shared);
        // The first rotation: the agent's own key, and the former one beside it.
        recipient.callback_key_generation = 0;
        recipient.callback_key_overlap_until = Some(bench.clock.now() + TimeDelta::hours(1));
        let rotated = delivery.callback_keys(&recipient);
        assert_eq!((rotated.current, rotated.former), (own, Some(shared)));
    }
}
