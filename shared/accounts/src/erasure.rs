//! Erasure in two steps: an administrator requests it, and the owner confirms it with the token of a mail. Then the organization
//! has no name, no tokens and no members; its rows are purged after a week, or at once.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{AgentId, Code, Failure, OrgId, clock::Timestamp, keys, ports::bus::Headers, subjects};
use butt_dial_identity::Caller;
use butt_dial_store::{AuditEntry, NewOneTimeToken, OneTimeKind};
use chrono::TimeDelta;
use serde_json::json;

use crate::{
    Accounts,
    audit::SYSTEM,
    installation::Mail,
    limits::unavailable,
    mails,
    secrets::{self, Secret},
    subjects::held,
};

const HOUR: Duration = Duration::from_secs(3_600);
const TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(1);
/// How long rows are kept after the confirmation.
const PURGE_AFTER: TimeDelta = TimeDelta::days(7);
/// Longer than the purge of one batch of agents takes.
const CLAIM: TimeDelta = TimeDelta::minutes(5);
/// The longest wait for a purge within a request. It continues afterwards.
const PURGE_TIMEOUT: Duration = Duration::from_secs(8);
const AGENTS: u32 = 100;

/// A requested erasure.
pub struct ErasureStarted {
    pub id: String,
    pub expires_at: Timestamp,
    /// The confirmation token was mailed to the owner.
    pub sent: bool,
    /// Only where carriers are simulated.
    pub dev_confirmation_token: Option<String>,
}

/// A confirmed erasure.
pub struct ErasureOutcome {
    pub org: OrgId,
    /// Every row is purged. `false`: they are purged at `purge_at`.
    pub purged: bool,
    pub purge_at: Timestamp,
}

impl Accounts {
    /// Mails the token that confirms the erasure of the caller's organization to its owner. Once per hour.
    pub async fn start_erasure(&self, caller: &Caller) -> Result<ErasureStarted, Failure> {
        let org = self.account(caller).await?;
        if caller.principal.agent.is_some() {
            return Err(
                Failure::new(Code::AuthForbidden, "an agent can't erase its organization").hint("use a team token"),
            );
        }
        self.require_no_hold(&org.id).await?;
        let (count, left) = self
            .kv
            .increment(&keys::erasure_started(&org.id), HOUR)
            .await
            .map_err(unavailable)?;
        if count > 1 {
            let seconds = left.as_secs().max(1);
            return Err(
                Failure::new(Code::RateLimited, "an erasure was requested within the last hour")
                    .hint("use the token of the last mail, or try again later")
                    .retry_after(seconds)
                    .detail("scope", "organization"),
            );
        }
        let (token, now) = (Secret::long(), self.clock.now());
        let expires_at = now + TOKEN_LIFETIME;
        let stored = NewOneTimeToken {
            hash: &token.hash,
            kind: OneTimeKind::Erasure,
            org: Some(&org.id),
            detail: None,
            expires_at,
        };
        let id = format!("ers_{}", &token.hash[..24]);
        self.store.create_one_time_token(&stored, now).await?;
        let sent = self
            .mail_erasure(org.owner_email.as_deref(), &org.name, &token, &id)
            .await;
        if let Err(failure) = &sent
            && !self.settings.simulated_world
        {
            // Another attempt is possible as soon as the cause is fixed.
            self.kv
                .delete(&keys::erasure_started(&org.id))
                .await
                .map_err(unavailable)?;
            return Err(failure.clone());
        }
        self.audit
            .append(
                &org.id,
                caller.principal.token.as_str(),
                "organization.erasure_start",
                org.id.as_str(),
                json!({}),
            )
            .await?;
        Ok(ErasureStarted {
            id,
            expires_at,
            sent: sent.is_ok(),
            dev_confirmation_token: self.for_tests(&token.plain),
        })
    }

    /// Fails with `Conflict` while a legal hold on the organization or on one of its contacts forbids the erasure.
    async fn require_no_hold(&self, org: &OrgId) -> Result<(), Failure> {
        match self.store.list_holds(org).await?.first() {
            Some(hold) => Err(held(hold)),
            None => Ok(()),
        }
    }

    async fn mail_erasure(&self, owner: Option<&str>, name: &str, token: &Secret, id: &str) -> Result<(), Failure> {
        let owner = owner.ok_or_else(|| {
            Failure::new(
                Code::ChannelUnavailable,
                "the organization has no owner with an e-mail address",
            )
            .hint("ask the operator of this installation to erase it")
        })?;
        let mail = mails::erasure(name, &token.plain);
        self.installation
            .send_mail(Mail {
                to: owner,
                subject: mail.subject,
                text: mail.text,
                html: mail.html,
                key: id.to_owned(),
            })
            .await
    }

