//! The durable streams of this process: created, checked and repaired. A server that lost its disks, or a cluster that has
//! grown, gets its streams back without a restart of this process.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::jetstream::{
    Context, ErrorCode,
    context::{CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Config, DiscardPolicy, Info, RawMessageError, RawMessageErrorKind, RetentionPolicy, StorageType},
};
use butt_dial_domain::ports::bus::{BusError, StreamCopies, StreamSpec};

use super::{REQUEST_TIMEOUT, connection::Connection, wire};
use crate::{subject::matches, validation::no_stream_for};

/// The number of copies that `Replicas::Auto` takes where the cluster has enough servers.
const AUTO_REPLICAS: usize = 3;
/// The pause between two attempts to get more copies.
const REPLICA_REPAIR_INTERVAL: Duration = Duration::from_secs(30);
/// The bytes that the server stores of a message besides its payload, about.
const FRAME_BYTES: usize = 200;
/// The server has fewer servers than the requested copies.
const TOO_FEW_SERVERS: [ErrorCode; 4] = [
    ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED,
    ErrorCode::STREAM_REPLICAS_NOT_UPDATABLE,
    ErrorCode::CLUSTER_NO_PEERS,
    ErrorCode::INSUFFICIENT_RESOURCES,
];

/// The number of servers that store a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// Three where the cluster has three servers, otherwise one.
    Auto,
    Exactly(usize),
}

/// Settings of the operator for all streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// A stream with one copy loses up to two minutes of messages when its machine loses power: that is the server's sync
    /// interval.
    pub replicas: Replicas,
    /// A stream of this size refuses new messages. `None`: the limit of the server, or what an operator has set there.
    pub max_bytes: Option<i64>,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            replicas: Replicas::Exactly(1),
            max_bytes: None,
        }
    }
}

pub(super) struct Streams {
    pub(super) connection: Connection,
    pub(super) jetstream: Context,
    settings: StreamSettings,
    created: Mutex<Vec<StreamSpec>>,
    /// As the last check found them, by stream.
    copies: Mutex<BTreeMap<&'static str, StreamCopies>>,
    /// Held during a repair, so that a failed server gets one request and not one for each append.
    repairing: tokio::sync::Mutex<()>,
    replicas_checked: Mutex<Option<Instant>>,
    /// The size of the last message that a stream refused, in bytes; 0: none.
    refused_bytes: AtomicU64,
}

impl Streams {
    pub(super) fn new(connection: Connection, jetstream: Context, settings: StreamSettings) -> Self {
        Self {
            connection,
            jetstream,
            settings,
            created: Mutex::default(),
            copies: Mutex::default(),
            repairing: tokio::sync::Mutex::default(),
            replicas_checked: Mutex::default(),
            refused_bytes: AtomicU64::new(0),
        }
    }

    /// Creates the stream, or updates its settings. From now on it is created again when it is lost.
    pub(super) async fn create(&self, spec: &StreamSpec) -> Result<(), BusError> {
        self.ensure(spec, true).await?;
        let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        created.retain(|known| known.name != spec.name);
        created.push(spec.clone());
        Ok(())
    }

    /// Creates the lost stream of this subject. Fails when no stream of this process has it.
    pub(super) async fn repair(&self, subject: &str) -> Result<(), BusError> {
        let spec = self
            .specs()
            .into_iter()
            .find(|spec| spec.subjects.iter().any(|pattern| matches(pattern, subject)));
        let spec = spec.ok_or_else(|| no_stream_for(subject))?;
        let _one_at_a_time = self.repairing.lock().await;
        self.ensure(&spec, false).await.map(drop)
    }

