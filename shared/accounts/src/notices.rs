//! Notices: signed webhooks about an account. They are stored with the change that they report, claimed by any dispatcher, and
//! repeated with the same id and a new signature until the host has received them or all attempts have failed.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{Channel, Failure, OrgId, Scope, clock::Timestamp, ids};
use butt_dial_identity::Caller;
use butt_dial_store::{NewNotice, Notice, NoticeState, Organization, Store, StoreError};
use chrono::{SecondsFormat, TimeDelta};
use futures::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{Accounts, audit::SYSTEM, installation::Mail, secrets};

/// The owner of an organization is verified.
pub(crate) const ACCOUNT_VERIFIED: &str = "account.verified";
/// An agent was suspended.
pub(crate) const AGENT_SUSPENDED: &str = "agent.suspended";
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than an attempt takes.
const CLAIM: TimeDelta = TimeDelta::seconds(30);
const BATCH: u32 = 32;
/// How long delivered notices and expired one-time tokens are kept.
const KEPT: TimeDelta = TimeDelta::days(2);

/// Stores a notice for the organization's webhook; the next sweep delivers it. Returns false if it has no webhook. Fails with
/// `Conflict` if there is a notice with this id.
pub(crate) async fn store_notice(
    store: &Store,
    org: &OrgId,
    kind: &str,
    body: &Value,
    id: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let found = store.find_organization(org).await?;
    let Some(url) = found.and_then(|org| org.webhook_url) else {
        return Ok(false);
    };
    let body = body.to_string();
    let notice = NewNotice {
        id,
        org,
        kind,
        url: &url,
        body: &body,
        token: None,
    };
    store.create_notice(&notice, now).await?;
    Ok(true)
}

