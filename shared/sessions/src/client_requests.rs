//! Requests to a client's model (sampling) from the voice relay that holds a call. They travel over the client's push
//! stream; a request that is no longer needed is cancelled at the client.

use std::time::Duration;

use butt_dial_domain::{
    client_stream::{ClientRequest, ClientResponse},
    ports::bus::{BusError, Headers},
    subjects,
};
use futures::{StreamExt, future::BoxFuture};

use crate::{
    local_streams::LocalStreams,
    pending_requests::{CancelledRequest, NoResponse, OutgoingRequest, PendingResponse},
};

/// Subscribes to the requests for this replica's streams. The future sends them until the process drains.
pub(crate) async fn listen(streams: LocalStreams) -> Result<BoxFuture<'static, ()>, BusError> {
    let ports = streams.ports.clone();
    let mut requests = ports.bus.subscribe(&subjects::client_requests(&ports.replica)).await?;
    let mut cancellations = ports.bus.subscribe(&subjects::cancel_request(&ports.replica)).await?;
    Ok(Box::pin(async move {
        loop {
            tokio::select! {
                // Requests first, so that a request is registered before its cancellation arrives.
                biased;
                () = ports.draining.cancelled() => return,
                Some(message) = requests.next() => {
                    let request: Option<ClientRequest> = serde_json::from_slice(&message.payload).ok();
                    receive(&streams, request, message.reply_to);
                }
                Some(message) = cancellations.next() => {
                    let name = String::from_utf8_lossy(&message.payload);
                    if let Some(cancelled) = streams.requests.cancel(&name) {
                        notify_cancelled(&streams, &cancelled, "the response is no longer needed");
                    }
                }
                else => return,
            }
        }
    }))
}

fn receive(streams: &LocalStreams, request: Option<ClientRequest>, reply_to: Option<String>) {
    let deadline = request.as_ref().map_or(0, |request| request.deadline_ms);
    let pending = request.and_then(|request| enqueue(streams, &request));
    let streams = streams.clone();
    let tasks = streams.ports.tasks.clone();
    tasks.spawn(async move {
        let response = match pending {
            Some(pending) => await_response(&streams, pending, Duration::from_millis(deadline)).await,
            None => ClientResponse::Failed("the client's stream is closed or too far behind".into()),
        };
        reply(&streams, reply_to.as_deref(), &response).await;
    });
}

/// Queues the request for the client. Returns `None` when the stream is gone, not initialized, or full.
fn enqueue(streams: &LocalStreams, request: &ClientRequest) -> Option<PendingResponse> {
    let (connection, agent) = (&request.connection, &request.agent);
    streams.open.with_initialized(connection, agent, |queue| {
        let permit = queue.try_reserve().ok()?;
        let outgoing = OutgoingRequest {
            method: &request.method,
            params: Some(&request.params),
            name: Some(&request.id),
        };
        let (message, pending) = streams.requests.register(agent, connection, &outgoing);
        permit.send(message);
        Some(pending)
    })
}

async fn await_response(streams: &LocalStreams, pending: PendingResponse, deadline: Duration) -> ClientResponse {
    let draining = &streams.ports.draining;
    match draining.run_until_cancelled(pending.within(deadline)).await {
        Some(Ok(response)) => response,
        Some(Err(NoResponse::Gone)) => {
            ClientResponse::Failed("the client's stream was closed, or the request was cancelled".into())
        }
        Some(Err(NoResponse::TimedOut(cancelled))) => {
            if let Some(cancelled) = cancelled {
                notify_cancelled(streams, &cancelled, "the deadline has passed");
            }
            ClientResponse::Failed("the client did not respond in time".into())
        }
        // The stream is closed too; the client reconnects to another replica.
        None => ClientResponse::Failed("the client's gateway is stopping".into()),
    }
}

fn notify_cancelled(streams: &LocalStreams, cancelled: &CancelledRequest, reason: &str) {
    let notification = cancelled.notification(reason);
    streams.open.push(&cancelled.connection, &cancelled.agent, notification);
}

async fn reply(streams: &LocalStreams, reply_to: Option<&str>, response: &ClientResponse) {
    let Some((reply_to, payload)) = reply_to.zip(serde_json::to_vec(response).ok()) else {
        return;
    };
    let bus = &streams.ports.bus;
    if let Err(error) = bus.publish(reply_to, Headers::new(), payload.into()).await {
        tracing::warn!(%error, "client response not forwarded to the requester");
    }
}