    /// Erases the organization that the token belongs to. With `force`, its rows are purged at once.
    pub async fn confirm_erasure(self: &Arc<Self>, token: &str, force: bool) -> Result<ErasureOutcome, Failure> {
        let hash = secrets::hash(token);
        let found = self.store.find_one_time_token(&hash, OneTimeKind::Erasure).await?;
        let org = found.and_then(|token| token.org()).ok_or_else(refused)?;
        self.require_no_hold(&org).await?;
        let now = self.clock.now();
        let purge_at = if force { now } else { now + PURGE_AFTER };
        let agents = self.list_agents(&org).await?;
        let change = self.audit.change(
            &org,
            SYSTEM,
            "organization.erase",
            org.as_str(),
            json!({ "force": force }),
        );
        if !change.begin_erasure(&hash, &org, purge_at, now).await? {
            return Err(refused());
        }
        for agent in &agents {
            self.close_streams(agent).await;
        }
        let purged = force && self.purge_soon(&org).await;
        Ok(ErasureOutcome { org, purged, purge_at })
    }

    /// Purges in the background, and waits a while for it. Returns whether it has ended.
    async fn purge_soon(self: &Arc<Self>, org: &OrgId) -> bool {
        let (accounts, org) = (self.clone(), org.clone());
        let purging = self.tasks.spawn(async move {
            let purged = accounts.purge(&org).await;
            purged.inspect_err(|failure| tracing::warn!(%failure, %org, "purge failed; the next sweep repeats it"))
        });
        matches!(tokio::time::timeout(PURGE_TIMEOUT, purging).await, Ok(Ok(Ok(()))))
    }

    /// Purges erased organizations that are due. Returns how many.
    pub async fn purge_erased(&self) -> Result<usize, Failure> {
        let mut count = 0;
        let now = self.clock.now();
        while let Some(org) = self.store.claim_erasure(now, now + CLAIM).await? {
            self.purge(&org).await?;
            count += 1;
        }
        Ok(count)
    }

    async fn purge(&self, org: &OrgId) -> Result<(), Failure> {
        // First, while it is known what the organization has at its vendors.
        self.registrations.close_organization(org).await?;
        self.senders.close_organization(org).await?;
        loop {
            let agents = self.store.list_agents(org, None, AGENTS).await?;
            if agents.is_empty() {
                break;
            }
            for agent in agents {
                let addresses = self.store.list_agent_addresses(&agent.id).await?;
                self.store.purge_agent(&agent.id).await?;
                for (channel, address) in addresses {
                    self.forget_route(&channel, &address).await;
                }
            }
        }
        if let Some(blobs) = &self.blobs {
            blobs.purge_of(org).await.map_err(|error| {
                tracing::warn!(error, %org, "attachments not purged");
                Failure::unavailable("the storage of attachments does not answer")
            })?;
        }
        // The log of the organization goes with it. Its end stays in the log of the installation.
        let end = self.store.find_log_head(org.as_str()).await?;
        let now = self.clock.now();
        let mut entry = AuditEntry::new(None, SYSTEM, "organization.purge", org.as_str(), now);
        entry = entry.with_detail(json!({
            "entries": end.as_ref().map(|end| end.size),
            "chain": end.as_ref().map(|end| hex::encode(&end.chain)),
        }));
        self.store.append_audit(&entry).await?;
        self.store.purge_organization(org).await?;
        tracing::info!(%org, "organization purged");
        Ok(())
    }

    async fn list_agents(&self, org: &OrgId) -> Result<Vec<AgentId>, Failure> {
        let agents = self.store.list_agents(org, None, 10_000).await?;
        Ok(agents.into_iter().map(|agent| agent.id).collect())
    }

    async fn close_streams(&self, agent: &AgentId) {
        let payload = agent.to_string().into();
        if let Err(error) = self
            .bus
            .publish(subjects::TOKENS_REVOKED, Headers::new(), payload)
            .await
        {
            tracing::warn!(%error, %agent, "streams of an erased agent not closed");
        }
    }

    async fn forget_route(&self, channel: &str, address: &str) {
        let payload = format!("{channel} {address}").into();
        if let Err(error) = self.bus.publish(subjects::ROUTE_CHANGED, Headers::new(), payload).await {
            tracing::warn!(%error, "route of an erased agent not removed; the next refresh removes it");
        }
    }
}

fn refused() -> Failure {
    Failure::new(
        Code::VerificationTokenInvalid,
        "the confirmation token is not valid or has expired",
    )
    .hint("request the erasure again")
}
