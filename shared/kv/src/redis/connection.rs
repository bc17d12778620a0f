//! One multiplexed connection to Redis that reconnects by itself. Never waits long for a dead server, and never sends a
//! command twice that may have been executed.

use std::time::Duration;

use ::redis::{
    Client, Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo as _, Pipeline, ProtocolVersion, RedisError,
    RedisResult, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use butt_dial_domain::ports::kv::KvError;
use tokio::time::timeout;

/// What a command may take, waiting for a connection included.
const DEADLINE: Duration = Duration::from_secs(1);
/// After so long without a sign of life the kernel gives the connection up, and a new one is made.
const SILENCE: Duration = Duration::from_secs(5);
/// Commands in flight; more wait for their turn.
const PIPELINE: usize = 1_024;

pub(super) struct Connection(ConnectionManager);

impl Connection {
    pub(super) async fn open(url: &str) -> Result<Self, KvError> {
        let info = url
            .into_connection_info()
            .map_err(|error| KvError(format!("not the URL of a Redis server: {error}")))?;
        let address = info.addr().to_string();
        let opened = async { ConnectionManager::new_with_config(Client::open(settings(info))?, config()).await };
        match timeout(2 * DEADLINE, opened).await {
            Ok(Ok(manager)) => Ok(Self(manager)),
            Ok(Err(error)) => Err(KvError(format!("can't connect to Redis at {address}: {error}"))),
            Err(_) => Err(KvError(format!(
                "can't connect to Redis at {address}: no answer in time"
            ))),
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

    pub(super) async fn script<T: FromRedisValue + Send>(&self, call: &ScriptInvocation<'_>) -> Result<T, KvError> {
        self.run(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await
    }

    async fn run<T, F>(&self, attempt: impl Fn(ConnectionManager) -> F + Send) -> Result<T, KvError>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        let attempts = async {
            match attempt(self.0.clone()).await {
                // The answer of an earlier attempt to connect, kept by the manager: this command was not sent, and
                // asking has started the next attempt. Without this the first command after an outage would fail.
                Err(error) if error.is_connection_refusal() => attempt(self.0.clone()).await,
                result => result,
            }
        };
        match timeout(DEADLINE, attempts).await {
            Ok(result) => result.map_err(|error: RedisError| KvError(error.to_string())),
            Err(_) => Err(KvError("no answer in time".to_owned())),
        }
    }
}

fn settings(info: ConnectionInfo) -> ConnectionInfo {
    // RESP3 tells of a lost connection at once rather than by the next command's failure.
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(SILENCE);
    info.set_redis_settings(redis).set_tcp_settings(tcp)
}

fn config() -> ConnectionManagerConfig {
    // One retry: commands learn soon that the server is away, and yet don't hammer it.
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(DEADLINE))
        .set_response_timeout(Some(DEADLINE))
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(50))
        .set_max_delay(Duration::from_millis(100))
        .set_pipeline_buffer_size(PIPELINE)
}
