//! Requests in progress, which their clients can cancel at any replica (`notifications/cancelled`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::{
    ports::bus::{BusError, Headers},
    subjects,
};
use futures::{StreamExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::ports::Ports;

/// The requests that run on this replica. Cheap to clone.
#[derive(Clone)]
pub struct Cancellations {
    ports: Ports,
    running: Arc<Mutex<HashMap<RequestKey, CancellationToken>>>,
}

/// Ids of requests are unique among those of one client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct RequestKey {
    /// The id of a session, or of a stream without one.
    client: String,
    /// The id of the request, as JSON.
    request: String,
}

impl Cancellations {
    pub(crate) fn new(ports: Ports) -> Self {
        Self {
            ports,
            running: Arc::default(),
        }
    }

    /// Registers a request until the result is dropped.
    pub fn register(&self, client: &str, request: String) -> RunningRequest {
        let key = RequestKey {
            client: client.to_owned(),
            request,
        };
        let cancelled = CancellationToken::new();
        self.locked().insert(key.clone(), cancelled.clone());
        RunningRequest {
            cancelled,
            key,
            running: self.clone(),
        }
    }

    /// Cancels a request on whatever replica it runs. A request that has ended is not affected.
    pub async fn cancel(&self, client: &str, request: String) {
        let key = RequestKey {
            client: client.to_owned(),
            request,
        };
        if self.cancel_local(&key) {
            return;
        }
        // The type has only text.
        let payload = serde_json::to_vec(&key).unwrap_or_default();
        let published = self
            .ports
            .bus
            .publish(subjects::REQUEST_CANCELLED, Headers::new(), payload.into())
            .await;
        if let Err(error) = published {
            tracing::warn!(%error, "cancellation of request not published");
        }
    }

    fn cancel_local(&self, key: &RequestKey) -> bool {
        let running = self.locked().get(key).cloned();
        running.inspect(CancellationToken::cancel).is_some()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<RequestKey, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subscribes to cancellations that reached other replicas. The future runs until the process drains.
    pub(crate) async fn listen(self) -> Result<BoxFuture<'static, ()>, BusError> {
        let mut cancelled = self.ports.bus.subscribe(subjects::REQUEST_CANCELLED).await?;
        Ok(Box::pin(async move {
            while let Some(Some(message)) = self.ports.draining.run_until_cancelled(cancelled.next()).await {
                if let Ok(key) = serde_json::from_slice(&message.payload) {
                    self.cancel_local(&key);
                }
            }
        }))
    }
}

/// A registered request.
pub struct RunningRequest {
    /// Fires when the client cancels the request.
    pub cancelled: CancellationToken,
    key: RequestKey,
    running: Cancellations,
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.running.locked().remove(&self.key);
    }
}
