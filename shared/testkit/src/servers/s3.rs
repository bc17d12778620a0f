//! An S3 server in the test process with a real socket, one bucket and one access key. It verifies signatures and stores
//! objects as files. No package provides a separate server program.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use tokio::{net::TcpListener, task::JoinSet};

use super::port::Port;

pub struct S3 {
    port: Port,
    directory: PathBuf,
    server: JoinSet<()>,
}

impl S3 {
    pub const BUCKET: &str = "bucket";
    pub const REGION: &str = "us-east-1";
    pub const ACCESS_KEY_ID: &str = "AKIATEST";
    pub const SECRET_ACCESS_KEY: &str = "the secret of the test";

    pub async fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("butt-dial-s3-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(directory.join(Self::BUCKET)).expect("a private directory");
        let mut server = Self {
            port: Port::reserve(),
            directory,
            server: JoinSet::new(),
        };
        server.start_again().await;
        server
    }

    /// Returns the URL without a trailing slash.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Returns the directory with the objects as files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts the stopped server with the same port and data.
    pub async fn start_again(&mut self) {
        assert!(self.server.is_empty(), "S3 runs already");
        let files = FileSystem::new(&self.directory).expect("a directory");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(Self::ACCESS_KEY_ID, Self::SECRET_ACCESS_KEY));
        let service = service.build();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port.number()))
            .await
            .expect("the reserved port");
        self.server.spawn(serve(listener, service));
    }

    /// Closes every connection.
    pub async fn stop(&mut self) {
        self.server.shutdown().await;
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.server.abort_all();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

async fn serve(listener: TcpListener, service: S3Service) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((socket, _)) = listener.accept() => {
                // Otherwise every response is delayed by Nagle's algorithm.
                let _ = socket.set_nodelay(true);
                let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service.clone());
                connections.spawn(async move {
                    // A disconnected client is not an error.
                    let _ = connection.await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
