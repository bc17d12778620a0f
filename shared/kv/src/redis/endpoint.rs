//! The address of Redis: a single server, a server that Sentinel names, or a cluster. Must not put the password into an error.

use ::redis::{ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, io::tcp::TcpSettings};

use super::{ConnectError, TCP_USER_TIMEOUT};

pub(super) enum Endpoint {
    Single(ConnectionInfo),
    Sentinels(Sentinels),
    /// Some nodes of a cluster. They name the others.
    Cluster(Vec<ConnectionInfo>),
}

/// Servers that name the primary of a service.
pub(super) struct Sentinels {
    pub(super) sentinels: Vec<ConnectionInfo>,
    pub(super) service: String,
    primary: Parts,
}

/// The parts of a URL that all servers share.
struct Parts {
    scheme: &'static str,
    /// `user:password@` in the encoding of the URL, or empty.
    identity: String,
    database: String,
}

impl Endpoint {
    /// Reads `redis://[user:password@]host:port[/database]`, `redis+sentinel://[user:password@]host:port,…/service[/database]` or
    /// `redis+cluster://[user:password@]host:port,…`; with TLS `rediss` instead of `redis`.
    pub(super) fn parse(url: &str) -> Result<Self, ConnectError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        match scheme {
            "redis+sentinel" => Ok(Self::Sentinels(Sentinels::parse("redis", rest)?)),
            "rediss+sentinel" => Ok(Self::Sentinels(Sentinels::parse("rediss", rest)?)),
            "redis+cluster" => Ok(Self::Cluster(nodes("redis", rest)?)),
            "rediss+cluster" => Ok(Self::Cluster(nodes("rediss", rest)?)),
            _ => Ok(Self::Single(connection_info(url)?)),
        }
    }

    /// Returns the hosts and ports, without the identity.
    pub(super) fn address(&self) -> String {
        let list = |nodes: &[ConnectionInfo]| {
            let addresses: Vec<String> = nodes.iter().map(|node| node.addr().to_string()).collect();
            addresses.join(",")
        };
        match self {
            Self::Single(server) => server.addr().to_string(),
            Self::Sentinels(set) => format!("{} of the sentinels {}", set.service, list(&set.sentinels)),
            Self::Cluster(nodes) => list(nodes),
        }
    }
}

impl Sentinels {
    fn parse(scheme: &'static str, rest: &str) -> Result<Self, ConnectError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (identity, rest) = split_identity(rest);
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (service, database) = path.split_once('/').unwrap_or((path, ""));
        if service.is_empty() {
            return Err(ConnectError::Setting(
                "the URL of sentinels ends with the name of the service: redis+sentinel://host:26379/mymaster".into(),
            ));
        }
        let sentinel = Parts {
            scheme,
            identity: identity_of_sentinels(query)?,
            database: String::new(),
        };
        let sentinels: Result<_, _> = hosts.split(',').map(|host| sentinel.server(host)).collect();
        Ok(Self {
            sentinels: sentinels?,
            service: service.to_owned(),
            primary: Parts {
                scheme,
                identity: identity.to_owned(),
                database: database.to_owned(),
            },
        })
    }

    /// Returns the connection to the primary that a sentinel has named.
    pub(super) fn primary(&self, host: &str, port: u16) -> Result<ConnectionInfo, ConnectError> {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        self.primary.server(&format!("{host}:{port}"))
    }
}

impl Parts {
    fn server(&self, host: &str) -> Result<ConnectionInfo, ConnectError> {
        let Self {
            scheme,
            identity,
            database,
        } = self;
        connection_info(&format!("{scheme}://{identity}{host}/{database}"))
    }
}

fn nodes(scheme: &'static str, rest: &str) -> Result<Vec<ConnectionInfo>, ConnectError> {
    let (identity, rest) = split_identity(rest);
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !path.is_empty() {
        return Err(ConnectError::Setting(
            "a Redis cluster has no databases: the URL ends with the last host".into(),
        ));
    }
    let parts = Parts {
        scheme,
        identity: identity.to_owned(),
        database: String::new(),
    };
    hosts.split(',').map(|host| parts.server(host)).collect()
}

/// Splits `user:password@` off, with the `@`.
fn split_identity(rest: &str) -> (&str, &str) {
    rest.split_at(rest.rfind('@').map_or(0, |at| at + 1))
}

/// Reads `sentinel_username` and `sentinel_password`: sentinels have users of their own.
fn identity_of_sentinels(query: &str) -> Result<String, ConnectError> {
    let (mut user, mut password) = ("", None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sentinel_username", value)) => user = value,
            Some(("sentinel_password", value)) => password = Some(value),
            _ => {
                return Err(ConnectError::Setting(
                    "the URL of sentinels has only the parameters sentinel_username and sentinel_password".into(),
                ));
            }
        }
    }
    Ok(password.map_or_else(String::new, |password| format!("{user}:{password}@")))
}

fn connection_info(url: &str) -> Result<ConnectionInfo, ConnectError> {
    let info = url.into_connection_info();
    let info = info.map_err(|error| ConnectError::Setting(format!("invalid Redis URL: {error}")))?;
    // RESP3 reports a lost connection at once instead of by the failure of the next command.
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(redis).set_tcp_settings(tcp_settings()))
}

pub(super) fn tcp_settings() -> TcpSettings {
    TcpSettings::default()
        .set_nodelay(true)
        .set_user_timeout(TCP_USER_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match Endpoint::parse(url) {
            Err(ConnectError::Setting(reason)) => reason,
            _ => panic!("{url} is accepted"),
        }
    }

    #[test]
    fn reads_sentinels_with_identities_and_database() {
        let url = "redis+sentinel://app:s%40cret@one:26379,two:26380/orders/3?sentinel_username=w&sentinel_password=x";
        let Ok(Endpoint::Sentinels(set)) = Endpoint::parse(url) else {
            panic!("no sentinels");
        };
        assert_eq!(set.service, "orders");
        let addresses: Vec<String> = set.sentinels.iter().map(|info| info.addr().to_string()).collect();
        assert_eq!(addresses, ["one:26379", "two:26380"]);
        let watcher = set.sentinels[0].redis_settings();
        assert_eq!((watcher.username(), watcher.password()), (Some("w"), Some("x")));
        let primary = set.primary("fd00::1", 6380).unwrap();
        assert!(primary.addr().to_string().contains("fd00::1"));
        let user = primary.redis_settings();
        assert_eq!(
            (user.username(), user.password(), user.db()),
            (Some("app"), Some("s@cret"), 3)
        );
    }

    #[test]
    fn reads_nodes_of_cluster() {
        let Ok(Endpoint::Cluster(nodes)) = Endpoint::parse("redis+cluster://app:pw@one:7000,two:7001") else {
            panic!("no cluster");
        };
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[1].addr().to_string(), "two:7001");
        assert_eq!(nodes[1].redis_settings().username(), Some("app"));
    }

    #[test]
    fn refuses_incomplete_urls_without_password() {
        for url in [
            "redis+sentinel://u:hunter2@one:26379",
            "redis+sentinel://u:hunter2@one:x/orders",
            "redis+sentinel://u:hunter2@one:26379/orders?password=hunter2",
            "redis+cluster://u:hunter2@one:7000/2",
            "http://u:hunter2@one",
        ] {
            assert!(!refused(url).contains("hunter2"), "{url}");
        }
    }
}
