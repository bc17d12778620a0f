//! The public address of a cluster: a load balancer that passes each connection to the next program, or to another one
//! when that program is down. Call sockets go to the relays.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::net::{TcpListener, TcpStream};

/// Starts before the programs, because they need its address in their settings.
pub struct LoadBalancer {
    pub base_url: String,
    targets: Arc<Targets>,
}

#[derive(Default)]
struct Targets {
    programs: RwLock<Vec<SocketAddr>>,
    relays: RwLock<Vec<SocketAddr>>,
}

/// First bytes of a request for a call socket.
const RELAY: &[u8] = b"GET /relay/";

impl LoadBalancer {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no lifecycle; the tasks end with the test's runtime"
    )]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let targets: Arc<Targets> = Arc::default();
        let (routes, next) = (targets.clone(), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (routes, next) = (routes.clone(), next.clone());
                tokio::spawn(async move {
                    // No program is left: the client sees its connection close.
                    if let Ok(mut target) = connect(routes.find_for(&client).await, &next).await {
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

    /// Sets the programs of new connections. Open connections stay.
    pub fn set_programs(&self, targets: Vec<SocketAddr>) {
        *self.targets.programs.write().unwrap() = targets;
    }

    /// Sets the relays of new call sockets.
    pub fn set_relays(&self, relays: Vec<SocketAddr>) {
        *self.targets.relays.write().unwrap() = relays;
    }
}

impl Targets {
    async fn find_for(&self, client: &TcpStream) -> Vec<SocketAddr> {
        let mut prefix = [0; RELAY.len()];
        // A client that sends less than a request line is not a call socket.
        let mut read = 0;
        while read < prefix.len() {
            match client.peek(&mut prefix).await {
                Ok(more) if more > read => read = more,
                _ => break,
            }
        }
        let targets = match &prefix[..] == RELAY {
            true => &self.relays,
            false => &self.programs,
        };
        targets.read().unwrap().clone()
    }
}

async fn connect(targets: Vec<SocketAddr>, next: &AtomicUsize) -> io::Result<TcpStream> {
    let first = next.fetch_add(1, Ordering::Relaxed);
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
