//! A pool of multiplexed connections to Redis. A command clones a connection and returns it to the pool at once, so that
//! every connection serves many commands at a time. Never waits long for a failed server, and never sends a command
//! twice that may have been executed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo as _, Pipeline,
    ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult, ScriptInvocation, aio::MultiplexedConnection,
    io::tcp::TcpSettings,
};
use butt_dial_domain::ports::kv::KvError;
use deadpool::managed::{self, Metrics, PoolError, QueueMode, RecycleError, RecycleResult, Timeouts};
use tokio::time::timeout;

/// The limit of one command, including the wait for a connection.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// The limit of the first connections at start-up.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// After this time without an acknowledgement the kernel closes the connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
/// Commands in flight on one connection. More commands wait.
const MAX_IN_FLIGHT: usize = 1_024;

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

struct Manager(Client);

/// A multiplexed connection, and whether it was lost.
struct PooledConnection {
    connection: MultiplexedConnection,
    is_lost: Arc<AtomicBool>,
}

impl managed::Manager for Manager {
    type Type = PooledConnection;
    type Error = RedisError;

    async fn create(&self) -> Result<PooledConnection, RedisError> {
        let is_lost = Arc::new(AtomicBool::new(false));
        let flag = is_lost.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(COMMAND_TIMEOUT))
            .set_response_timeout(Some(COMMAND_TIMEOUT))
            .set_pipeline_buffer_size(MAX_IN_FLIGHT)
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    flag.store(true, Ordering::Release);
                }
                Ok::<(), std::convert::Infallible>(())
            });
        let connection = self.0.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(PooledConnection { connection, is_lost })
    }

    /// Costs no round trip: a lost connection announces itself.
    async fn recycle(&self, pooled: &mut PooledConnection, _: &Metrics) -> RecycleResult<RedisError> {
        if pooled.is_lost.load(Ordering::Acquire) {
            return Err(RecycleError::message("the connection was lost"));
        }
        Ok(())
    }
}

impl Pool {
    /// Opens `size` connections. Fails within two seconds when the server does not respond.
    pub(super) async fn connect(url: &str, size: usize) -> Result<Self, KvError> {
        let info = url
            .into_connection_info()
            .map_err(|error| KvError(format!("invalid Redis URL: {error}")))?;
        let address = info.addr().to_string();
        let failed = |reason: String| KvError(format!("can't connect to Redis at {address}: {reason}"));
        let client = Client::open(with_settings(info)).map_err(|error| failed(error.to_string()))?;
        let timeouts = Timeouts {
            wait: Some(COMMAND_TIMEOUT),
            create: Some(COMMAND_TIMEOUT),
            recycle: Some(COMMAND_TIMEOUT),
        };
        let pool = managed::Pool::builder(Manager(client))
            .max_size(size.max(1))
            .timeouts(timeouts)
            .queue_mode(QueueMode::Fifo)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        match timeout(START_TIMEOUT, open_all(&pool)).await {
            Ok(Ok(())) => Ok(Self(pool)),
            Ok(Err(error)) => Err(failed(checkout_error(error))),
            Err(_) => Err(failed("no response in time".to_owned())),
        }
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

    async fn run<T, F>(&self, command: impl FnOnce(MultiplexedConnection) -> F + Send) -> Result<T, KvError>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        let exchange = async {
            // The clone lets the pool hand the connection to the next command at once.
            let connection = match self.0.get().await {
                Ok(pooled) => pooled.connection.clone(),
                Err(error) => return Err(KvError(checkout_error(error))),
            };
            command(connection).await.map_err(|error| KvError(error.to_string()))
        };
        match timeout(COMMAND_TIMEOUT, exchange).await {
            Ok(result) => result,
            Err(_) => Err(KvError("no response in time".to_owned())),
        }
    }
}

/// Opens every connection of the pool, because it opens a new one only while all others are checked out.
async fn open_all(pool: &managed::Pool<Manager>) -> Result<(), PoolError<RedisError>> {
    let mut opened = Vec::new();
    while opened.len() < pool.status().max_size {
        opened.push(pool.get().await?);
    }
    Ok(())
}

fn checkout_error(error: PoolError<RedisError>) -> String {
    match error {
        PoolError::Backend(error) => error.to_string(),
        PoolError::Timeout(_) => "no connection in time".to_owned(),
        other => other.to_string(),
    }
}

fn with_settings(info: ConnectionInfo) -> ConnectionInfo {
    // RESP3 reports a lost connection at once instead of by the failure of the next command.
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_user_timeout(TCP_USER_TIMEOUT);
    info.set_redis_settings(redis).set_tcp_settings(tcp)
}
