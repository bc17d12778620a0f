//! Limits of the routes that need no token. A limit that can't be checked refuses.

use std::{net::IpAddr, time::Duration};

use butt_dial_domain::{
    Code, Failure, keys,
    ports::kv::{KvError, Quota, RateLimitDecision},
};

use crate::{Accounts, handle::client_id};

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);
/// Registrations per hour: from a client address, for a domain of owners, and for one owner.
const PER_CLIENT: u32 = 20;
const PER_DOMAIN: u32 = 100;
const PER_OWNER: u32 = 5;
/// Repeated mails of one registration per hour.
const RESENDS: u32 = 5;
/// Requests per minute and client address to the other open routes.
const OPEN_REQUESTS: u32 = 60;
/// With simulated carriers no mail is sent, and tests register many organizations.
const SIMULATED_FACTOR: u32 = 1_000;

impl Accounts {
    /// Takes one registration from the limits. Fails with `RateLimited` and the scope of the limit.
    pub(crate) async fn take_registration(
        &self,
        client: Option<IpAddr>,
        domain: &str,
        owner_hash: &str,
    ) -> Result<(), Failure> {
        let scopes = [
            ("address", client_id(client), PER_CLIENT),
            ("domain", domain.to_owned(), PER_DOMAIN),
            ("email", owner_hash.to_owned(), PER_OWNER),
        ];
        let quotas = scopes
            .iter()
            .map(|(scope, id, limit)| self.quota(keys::registration_limit(scope, id), *limit, HOUR))
            .collect::<Vec<_>>();
        self.take(&quotas, |index| {
            scopes.get(index).map_or("address", |(scope, _, _)| scope)
        })
        .await
    }

    /// Takes one repeated mail from the limit of its registration.
    pub(crate) async fn take_resend(&self, org: &str) -> Result<(), Failure> {
        let quota = Quota {
            key: keys::open_route_limit("resend", org),
            limit: RESENDS,
            period: HOUR,
            units: 1,
        };
        self.take(&[quota], |_| "organization").await
    }

    /// Takes one request of a client address to an open route.
    pub async fn take_open_request(&self, route: &str, client: Option<IpAddr>) -> Result<(), Failure> {
        let key = keys::open_route_limit(route, client_id(client));
        self.take(&[self.quota(key, OPEN_REQUESTS, MINUTE)], |_| "address")
            .await
    }

    fn quota(&self, key: String, limit: u32, period: Duration) -> Quota {
        let factor = if self.settings.simulated_world {
            SIMULATED_FACTOR
        } else {
            1
        };
        Quota {
            key,
            limit: limit * factor,
            period,
            units: 1,
        }
    }

    async fn take(&self, quotas: &[Quota], scope: impl Fn(usize) -> &'static str) -> Result<(), Failure> {
        match self.kv.take(quotas).await.map_err(unavailable)? {
            RateLimitDecision::Granted => Ok(()),
            RateLimitDecision::Denied { quota, retry_after, .. } => {
                let seconds = retry_after.as_secs().saturating_add(1);
                Err(Failure::new(Code::RateLimited, "too many requests")
                    .hint("try again after the given time")
                    .retry_after(seconds)
                    .detail("scope", scope(quota))
                    .detail("retryAfter", seconds))
            }
        }
    }
}

pub(crate) fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "key-value store unavailable for an account");
    Failure::unavailable("the limits can't be checked right now")
}
