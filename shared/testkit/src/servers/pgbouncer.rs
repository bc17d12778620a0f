//! A private PgBouncer that gives every transaction another session of a few.

use std::{fs, path::PathBuf, process::Command};

use sqlx::{Connection as _, PgConnection};

use super::{
    port::Port,
    postgres::account,
    process::{Process, find_program},
};

/// Fewer sessions than a test has connections, so that these have to share them.
const SESSIONS: u32 = 3;

pub struct PgBouncer {
    process: Process,
    port: Port,
    database: String,
}

impl PgBouncer {
    /// Starts a pooler in transaction mode before the database of this URL (`postgres://user@host:port/name`).
    pub async fn start(database_url: &str) -> Self {
        let (identity, target) = split(database_url);
        let (address, name) = target.split_once('/').expect("a database");
        let (host, port) = address.split_once(':').expect("a port");
        let mut server = Self {
            process: Process::new("pgbouncer", "INT", account()),
            port: Port::reserve(),
            database: name.split('?').next().unwrap_or(name).to_owned(),
        };
        let path = server.process.directory().join("pgbouncer.ini");
        let config = format!(
            "[databases]\n* = host={host} port={port} user={identity}\n[pgbouncer]\npool_mode = transaction\n\
             listen_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\nmax_client_conn = 500\n\
             default_pool_size = {SESSIONS}\nignore_startup_parameters = extra_float_digits\n",
            server.port.number()
        );
        fs::write(&path, config).expect("the settings of the pooler");
        let mut command = server.process.command(program());
        command.arg(path);
        server.process.spawn(command);
        let url = server.url();
        server
            .process
            .wait_until_ready(async || PgConnection::connect(&url).await.is_ok())
            .await;
        server
    }

    /// Returns whether this version keeps track of named statements: from 1.21, with a default that does so from 1.24.
    pub fn keeps_statements(&self) -> bool {
        let output = Command::new(program()).arg("--version").output().expect("the version");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().nth(1).expect("a version");
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
        (numbers.next(), numbers.next()) >= (Some(1), Some(24))
    }

    /// Returns the URL of the database behind the pooler.
    pub fn url(&self) -> String {
        format!("postgres://anyone@127.0.0.1:{}/{}", self.port.number(), self.database)
    }
}

/// Returns the program. PGBOUNCER names a newer one than that of the system.
fn program() -> PathBuf {
    let other = std::env::var_os("PGBOUNCER").map(PathBuf::from);
    other.unwrap_or_else(|| find_program("pgbouncer", &["/usr/sbin".into()]))
}

/// Splits a URL into the user, and the rest behind the `@`.
fn split(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (identity, target) = rest.split_once('@').expect("a user");
    (identity.split(':').next().unwrap_or(identity), target)
}
