//! The public address of an installation: a load balancer that passes each connection on to the next program behind it,
//! and to another one where that is dead.

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
    targets: Arc<RwLock<Vec<SocketAddr>>>,
}

impl Front {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no lifecycle; the tasks end with the test's runtime"
    )]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let targets: Arc<RwLock<Vec<SocketAddr>>> = Arc::default();
        let (behind, turn) = (targets.clone(), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (behind, turn) = (behind.clone(), turn.clone());
                tokio::spawn(async move {
                    // Nobody left to answer: the caller sees its connection close.
                    if let Ok(mut target) = connect(&behind, &turn).await {
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
        *self.targets.write().unwrap() = targets;
    }
}

async fn connect(behind: &RwLock<Vec<SocketAddr>>, turn: &AtomicUsize) -> io::Result<TcpStream> {
    let targets = behind.read().unwrap().clone();
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
