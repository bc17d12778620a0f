//! The claim of a delivery worker and the leases of the events that it delivers.

use std::time::Duration;

use butt_dial_domain::{AgentId, Channel};
use butt_dial_store::{AgentEvent, DeliveryClaim, EventLease, StoreError};
use chrono::TimeDelta;

use super::Delivery;

/// How long a delivery claim and an event lease last: another process continues the delivery of a dead one after this time.
/// Both are renewed while a callback or a push takes longer.
pub const DELIVERY_LEASE: TimeDelta = TimeDelta::seconds(5);
/// How often they are renewed.
const RENEW_INTERVAL: Duration = Duration::from_millis(1_500);
/// A claim with less time left is renewed before the next callback or push.
const MIN_CLAIM: TimeDelta = TimeDelta::seconds(3);

/// Leases the oldest events that may be delivered now.
pub(super) async fn lease_events(
    delivery: &Delivery,
    agent: &AgentId,
    channel: Option<Channel>,
    max_tries: Option<i64>,
    limit: u32,
) -> Result<Vec<AgentEvent>, StoreError> {
    let now = delivery.clock.now();
    let lease = EventLease {
        channel,
        max_tries,
        to_push: true,
        limit,
        now,
        until: now + DELIVERY_LEASE,
    };
    delivery.store.lease_waiting_events(agent, &lease).await
}

/// Ensures that the claim lasts for another callback or push. Returns false if it was lost.
pub(super) async fn ensure_claim(delivery: &Delivery, claim: &mut DeliveryClaim) -> Result<bool, StoreError> {
    let now = delivery.clock.now();
    if claim.held_until - now >= MIN_CLAIM {
        return Ok(true);
    }
    delivery
        .store
        .renew_delivery(claim, delivery.replica.as_str(), now + DELIVERY_LEASE)
        .await
}

/// Renews the claim and the leases of the events until the work is done. Work that has begun is never interrupted: a claim that
/// was lost is noticed before the next event.
pub(super) async fn while_claimed<T>(
    delivery: &Delivery,
    claim: &mut DeliveryClaim,
    seqs: &[i64],
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(RENEW_INTERVAL) => {}
        }
        let until = delivery.clock.now() + DELIVERY_LEASE;
        let agent = claim.agent();
        let renewal = async {
            let is_held = delivery
                .store
                .renew_delivery(claim, delivery.replica.as_str(), until)
                .await?;
            if is_held {
                delivery.store.extend_event_leases(&agent, seqs, until).await?;
            }
            Ok::<_, StoreError>(is_held)
        };
        let (renewed, done) = complete_beside(renewal, &mut work).await;
        if let Some(done) = done {
            return done;
        }
        match renewed {
            Ok(true) => {}
            Ok(false) => return work.await,
            Err(error) => tracing::warn!(%error, %agent, "delivery claim not renewed"),
        }
    }
}

/// Runs the renewal to its end while the work continues. Returns the result of the work if it is done by then. A renewal that is
/// dropped may have been committed: the worker would not know the end of its claim, and would lose it.
async fn complete_beside<R, T>(
    renewal: impl Future<Output = R>,
    mut work: impl Future<Output = T> + Unpin,
) -> (R, Option<T>) {
    tokio::pin!(renewal);
    let mut done = None;
    loop {
        tokio::select! {
            biased;
            renewed = &mut renewal => return (renewed, done),
            value = &mut work, if done.is_none() => done = Some(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn completes_renewal_although_the_work_ends_first() {
        let mut is_renewed = false;
        let renewal = async {
            tokio::task::yield_now().await;
            is_renewed = true;
        };
        let ((), done) = complete_beside(renewal, std::future::ready("called")).await;
        assert_eq!(done, Some("called"));
        assert!(is_renewed);

        let work = std::future::pending::<&str>();
        let (renewed, done) = complete_beside(std::future::ready(true), work).await;
        assert!(renewed && done.is_none());
    }
}