/// Generates the delivery id of a notice: a UUID.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Formats the beginning of a hash as a delivery id, for a notice that is stored once.
pub(crate) fn id_of_hash(hash: &str) -> String {
    let mut bytes = [0; 16];
    let decoded = hex::decode(&hash[..32]).unwrap_or_default();
    for (byte, decoded) in bytes.iter_mut().zip(decoded) {
        *byte = decoded;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

pub(crate) fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Accounts {
    /// Stores a notice for the organization's webhook, if it has one.
    pub(crate) async fn notify(self: &Arc<Self>, org: &OrgId, kind: &str, body: Value) -> Result<(), Failure> {
        Ok(self.store_notice(org, kind, &body, &new_id()).await?)
    }

    /// The same with an id. Fails with `Conflict` if there is a notice with it.
    pub(crate) async fn store_notice(
        self: &Arc<Self>,
        org: &OrgId,
        kind: &str,
        body: &Value,
        id: &str,
    ) -> Result<(), StoreError> {
        if store_notice(&self.store, org, kind, body, id, self.clock.now()).await? {
            self.spawn_notices();
        }
        Ok(())
    }

    /// Delivers new notices in the background, before the next sweep does.
    pub(crate) fn spawn_notices(self: &Arc<Self>) {
        let accounts = self.clone();
        self.tasks.spawn(async move {
            if let Err(failure) = accounts.deliver_notices().await {
                tracing::debug!(%failure, "notices not delivered; the next sweep repeats it");
            }
        });
    }

    /// Sends a mail, a text message or a message on WhatsApp as the installation, or calls to speak the text. `key` sends once.
    pub async fn send_as_installation(
        &self,
        channel: Channel,
        to: &str,
        subject: &str,
        text: &str,
        key: &str,
    ) -> Result<(), Failure> {
        match channel {
            Channel::Email => {
                let mail = Mail {
                    to,
                    subject: subject.to_owned(),
                    text: text.to_owned(),
                    html: None,
                    key: key.to_owned(),
                };
                self.installation.send_mail(mail).await
            }
            Channel::Voice => self.installation.call(to, text, key).await,
            Channel::Whatsapp => self.installation.send_whatsapp(to, text, key).await,
            _ => self.installation.send_text(to, text, key).await,
        }
    }

    /// Lists the notices that no host has received, newest first, for the operator.
    pub async fn list_dead_notices(&self, caller: &Caller) -> Result<Vec<Notice>, Failure> {
        caller.require(Scope::SuperAdmin)?;
        Ok(self.store.list_notices(NoticeState::Dead, 100).await?)
    }

    /// Delivers the notices that are due. Returns how many were attempted.
    pub async fn deliver_notices(&self) -> Result<usize, Failure> {
        let now = self.clock.now();
        let due = self.store.claim_notices(BATCH, now, now + CLAIM).await?;
        let attempts = due.iter().map(|notice| self.deliver(notice));
        for result in join_all(attempts).await {
            result?;
        }
        Ok(due.len())
    }

    /// Deletes pending organizations that no owner has verified, used-up secrets, and delivered notices.
    pub async fn delete_expired(&self) -> Result<usize, Failure> {
        let now = self.clock.now();
        let mut count = 0;
        for org in self.store.list_expired_organizations(now).await? {
            let change = self
                .audit
                .change(&org, SYSTEM, "organization.expire", org.as_str(), json!({}));
            count += usize::from(change.delete_pending_organization(&org).await?);
        }
        let tokens = self.store.delete_expired_tokens(now - KEPT).await?;
        let notices = self.store.delete_delivered_notices(now - KEPT).await?;
        Ok(count + usize::try_from(tokens + notices).unwrap_or(usize::MAX))
    }

    async fn deliver(&self, notice: &Notice) -> Result<(), Failure> {
        let org = self.store.find_organization(&notice.org_id).await?;
        let failure = match org {
            Some(org) => self.post(&org, notice).await.err(),
            None => Some("the organization does not exist any more".to_owned()),
        };
        let now = self.clock.now();
        let Some(failure) = failure else {
            return Ok(self.store.settle_notice(&notice.id, now).await?);
        };
        let attempt = usize::try_from(notice.tries).unwrap_or(usize::MAX).saturating_sub(1);
        let delay = self.settings.notice_retry_after.get(attempt);
        let retry_at = delay
            .and_then(|delay| TimeDelta::from_std(*delay).ok())
            .map(|delay| now + delay);
        match retry_at {
            Some(_) => tracing::info!(org = %notice.org_id, kind = notice.kind, failure, "account webhook failed"),
            None => tracing::warn!(org = %notice.org_id, kind = notice.kind, failure, "account webhook dead"),
        }
        Ok(self.store.fail_notice(&notice.id, &failure, retry_at).await?)
    }

    /// Makes one attempt. The error is for the operator, without addresses.
    async fn post(&self, org: &Organization, notice: &Notice) -> Result<(), String> {
        let target = self.egress.check(&notice.url).map_err(|error| error.to_string())?;
        let client = self.egress.client().ok_or("no HTTP client")?;
        let body = self.body(org, notice)?;
        let salt = org.webhook_salt.as_deref().unwrap_or_default();
        let secret = secrets::webhook_secret(&self.vault, &org.id, salt);
        let timestamp = self.clock.now().timestamp().to_string();
        let request = client
            .post(target)
            .timeout(TIMEOUT)
            .header("content-type", "application/json")
            .header("user-agent", "butt-dial")
            .header("x-bd-event", &notice.kind)
            .header("x-bd-delivery-id", &notice.id)
            .header("x-bd-signature", sign(&secret, &timestamp, &body))
            .header("x-bd-timestamp", timestamp)
            .body(body);
        let response = request.send().await;
        match response.map(|response| response.status()) {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(format!("HTTP status {}", status.as_u16())),
            Err(error) if error.is_timeout() => Err("no answer within 10 seconds".into()),
            Err(_) => Err("no connection".into()),
        }
    }

    fn body(&self, org: &Organization, notice: &Notice) -> Result<String, String> {
        let Some(sealed) = &notice.token else {
            return Ok(notice.body.clone());
        };
        let secret = self.vault.decrypt(&org.id, &notice.id, sealed);
        let secret = secret.map_err(|error| error.to_string())?;
        let mut body: Value = serde_json::from_str(&notice.body).map_err(|error| error.to_string())?;
        body["teamToken"] = json!(String::from_utf8_lossy(&secret));
        Ok(body.to_string())
    }
}

/// Signs as the Python client checks it: over the time and the received bytes.
fn sign(secret: &str, timestamp: &str, body: &str) -> String {
    // HMAC accepts keys of any length (RFC 2104), so the fallback to an empty key is never taken.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| Hmac::new(&Default::default()));
    for part in [timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("hmac-sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// Generates the id of an event in an agent's log.
pub(crate) fn event_id() -> String {
    format!("evt_{}", ids::unique())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_matches_known_value() {
        // Computed with Python: hmac.new(b"secret", b"1700000000.{}", sha256).
        let signature = sign("secret", "1700000000", "{}");
        assert_eq!(signature, KNOWN);
        assert_ne!(signature, sign("secret", "1700000001", "{}"));
    }

    #[test]
    fn same_hash_has_same_notice_id() {
        let id = id_of_hash(&secrets::hash("a"));
        assert_eq!(id, id_of_hash(&secrets::hash("a")));
        assert_ne!(id, id_of_hash(&secrets::hash("b")));
        assert!(uuid::Uuid::parse_str(&id).is_ok());
    }

    const KNOWN: &str = "hmac-sha256=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
}
