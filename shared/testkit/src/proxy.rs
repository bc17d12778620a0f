//! A TCP proxy in front of a server that cuts, refuses or stalls connections on command. Never changes the bytes that it
//! forwards.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::servers::port::Port;

const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Forwarding,
    Refusing,
    Stalled,
}

/// The requested state of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Command {
    mode: Mode,
    /// Connections of an earlier generation are closed.
    generation: u64,
}

/// A running proxy. Dropping it closes its port and every connection.
pub struct Proxy {
    port: Port,
    command: watch::Sender<Command>,
    applied: watch::Receiver<Option<Command>>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free loopback port and forwards to `target`, such as `127.0.0.1:4222`.
    pub async fn start(target: &str) -> Self {
        let port = Port::reserve();
        let (command, receiver) = watch::channel(Command {
            mode: Mode::Forwarding,
            generation: 0,
        });
        let (report, applied) = watch::channel(None);
        let mut task = JoinSet::new();
        task.spawn(run(port.number(), target.to_owned(), receiver, report));
        let proxy = Self {
            port,
            command,
            applied,
            _task: task,
        };
        proxy.wait_until_applied().await;
        proxy
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// Returns the address as a URL, such as `redis://127.0.0.1:20123`.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address())
    }

    /// Closes the open connections. New ones are forwarded as before.
    pub async fn cut(&self) {
        self.command.send_modify(|command| command.generation += 1);
        self.wait_until_applied().await;
    }

    /// Closes the port, so that new connections are refused. Open ones stay open.
    pub async fn refuse(&self) {
        self.switch_to(Mode::Refusing).await;
    }

    /// Forwards nothing in either direction, and closes nothing.
    pub async fn stall(&self) {
        self.switch_to(Mode::Stalled).await;
    }

    /// Forwards again, including the bytes that a stall has held back.
    pub async fn heal(&self) {
        self.switch_to(Mode::Forwarding).await;
    }

    async fn switch_to(&self, mode: Mode) {
        self.command.send_modify(|command| command.mode = mode);
        self.wait_until_applied().await;
    }

    async fn wait_until_applied(&self) {
        let command = *self.command.borrow();
        let mut applied = self.applied.clone();
        timeout(COMMAND_TIMEOUT, applied.wait_for(|seen| *seen == Some(command)))
            .await
            .expect("the proxy applies the command in time")
            .expect("the proxy runs");
    }
}

async fn run(port: u16, target: String, mut command: watch::Receiver<Command>, report: watch::Sender<Option<Command>>) {
    let mut generation = 0;
    let mut listener = None;
    let mut connections = JoinSet::new();
    loop {
        let current = *command.borrow_and_update();
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
            changed = command.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            client = accept(listener.as_ref()) => {
                connections.spawn(forward(client, target.clone(), command.clone()));
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

async fn forward(client: TcpStream, target: String, command: watch::Receiver<Command>) {
    // Without a server the client sees a connection that is closed at once.
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
        () = pump(from_client, to_server, command.clone()) => {}
        () = pump(from_server, to_client, command) => {}
    }
}

/// Copies bytes until either side is closed.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut command: watch::Receiver<Command>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        if command.wait_for(|command| command.mode != Mode::Stalled).await.is_err() {
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

    const STALL_WAIT: Duration = Duration::from_millis(100);

    /// Starts a server that replies to every byte with its successor.
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

    async fn exchange(stream: &mut TcpStream, byte: u8) -> io::Result<u8> {
        stream.write_u8(byte).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn forwards_cuts_refuses_stalls_and_heals() {
        let (server, _tasks) = start_server().await;
        let proxy = Proxy::start(&server).await;
        let mut first = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(exchange(&mut first, 1).await.unwrap(), 2);

        proxy.cut().await;
        assert!(exchange(&mut first, 1).await.is_err());
        let mut second = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(exchange(&mut second, 5).await.unwrap(), 6);

        proxy.refuse().await;
        assert!(TcpStream::connect(proxy.address()).await.is_err());
        assert_eq!(exchange(&mut second, 7).await.unwrap(), 8);

        proxy.stall().await;
        second.write_u8(10).await.unwrap();
        assert!(timeout(STALL_WAIT, second.read_u8()).await.is_err());
        proxy.heal().await;
        assert_eq!(second.read_u8().await.unwrap(), 11);
        TcpStream::connect(proxy.address()).await.unwrap();

        let address = proxy.address();
        drop(proxy);
        assert!(exchange(&mut second, 1).await.is_err());
        assert!(TcpStream::connect(address).await.is_err());
    }
}
