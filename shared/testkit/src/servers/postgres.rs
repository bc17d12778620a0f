//! A private PostgreSQL. The server refuses to run as root, so root starts it as the user `postgres`.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions,
};

use super::{
    port::Port,
    process::{Account, Process, find_program},
};

/// The directory of the server's programs on Debian, which is not in PATH.
const DEBIAN: &str = "/usr/lib/postgresql";

pub struct Postgres {
    process: Process,
    port: Port,
    fsync: bool,
    has_tls: bool,
}

impl Postgres {
    /// Starts a server without fsync: it loses no data when the process is killed, only when the machine fails.
    pub async fn start() -> Self {
        Self::initialize(false, false).await
    }

    /// Starts a server with TLS, with a certificate for `localhost` of a new authority.
    pub async fn start_encrypted() -> Self {
        Self::initialize(false, true).await
    }

    /// Starts a server with fsync, for tests that measure the cost of a commit.
    pub async fn start_with_fsync() -> Self {
        Self::initialize(true, false).await
    }

    async fn initialize(fsync: bool, has_tls: bool) -> Self {
        let process = Process::new("postgres", "QUIT", account());
        let mut initdb = process.command(program("initdb"));
        initdb.arg("-D").arg(process.directory().join("data")).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ]);
        let status = initdb.status().expect("initdb starts");
        assert!(
            status.success(),
            "initdb failed: {:?}",
            fs::read_to_string(process.directory().join("log"))
        );
        let mut server = Self {
            process,
            port: Port::reserve(),
            fsync,
            has_tls,
        };
        if has_tls {
            server.write_certificate();
        }
        server.start_again().await;
        server
    }

    /// Starts a streaming replica, which has all databases of this server.
    pub async fn start_replica(&self) -> Self {
        let process = Process::new("postgres", "QUIT", account());
        let mut backup = process.command(program("pg_basebackup"));
        backup.arg("-D").arg(process.directory().join("data"));
        backup.args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.number().to_string(),
            "-U",
            "postgres",
        ]);
        let status = backup.args(["-R", "-X", "stream", "-c", "fast", "--no-sync"]).status();
        assert!(
            status.expect("pg_basebackup starts").success(),
            "pg_basebackup failed: {:?}",
            fs::read_to_string(process.directory().join("log"))
        );
        let mut replica = Self {
            process,
            port: Port::reserve(),
            fsync: false,
            has_tls: false,
        };
        replica.start_again().await;
        replica
    }

    /// Returns the URL of the same database on this server.
    pub fn url_of(&self, database_url: &str) -> String {
        let name = database_url.rsplit('/').next().unwrap_or_default();
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port.number())
    }

    /// Returns the URL of the maintenance database. Tests use a separate one from `database`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port.number())
    }

    /// Returns the path of the certificate of the authority, as PEM. Clients have to trust it explicitly.
    pub fn authority(&self) -> PathBuf {
        self.process.directory().join("authority.pem")
    }

    fn write_certificate(&self) {
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&authority_key).expect("an authority");
        let issuer = rcgen::Issuer::new(parameters, authority_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let certificate = parameters.signed_by(&key, &issuer).expect("a certificate");
        fs::write(self.authority(), authority.pem()).expect("the authority's file");
        let data = self.process.directory().join("data");
        for (name, text) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
            let path = data.join(name);
            fs::write(&path, text).expect("a file of the certificate");
            // Postgres refuses a key that others can read, or that another user owns.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
            if let Some(Account { uid, gid }) = account() {
                chown(&path, Some(uid), Some(gid)).expect("chown");
            }
        }
    }

    /// Creates an empty database with a unique name and returns its URL.
    pub async fn database(&self) -> String {
        create_database(&self.url()).await
    }

    /// Starts the stopped server with the same port and data.
    pub async fn start_again(&mut self) {
        let mut command = self.process.command(program("postgres"));
        command.arg("-D").arg(self.process.directory().join("data"));
        command.arg("-k").arg(self.process.directory());
        command.args(["-p", &self.port.number().to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]);
        if self.has_tls {
            command.args(["-c", "ssl=on"]);
        }
        command.args(["-c", if self.fsync { "fsync=on" } else { "fsync=off" }]);
        self.process.spawn(command);
        let url = self.url();
        self.process
            .wait_until_ready(async || match PgConnection::connect(&url).await {
                Ok(connection) => connection.close().await.is_ok(),
                Err(_) => false,
            })
            .await;
    }

    /// Stops with the fast shutdown: open transactions are rolled back, clients disconnected.
    pub async fn stop(&mut self) {
        self.process.stop("INT").await;
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

/// Creates an empty database on the server of `TEST_POSTGRES_URL`, which one test run shares, or on a new server, which
/// lives as long as the second value.
pub async fn fresh_postgres_database() -> (String, Option<Postgres>) {
    match std::env::var("TEST_POSTGRES_URL") {
        Ok(url) if !url.is_empty() => (create_database(&url).await, None),
        _ => {
            let server = Postgres::start().await;
            (server.database().await, Some(server))
        }
    }
}

async fn create_database(server: &str) -> String {
    let options: PgConnectOptions = server.parse().expect("the URL of a Postgres server");
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let mut connection = options.connect().await.expect("a connection to Postgres");
    connection
        .execute(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0")))
        .await
        .expect("a new database");
    connection.close().await.expect("closed");
    options.database(&name).to_url_lossy().to_string()
}

/// Runs a statement on this database.
pub async fn run_sql(url: &str, sql: &'static str) {
    let mut connection = PgConnection::connect(url).await.expect("a connection to Postgres");
    connection.execute(sql).await.expect("the statement runs");
    connection.close().await.expect("closed");
}

/// Counts the working connections of this database by what they wait for now.
pub async fn wait_events(url: &str) -> Vec<(String, i64)> {
    const SQL: &str = "SELECT coalesce(wait_event_type || ' ' || wait_event, 'CPU'), COUNT(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid() GROUP BY 1";
    let mut connection = PgConnection::connect(url).await.expect("a connection to Postgres");
    let counts = sqlx::query_as(SQL)
        .fetch_all(&mut connection)
        .await
        .expect("the statement runs");
    connection.close().await.expect("closed");
    counts
}

fn program(name: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> = fs::read_dir(DEBIAN)
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    find_program(name, &folders)
}

/// Returns the account for the server. `None` when this process is not root and can run the server directly.
pub(super) fn account() -> Option<Account> {
    let root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    root.then(|| find_account(Path::new("/etc/passwd"), "postgres").expect("a user postgres"))
}

fn find_account(passwd: &Path, name: &str) -> Option<Account> {
    let text = fs::read_to_string(passwd).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn database_survives_kill_and_is_removed_on_drop() {
        let mut server = Postgres::start().await;
        let (first, second) = (server.database().await, server.database().await);
        assert_ne!(first, second);
        let mut connection = PgConnection::connect(&first).await.unwrap();
        connection.execute("CREATE TABLE t (a INT)").await.unwrap();
        server.kill();
        assert!(connection.ping().await.is_err());
        server.start_again().await;
        let mut connection = PgConnection::connect(&first).await.unwrap();
        connection.execute("INSERT INTO t VALUES (1)").await.unwrap();
        server.stop().await;
        server.start_again().await;

        let directory = server.process.directory().to_owned();
        drop(server);
        assert!(!directory.exists());
        assert!(PgConnection::connect(&first).await.is_err());
    }

    #[tokio::test]
    async fn fresh_database_accepts_connections() {
        let (url, _server) = fresh_postgres_database().await;
        PgConnection::connect(&url).await.unwrap().ping().await.unwrap();
    }
}
