//! Delivery of events to listeners. A ping follows the events; the client's response to it confirms them. A client that
//! responds slowly delays no other stream.

use butt_dial_domain::{
    client_stream::{EventPush, PING_TIMEOUT, PushOutcome},
    ports::bus::BusError,
    subjects,
};
use futures::{StreamExt, future::BoxFuture};

use crate::{
    local_streams::LocalStreams,
    pending_requests::{OutgoingRequest, PendingResponse},
};

/// Subscribes to the events for this replica's streams. The future delivers them until the process drains.
pub(crate) async fn listen(streams: LocalStreams) -> Result<BoxFuture<'static, ()>, BusError> {
    let ports = streams.ports.clone();
    let mut pushes = ports.bus.subscribe(&subjects::deliver(&ports.replica)).await?;
    Ok(Box::pin(async move {
        while let Some(Some(message)) = ports.draining.run_until_cancelled(pushes.next()).await {
            let push: Option<EventPush> = serde_json::from_slice(&message.payload).ok();
            let pong = push.and_then(|push| enqueue(&streams, push));
            let replying = ports.clone();
            ports.tasks.spawn(async move {
                let outcome = outcome(pong).await;
                replying.answer(message.reply_to.as_deref(), outcome.as_str()).await;
            });
        }
    }))
}

/// Queues all messages with a ping behind them. Queues nothing when the stream is gone, not initialized, or too far behind.
fn enqueue(streams: &LocalStreams, push: EventPush) -> Option<PendingResponse> {
    let EventPush {
        connection,
        agent,
        messages,
    } = push;
    streams.open.with_initialized(&connection, &agent, |queue| {
        let permits = queue.try_reserve_many(messages.len() + 1);
        let permits = permits
            .inspect_err(|error| tracing::info!(%error, "event push rejected: listener too slow"))
            .ok()?;
        let (ping, pong) = streams.requests.register(&agent, &connection, &OutgoingRequest::PING);
        for (permit, message) in permits.zip(messages.into_iter().chain([ping])) {
            permit.send(message);
        }
        Some(pong)
    })
}

async fn outcome(pong: Option<PendingResponse>) -> PushOutcome {
    let Some(pong) = pong else {
        return PushOutcome::NotSent;
    };
    match pong.within(PING_TIMEOUT).await {
        // An error response confirms too: the client has read what came before the ping.
        Ok(_) => PushOutcome::Confirmed,
        Err(_) => PushOutcome::Unconfirmed,
    }
}
