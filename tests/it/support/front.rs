//! The public address of an installation: a load balancer that passes each connection on to the next program behind it,
//! and to another one where that is dead. Sockets of calls go to the relays.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::net::{TcpListener, TcpStream};

/// There before the programs that it leads to, so that they can be told where they are reached.
pub struct Front {
    pub base_url: String,
    targets: Arc<Targets>,
}

#[derive(Default)]
struct Targets {
    programs: RwLock<Vec<SocketAddr>>,
    relays: RwLock<Vec<SocketAddr>>,
}

/// How a request for a call's socket begins.
const RELAY: &[u8] = b"GET /relay/";

impl Front {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no lifecycle; the tasks end with the test's runtime"
    )]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let targets: Arc<Targets> = Arc::default();
        let (behind, turn) = (targets.clone(), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (behind, turn) = (behind.clone(), turn.clone());
                tokio::spawn(async move {
                    // Nobody left to answer: the caller sees its connection close.
                    if let Ok(mut target) = connect(behind.of(&client).await, &turn).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut target).await;
                    }
                });
            }
        });
        Self {
            base_url: format!("http://{address}"),
            targets,
        }
    }

    /// New connections go there from now on; those there are live on.
    pub fn lead_to(&self, targets: Vec<SocketAddr>) {
        *self.targets.programs.write().unwrap() = targets;
    }

    /// New calls go there from now on.
    pub fn lead_calls_to(&self, relays: Vec<SocketAddr>) {
        *self.targets.relays.write().unwrap() = relays;
    }
}

impl Targets {
    async fn of(&self, client: &TcpStream) -> Vec<SocketAddr> {
        let mut beginning = [0; RELAY.len()];
        // Whoever sends less than a request line is no caller of ours.
        let mut read = 0;
        while read < beginning.len() {
            match client.peek(&mut beginning).await {
                Ok(more) if more > read => read = more,
                _ => break,
            }
        }
        let targets = match &beginning[..] == RELAY {
            true => &self.relays,
            false => &self.programs,
        };
        targets.read().unwrap().clone()
    }
}

async fn connect(targets: Vec<SocketAddr>, turn: &AtomicUsize) -> io::Result<TcpStream> {
    let first = turn.fetch_add(1, Ordering::Relaxed);
    let mut result = Err(io::ErrorKind::ConnectionRefused.into());
    for step in 0..targets.len() {
        result = TcpStream::connect(targets[(first + step) % targets.len()]).await;
        if let Ok(stream) = &result {
            stream.set_nodelay(true)?;
            break;
        }
    }
    result
}
