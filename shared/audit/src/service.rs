//! The handle of the audit logs, the signing key, and checkpoints. A log is never signed in two ways: the size and root of the
//! newest checkpoint are stored in the transaction that stores the checkpoint, and every signature is checked against them.

use std::sync::{Arc, atomic::AtomicU32};

use butt_dial_domain::{Clock, Code, Failure, OrgId, ReplicaId, clock::Timestamp};
use butt_dial_store::{AuditFilter, AuditRow, INSTALLATION_LOG, LogHead, Store};
use butt_dial_vault::Vault;
use chrono::{NaiveTime, TimeDelta};
use tokio::sync::OnceCell;

use crate::{
    hash::{self, Hash},
    note::{Signer, Verifier},
    tree::{self, Range, Tile, Tiles},
};

const PAGE: u32 = 100;
const MAX_LIST: u32 = butt_dial_domain::bounds::PAGE;
/// How often a checkpoint is tried again while other processes sign the same log.
const SIGN_TRIES: usize = 5;
/// Receipts and exports share a checkpoint of this age if it includes what they need.
const FRESH: TimeDelta = TimeDelta::seconds(60);

/// The audit logs. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) clock: Clock,
    pub(crate) replica: String,
    /// The name of the installation in checkpoints, where none is stored yet.
    host: Option<String>,
    /// How long rows are kept: older ones may be missing. `None`: for ever.
    pub(crate) kept: Option<TimeDelta>,
    name: Arc<OnceCell<String>>,
    /// Rows of the next round of the sealer.
    pub(crate) batch: Arc<AtomicU32>,
}

/// The result of a run that signs logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signing {
    pub signed: usize,
    /// Logs that were changed after they were sealed, and are not signed.
    pub broken: Vec<String>,
}

/// A signed checkpoint of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    pub size: u64,
    pub root: Hash,
    pub note: String,
    pub vkey: String,
}

impl Audit {
    /// `host` is the public host of the installation; `kept` is how long audit rows are kept.
    pub fn new(
        store: Store,
        vault: Vault,
        clock: Clock,
        replica: &ReplicaId,
        host: Option<String>,
        kept: Option<TimeDelta>,
    ) -> Self {
        Self {
            store,
            vault,
            clock,
            replica: replica.to_string(),
            host,
            kept,
            name: Arc::default(),
            batch: Arc::new(AtomicU32::new(u32::MAX)),
        }
    }

    /// Returns the public key of a log, for verifiers of other programs.
    pub async fn verifier(&self, log: &str) -> Result<Verifier, Failure> {
        Ok(self.signer(log).await?.verifier())
    }

    /// Lists rows of a log, newest first, after the cursor of the page before. Returns also the cursor of the next page, if there may be
    /// one. `limit` is clamped to 1 to 200.
    pub async fn list(
        &self,
        log: &str,
        filter: AuditFilter<'_>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<AuditRow>, Option<String>), Failure> {
        let before = cursor.map(read_cursor).transpose()?;
        let org = (log != INSTALLATION_LOG).then(|| OrgId::from(log));
        let filter = AuditFilter { before, ..filter };
        let limit = limit.clamp(1, MAX_LIST);
        let rows = self.store.list_audit(org.as_ref(), filter, limit).await?;
        let next = rows.last().filter(|_| rows.len() == limit as usize);
        let next = next.map(|last| format!("{}.{}", last.entry.at.timestamp_micros(), last.id));
        Ok((rows, next))
    }

