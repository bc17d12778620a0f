//! A load balancer: it forwards the sockets of calls to the relays in turn, and all other connections to other replicas. It tries
//! the next replica when one does not accept the connection.

use std::{
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Context;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The start of a request for the socket of a call.
const SOCKET_REQUEST: &[u8] = b"GET /relay/";

/// Stops when it is dropped, and closes its connections.
pub struct LoadBalancer {
    pub base_url: String,
    targets: Arc<Targets>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Targets {
    others: RwLock<Vec<SocketAddr>>,
    relays: RwLock<Vec<SocketAddr>>,
    next: AtomicUsize,
}

impl LoadBalancer {
    /// Starts without targets, because the configuration of the programs contains its address.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let targets: Arc<Targets> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, targets.clone()));
        Ok(Self {
            base_url,
            targets,
            _tasks: tasks,
        })
    }

    /// Sets the replicas for all other new connections.
    pub fn set_others(&self, others: Vec<SocketAddr>) {
        *self.targets.others.write().unwrap_or_else(PoisonError::into_inner) = others;
    }

    /// Sets the relays for new calls. Existing calls keep their connections.
    pub fn set_relays(&self, relays: Vec<SocketAddr>) {
        *self.targets.relays.write().unwrap_or_else(PoisonError::into_inner) = relays;
    }
}

async fn serve(listener: TcpListener, targets: Arc<Targets>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // A broken connection is not an error here: the client sees it.
        connections.spawn(forward(client, targets.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(mut client: TcpStream, targets: Arc<Targets>) -> anyhow::Result<()> {
    client.set_nodelay(true)?;
    let mut target = targets.connect(&client).await.context("no target for the connection")?;
    target.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut target).await?;
    Ok(())
}

impl Targets {
    async fn connect(&self, client: &TcpStream) -> Option<TcpStream> {
        let mut start = [0; SOCKET_REQUEST.len()];
        let mut read = 0;
        // A shorter request is not for the socket of a call.
        while read < start.len() {
            match client.peek(&mut start).await {
                Ok(more) if more > read => read = more,
                _ => break,
            }
        }
        let targets = match start.as_slice() == SOCKET_REQUEST {
            true => &self.relays,
            false => &self.others,
        };
        let targets = targets.read().unwrap_or_else(PoisonError::into_inner).clone();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for offset in 0..targets.len() {
            let target = targets.get((first + offset) % targets.len())?;
            if let Ok(stream) = TcpStream::connect(target).await {
                return Some(stream);
            }
        }
        None
    }
}
