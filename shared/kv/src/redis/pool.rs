//! A pool of multiplexed connections to Redis. A command clones a connection and returns it to the pool at once, so that
//! every connection serves many commands at a time. Never waits long for a failed server, and never sends a command
//! twice that may have been executed.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use ::redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation, ServerErrorKind};
use butt_dial_domain::ports::kv::KvError;
use deadpool::managed::{self, Metrics, PoolError, QueueMode, RecycleError, RecycleResult, Timeouts};
use tokio::time::{sleep, timeout};

use super::{
    COMMAND_TIMEOUT, ConnectError,
    connection::{Connection, Connector, OpenConnection},
    endpoint::Endpoint,
};

/// The limit of the first connections at start-up.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before a command is repeated that the server has refused.
const REPEAT_AFTER: Duration = Duration::from_millis(25);

/// The state of the pool, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// Open connections, including those that are being opened.
    pub connections: usize,
    /// Connections in the pool that a command can use.
    pub available: usize,
    /// Commands that wait for a connection.
    pub waiting: usize,
}

pub(super) struct Pool(managed::Pool<Manager>);

struct Manager(Connector);

impl managed::Manager for Manager {
    type Type = OpenConnection;
    type Error = RedisError;

    async fn create(&self) -> Result<OpenConnection, RedisError> {
        self.0.open().await
    }

    /// Costs no round trip: a lost connection announces itself.
    async fn recycle(&self, pooled: &mut OpenConnection, _: &Metrics) -> RecycleResult<RedisError> {
        if pooled.is_lost.load(Ordering::Acquire) {
            return Err(RecycleError::message("the connection was lost"));
        }
        Ok(())
    }
}

impl Pool {
    /// Opens `size` connections. Fails within two seconds when the server does not respond.
    pub(super) async fn connect(url: &str, size: usize) -> Result<Self, ConnectError> {
        let endpoint = Endpoint::parse(url)?;
        let address = endpoint.address();
        let failed = |reason: String| {
            ConnectError::Unavailable(KvError(format!("can't connect to Redis at {address}: {reason}")))
        };
        let timeouts = Timeouts {
            wait: Some(COMMAND_TIMEOUT),
            create: Some(COMMAND_TIMEOUT),
            recycle: Some(COMMAND_TIMEOUT),
        };
        let pool = managed::Pool::builder(Manager(Connector::new(endpoint)?))
            .max_size(size.max(1))
            .timeouts(timeouts)
            .queue_mode(QueueMode::Fifo)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        match timeout(START_TIMEOUT, open_all(&pool)).await {
            Ok(Ok(first)) => pool.manager().0.check_mode(first).await?,
            Ok(Err(error)) => return Err(failed(checkout_error(error))),
            Err(_) => return Err(failed("no response in time".to_owned())),
        }
        Ok(Self(pool))
    }

    pub(super) fn status(&self) -> PoolStatus {
        let status = self.0.status();
        PoolStatus {
            connections: status.size,
            available: status.available,
            waiting: status.waiting,
        }
    }

    pub(super) async fn query<T: FromRedisValue + Send>(&self, command: &Cmd) -> Result<T, KvError> {
        self.run(|mut connection| async move { command.query_async(&mut connection).await })
            .await
    }

    pub(super) async fn pipeline<T: FromRedisValue + Send>(&self, commands: &Pipeline) -> Result<T, KvError> {
        self.run(|mut connection| async move { commands.query_async(&mut connection).await })
            .await
    }

    /// Calls a script by its hash, and loads it when the server does not know it.
    pub(super) async fn script<T: FromRedisValue + Send>(&self, call: &ScriptInvocation<'_>) -> Result<T, KvError> {
        self.run(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await
    }

    async fn run<T, F>(&self, command: impl Fn(Connection) -> F + Send + Sync) -> Result<T, KvError>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        let mut used = None;
        let exchange = async {
            loop {
                let (connection, is_lost) = match self.0.get().await {
                    // The clone lets the pool hand the connection to the next command at once.
                    Ok(pooled) => (pooled.connection.clone(), pooled.is_lost.clone()),
                    Err(error) => return Err(KvError(checkout_error(error))),
                };
                let is_lost = used.insert(is_lost);
                match command(connection).await {
                    Ok(value) => return Ok(value),
                    Err(error) => self.after_failure(error, is_lost).await?,
                }
            }
        };
        let result = timeout(COMMAND_TIMEOUT, exchange).await;
        result.unwrap_or_else(|_| {
            // A server that hangs is replaced by another one.
            if let Some(is_lost) = used.filter(|_| self.connector().has_failover()) {
                is_lost.store(true, Ordering::Release);
            }
            Err(KvError("no response in time".to_owned()))
        })
    }

    fn connector(&self) -> &Connector {
        &self.0.manager().0
    }

    /// Returns when the command may be repeated: the server has refused it because another one is responsible now.
    async fn after_failure(&self, error: RedisError, is_lost: &AtomicBool) -> Result<(), KvError> {
        let connector = self.connector();
        if !is_refused(&error) || !(connector.has_failover() || connector.is_cluster()) {
            return Err(KvError(error.to_string()));
        }
        if connector.has_failover() {
            // A former primary accepts no writes.
            is_lost.store(true, Ordering::Release);
        }
        sleep(REPEAT_AFTER).await;
        Ok(())
    }
}

/// Returns whether the server has not executed the command, because it is not responsible for the key, or not yet or not any
/// more for writes.
fn is_refused(error: &RedisError) -> bool {
    const REFUSALS: [ServerErrorKind; 7] = [
        ServerErrorKind::Moved,
        ServerErrorKind::Ask,
        ServerErrorKind::TryAgain,
        ServerErrorKind::ClusterDown,
        ServerErrorKind::MasterDown,
        ServerErrorKind::BusyLoading,
        ServerErrorKind::ReadOnly,
    ];
    matches!(error.kind(), ErrorKind::Server(kind) if REFUSALS.contains(&kind))
}

/// Opens every connection of the pool, because it opens a new one only while all others are checked out. Returns one of them.
async fn open_all(pool: &managed::Pool<Manager>) -> Result<Connection, PoolError<RedisError>> {
    let first = pool.get().await?;
    let mut opened = Vec::new();
    while opened.len() + 1 < pool.status().max_size {
        opened.push(pool.get().await?);
    }
    Ok(first.connection.clone())
}

fn checkout_error(error: PoolError<RedisError>) -> String {
    match error {
        PoolError::Backend(error) => error.to_string(),
        PoolError::Timeout(_) => "no connection in time".to_owned(),
        other => other.to_string(),
    }
}
