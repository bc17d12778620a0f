//! The auth guard: from a bearer token and a peer address to a verified caller, or a refusal. It fails closed: when it can't
//! ask, nobody gets in.

mod last_used;
mod lockout;
pub mod token;

use std::{net::IpAddr, sync::Arc, time::Duration};

use butt_dial_domain::{AgentId, Code, Failure, OrgId, Principal, Scope, TokenId};
use butt_dial_store::{Profile, Token};
use moka::sync::Cache;
use subtle_eq::same;

use crate::{Comms, store_failure};

/// A revoked token works on no replica for longer than this: well under the second that is promised.
const CACHE_TTL: Duration = Duration::from_millis(800);
const CACHE_SIZE: u64 = 100_000;

/// A verified caller, with the agent's profile where the token speaks for one.
#[derive(Clone, Debug)]
pub struct Caller {
    pub principal: Principal,
    pub profile: Option<Arc<Profile>>,
}

impl Caller {
    /// The agent that this caller is. Team and orchestrator tokens are none.
    pub fn agent(&self) -> Result<&Arc<Profile>, Failure> {
        self.profile
            .as_ref()
            .ok_or_else(|| wrong_scope("this needs an agent's token"))
    }

    pub fn org(&self) -> Result<&OrgId, Failure> {
        self.principal
            .org
            .as_ref()
            .ok_or_else(|| wrong_scope("this needs a token of an organization"))
    }

    pub fn require(&self, scope: Scope) -> Result<(), Failure> {
        if self.principal.scope.allows(scope) {
            return Ok(());
        }
        let message = match scope {
            Scope::Agent => "Agent access required.",
            Scope::OrgAdmin => "Admin access required. This needs a token with the scope org-admin.",
            Scope::SuperAdmin => "Orchestrator access required. This needs the orchestrator's token.",
        };
        Err(Failure::new(Code::AuthForbidden, message))
    }
}

/// The caller that an agent would be: for work that goes on while it is away. `None`: there is no such agent.
pub async fn on_behalf_of(comms: &Comms, agent: &AgentId) -> Result<Option<Arc<Caller>>, Failure> {
    let profile = comms.store.find_profile(agent).await.map_err(store_failure)?;
    Ok(profile.map(|profile| {
        Arc::new(Caller {
            principal: Principal {
                token: TokenId::from("system"),
                scope: Scope::Agent,
                org: Some(profile.agent.org_id.clone()),
                agent: Some(agent.clone()),
            },
            profile: Some(Arc::new(profile)),
        })
    }))
}

pub fn wrong_scope(message: &'static str) -> Failure {
    Failure::new(Code::AuthWrongScope, message)
}

/// One per process; shared by every transport.
pub struct Guard {
    comms: Comms,
    callers: Cache<[u8; 32], Arc<Caller>>,
    lockout: lockout::Lockout,
    last_used: last_used::LastUsed,
}

impl Guard {
    pub fn new(comms: Comms) -> Self {
        Self {
            callers: Cache::builder()
                .max_capacity(CACHE_SIZE)
                .time_to_live(CACHE_TTL)
                .build(),
            lockout: lockout::Lockout::new(comms.kv.clone(), comms.clock.clone()),
            last_used: last_used::LastUsed::default(),
            comms,
        }
    }

    /// Verifies the token. `peer` is the address that failures are counted against.
    pub async fn authenticate(&self, bearer: Option<&str>, peer: IpAddr) -> Result<Arc<Caller>, Failure> {
        let result = self.verify(bearer, peer).await;
        if let Err(failure) = &result {
            self.comms.metrics.auth_failure(failure.code.as_str());
        }
        result
    }

    async fn verify(&self, bearer: Option<&str>, peer: IpAddr) -> Result<Arc<Caller>, Failure> {
        self.lockout.check(peer).await?;
        let Some(secret) = bearer else {
            return Err(Failure::new(
                Code::AuthMissingHeader,
                "the header Authorization: Bearer <token> is missing",
            ));
        };
        let hash = token::hash(secret);
        if let Some(caller) = self.callers.get(&hash) {
            self.last_used.note(&caller.principal.token, self.comms.clock.now());
            return Ok(caller);
        }
        match self.look_up(&hash).await? {
            Ok(caller) => {
                self.callers.insert(hash, caller.clone());
                self.last_used.note(&caller.principal.token, self.comms.clock.now());
                Ok(caller)
            }
            Err(failure) => {
                let remaining = self.lockout.failed(peer).await?;
                tracing::info!(code = failure.code.as_str(), remaining, "a token was refused");
                Err(failure.detail("remainingAttempts", remaining))
            }
        }
    }

    /// The outer error is ours (no answer from the database), the inner one the caller's.
    async fn look_up(&self, hash: &[u8; 32]) -> Result<Result<Arc<Caller>, Failure>, Failure> {
        let text = hex::encode(hash);
        if self
            .comms
            .settings
            .orchestrator_token_hash
            .as_deref()
            .is_some_and(|known| same(known, &text))
        {
            return Ok(Ok(Arc::new(orchestrator())));
        }
        let Some(token) = self.comms.store.find_token(&text).await.map_err(store_failure)? else {
            return Ok(Err(Failure::new(Code::AuthInvalidToken, "this token is not known")));
        };
        if let Err(failure) = self.still_works(&token) {
            return Ok(Err(failure));
        }
        let profile = match &token.principal.agent {
            Some(agent) => Some(Arc::new(self.profile(agent).await?)),
            None => None,
        };
        Ok(Ok(Arc::new(Caller {
            principal: token.principal,
            profile,
        })))
    }

    fn still_works(&self, token: &Token) -> Result<(), Failure> {
        if token.revoked_at.is_some_and(|at| at <= self.comms.clock.now()) {
            return Err(Failure::new(Code::AuthTokenRevoked, "this token has been revoked"));
        }
        if token.expires_at.is_some_and(|at| at <= self.comms.clock.now()) {
            return Err(Failure::new(Code::AuthTokenRevoked, "this token has expired"));
        }
        Ok(())
    }

    async fn profile(&self, agent: &AgentId) -> Result<Profile, Failure> {
        let found = self.comms.store.find_profile(agent).await.map_err(store_failure)?;
        found.ok_or_else(|| {
            tracing::error!(%agent, "a token speaks for an agent that does not exist");
            Failure::internal()
        })
    }

    /// Writes down when tokens were last used; called by the lifecycle now and then, and once more at the end.
    pub async fn flush_last_used(&self) {
        self.last_used.flush(&self.comms.store).await;
    }
}

fn orchestrator() -> Caller {
    let token = TokenId::from("tok_orchestrator");
    Caller {
        principal: Principal {
            token,
            scope: Scope::SuperAdmin,
            org: None,
            agent: None,
        },
        profile: None,
    }
}

/// Comparison in constant time.
mod subtle_eq {
    pub fn same(a: &str, b: &str) -> bool {
        a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differs, (x, y)| differs | (x ^ y)) == 0
    }
}
