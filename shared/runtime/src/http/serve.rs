//! Binds the HTTP sockets and serves them until the lifecycle drains. `axum::serve` is not used: it has no deadlines and no
//! limit of connections, so that silent clients use up the descriptors of the process.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::Bytes;
use hyper::{
    Request, Response, StatusCode,
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use super::{
    connection::{Activity, Socket},
    connection_limits::{ConnectionLimits, Permit},
    request_body,
};
use crate::Lifecycle;

/// From the connection to the first byte.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(20);
/// The same, when most of the connections are taken.
const CROWDED_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);
/// The head of a request, and the piece of a body that is read at once.
const MAX_BUFFER: usize = 128 * 1024;
/// Before the next attempt when the process has no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

/// The routes of a socket. A process that waits for its backends serves other routes at first.
#[derive(Clone)]
pub struct Routes {
    first: Router,
    last: Arc<OnceLock<Router>>,
}

impl Routes {
    pub fn new(first: Router) -> Self {
        Self {
            first: prepared(first),
            last: Arc::default(),
        }
    }

    /// Replaces the routes, once.
    pub fn replace(&self, router: Router) {
        if self.last.set(prepared(router)).is_err() {
            tracing::error!("routes replaced twice");
        }
    }

    fn current(&self) -> Router {
        self.last.get().unwrap_or(&self.first).clone()
    }
}

/// Applies the layers to the routes now. Otherwise axum does it again for every request.
fn prepared(router: Router) -> Router {
    router.with_state(())
}

impl HttpListener {
    /// Serves the routes as a task of the lifecycle. When the lifecycle drains, open requests finish and new ones are refused.
    pub fn serve(self, routes: Routes, limits: ConnectionLimits, lifecycle: &Lifecycle) {
        let drain = lifecycle.draining().clone();
        let server = Server { routes, limits, drain };
        lifecycle.spawn(server.run(self.listener));
    }
}

struct Server {
    routes: Routes,
    limits: ConnectionLimits,
    drain: CancellationToken,
}

impl Server {
    async fn run(self, listener: TcpListener) {
        let connections = TaskTracker::new();
        while let Some(accepted) = self.drain.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    // Beyond the limits, the connection is closed at once.
                    if let Some(permit) = self.limits.admit(peer.ip()) {
                        connections.spawn(self.connection(stream, peer, permit, connections.clone()));
                    }
                }
                // The client has gone already.
                Err(error) if is_of_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        permit: Permit,
        tasks: TaskTracker,
    ) -> impl Future<Output = ()> + use<> {
        // Without TCP_NODELAY each server-sent event waits for the client's delayed acknowledgement: 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "setting TCP_NODELAY failed");
        }
        let (routes, drain, activity) = (self.routes.clone(), self.drain.clone(), Activity::new());
        let first_byte_timeout = match permit.is_crowded() {
            true => CROWDED_FIRST_BYTE_TIMEOUT,
            false => FIRST_BYTE_TIMEOUT,
        };
        let socket = Socket::new(stream, activity.clone(), first_byte_timeout, drain.clone(), permit);
        let body_drain = drain.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let request = request.map(|body| request_body::timed(body, &body_drain, &tasks));
            respond(&routes, request, peer, &activity)
        });
        async move {
            let mut http = http1::Builder::new();
            // The socket has deadlines for the head, and longer ones between requests.
            http.header_read_timeout(None).max_buf_size(MAX_BUFFER);
            let connection = http.serve_connection(TokioIo::new(socket), service).with_upgrades();
            let mut connection = std::pin::pin!(connection);
            let served = tokio::select! {
                served = connection.as_mut() => served,
                () = drain.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "connection ended");
            }
        }
    }
}

fn respond(
    routes: &Routes,
    mut request: Request<Body>,
    peer: SocketAddr,
    activity: &Activity,
) -> impl Future<Output = Result<Response<TrackedBody>, Infallible>> + use<> {
    activity.begin_request();
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = routes.current().call(request);
    let activity = activity.clone();
    async move {
        let response = response.await?;
        // After an upgrade the socket belongs to the handler, and no further request follows.
        let activity = (response.status() != StatusCode::SWITCHING_PROTOCOLS).then_some(activity);
        Ok(response.map(|body| TrackedBody { body, activity }))
    }
}

fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The body of a response. Its end is the end of the request.
struct TrackedBody {
    body: Body,
    activity: Option<Activity>,
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        if let Some(activity) = &self.activity {
            activity.end_request();
        }
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
