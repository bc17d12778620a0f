//! Rate limits: the action limits of an agent and its organization as quotas of one atomic take.

use std::time::Duration;

use butt_dial_domain::{
    Code, Failure, keys,
    limits::Window,
    ports::kv::{Quota, RateLimitDecision},
};
use butt_dial_store::Profile;
use serde_json::json;

use crate::{Billing, EffectiveLimits};

/// Automatic replies (to HELP) of one agent per day. They cost the operator, whatever the agent's own limits are.
const AUTOMATIC_REPLIES: u32 = 100;

/// Transcriptions for one agent per day. People cause them, so they take nothing from the agent's own limits.
const TRANSCRIPTIONS: u32 = 1_000;

/// Refusals of one agent per day that are stored. An agent that repeats a refused message must not fill the disk.
const STORED_REFUSALS: u32 = 1_000;

/// A quota with the names that its refusal uses.
struct NamedQuota {
    /// `agent` or `organization`.
    scope: &'static str,
    window: Window,
    quota: Quota,
}

/// The actions that a send took from its rate limits. They are given back if the send is not accepted.
#[derive(Debug, Default)]
pub struct TakenQuotas(Vec<Quota>);

impl Billing {
    /// Takes one action from every rate limit of the agent and its organization, or nothing from any. Fails with
    /// `RateLimited`, or with `ServiceUnavailable` if the limits cannot be checked.
    pub async fn take_actions(&self, profile: &Profile, limits: &EffectiveLimits) -> Result<TakenQuotas, Failure> {
        self.take(quotas(profile, limits, 1)).await
    }

    /// Takes several actions at once, such as one for each recipient of a mail. Fails with `InvalidArgument` if they are more than a
    /// limit ever allows, because to wait is of no use then.
    pub async fn take_several(
        &self,
        profile: &Profile,
        limits: &EffectiveLimits,
        actions: u32,
    ) -> Result<TakenQuotas, Failure> {
        let named = quotas(profile, limits, actions);
        // A restraint throttles the minute, and ends.
        let is_throttled = profile.restraints.throttle_at(self.clock.now()).is_some();
        let is_lasting =
            |named: &&NamedQuota| !is_throttled || named.scope != "agent" || named.window != Window::Minute;
        let mut lasting = named.iter().filter(is_lasting);
        match lasting.find(|named| named.quota.limit < actions) {
            Some(NamedQuota { scope, window, quota }) if actions > 1 => Err(Failure::new(
                Code::InvalidArgument,
                format!(
                    "{actions} recipients are {actions} actions; the limit is {} per {} for this {scope}",
                    quota.limit,
                    window.as_str()
                ),
            )
            .hint("send to fewer recipients at once")),
            _ => self.take(named).await,
        }
    }

    async fn take(&self, named: Vec<NamedQuota>) -> Result<TakenQuotas, Failure> {
        let quotas: Vec<Quota> = named.iter().map(|named| named.quota.clone()).collect();
        if quotas.is_empty() {
            return Ok(TakenQuotas::default());
        }
        match self.kv.take(&quotas).await {
            Ok(RateLimitDecision::Granted) => Ok(TakenQuotas(quotas)),
            Ok(RateLimitDecision::Denied {
                quota,
                retry_after,
                remaining,
            }) => {
                let refused = named.get(quota).ok_or_else(Failure::internal)?;
                self.metrics.record_refusal(refused.scope, refused.window.as_str());
                Err(rate_limited(refused, remaining, retry_after))
            }
            // Sending costs money, so an unchecked limit refuses.
            Err(error) => {
                tracing::warn!(%error, "rate limit check failed");
                Err(
                    Failure::unavailable("the rate limits can't be checked right now; nothing was sent")
                        .hint("try again with the same idempotencyKey"),
                )
            }
        }
    }

    /// Takes one of the automatic replies that people may cause per agent and day. Fails with `RateLimited`.
    pub async fn take_automatic_reply(&self, profile: &Profile) -> Result<TakenQuotas, Failure> {
        let agent = &profile.agent;
        self.take(vec![NamedQuota {
            scope: "agent",
            window: Window::Day,
            quota: Quota {
                key: keys::automatic_replies(&agent.org_id, &agent.id),
                limit: AUTOMATIC_REPLIES,
                period: Duration::from_secs(Window::Day.seconds()),
                units: 1,
            },
        }])
        .await
    }

    /// Takes one of the transcriptions that people may cause per agent and day. Fails with `RateLimited`.
    pub(crate) async fn take_transcription(&self, profile: &Profile) -> Result<TakenQuotas, Failure> {
        let agent = &profile.agent;
        self.take(vec![NamedQuota {
            scope: "agent",
            window: Window::Day,
            quota: Quota {
                key: keys::transcriptions(&agent.org_id, &agent.id),
                limit: TRANSCRIPTIONS,
                period: Duration::from_secs(Window::Day.seconds()),
                units: 1,
            },
        }])
        .await
    }

    /// Takes one of the refusals that are stored per agent and day. Fails with `RateLimited`.
    pub async fn take_stored_refusal(&self, profile: &Profile) -> Result<TakenQuotas, Failure> {
        let agent = &profile.agent;
        self.take(vec![NamedQuota {
            scope: "agent",
            window: Window::Day,
            quota: Quota {
                key: keys::stored_refusals(&agent.org_id, &agent.id),
                limit: STORED_REFUSALS,
                period: Duration::from_secs(Window::Day.seconds()),
                units: 1,
            },
        }])
        .await
    }

    /// Gives back what a send took that was not accepted.
    pub async fn give_back(&self, taken: &TakenQuotas) {
        if !taken.0.is_empty()
            && let Err(error) = self.kv.give_back(&taken.0).await
        {
            tracing::warn!(%error, "rate limits not given back");
        }
    }
}

/// The quotas that a send of this agent takes from. A limit that is not set has none.
fn quotas(profile: &Profile, limits: &EffectiveLimits, units: u32) -> Vec<NamedQuota> {
    let org_id = &profile.agent.org_id;
    let mut quotas = Vec::with_capacity(4);
    for window in Window::ALL {
        let name = window.as_str();
        let mut add = |scope, limit: Option<u32>, key: String| {
            if let Some(limit) = limit {
                let period = Duration::from_secs(window.seconds());
                quotas.push(NamedQuota {
                    scope,
                    window,
                    quota: Quota {
                        key,
                        limit,
                        period,
                        units,
                    },
                });
            }
        };
        add(
            "agent",
            window.limit(&limits.agent),
            keys::agent_limit(org_id, &profile.agent.id, name),
        );
        add("organization", window.limit(&limits.org), keys::org_limit(org_id, name));
    }
    quotas
}

/// Builds the refusal of a quota: which one, how much is left, and when to try again.
fn rate_limited(refused: &NamedQuota, remaining: u32, retry_after: Duration) -> Failure {
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    let (scope, window, limit) = (refused.scope, refused.window.as_str(), refused.quota.limit);
    Failure::new(
        Code::RateLimited,
        format!("Rate limit: {limit} actions per {window} for this {scope}"),
    )
    .hint("wait as long as retryAfterSeconds says, then send again with the same idempotencyKey")
    .retry_after(seconds.max(1))
    .detail("scope", scope)
    .detail(
        "limit",
        json!({ "window": window, "limit": limit, "remaining": remaining }),
    )
}
