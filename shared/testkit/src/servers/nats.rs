//! A private NATS server with JetStream on disk.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    port::Port,
    process::{Process, find_program},
};

pub struct Nats {
    process: Process,
    port: Port,
    monitoring: Port,
}

impl Nats {
    pub async fn start() -> Self {
        let mut server = Self {
            process: Process::new("nats", "TERM", None),
            port: Port::reserve(),
            monitoring: Port::reserve(),
        };
        server.start_again().await;
        server
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// Starts the stopped server with the same port and data.
    pub async fn start_again(&mut self) {
        let directory = self.process.directory().to_owned();
        let mut command = self.process.command(find_program("nats-server", &["/usr/sbin".into()]));
        command.args(["-a", "127.0.0.1", "-p", &self.port.number().to_string()]);
        command.args(["-m", &self.monitoring.number().to_string(), "-js"]);
        command.arg("-sd").arg(&directory).arg("-l").arg(directory.join("log"));
        self.process.spawn(command);
        let monitoring = self.monitoring.number();
        self.process
            .wait_until_ready(async || is_healthy(monitoring).await.unwrap_or(false))
            .await;
    }

    pub async fn stop(&mut self) {
        self.process.stop("TERM").await;
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// Queries `/healthz`, which returns 200 only when JetStream is ready too.
async fn is_healthy(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response.split(' ').nth(1) == Some("200"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepts_connections_while_running() {
        let mut server = Nats::start().await;
        assert!(TcpStream::connect(server.address()).await.is_ok());
        server.stop().await;
        assert!(TcpStream::connect(server.address()).await.is_err());
        server.start_again().await;
        assert!(TcpStream::connect(server.address()).await.is_ok());
        server.kill();
        assert!(TcpStream::connect(server.address()).await.is_err());
    }
}
