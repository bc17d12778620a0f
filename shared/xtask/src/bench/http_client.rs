//! An HTTP/1.1 client that needs little CPU, because the load shares two cores with the server under measurement.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Connection {
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(8 * 1024),
        })
    }

    /// Sends a request and reads the response.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Response> {
        self.socket.write_all(request).await?;
        let (status, head) = self.read_head().await?;
        let body = self.read_body(&head).await?;
        Ok(Response {
            status,
            head,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    /// Sends a request for a stream and reads the head of the response.
    pub async fn open_stream(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.socket.write_all(request).await?;
        Ok(self.read_head().await?.0)
    }

    /// Reads the stream up to the event that contains `marker`. Returns the text and removes it from the buffer.
    pub async fn read_until(&mut self, marker: &str) -> anyhow::Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, marker.as_bytes()) {
                let end = match find(&self.buffer[at..], b"\n\n") {
                    Some(end) => at + end + 2,
                    None => {
                        self.fill().await?;
                        continue;
                    }
                };
                return Ok(String::from_utf8_lossy(&self.buffer.drain(..end).collect::<Vec<_>>()).into_owned());
            }
            self.fill().await?;
        }
    }

    async fn read_head(&mut self) -> anyhow::Result<(u16, String)> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.fill().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer.drain(..end).collect::<Vec<_>>()).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .context("no status line")?;
        Ok((status, head))
    }

    async fn read_body(&mut self, head: &str) -> anyhow::Result<Vec<u8>> {
        let lower = head.to_ascii_lowercase();
        if let Some(length) = lower.split("content-length:").nth(1) {
            let length: usize = length.lines().next().unwrap_or_default().trim().parse()?;
            while self.buffer.len() < length {
                self.fill().await?;
            }
            return Ok(self.buffer.drain(..length).collect());
        }
        if !lower.contains("transfer-encoding: chunked") {
            return Ok(Vec::new());
        }
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break at;
                }
                self.fill().await?;
            };
            let size = std::str::from_utf8(&self.buffer[..line])?;
            let size = usize::from_str_radix(size.trim(), 16)?;
            while self.buffer.len() < line + 2 + size + 2 {
                self.fill().await?;
            }
            body.extend_from_slice(&self.buffer[line + 2..line + 2 + size]);
            self.buffer.drain(..line + 2 + size + 2);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        if self.socket.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
