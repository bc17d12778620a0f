//! The auth guard: from a bearer token and a peer address to a verified caller. It fails closed.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use butt_dial_domain::{AgentId, Clock, Code, Failure, clock::Timestamp, ports::kv::Kv};
use butt_dial_store::{OrgStatus, Origin, Profile, Store, Token};
use butt_dial_vault::Vault;
use moka::sync::Cache;
use subtle::ConstantTimeEq;

use crate::{
    Caller, Metrics,
    last_used::{LastUsed, source_hash},
    lockout::{Lockout, MAX_FAILURES},
    token,
};

/// Bounds how long a revoked token still works on a replica: below the promised second.
const CACHE_TTL: Duration = Duration::from_millis(800);
const CACHE_SIZE: u64 = 100_000;

/// A caller, and when its reading began.
type CachedCaller = (Instant, Arc<Caller>);

/// Verifies tokens. One per process, shared by every transport.
pub struct Guard {
    store: Store,
    clock: Clock,
    /// SHA-256 of the orchestrator's token, in hex.
    orchestrator_token_hash: Option<String>,
    metrics: Metrics,
    callers: Cache<[u8; 32], CachedCaller>,
    lockout: Lockout,
    last_used: LastUsed,
    vault: Vault,
}

impl Guard {
    /// Returns the origin of a request, for the audit entries of what it changes.
    pub fn origin(&self, client: Option<IpAddr>, request_id: Option<String>) -> Origin {
        Origin {
            via: None,
            source: client.map(|client| source_hash(&self.vault, client)),
            request_id,
        }
    }

    pub fn new(
        store: Store,
        kv: Arc<dyn Kv>,
        clock: Clock,
        vault: Vault,
        orchestrator_token_hash: Option<String>,
        metrics: Metrics,
    ) -> Self {
        Self {
            callers: Cache::builder()
                .max_capacity(CACHE_SIZE)
                .time_to_live(CACHE_TTL)
                .build(),
            lockout: Lockout::new(kv, clock.clone()),
            last_used: LastUsed::new(vault.clone()),
            vault,
            store,
            clock,
            orchestrator_token_hash,
            metrics,
        }
    }

    /// Verifies the token. Unknown tokens count against `peer` and against other tokens with the same beginning: after ten, the
    /// address is locked out (`AuthLockedOut`) for further unknown tokens. Valid tokens are accepted from a locked-out address, because it may belong to a proxy or a
    /// network with many clients. Revoked and expired tokens do not count: their holder is no guesser.
    pub async fn authenticate(&self, bearer: Option<&str>, peer: IpAddr) -> Result<Arc<Caller>, Failure> {
        let result = self.verify(bearer, peer).await;
        if let Err(failure) = &result {
            self.metrics.record_failure(failure.code.as_str());
        }
        result
    }

    async fn verify(&self, bearer: Option<&str>, peer: IpAddr) -> Result<Arc<Caller>, Failure> {
        let Some(secret) = bearer else {
            return Err(Failure::new(
                Code::AuthMissingHeader,
                "the header Authorization: Bearer <token> is missing",
            ));
        };
        let hash = token::hash(secret);
        if let Some(caller) = self.find_cached(&hash) {
            self.last_used.note(&caller.principal.token, self.clock.now(), peer);
            return Ok(caller);
        }
        let read_at = Instant::now();
        match self.find_caller(&hash).await? {
            Ok(caller) => {
                self.callers.insert(hash, (read_at, caller.clone()));
                self.last_used.note(&caller.principal.token, self.clock.now(), peer);
                Ok(caller)
            }
            Err(failure) if failure.code == Code::AuthInvalidToken => {
                self.lockout.check(peer, secret).await?;
                let remaining = self.lockout.record_failure(peer, secret).await?;
                tracing::info!(remaining, "unknown token refused");
                Err(failure.detail("remainingAttempts", remaining))
            }
            Err(failure) => {
                tracing::info!(code = failure.code.as_str(), "invalid token refused");
                Err(failure.detail("remainingAttempts", MAX_FAILURES))
            }
        }
    }

