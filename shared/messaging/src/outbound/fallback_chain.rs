//! A request with fallback channels: the requested channel and the next ones, in order. One request of a key runs at a time,
//! and the key stays claimed until the whole chain has ended: a repeat must not start on a channel that has just become free
//! while the first request sends on the next one.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{AgentId, Code, Failure, ids, keys, ports::kv::Lease};

use super::{
    Outbound, SendReceipt, SendRequest,
    authorize::find_sending_id,
    fall_back, granted,
    idempotency::{POLL_INTERVAL, REPLAY_TIMEOUT},
    parts,
    receipt::describe,
    refusals::FREED_BY,
};

/// How long the claim of a process that died lasts.
const CLAIM: Duration = Duration::from_secs(15);
const RENEW_INTERVAL: Duration = Duration::from_secs(5);

/// The claim of an agent's key.
struct Chain {
    agent: AgentId,
    lease: Lease,
}

/// Sends on the requested channel and on its fallbacks.
pub(super) async fn send(outbound: &Arc<Outbound>, request: SendRequest) -> Result<SendReceipt, Failure> {
    granted::check_early(&request)?;
    let Some(key) = request.idempotency_key.clone() else {
        return try_channels(outbound, request, &mut Vec::new()).await;
    };
    let Some(agent) = find_sending_id(outbound, &request).await? else {
        return try_channels(outbound, request, &mut Vec::new()).await;
    };
    match claim(outbound, agent, key).await? {
        Claimed::Chain(chain) => run(outbound, request, chain).await,
        Claimed::Running(prior) => *prior,
    }
}

enum Claimed {
    Chain(Chain),
    /// Another request with the key is still running; what is known of it.
    Running(Box<Result<SendReceipt, Failure>>),
}

async fn claim(outbound: &Outbound, agent: AgentId, key: String) -> Result<Claimed, Failure> {
    let name = keys::fallback_chain(&agent, &key);
    let holder = ids::unique();
    let started = tokio::time::Instant::now();
    loop {
        let acquired = outbound.kv.acquire(&name, &holder, CLAIM).await.map_err(|error| {
            tracing::warn!(%error, "idempotency key not claimed");
            Failure::unavailable("the idempotencyKey can't be claimed right now; nothing was sent")
                .hint("try again with the same idempotencyKey")
        })?;
        if let Some(lease) = acquired {
            return Ok(Claimed::Chain(Chain { agent, lease }));
        }
        if started.elapsed() >= REPLAY_TIMEOUT {
            let found = fall_back::find_sent(outbound, &agent, &key).await?;
            return Ok(Claimed::Running(Box::new(found.map_or_else(
                || Err(still_running()),
                |message| {
                    describe(message).map(|receipt| SendReceipt {
                        replayed: true,
                        ..receipt
                    })
                },
            ))));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn still_running() -> Failure {
    Failure::unavailable("another request with this idempotencyKey is still being sent")
        .hint("try again with the same idempotencyKey")
}

async fn run(outbound: &Arc<Outbound>, request: SendRequest, chain: Chain) -> Result<SendReceipt, Failure> {
    let request = SendRequest {
        // A send that is retried later needs its key again.
        keeps_key: !request.retry_later,
        ..request
    };
    let mut tried = Vec::new();
    let result = {
        let mut work = Box::pin(try_channels(outbound, request, &mut tried));
        loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                () = tokio::time::sleep(RENEW_INTERVAL) => renew(outbound, &chain.lease).await,
            }
        }
    };
    if result.is_err() {
        // The chain has ended without a message: a repeat may begin again.
        let failures = FREED_BY.map(Code::as_str);
        outbound.store.free_keys(&chain.agent, &tried, &failures).await?;
    }
    if let Err(error) = outbound.kv.release(&chain.lease).await {
        tracing::debug!(%error, "claim of an idempotency key not released; it expires");
    }
    result
}

async fn renew(outbound: &Outbound, lease: &Lease) {
    if let Err(error) = outbound.kv.renew(lease, CLAIM).await {
        tracing::warn!(%error, "claim of an idempotency key not renewed");
    }
}

/// Tries the channels in order. Appends the keys of those that were tried.
async fn try_channels(
    outbound: &Arc<Outbound>,
    mut request: SendRequest,
    tried: &mut Vec<String>,
) -> Result<SendReceipt, Failure> {
    let requested_channel = request.channel;
    if let Some(prior) = fall_back::find_prior(outbound, &request).await? {
        request = prior;
    }
    loop {
        let next = fall_back::next_channel(&request);
        let channel = request.channel;
        tried.extend(request.idempotency_key.clone());
        match (parts::send(outbound, request).await, next) {
            (Err(failure), Some(next)) if fall_back::may_help(&failure) && !parts::has_begun(&failure) => {
                tracing::info!(%failure, from = %channel, to = %next.channel, "channel fallback");
                request = next;
            }
            (Ok(receipt), _) if channel != requested_channel => {
                return Ok(SendReceipt {
                    instead_of: Some(requested_channel),
                    ..receipt
                });
            }
            (result, _) => return result,
        }
    }
}
