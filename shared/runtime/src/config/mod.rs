//! The settings: typed, and validated before a socket opens. Defaults and documentation are in `deploy/butt-dial.toml`.
//! A misspelt or contradictory setting is an error with a remedy.

mod accounts;
mod anomalies;
mod calls;
mod http;
mod limits;
mod log;
mod nats;
mod otlp;
mod outbound;
mod senders;
mod source;
mod storage;
#[cfg(test)]
mod tests;
mod vendors;

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use butt_dial_accounts::{AccountSettings, SenderSettings};
use butt_dial_anomalies::AnomalySettings;
use butt_dial_billing::Prices;
use butt_dial_bus::{NatsAccess, StreamSettings};
use butt_dial_calls::CallSettings;
use butt_dial_compliance::{ComplianceSettings, RuleSet};
use butt_dial_domain::limits::Limits;
use butt_dial_messaging::{
    KeepTimes,
    inbound::{MAX_PARTITIONS, Partitions},
    media::BlobsConfig,
};
use butt_dial_store::{DatabaseSettings, Pooler, ReadSettings};
use chrono::TimeDelta;
use ipnet::IpNet;
use url::Url;

pub use otlp::OtlpConfig;
use source::Source;
pub use vendors::{AiVendors, CarrierSetup};

/// An invalid setting. The text describes the error and its remedy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// All settings of a process. Not `Debug`, because it contains secrets.
#[derive(Clone)]
pub struct Config {
    pub port: u16,
    pub host: IpAddr,
    pub webhook_base_url: Option<Url>,
    /// `None`: every host is allowed.
    pub allowed_hosts: Option<Vec<String>>,
    /// Origins of pages that may call the API in a browser, besides those of this machine. `*`: any.
    pub cors_allowed_origins: Vec<String>,
    /// Empty, or a path such as `/bd` that a proxy puts before all paths.
    pub base_path: String,
    /// MCP clients may pass their token in the query string.
    pub allow_query_token: bool,
    pub trusted_proxies: Vec<IpNet>,
    /// Does not apply to this machine and to trusted proxies.
    pub connections_per_address: usize,
    /// `None`: metrics have no port of their own.
    pub metrics_port: Option<u16>,
    /// A token that reads metrics and nothing else.
    pub metrics_token: Option<String>,
    pub sessions_per_agent: usize,
    /// Per replica.
    pub streams_per_agent: usize,
    pub streams_per_organization: usize,
    /// MCP clients see all tools, also those that their token may not use.
    pub lists_all_tools: bool,
    /// MCP clients see complete descriptions of tools instead of brief ones.
    pub describes_tools_fully: bool,
    /// MCP clients get the schemas of results, and results as structured content.
    pub tool_output_schemas: bool,
    /// Per replica.
    pub waits_per_agent: usize,
    pub waits_per_organization: usize,
    pub data_dir: PathBuf,
    pub database_url: String,
    pub database_max_connections: u32,
    pub database_pooler: Pooler,
    /// A replica for lists and exports.
    pub database_read: Option<ReadSettings>,
    pub migrate: MigrateMode,
    pub nats_url: Option<String>,
    pub nats_access: NatsAccess,
    pub streams: StreamSettings,
    /// How long entries of the inbound stream stay after they were applied. `None`: a week.
    pub keep_read_entries: Option<TimeDelta>,
    /// Does not apply to an embedded bus.
    pub inbound_partitions: Partitions,
    pub redis_url: Option<String>,
    pub redis_pool_size: usize,
    pub orchestrator_token: Option<String>,
    /// The newest first. None: one is generated into `data_dir`.
    pub encryption_keys: Vec<String>,
    pub default_limits: Limits,
    pub prices: Arc<Prices>,
    pub compliance: ComplianceSettings,
    /// How long a message waits for the approval of a person.
    pub approval_time: TimeDelta,
    /// The words of the disclosure in first messages.
    pub disclosure: String,
    pub rules: Arc<RuleSet>,
    pub anomalies: AnomalySettings,
    pub senders: SenderSettings,
    pub carriers: CarrierSetup,
    pub ai_vendors: AiVendors,
    pub simulator_port: u16,
    pub carrier_timeout: Duration,
    pub reconcile_after: Vec<Duration>,
    pub scheduled_per_agent: u32,
    pub scheduled_bytes_per_agent: u64,
    pub scheduled_per_organization: u32,
    pub scheduled_bytes_per_organization: u64,
    pub callback_retry_after: Vec<Duration>,
    pub allow_private_callbacks: bool,
    pub event_retention: Duration,
    pub keep_times: KeepTimes,
    pub calls: CallSettings,
    pub accounts: AccountSettings,
    /// `None`: attachments are not stored.
    pub blobs: Option<BlobsConfig>,
    /// Variables of the environment that resemble settings and are none, each with the setting.
    pub resembling_variables: Vec<(String, String)>,
    pub log_level: String,
    pub log_json: bool,
    pub otlp: OtlpConfig,
    pub shutdown_delay: Duration,
    pub shutdown_timeout: Duration,
}