    /// Lists the logs.
    pub async fn logs(&self) -> Result<Vec<String>, Failure> {
        let mut logs: Vec<String> = Vec::new();
        loop {
            let after = logs.last().cloned().unwrap_or_default();
            let page = self.store.list_logs(&after, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            logs.extend(page.into_iter().map(|head| head.log));
            if is_last {
                return Ok(logs);
            }
        }
    }

    /// Signs the logs with entries that no checkpoint of today includes.
    pub async fn sign_due(&self) -> Result<Signing, Failure> {
        let midnight = self.clock.now().date_naive().and_time(NaiveTime::MIN).and_utc();
        let (mut signing, mut after) = (Signing::default(), String::new());
        loop {
            let logs = self.store.list_unsigned_logs(midnight, &after, PAGE).await?;
            let Some(last) = logs.last() else {
                return Ok(signing);
            };
            after.clone_from(&last.log);
            for head in logs {
                match self.sign(&head).await {
                    Ok(done) => signing.signed += usize::from(done.is_some()),
                    // The other logs are signed all the same.
                    Err(failure) => {
                        tracing::error!(log = head.log, %failure, "audit log not signed");
                        if failure.code == Code::Conflict {
                            signing.broken.push(head.log);
                        }
                    }
                }
            }
        }
    }

    /// Returns a checkpoint that includes `needed` entries, and signs one if there is none, or if the newest one is older than a
    /// minute and the log has grown.
    pub async fn checkpoint(&self, log: &str, needed: u64) -> Result<SignedCheckpoint, Failure> {
        for _ in 0..SIGN_TRIES {
            let head = self.store.find_log_head(log).await?;
            let head = head.unwrap_or_else(|| LogHead {
                log: log.to_owned(),
                size: 0,
                chain: hash::genesis(log).to_vec(),
                signed_size: 0,
                signed_root: None,
                signed_at: None,
            });
            let is_fresh = head.signed_at.is_some_and(|at| self.clock.now() - at < FRESH);
            let is_enough = head.signed_size == head.size || (is_fresh && number(head.signed_size) >= needed);
            if is_enough && let Some(known) = self.newest(&head).await? {
                return Ok(known);
            }
            if head.size == 0 {
                return self.empty(log).await;
            }
            if let Some(signed) = self.sign(&head).await? {
                return Ok(signed);
            }
        }
        Err(Failure::unavailable("the audit log is being signed by other processes"))
    }

    /// Signs the log at its end. `None`: another process has signed it meanwhile.
    async fn sign(&self, head: &LogHead) -> Result<Option<SignedCheckpoint>, Failure> {
        let signed = number(head.signed_size);
        if let Some(root) = head.signed_root.as_ref().filter(|_| signed > 0) {
            // The signed entries are still there. Otherwise the log was changed, and a signature would hide it.
            if self.root(&head.log, signed).await?.as_slice() != root.as_slice() {
                return Err(damaged(&head.log));
            }
        }
        let size = number(head.size);
        let root = self.root(&head.log, size).await?;
        let signer = self.signer(&head.log).await?;
        let note = signer.checkpoint(size, &root);
        let now = self.clock.now();
        let stored = self.store.record_checkpoint(head, head.size, &root, &note, now).await?;
        Ok(stored.then(|| SignedCheckpoint {
            size,
            root,
            note,
            vkey: signer.verifier().vkey(),
        }))
    }

    async fn newest(&self, head: &LogHead) -> Result<Option<SignedCheckpoint>, Failure> {
        let found = self.store.list_checkpoints(&head.log, head.signed_size, 1).await?;
        let verifier = self.verifier(&head.log).await?;
        let known = found.into_iter().next().and_then(|row| {
            let opened = verifier.open_checkpoint(&row.note)?;
            Some(SignedCheckpoint {
                size: opened.size,
                root: opened.root,
                note: row.note,
                vkey: verifier.vkey(),
            })
        });
        Ok(known)
    }

    /// The checkpoint of a log without entries is not stored.
    async fn empty(&self, log: &str) -> Result<SignedCheckpoint, Failure> {
        let signer = self.signer(log).await?;
        let root = hash::empty_root();
        Ok(SignedCheckpoint {
            size: 0,
            root,
            note: signer.checkpoint(0, &root),
            vkey: signer.verifier().vkey(),
        })
    }

    /// Returns the root of the log at this size, from stored hashes.
    async fn root(&self, log: &str, size: u64) -> Result<Hash, Failure> {
        let mut tiles = Tiles::default();
        self.load(log, size, tree::tiles_of_root(size), &mut tiles).await?;
        tiles.root(size).ok_or_else(|| damaged(log))
    }

    /// Reads the tiles that are missing in `tiles`.
    pub(crate) async fn load(
        &self,
        log: &str,
        size: u64,
        needed: impl IntoIterator<Item = Tile>,
        tiles: &mut Tiles,
    ) -> Result<(), Failure> {
        for tile in needed {
            if !tiles.contains(tile) {
                tiles.insert(tile, self.read_hashes(log, tile.range(size)).await?);
            }
        }
        Ok(())
    }

    pub(crate) async fn read_hashes(&self, log: &str, range: Range) -> Result<Vec<Hash>, Failure> {
        let as_number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let stored =
            self.store
                .list_log_hashes(log, range.level.into(), as_number(range.first), as_number(range.count));
        hashes(&stored.await?)
    }

    async fn signer(&self, log: &str) -> Result<Signer, Failure> {
        let name = self.name.get_or_try_init(|| self.register()).await?;
        self.key(&format!("{name}/audit/{log}"))
    }

    /// The key derives from the root of the vault, which the database holds encrypted and which no rotation changes.
    fn key(&self, name: &str) -> Result<Signer, Failure> {
        Signer::new(name, &self.vault.key("audit signing key 1")).ok_or_else(Failure::internal)
    }

    /// Returns the name of the installation in its checkpoints. It never changes, also when the host does.
    async fn register(&self) -> Result<String, Failure> {
        let public = self.key("")?.verifier().key;
        let host = self.host.clone();
        let host = host.unwrap_or_else(|| format!("butt-dial-{}", hex::encode(&public[..4])));
        let (name, stored) = self.store.register_audit_key(&host, &public, self.clock.now()).await?;
        if stored != public {
            tracing::error!("the key of the audit logs is not the stored one");
            return Err(Failure::internal());
        }
        Ok(name)
    }
}

fn read_cursor(cursor: &str) -> Result<(Timestamp, &str), Failure> {
    let read = cursor.split_once('.').and_then(|(micros, id)| {
        let at = Timestamp::from_timestamp_micros(micros.parse().ok()?)?;
        Some((at, id))
    });
    read.ok_or_else(|| {
        Failure::new(Code::InvalidArgument, "the cursor is invalid")
            .hint("pass the cursor of the last result, or omit it")
    })
}

/// Reads stored hashes.
pub(crate) fn hashes(stored: &[Vec<u8>]) -> Result<Vec<Hash>, Failure> {
    let read = stored.iter().map(|hash| Hash::try_from(hash.as_slice()));
    read.collect::<Result<_, _>>().map_err(|_| {
        tracing::error!("stored hashes of an audit log have another length");
        Failure::internal()
    })
}

/// Converts a number of the database.
pub(crate) fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// Builds the refusal to continue a log that was changed.
pub(crate) fn damaged(log: &str) -> Failure {
    tracing::error!(log, "audit log damaged");
    Failure::new(Code::Conflict, "the audit log was changed after it was sealed")
        .hint("comms_verify_audit names the first broken row")
}