    /// Returns a cached caller, unless this process has changed its organization since.
    fn find_cached(&self, hash: &[u8; 32]) -> Option<Arc<Caller>> {
        let (read_at, caller) = self.callers.get(hash)?;
        let org = caller.principal.org.as_ref();
        let is_outdated = org.is_some_and(|org| self.store.has_changed_since(org, read_at));
        (!is_outdated).then_some(caller)
    }

    /// Verifies the bearer of a request to an open route, if it has one. `None`: it is no valid token. It may be another secret that
    /// the route reads, so it counts as no failure.
    pub async fn recognize(&self, bearer: Option<&str>, peer: IpAddr) -> Result<Option<Arc<Caller>>, Failure> {
        let Some(secret) = bearer else { return Ok(None) };
        let found = self.find_caller(&token::hash(secret)).await?.ok();
        if let Some(caller) = &found {
            self.last_used.note(&caller.principal.token, self.clock.now(), peer);
        }
        Ok(found)
    }

    /// Forgets all callers, so that a change of tokens, limits or a status is in effect at once on this replica, and not only when
    /// the cached callers expire, as on the others.
    pub fn forget_callers(&self) {
        self.callers.invalidate_all();
    }

    /// Lists the agents with tokens that were revoked or that expired since `since`, each with the time from which on no
    /// request passes with such a token.
    pub async fn list_ended_tokens(&self, since: Timestamp) -> Result<Vec<(AgentId, Timestamp)>, Failure> {
        let ended = self.store.list_ended_tokens(since, self.clock.now()).await?;
        Ok(ended.into_iter().map(|(agent, at)| (agent, at + CACHE_TTL)).collect())
    }

    /// The outer error is a failure of the database, the inner one the refusal of the token.
    async fn find_caller(&self, hash: &[u8; 32]) -> Result<Result<Arc<Caller>, Failure>, Failure> {
        let text = hex::encode(hash);
        let orchestrator = self.orchestrator_token_hash.as_deref();
        if orchestrator.is_some_and(|known| known.as_bytes().ct_eq(text.as_bytes()).into()) {
            return Ok(Ok(Arc::new(Caller::orchestrator())));
        }
        let Some(token) = self.store.find_token(&text).await? else {
            return Ok(Err(Failure::new(Code::AuthInvalidToken, "this token is not known")));
        };
        if let Err(failure) = self.check_validity(&token) {
            return Ok(Err(failure));
        }
        let profile = match &token.principal.agent {
            Some(agent) => Some(Arc::new(self.get_profile(agent).await?)),
            None => None,
        };
        Ok(Ok(Arc::new(Caller {
            principal: token.principal,
            profile,
        })))
    }

    fn check_validity(&self, token: &Token) -> Result<(), Failure> {
        let now = self.clock.now();
        if token.revoked_at.is_some_and(|at| at <= now) {
            return Err(Failure::new(Code::AuthTokenRevoked, "this token has been revoked"));
        }
        if token.expires_at.is_some_and(|at| at <= now) {
            return Err(Failure::new(Code::AuthTokenRevoked, "this token has expired"));
        }
        match token.org_status {
            None | Some(OrgStatus::Active) => Ok(()),
            Some(OrgStatus::Suspended) => Err(Failure::new(
                Code::AuthForbidden,
                "the organization of this token is suspended",
            )
            .hint("ask the operator of this installation")),
            Some(OrgStatus::Pending | OrgStatus::Erasing | OrgStatus::Erased) => Err(Failure::new(
                Code::AuthTokenRevoked,
                "the organization of this token does not exist any more",
            )),
        }
    }

    async fn get_profile(&self, agent: &AgentId) -> Result<Profile, Failure> {
        let found = self.store.find_profile(agent).await?;
        found.ok_or_else(|| {
            tracing::error!(%agent, "token belongs to a missing agent");
            Failure::internal()
        })
    }

    /// Writes the times of last use to the database. The lifecycle calls it periodically and at shutdown.
    pub async fn flush_last_used(&self) {
        self.last_used.flush(&self.store).await;
    }
}
