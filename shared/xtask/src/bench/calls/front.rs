//! The public address of an installation: a load balancer that passes connections on, those for calls' sockets to the relays
//! in turn, all others to whoever listens to carriers.

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

/// How a request for a call's socket begins.
const SOCKET: &[u8] = b"GET /relay/";

/// Gone with its handle, and the connections with it.
pub struct Front {
    pub base_url: String,
    targets: Arc<Targets>,
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct Targets {
    ingests: RwLock<Vec<SocketAddr>>,
    relays: RwLock<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

impl Front {
    /// There before the programs that it leads to, so that they can be told where they are reached.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let targets: Arc<Targets> = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, targets.clone()));
        Ok(Self {
            base_url,
            targets,
            _serving: serving,
        })
    }

    pub fn lead_to(&self, ingest: SocketAddr) {
        *self.targets.ingests.write().unwrap_or_else(PoisonError::into_inner) = vec![ingest];
    }

    /// New calls go there from now on; those that are talked on stay where they are.
    pub fn lead_calls_to(&self, relays: Vec<SocketAddr>) {
        *self.targets.relays.write().unwrap_or_else(PoisonError::into_inner) = relays;
    }
}

async fn serve(listener: TcpListener, targets: Arc<Targets>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // A connection that breaks is the caller's to notice.
        connections.spawn(pass(client, targets.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn pass(mut client: TcpStream, targets: Arc<Targets>) -> anyhow::Result<()> {
    client.set_nodelay(true)?;
    let mut target = TcpStream::connect(targets.find(&client).await.context("nobody is there")?).await?;
    target.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut target).await?;
    Ok(())
}

impl Targets {
    async fn find(&self, client: &TcpStream) -> Option<SocketAddr> {
        let mut beginning = [0; SOCKET.len()];
        let mut read = 0;
        // Whoever sends less than a request line is no carrier.
        while read < beginning.len() {
            match client.peek(&mut beginning).await {
                Ok(more) if more > read => read = more,
                _ => break,
            }
        }
        let targets = match beginning.as_slice() == SOCKET {
            true => &self.relays,
            false => &self.ingests,
        };
        let targets = targets.read().unwrap_or_else(PoisonError::into_inner);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        targets.get(turn % targets.len().max(1)).copied()
    }
}
