//! One connection to Redis: to a server, or to all nodes of a cluster. Opens it, and checks that it leads to the kind of server
//! that the URL names.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue as _, Pipeline, ProtocolVersion,
    PushInfo, PushKind, RedisError, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cmd,
};
use futures::{StreamExt as _, stream::FuturesUnordered};

use super::{
    COMMAND_TIMEOUT, ConnectError, MAX_IN_FLIGHT,
    endpoint::{Endpoint, Sentinels, tcp_settings},
};

/// The limit of a question to a sentinel. All of them are asked at the same time.
const SENTINEL_TIMEOUT: Duration = Duration::from_millis(400);

/// A connection that many commands use at a time. Cheap to clone.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    /// Opens connections to the nodes again on its own.
    Cluster(ClusterConnection),
}

/// An open connection, and whether it was lost.
pub(super) struct OpenConnection {
    pub(super) connection: Connection,
    pub(super) is_lost: Arc<AtomicBool>,
}

/// Opens connections.
pub(super) enum Connector {
    Server(Client),
    Sentinels(Sentinels),
    Cluster(Box<ClusterClient>),
}

impl Connector {
    pub(super) fn new(endpoint: Endpoint) -> Result<Self, ConnectError> {
        let invalid = |error: RedisError| ConnectError::Setting(format!("invalid Redis URL: {error}"));
        Ok(match endpoint {
            Endpoint::Single(server) => Self::Server(Client::open(server).map_err(invalid)?),
            Endpoint::Sentinels(set) => Self::Sentinels(set),
            Endpoint::Cluster(nodes) => {
                let client = ClusterClient::builder(nodes)
                    // A retry of the library could repeat a command that was executed. The pool repeats what was refused.
                    .retries(0)
                    .use_protocol(ProtocolVersion::RESP3)
                    .connection_timeout(COMMAND_TIMEOUT)
                    .response_timeout(COMMAND_TIMEOUT)
                    .overall_response_timeout(Some(COMMAND_TIMEOUT))
                    .tcp_settings(tcp_settings())
                    .build();
                Self::Cluster(Box::new(client.map_err(invalid)?))
            }
        })
    }

    /// Returns whether servers take turns as the one that accepts writes.
    pub(super) fn has_failover(&self) -> bool {
        matches!(self, Self::Sentinels(_))
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Opens a connection.
    pub(super) async fn open(&self) -> RedisResult<OpenConnection> {
        match self {
            Self::Server(client) => connect(client).await,
            Self::Sentinels(set) => connect_to_primary(set).await,
            Self::Cluster(client) => Ok(OpenConnection {
                connection: Connection::Cluster(client.get_async_connection().await?),
                is_lost: Arc::default(),
            }),
        }
    }

    /// Fails when a URL of a single server leads to a node of a cluster, or to a sentinel: commands would fail now and then.
    pub(super) async fn check_mode(&self, connection: Connection) -> Result<(), ConnectError> {
        let (Self::Server(_), Connection::Server(mut server)) = (self, connection) else {
            return Ok(());
        };
        // Every user may send it. Its response names the mode.
        let answer: RedisResult<Value> = cmd("HELLO").query_async(&mut server).await;
        match answer.ok().and_then(mode).as_deref() {
            Some("cluster") => Err(ConnectError::Setting(
                "this server is a node of a Redis cluster: use redis+cluster://host:port,host:port (or rediss+cluster://)".into(),
            )),
            Some("sentinel") => Err(ConnectError::Setting(
                "this server is a Redis Sentinel: use redis+sentinel://host:port,host:port/service (or rediss+sentinel://)".into(),
            )),
            _ => Ok(()),
        }
    }
}

/// Reads the mode in the response of HELLO: a map, or a list of names and values.
fn mode(answer: Value) -> Option<String> {
    let pairs = Vec::<(String, Value)>::from_redis_value(answer).ok()?;
    let (_, mode) = pairs.into_iter().find(|(name, _)| name == "mode")?;
    String::from_redis_value(mode).ok()
}

async fn connect(client: &Client) -> RedisResult<OpenConnection> {
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
    let server = client.get_multiplexed_async_connection_with_config(&config).await?;
    Ok(OpenConnection {
        connection: Connection::Server(server),
        is_lost,
    })
}

/// Asks all sentinels at the same time, because the host of one may have vanished. Takes the first server that says itself that
/// it is the primary: a sentinel may be cut off from the others.
async fn connect_to_primary(set: &Sentinels) -> RedisResult<OpenConnection> {
    let questions = set.sentinels.iter().map(|sentinel| ask(sentinel.clone(), &set.service));
    let mut answers: FuturesUnordered<_> = questions.collect();
    let mut tried = BTreeSet::new();
    let mut failure = RedisError::from((ErrorKind::Io, "no sentinel answers"));
    while let Some(answer) = answers.next().await {
        let (host, port) = match answer {
            Ok(address) => address,
            Err(error) => {
                failure = error;
                continue;
            }
        };
        if !tried.insert((host.clone(), port)) {
            continue;
        }
        match open_primary(set, &host, port).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Asks a sentinel for the address of the primary.
async fn ask(sentinel: ConnectionInfo, service: &str) -> RedisResult<(String, u16)> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(SENTINEL_TIMEOUT))
        .set_response_timeout(Some(SENTINEL_TIMEOUT));
    let client = Client::open(sentinel)?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut question = cmd("SENTINEL");
    question.arg("get-master-addr-by-name").arg(service);
    let address: Option<(String, u16)> = question.query_async(&mut connection).await?;
    address.ok_or_else(|| RedisError::from((ErrorKind::Client, "the sentinels do not know the service")))
}

async fn open_primary(set: &Sentinels, host: &str, port: u16) -> RedisResult<OpenConnection> {
    let info = set.primary(host, port);
    let info = info.map_err(|error| RedisError::from((ErrorKind::Client, "invalid address", error.to_string())))?;
    let mut opened = connect(&Client::open(info)?).await?;
    let role: Value = cmd("ROLE").query_async(&mut opened.connection).await?;
    let Value::Array(role) = role else {
        return Err(RedisError::from((
            ErrorKind::UnexpectedReturnType,
            "the role can't be read",
        )));
    };
    let role = role.into_iter().next().map(String::from_redis_value).transpose()?;
    match role.as_deref() {
        Some("master") => Ok(opened),
        _ => Err(RedisError::from((
            ErrorKind::Client,
            "the server that the sentinels name is not the primary",
        ))),
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(server) => server.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(server) => server.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(server) => server.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
