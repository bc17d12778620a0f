//! Listening and serving, until the lifecycle drains.

use std::{io, net::SocketAddr};

use axum::{Router, serve::ListenerExt};
use tokio::net::TcpListener;

use crate::Lifecycle;

/// A bound socket: the port is ours before anything is announced.
pub struct Listening {
    listener: TcpListener,
    pub address: SocketAddr,
}

pub async fn listen(address: SocketAddr) -> io::Result<Listening> {
    let listener = TcpListener::bind(address).await?;
    Ok(Listening {
        address: listener.local_addr()?,
        listener,
    })
}

impl Listening {
    /// Serves as a task of the lifecycle. Once draining, open requests may end and no new ones are taken.
    pub fn serve(self, router: Router, lifecycle: &Lifecycle) {
        let drain = lifecycle.draining().clone();
        // Without TCP_NODELAY every answer framed as an event waits for the client's delayed acknowledgement: 40 ms.
        let listener = self.listener.tap_io(|socket| {
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY could not be set");
            }
        });
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        lifecycle.spawn(async move {
            let served = axum::serve(listener, service)
                .with_graceful_shutdown(drain.cancelled_owned())
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the HTTP server ended");
            }
        });
    }
}
