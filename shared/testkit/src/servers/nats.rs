//! A private NATS server with JetStream on disk.

use std::{
    fs,
    path::{Path, PathBuf},
};

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
    /// Arguments beyond those of every server.
    arguments: Vec<String>,
}

impl Nats {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with more arguments, such as `--user`.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let mut server = Self::prepare(arguments.iter().map(|&text| text.to_owned()).collect());
        server.start_again().await;
        server
    }

    fn prepare(arguments: Vec<String>) -> Self {
        Self {
            process: Process::new("nats", "TERM", None),
            port: Port::reserve(),
            monitoring: Port::reserve(),
            arguments,
        }
    }

    /// Starts a cluster of this many servers, which elect a leader of JetStream.
    pub async fn start_cluster(count: usize) -> Vec<Self> {
        let routes: Vec<Port> = (0..count).map(|_| Port::reserve()).collect();
        let urls: Vec<String> = routes
            .iter()
            .map(|port| format!("nats://127.0.0.1:{}", port.number()))
            .collect();
        let all = urls.join(",");
        let prepare = |(index, url): (usize, &String)| {
            let name = format!("n{index}");
            let arguments = [
                "-n",
                &name,
                "--cluster_name",
                "test",
                "--cluster",
                url,
                "--routes",
                &all,
            ];
            Self::prepare(arguments.map(str::to_owned).into())
        };
        let mut servers: Vec<Self> = urls.iter().enumerate().map(prepare).collect();
        // None of them is ready alone.
        for server in &mut servers {
            server.spawn();
        }
        for server in &mut servers {
            server.wait_until_ready().await;
        }
        // The servers hold the ports of the routes now, and a stopped one takes its port again soon.
        drop(routes);
        servers
    }

    /// Deletes the streams of the stopped server.
    pub fn erase(&self) {
        let _ = fs::remove_dir_all(self.streams());
    }

    /// Keeps the streams of the stopped server, to restore them later.
    pub fn save(&self) {
        copy(&self.streams(), &self.process.directory().join("saved")).expect("a copy of the streams");
    }

    /// Replaces the streams of the stopped server by the saved ones, as if it had lost what it had not synced.
    pub fn restore(&self) {
        self.erase();
        copy(&self.process.directory().join("saved"), &self.streams()).expect("a copy of the streams");
    }

    fn streams(&self) -> PathBuf {
        self.process.directory().join("jetstream")
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// Starts the stopped server with the same port and data.
    pub async fn start_again(&mut self) {
        self.spawn();
        self.wait_until_ready().await;
    }

    fn spawn(&mut self) {
        let directory = self.process.directory().to_owned();
        let mut command = self.process.command(find_program("nats-server", &["/usr/sbin".into()]));
        command.args(["-a", "127.0.0.1", "-p", &self.port.number().to_string()]);
        command.args(["-m", &self.monitoring.number().to_string(), "-js"]);
        command.arg("-sd").arg(&directory).arg("-l").arg(directory.join("log"));
        command.args(&self.arguments);
        self.process.spawn(command);
    }

    async fn wait_until_ready(&mut self) {
        let monitoring = self.monitoring.number();
        self.process
            .wait_until_ready(async || is_healthy(monitoring).await.unwrap_or(false))
            .await;
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

/// Copies a directory with everything in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
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
