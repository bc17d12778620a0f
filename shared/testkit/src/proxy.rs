//! A TCP proxy that breaks connections on command, to be put in front of any server. Never changes a byte: what passes,
//! passes as it came.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::servers::port::Port;

const OBEDIENCE_DEADLINE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Forwarding,
    Refusing,
    Stalled,
}

/// What the proxy was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Orders {
    mode: Mode,
    /// Connections opened under a smaller number are to be cut.
    generation: u64,
}

/// Dropped, it closes its port and every connection.
pub struct Proxy {
    port: Port,
    orders: watch::Sender<Orders>,
    obeyed: watch::Receiver<Option<Orders>>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free loopback port and forwards to `target`, such as `127.0.0.1:4222`.
    pub async fn start(target: &str) -> Self {
        let port = Port::reserve();
        let (orders, receiver) = watch::channel(Orders {
            mode: Mode::Forwarding,
            generation: 0,
        });
        let (report, obeyed) = watch::channel(None);
        let mut task = JoinSet::new();
        task.spawn(run(port.number(), target.to_owned(), receiver, report));
        let proxy = Self {
            port,
            orders,
            obeyed,
            _task: task,
        };
        proxy.wait_until_obeyed().await;
        proxy
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// The address as a URL, such as `redis://127.0.0.1:20123`.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address())
    }

    /// Closes the connections there are. New ones are served as before.
    pub async fn cut(&self) {
        self.orders.send_modify(|orders| orders.generation += 1);
        self.wait_until_obeyed().await;
    }

    /// Refuses new connections: the port is closed. Those there are live on.
    pub async fn refuse(&self) {
        self.switch_to(Mode::Refusing).await;
    }

    /// Lets nothing through in either direction, but closes nothing: a black hole.
    pub async fn stall(&self) {
        self.switch_to(Mode::Stalled).await;
    }

    /// All is well again. What was held back by a stall is delivered.
    pub async fn heal(&self) {
        self.switch_to(Mode::Forwarding).await;
    }

    async fn switch_to(&self, mode: Mode) {
        self.orders.send_modify(|orders| orders.mode = mode);
        self.wait_until_obeyed().await;
    }

    async fn wait_until_obeyed(&self) {
        let orders = *self.orders.borrow();
        let mut obeyed = self.obeyed.clone();
        timeout(OBEDIENCE_DEADLINE, obeyed.wait_for(|seen| *seen == Some(orders)))
            .await
            .expect("the proxy obeys in time")
            .expect("the proxy runs");
    }
}

async fn run(port: u16, target: String, mut orders: watch::Receiver<Orders>, report: watch::Sender<Option<Orders>>) {
    let mut generation = 0;
    let mut listener = None;
    let mut connections = JoinSet::new();
    loop {
        let current = *orders.borrow_and_update();
        if current.generation != generation {
            generation = current.generation;
            connections.shutdown().await;
        }
        if current.mode == Mode::Refusing {
            listener = None;
        } else if listener.is_none() {
            listener = Some(listen(port).await);
        }
        report.send_replace(Some(current));
        tokio::select! {
            changed = orders.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            client = accept(listener.as_ref()) => {
                connections.spawn(forward(client, target.clone(), orders.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn listen(port: u16) -> TcpListener {
    loop {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => return listener,
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    loop {
        match listener {
            None => std::future::pending().await,
            Some(listener) => {
                if let Ok((client, _)) = listener.accept().await {
                    return client;
                }
            }
        }
    }
}

async fn forward(client: TcpStream, target: String, orders: watch::Receiver<Orders>) {
    // A closed target looks to the client like a connection that breaks at once.
    let Ok(server) = TcpStream::connect(&target).await else {
        return;
    };
    let no_delay = client.set_nodelay(true).and(server.set_nodelay(true));
    if no_delay.is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, orders.clone()) => {}
        () = pump(from_server, to_client, orders) => {}
    }
}

/// Ends when either side does.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut orders: watch::Receiver<Orders>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        if orders.wait_for(|orders| orders.mode != Mode::Stalled).await.is_err() {
            return;
        }
        match read {
            Ok(length) if length > 0 && to.write_all(&buffer[..length]).await.is_ok() => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    /// Answers every byte with the next one.
    async fn start_server() -> (String, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                clients.spawn(async move {
                    while let Ok(byte) = client.read_u8().await {
                        let _ = client.write_u8(byte + 1).await;
                    }
                });
            }
        });
        (address, tasks)
    }

    async fn ask(stream: &mut TcpStream, byte: u8) -> io::Result<u8> {
        stream.write_u8(byte).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn it_forwards_cuts_refuses_stalls_and_heals() {
        let (server, _tasks) = start_server().await;
        let proxy = Proxy::start(&server).await;
        let mut first = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut first, 1).await.unwrap(), 2);

        proxy.cut().await;
        assert!(ask(&mut first, 1).await.is_err());
        let mut second = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut second, 5).await.unwrap(), 6);

        proxy.refuse().await;
        assert!(TcpStream::connect(proxy.address()).await.is_err());
        assert_eq!(ask(&mut second, 7).await.unwrap(), 8);

        proxy.stall().await;
        second.write_u8(10).await.unwrap();
        assert!(timeout(PATIENCE, second.read_u8()).await.is_err());
        proxy.heal().await;
        assert_eq!(second.read_u8().await.unwrap(), 11);
        TcpStream::connect(proxy.address()).await.unwrap();

        let address = proxy.address();
        drop(proxy);
        assert!(ask(&mut second, 1).await.is_err());
        assert!(TcpStream::connect(address).await.is_err());
    }
}