    /// Fails unless every stream accepts messages. Creates lost streams, and adds missing copies.
    pub(super) async fn check(&self) -> Result<(), BusError> {
        let with_replicas = self.is_replica_repair_due();
        for spec in self.specs() {
            let info = {
                let _one_at_a_time = self.repairing.lock().await;
                self.ensure(&spec, with_replicas).await?
            };
            self.note_copies(&spec, &info);
            self.check_accepts(&info)?;
        }
        self.refused_bytes.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn note_copies(&self, spec: &StreamSpec, info: &Info) {
        let copies = StreamCopies {
            stream: spec.name,
            current: current_copies(info),
            wanted: match self.settings.replicas {
                Replicas::Exactly(count) => count,
                Replicas::Auto if is_clustered(info) => AUTO_REPLICAS,
                Replicas::Auto => 1,
            },
        };
        let mut known = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(spec.name, copies);
    }

    pub(super) fn copies(&self) -> Vec<StreamCopies> {
        let known = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().copied().collect()
    }

    /// Notes that a stream refused a message of this size.
    pub(super) fn note_refusal(&self, bytes: usize) {
        let bytes = bytes.saturating_add(FRAME_BYTES);
        self.refused_bytes
            .store(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn check_accepts(&self, info: &Info) -> Result<(), BusError> {
        let name = &info.config.name;
        if info.cluster.as_ref().is_some_and(|cluster| cluster.leader.is_none()) {
            return Err(wire::unavailable(format!("the stream {name} has no leader")));
        }
        let refused = self.refused_bytes.load(Ordering::Relaxed);
        let limit = u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX);
        if refused > 0 && info.state.bytes.saturating_add(refused) > limit {
            return Err(wire::unavailable(format!(
                "the stream {name} is full ({} bytes): set NATS_STREAM_MAX_BYTES higher",
                info.config.max_bytes
            )));
        }
        Ok(())
    }

    fn specs(&self) -> Vec<StreamSpec> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_replica_repair_due(&self) -> bool {
        let mut checked = self.replicas_checked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = checked.is_none_or(|at| at.elapsed() >= REPLICA_REPAIR_INTERVAL);
        if is_due {
            *checked = Some(Instant::now());
        }
        is_due
    }

    /// Creates the stream, or updates its settings when they differ.
    async fn ensure(&self, spec: &StreamSpec, with_replicas: bool) -> Result<Info, BusError> {
        let Some(existing) = self.find(spec.name).await? else {
            let info = self.create_new(spec).await?;
            tracing::info!(
                stream = spec.name,
                replicas = info.config.num_replicas,
                "stream created"
            );
            return Ok(info);
        };
        let kept = existing.config.num_replicas;
        // A single server of an older release accepts more copies, and can't restore such a stream at its next start.
        let may_grow = is_clustered(&existing) || self.settings.replicas != Replicas::Auto;
        let more = self
            .wanted_replicas()
            .filter(|wanted| with_replicas && may_grow && *wanted > kept);
        if verify(spec, self.settings, &existing.config).is_ok() && more.is_none() {
            return Ok(existing);
        }
        // Keeps the operator's other settings, such as a higher number of copies.
        let wanted = |replicas| with_spec(existing.config.clone(), spec, self.settings, replicas);
        let updated = match self.update(wanted(more.unwrap_or(kept))).await? {
            Err(error) if more.is_some() && has_too_few_servers(&error) => {
                self.report_too_few_servers(spec, kept)?;
                if verify(spec, self.settings, &existing.config).is_ok() {
                    return Ok(existing);
                }
                self.update(wanted(kept)).await?
            }
            updated => updated,
        };
        let updated = updated.map_err(wire::unavailable)?;
        verify(spec, self.settings, &updated.config)?;
        tracing::info!(
            stream = spec.name,
            replicas = updated.config.num_replicas,
            "stream updated"
        );
        Ok(updated)
    }

    fn wanted_replicas(&self) -> Option<usize> {
        match self.settings.replicas {
            Replicas::Auto => Some(AUTO_REPLICAS),
            Replicas::Exactly(count) => Some(count),
        }
    }

    /// With a fixed number of copies, fewer are an error: the operator relies on them.
    fn report_too_few_servers(&self, spec: &StreamSpec, kept: usize) -> Result<(), BusError> {
        match self.settings.replicas {
            Replicas::Auto => Ok(()),
            Replicas::Exactly(count) => Err(wire::unavailable(format!(
                "the stream {} has {kept} copies and not {count}: the NATS cluster has too few servers. \
                 Add servers, or lower NATS_REPLICAS",
                spec.name
            ))),
        }
    }

    async fn create_new(&self, spec: &StreamSpec) -> Result<Info, BusError> {
        let config = |replicas| {
            let config = Config {
                name: spec.name.to_owned(),
                retention: RetentionPolicy::Limits,
                storage: StorageType::File,
                ..Config::default()
            };
            with_spec(config, spec, self.settings, replicas)
        };
        let created = match (
            self.settings.replicas,
            self.create_with(config(self.wanted_replicas().unwrap_or(1))).await?,
        ) {
            (Replicas::Auto, Err(error)) if has_too_few_servers(&error) => self.create_with(config(1)).await?,
            (_, created) => created,
        };
        let created = created.map_err(wire::unavailable)?;
        verify(spec, self.settings, &created.config)?;
        Ok(created)
    }

    async fn create_with(&self, config: Config) -> Result<Result<Info, CreateStreamError>, BusError> {
        let name = config.name.clone();
        let created = self.jetstream.create_stream(config);
        let created = self.connection.with_timeout(&name, REQUEST_TIMEOUT, created).await?;
        Ok(created.map(|stream| stream.cached_info().clone()))
    }

    async fn update(&self, config: Config) -> Result<Result<Info, CreateStreamError>, BusError> {
        let name = config.name.clone();
        let updated = self.jetstream.update_stream(config);
        self.connection.with_timeout(&name, REQUEST_TIMEOUT, updated).await
    }

    /// Returns the stream, `None` when it does not exist.
    async fn find(&self, name: &str) -> Result<Option<Info>, BusError> {
        let found = self.jetstream.get_stream(name);
        match self.connection.with_timeout(name, REQUEST_TIMEOUT, found).await? {
            Ok(stream) => Ok(Some(stream.cached_info().clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.code() == 404 => Ok(None),
                _ => Err(wire::unavailable(error)),
            },
        }
    }
}

fn is_clustered(info: &Info) -> bool {
    info.cluster.as_ref().is_some_and(|cluster| cluster.name.is_some())
}

/// Counts the leader and the followers that have all messages. A single server has the only copy.
fn current_copies(info: &Info) -> usize {
    let Some(cluster) = info.cluster.as_ref().filter(|_| is_clustered(info)) else {
        return 1;
    };
    let followers = cluster.replicas.iter().filter(|peer| peer.current && !peer.offline);
    followers.count() + usize::from(cluster.leader.is_some())
}

/// Returns whether a message does not exist.
pub(super) fn is_missing(error: &RawMessageError) -> bool {
    match error.kind() {
        RawMessageErrorKind::NoMessageFound => true,
        RawMessageErrorKind::JetStream(error) => error.code() == 404,
        _ => false,
    }
}

fn has_too_few_servers(error: &CreateStreamError) -> bool {
    match error.kind() {
        CreateStreamErrorKind::JetStream(error) => TOO_FEW_SERVERS.contains(&error.error_code()),
        _ => false,
    }
}

fn with_spec(config: Config, spec: &StreamSpec, settings: StreamSettings, replicas: usize) -> Config {
    // Subjects of another release stay, so that two releases that run side by side do not take them from each other.
    let mut subjects = config.subjects.clone();
    let missing = spec
        .subjects
        .iter()
        .filter(|&&subject| !config.subjects.iter().any(|known| known == subject));
    subjects.extend(missing.map(|&subject| subject.to_owned()));
    Config {
        subjects,
        max_age: spec.max_age,
        duplicate_window: spec.dedup_window,
        // A full stream refuses new messages, so that the sender repeats them. The other policy deletes unread ones.
        discard: DiscardPolicy::New,
        max_bytes: settings.max_bytes.unwrap_or(config.max_bytes),
        num_replicas: replicas,
        ..config
    }
}

/// Compares the settings with the server's response, because the server ignores unknown ones.
fn verify(spec: &StreamSpec, settings: StreamSettings, actual: &Config) -> Result<(), BusError> {
    let has_subject = |subject: &&str| actual.subjects.iter().any(|known| known == subject);
    let agrees = spec.subjects.iter().all(has_subject)
        && actual.max_age == spec.max_age
        && actual.duplicate_window == spec.dedup_window
        && actual.discard == DiscardPolicy::New
        && settings.max_bytes.is_none_or(|bytes| actual.max_bytes == bytes);
    if agrees {
        Ok(())
    } else {
        Err(wire::unavailable(format!(
            "the server did not apply the settings of stream {}: {actual:?}",
            spec.name
        )))
    }
}
