//! A private Redis. As in production it is a cache of shared state: by default it comes back empty after a stop.

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
    Forgetful,
    AppendOnly,
    /// Forgetful, and reached over TLS only.
    Encrypted,
}

impl Redis {
    /// Keeps nothing on disk: `start_again` brings an empty server.
    pub async fn start() -> Self {
        Self::new(Kind::Forgetful).await
    }

    /// Keeps every write, so that `start_again` brings the data back.
    pub async fn start_append_only() -> Self {
        Self::new(Kind::AppendOnly).await
    }

    /// Speaks TLS only, as `localhost`, with a certificate that nobody else has signed.
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
            server.make_certificate();
        }
        server.start_again().await;
        server
    }

    pub fn url(&self) -> String {
        match self.kind {
            Kind::Encrypted => format!("rediss://localhost:{}", self.port.number()),
            Kind::Forgetful | Kind::AppendOnly => format!("redis://{}", self.address()),
        }
    }

    /// The certificate of an encrypted server, as PEM: whoever is to trust it has to be told.
    pub fn certificate(&self) -> PathBuf {
        self.process.directory().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.process.directory().join("key.pem")
    }

    fn make_certificate(&self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        fs::write(self.certificate(), made.cert.pem()).expect("the certificate's file");
        fs::write(self.key(), made.signing_key.serialize_pem()).expect("the key's file");
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
                // It listens when it is ready; what it would say is for those who know its certificate.
                Kind::Encrypted => TcpStream::connect(&address).await.is_ok(),
                Kind::Forgetful | Kind::AppendOnly => answers(&address).await.unwrap_or(false),
            })
            .await;
    }

    /// What the server says to one command of words without spaces, each as it is in a line of its own.
    pub async fn say(&self, command: &str) -> Vec<String> {
        let said = exchange(&self.address(), command).await.expect("the server answers");
        let lines = said.lines().filter(|line| !line.starts_with(['*', '$']));
        lines.map(str::to_owned).collect()
    }

    pub async fn stop(&mut self) {
        self.process.stop("TERM").await;
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }
}

async fn exchange(address: &str, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    // Told to close, it has said everything when it has.
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await?;
    Ok(said.strip_suffix("+OK\r\n").unwrap_or(&said).to_owned())
}

async fn answers(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    Ok(&answer == b"+PONG")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_answers_until_stopped_and_again_after() {
        let mut server = Redis::start_append_only().await;
        server.stop().await;
        assert!(answers(&server.address()).await.is_err());
        server.start_again().await;
        assert!(answers(&server.address()).await.unwrap());
        server.kill();
        assert!(answers(&server.address()).await.is_err());
    }
}