/// The treatment of the database schema at the start of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum MigrateMode {
    /// Applies the missing migrations.
    Auto,
    /// Waits until another process has applied them.
    Verify,
    /// Neither applies nor checks them.
    Off,
}

/// The kind of process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// All roles.
    SingleProcess,
    /// One role of a distributed installation.
    Distributed,
    /// A command of an operator, which serves no requests, on either of them.
    Command,
}

/// Minimum length of secrets, in characters.
const MIN_SECRET_LENGTH: usize = 32;
const MAX_BYTES: u64 = 1_000_000_000_000;

impl Config {
    /// Reads the settings file and the environment of this process.
    pub fn load(deployment: Deployment) -> Result<Self, ConfigError> {
        let file = std::env::var("BUTT_DIAL_CONFIG").ok();
        let path = file.clone().unwrap_or_else(|| "butt-dial.toml".into());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.is_none() => None,
            Err(error) => return Err(ConfigError(format!("the settings file {path} can't be read: {error}"))),
        };
        Self::from_parts(text.as_deref(), std::env::vars(), deployment)
    }

    /// Builds the settings from the text of a settings file and pairs of environment variables.
    pub fn from_parts(
        file: Option<&str>,
        env: impl IntoIterator<Item = (String, String)>,
        deployment: Deployment,
    ) -> Result<Self, ConfigError> {
        let source = Source::read(file, env)?;
        let data_dir = PathBuf::from(source.text("data_dir")?);
        let embedded = || format!("sqlite:{}", data_dir.join("butt-dial.db").display());
        let database_url = source.optional("database_url")?.unwrap_or_else(embedded);
        let webhook_base_url = source.url("webhook_base_url")?;
        let host: IpAddr = source.parse("host", "an IP address such as 127.0.0.1 or 0.0.0.0")?;
        let carriers = vendors::carriers(&source, deployment, host)?;
        let base_path = http::base_path(&source)?;
        let simulated_world = matches!(carriers, CarrierSetup::Simulated);
        let accounts = accounts::settings(&source, simulated_world, &base_path)?;
        let (compliance, rules) = outbound::settings(&source, simulated_world)?;
        let config = Self {
            port: source.number("port", 0, 65_535)?,
            host,
            allowed_hosts: http::allowed_hosts(&source, webhook_base_url.as_ref())?,
            webhook_base_url,
            cors_allowed_origins: http::cors_allowed_origins(&source)?,
            base_path,
            allow_query_token: source.flag("allow_query_token")?,
            trusted_proxies: http::trusted_proxies(&source)?,
            connections_per_address: source.number("connections_per_address", 1, 1_000_000)?,
            metrics_port: match source.optional("metrics_port")? {
                Some(_) => Some(source.number("metrics_port", 0, 65_535)?),
                None => None,
            },
            metrics_token: source.secret("metrics_token", MIN_SECRET_LENGTH)?,
            sessions_per_agent: source.number("sessions_per_agent", 1, 1_000_000)?,
            streams_per_agent: source.number("streams_per_agent", 1, 1_000_000)?,
            streams_per_organization: source.number("streams_per_organization", 1, 1_000_000)?,
            lists_all_tools: source.one_of("tool_listing", &["granted", "all"])? == "all",
            describes_tools_fully: source.one_of("tool_descriptions", &["brief", "full"])? == "full",
            tool_output_schemas: source.flag("tool_output_schemas")?,
            waits_per_organization: source.number("waits_per_organization", 1, 1_000_000)?,
            waits_per_agent: source.number("waits_per_agent", 1, 1_000_000)?,
            blobs: storage::blobs(&source, deployment, &database_url, &data_dir)?,
            database_url,
            data_dir,
            database_max_connections: source.number("database_max_connections", 1, 200)?,
            database_pooler: source.choice("database_pooler")?,
            database_read: storage::database_read(&source)?,
            migrate: source.choice("migrate")?,
            streams: nats::streams(&source)?,
            nats_access: nats::access(&source)?,
            keep_read_entries: nats::keep_read_entries(&source)?,
            inbound_partitions: Partitions::new(source.number("inbound_partitions", 1, MAX_PARTITIONS)?),
            nats_url: source.optional("nats_url")?.filter(|url| url != "embedded:"),
            redis_url: source.optional("redis_url")?.filter(|url| url != "memory:"),
            redis_pool_size: source.number("redis_pool_size", 1, 64)?,
            orchestrator_token: source.secret("orchestrator_security_token", MIN_SECRET_LENGTH)?,
            encryption_keys: storage::encryption_keys(&source)?,
            default_limits: limits::defaults(&source)?,
            prices: Arc::new(prices(&source)?),
            compliance,
            approval_time: TimeDelta::hours(source.number("approval_hours", 1, 720)?),
            disclosure: outbound::disclosure(&source)?,
            rules,
            anomalies: anomalies::settings(&source)?,
            senders: senders::settings(&source, &carriers)?,
            carriers,
            ai_vendors: vendors::ai_vendors(&source)?,
            simulator_port: source.number("simulator_port", 0, 65_535)?,
            carrier_timeout: Duration::from_secs(source.number("carrier_timeout_seconds", 1, 60)?),
            reconcile_after: seconds(&source, "reconcile_after_seconds")?,
            scheduled_per_agent: source.number("scheduled_per_agent", 1, 1_000_000)?,
            scheduled_bytes_per_agent: source.number("scheduled_bytes_per_agent", 1, MAX_BYTES)?,
            scheduled_per_organization: source.number("scheduled_per_organization", 1, 10_000_000)?,
            scheduled_bytes_per_organization: source.number("scheduled_bytes_per_organization", 1, MAX_BYTES)?,
            callback_retry_after: seconds(&source, "callback_retry_after_seconds")?,
            allow_private_callbacks: source.flag("allow_private_callbacks")?,
            event_retention: Duration::from_secs(3_600 * source.number::<u64>("event_retention_hours", 1, 8_760)?),
            keep_times: storage::keep_times(&source)?,
            calls: calls::settings(&source)?,
            accounts,
            resembling_variables: source.resembling.clone(),
            log_level: log::level(&source)?,
            log_json: log::is_json(&source)?,
            otlp: otlp::settings(&source)?,
            shutdown_delay: Duration::from_secs(source.number("shutdown_delay_seconds", 0, 60)?),
            shutdown_timeout: Duration::from_secs(source.number("shutdown_timeout_seconds", 1, 300)?),
        };
        config.validate(deployment)?;
        Ok(config)
    }

    /// Returns whether the database is Postgres.
    pub fn is_postgres(&self) -> bool {
        self.database_url.starts_with("postgres")
    }

    /// Returns how to connect to the database, without a replica for lists.
    pub fn database(&self, max_connections: u32) -> DatabaseSettings {
        DatabaseSettings {
            url: self.database_url.clone(),
            max_connections,
            pooler: self.database_pooler,
            read: None,
        }
    }

    /// Returns the file of the generated encryption key.
    pub fn key_file(&self) -> PathBuf {
        self.data_dir.join("encryption.key")
    }

    /// Returns the base URL for agents: the public one when it is set.
    pub fn base_url(&self, port: u16) -> String {
        match &self.webhook_base_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None if self.host.is_unspecified() => format!("http://127.0.0.1:{port}"),
            None if self.host.is_ipv6() => format!("http://[{}]:{port}", self.host),
            None => format!("http://{}:{port}", self.host),
        }
    }

    /// Checks the settings that depend on each other.
    fn validate(&self, deployment: Deployment) -> Result<(), ConfigError> {
        let fail = |text: &str| Err(ConfigError(text.to_owned()));
        if !self.is_postgres() && !self.database_url.starts_with("sqlite:") {
            return fail("DATABASE_URL must begin with sqlite: or postgres://");
        }
        if self.database_read.is_some() && !self.is_postgres() {
            return fail("DATABASE_READ_URL is set, but DATABASE_URL is no Postgres: SQLite has no replicas");
        }
        if self
            .nats_url
            .as_ref()
            .is_some_and(|url| !url.starts_with("nats://") && !url.starts_with("tls://"))
        {
            return fail("NATS_URL must begin with nats:// or tls:// (or be unset: then the bus runs in this process)");
        }
        const REDIS_SCHEMES: [&str; 3] = ["redis", "redis+sentinel", "redis+cluster"];
        let is_redis = |url: &String| {
            let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
            REDIS_SCHEMES.contains(&scheme.replacen("rediss", "redis", 1).as_str())
        };
        if self.redis_url.as_ref().is_some_and(|url| !is_redis(url)) {
            return fail(
                "REDIS_URL must begin with redis://, redis+sentinel:// or redis+cluster:// (with TLS: rediss), or be unset: then \
                 its data is kept in this process",
            );
        }
        if deployment == Deployment::Distributed {
            let missing: Vec<&str> = [
                ("DATABASE_URL=postgres://…", self.is_postgres()),
                ("NATS_URL=nats://…", self.nats_url.is_some()),
                ("REDIS_URL=redis://…", self.redis_url.is_some()),
            ]
            .iter()
            .filter(|(_, set)| !set)
            .map(|(name, _)| *name)
            .collect();
            if !missing.is_empty() {
                let missing = missing.join(", ");
                return Err(ConfigError(format!(
                    "a service in a separate process shares its state with other processes, so it needs shared backends: set {missing}. \
                     To run all services in one process, start `butt-dial serve`"
                )));
            }
        }
        if self.is_postgres() && self.nats_url.is_none() {
            return fail(
                "DATABASE_URL is Postgres, but NATS_URL is not set: the embedded bus stores its streams in a SQLite file. \
                 Set NATS_URL, or unset DATABASE_URL",
            );
        }
        if self.is_postgres() && self.encryption_keys.is_empty() {
            return fail(
                "CREDENTIALS_ENCRYPTION_KEY is not set: with Postgres every replica needs the same key. \
                 Generate one with `openssl rand -hex 32`",
            );
        }
        Ok(())
    }
}

fn prices(source: &Source) -> Result<Prices, ConfigError> {
    let own = source.optional("prices")?;
    Prices::read(own.as_deref()).map_err(|reason| ConfigError(format!("PRICES: {reason}")))
}

fn seconds(source: &Source, key: &str) -> Result<Vec<Duration>, ConfigError> {
    let wrong = || {
        ConfigError(format!(
            "{} must be a list of seconds such as 5,15,60,180",
            key.to_uppercase()
        ))
    };
    let numbers: Result<Vec<u64>, _> = source.list(key)?.iter().map(|text| text.parse()).collect();
    let durations: Vec<Duration> = numbers
        .map_err(|_| wrong())?
        .into_iter()
        .map(Duration::from_secs)
        .collect();
    if durations.is_empty() {
        Err(wrong())
    } else {
        Ok(durations)
    }
}
