//! A private Redis. By default it is empty after a restart, because production does not rely on its data either.

use std::{fs, path::PathBuf};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    port::Port,
    process::{Process, find_program},
};

pub struct Redis {
    process: Process,
    port: Port,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    InMemory,
    AppendOnly,
    /// In memory, with TLS only.
    Encrypted,
}

impl Redis {
    /// Starts a server without persistence: it is empty after `start_again`.
    pub async fn start() -> Self {
        Self::new(Kind::InMemory).await
    }

    /// Starts a server that persists every write, so that the data survives `start_again`.
    pub async fn start_append_only() -> Self {
        Self::new(Kind::AppendOnly).await
    }

    /// Starts a server with TLS only, with a self-signed certificate for `localhost`.
    pub async fn start_encrypted() -> Self {
        Self::new(Kind::Encrypted).await
    }

    async fn new(kind: Kind) -> Self {
        let mut server = Self {
            process: Process::new("redis", "TERM", None),
            port: Port::reserve(),
            kind,
        };
        if kind == Kind::Encrypted {
            server.write_certificate();
        }
        server.start_again().await;
        server
    }

    pub fn url(&self) -> String {
        match self.kind {
            Kind::Encrypted => format!("rediss://localhost:{}", self.port.number()),
            Kind::InMemory | Kind::AppendOnly => format!("redis://{}", self.address()),
        }
    }

    /// Returns the path of the encrypted server's certificate, as PEM. Clients have to trust it explicitly.
    pub fn certificate(&self) -> PathBuf {
        self.process.directory().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.process.directory().join("key.pem")
    }

    fn write_certificate(&self) {
        let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        fs::write(self.certificate(), generated.cert.pem()).expect("the certificate's file");
        fs::write(self.key(), generated.signing_key.serialize_pem()).expect("the key's file");
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// Starts the stopped server on the same port.
    pub async fn start_again(&mut self) {
        let mut command = self.process.command(find_program("redis-server", &[]));
        let port = self.port.number().to_string();
        command.args(["--bind", "127.0.0.1", "--save", ""]);
        if self.kind == Kind::Encrypted {
            command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(self.certificate());
            command.arg("--tls-key-file").arg(self.key());
        } else {
            command.args(["--port", &port]);
        }
        command.arg("--dir").arg(self.process.directory());
        if self.kind == Kind::AppendOnly {
            command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        } else {
            command.args(["--appendonly", "no"]);
        }
        self.process.spawn(command);
        let (address, kind) = (self.address(), self.kind);
        self.process
            .wait_until_ready(async || match kind {
                // It listens once it is ready. A PING would need the certificate.
                Kind::Encrypted => TcpStream::connect(&address).await.is_ok(),
                Kind::InMemory | Kind::AppendOnly => responds(&address).await.unwrap_or(false),
            })
            .await;
    }

    /// Sends one command of words without spaces. Returns the lines of the response, without the lines of its framing.
    pub async fn run_command(&self, command: &str) -> Vec<String> {
        let response = exchange(&self.address(), command).await.expect("a response");
        let lines = response.lines().filter(|line| !line.starts_with(['*', '$']));
        lines.map(str::to_owned).collect()
    }

    pub async fn stop(&mut self) {
        self.process.stop("TERM").await;
    }

    /// Halts the server: it accepts connections and does not answer.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    pub fn resume(&self) {
        self.process.resume();
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }
}

pub(super) async fn exchange(address: &str, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    // After QUIT the server closes the connection, which marks the end of the response.
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response.strip_suffix("+OK\r\n").unwrap_or(&response).to_owned())
}

pub(super) async fn responds(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut response = [0; 5];
    stream.read_exact(&mut response).await?;
    // A server with a password answers that one is required.
    Ok(&response == b"+PONG" || &response == b"-NOAU")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn responds_while_running() {
        let mut server = Redis::start_append_only().await;
        server.stop().await;
        assert!(responds(&server.address()).await.is_err());
        server.start_again().await;
        assert!(responds(&server.address()).await.unwrap());
        server.kill();
        assert!(responds(&server.address()).await.is_err());
    }
}
