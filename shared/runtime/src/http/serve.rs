//! Binds the HTTP socket and serves it until the lifecycle drains.

use std::{io, net::SocketAddr};

use axum::{Router, serve::ListenerExt};
use tokio::net::TcpListener;

use crate::Lifecycle;

/// A bound socket. The port is reserved before the roles are built.
pub struct HttpListener {
    listener: TcpListener,
    pub address: SocketAddr,
}

/// Binds the address. Port 0 takes a free port.
pub async fn bind(address: SocketAddr) -> io::Result<HttpListener> {
    let listener = TcpListener::bind(address).await?;
    Ok(HttpListener {
        address: listener.local_addr()?,
        listener,
    })
}

impl HttpListener {
    /// Serves the router as a task of the lifecycle. When the lifecycle drains, open requests finish and new ones are refused.
    pub fn serve(self, router: Router, lifecycle: &Lifecycle) {
        let drain = lifecycle.draining().clone();
        // Without TCP_NODELAY each server-sent event waits for the client's delayed acknowledgement: 40 ms.
        let listener = self.listener.tap_io(|socket| {
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "setting TCP_NODELAY failed");
            }
        });
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        lifecycle.spawn(async move {
            let result = axum::serve(listener, service)
                .with_graceful_shutdown(drain.cancelled_owned())
                .await;
            if let Err(error) = result {
                tracing::error!(%error, "HTTP server failed");
            }
        });
    }
}
