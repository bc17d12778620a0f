//! The encryption of stored contents with the newest key of the operator. It may be interrupted and repeated at any time: what has
//! been done already is recognized, and a content that changes meanwhile is left to its writer.

use butt_dial_compliance::words_context;
use butt_dial_domain::{Clock, Failure, MessageId};
use butt_dial_store::{SealedColumn, SealedContent, Store};
use butt_dial_vault::{Undecryptable, Vault};

use crate::{
    inbound::envelope::Envelope,
    media::{Blobs, Resealed},
    outbound::deferred,
};

const BATCH: u32 = 200;
const ATTACHMENTS: &str = "attachments";

/// How far the work on one kind of content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewrapProgress {
    pub kind: String,
    pub checked: u64,
    /// Encrypted with another key before.
    pub changed: u64,
    /// None of the operator's keys decrypts it.
    pub unreadable: u64,
    pub is_finished: bool,
}

impl RewrapProgress {
    fn of(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            checked: 0,
            changed: 0,
            unreadable: 0,
            is_finished: false,
        }
    }

    fn count(&mut self, resealed: Resealed) {
        self.checked += 1;
        match resealed {
            Resealed::Changed => self.changed += 1,
            Resealed::Unreadable => self.unreadable += 1,
            Resealed::Unchanged => {}
        }
    }
}

/// The stored contents of the installation.
pub struct Rewrap<'a> {
    pub store: &'a Store,
    pub vault: &'a Vault,
    pub blobs: Option<&'a Blobs>,
    pub clock: &'a Clock,
}

impl Rewrap<'_> {
    /// Encrypts every stored content for the newest key, and registers that key as the one of the database. Reports after each
    /// batch. Returns the totals of all kinds. No older release may run beside this one.
    pub async fn run(&self, mut report: impl FnMut(&RewrapProgress)) -> Result<RewrapProgress, Failure> {
        self.store.allow_content_keys().await?;
        self.vault.use_content_keys();
        let mut total = RewrapProgress::of("total");
        let mut finished = Vec::new();
        for column in SealedColumn::ALL {
            finished.push(self.rewrap_column(column, &mut report).await?);
        }
        if let Some(blobs) = self.blobs {
            finished.push(self.rewrap_blobs(blobs, &mut report).await?);
        }
        for kind in finished {
            total.checked += kind.checked;
            total.changed += kind.changed;
            total.unreadable += kind.unreadable;
        }
        let (fingerprint, root) = self.vault.seal_root();
        self.store.replace_key(&fingerprint, &root, self.clock.now()).await?;
        total.is_finished = true;
        Ok(total)
    }

    async fn rewrap_column(
        &self,
        column: SealedColumn,
        report: &mut impl FnMut(&RewrapProgress),
    ) -> Result<RewrapProgress, Failure> {
        let mut progress = RewrapProgress::of(column.to_string());
        let mut after = None;
        while !progress.is_finished {
            let batch = self.store.list_sealed(column, after.as_ref(), BATCH).await?;
            for content in &batch {
                progress.count(self.rewrap(column, content).await?);
            }
            after = batch.last().map(SealedContent::cursor);
            progress.is_finished = batch.len() < BATCH as usize;
            report(&progress);
        }
        Ok(progress)
    }

    async fn rewrap(&self, column: SealedColumn, content: &SealedContent) -> Result<Resealed, Failure> {
        match reseal(self.vault, column, content) {
            Ok(Some(sealed)) => {
                self.store.replace_sealed(column, content, &sealed).await?;
                Ok(Resealed::Changed)
            }
            Ok(None) => Ok(Resealed::Unchanged),
            Err(Undecryptable) => Ok(Resealed::Unreadable),
        }
    }

    async fn rewrap_blobs(
        &self,
        blobs: &Blobs,
        report: &mut impl FnMut(&RewrapProgress),
    ) -> Result<RewrapProgress, Failure> {
        let mut progress = RewrapProgress::of(ATTACHMENTS);
        let done = blobs.reseal(self.vault, |resealed| {
            progress.count(resealed);
            if progress.checked.is_multiple_of(u64::from(BATCH)) {
                report(&progress);
            }
        });
        done.await.map_err(|error| {
            tracing::warn!(error, "attachments not encrypted with the newest key");
            Failure::unavailable("the storage of attachments does not answer")
        })?;
        progress.is_finished = true;
        report(&progress);
        Ok(progress)
    }
}

fn reseal(vault: &Vault, column: SealedColumn, content: &SealedContent) -> Result<Option<Vec<u8>>, Undecryptable> {
    let context = match column {
        SealedColumn::Events
        | SealedColumn::KeptEvents
        | SealedColumn::Calls
        | SealedColumn::Messages
        | SealedColumn::KeptMessages
        | SealedColumn::ScheduledSends
        | SealedColumn::ProviderAccounts
        | SealedColumn::Conversations
        | SealedColumn::SubjectJobs
        | SealedColumn::SubjectArchives
        | SealedColumn::NumberRegistrations => content.id.clone(),
        SealedColumn::ConsentEvents => words_context(&content.id),
        SealedColumn::Fallbacks => deferred::context(&MessageId::from(content.id.as_str())),
        SealedColumn::DeadLetters => return Envelope::reseal(vault, &content.sealed),
    };
    vault.reseal(&content.org(), &context, &content.sealed)
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::{Channel, inbound::InboundMessage};

    use super::*;
    use crate::{
        EventContent,
        delivery::MESSAGE_RECEIVED,
        inbound::envelope::SealedEvent,
        media::{Blob, BlobMeta, BlobsConfig},
        testing::Bench,
    };

    fn rotating(former: &Vault) -> Vault {
        let vault = Vault::with_former(b"a newer key", &[b"a master key"]);
        vault.adopt(&former.fingerprint(), None, false).unwrap();
        vault
    }

    #[tokio::test]
    async fn rewrapped_contents_need_only_newest_key() {
        let bench = Bench::new().await;
        let (store, former, org) = (&bench.store, &bench.vault, &bench.agent.org_id);
        store
            .register_key(&former.fingerprint(), bench.clock.now())
            .await
            .unwrap();
        bench.log(MESSAGE_RECEIVED, 2 * BATCH as usize + 1, 10).await;
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&BlobsConfig::Directory(directory.path().into())).unwrap();
        let key = format!("2026-11-22/{org}/evt_1/0");
        let blob = Blob {
            meta: BlobMeta {
                content_type: "text/plain".into(),
                filename: None,
            },
            bytes: "hello".into(),
        };
        blobs.put(former, org, &key, &blob).await.unwrap();
        let vault = rotating(former);
        let rewrap = Rewrap {
            store,
            vault: &vault,
            blobs: Some(&blobs),
            clock: &bench.clock,
        };
        let counts = |total: &RewrapProgress| (total.checked, total.changed, total.unreadable);
        let all = 2 * u64::from(BATCH) + 2;
        let mut reports = 0;
        assert_eq!(counts(&rewrap.run(|_| reports += 1).await.unwrap()), (all, all, 0));
        assert!(reports > 4, "{reports}");
        assert_eq!(
            counts(&rewrap.run(|_| {}).await.unwrap()),
            (all, 0, 0),
            "nothing is left"
        );

        let newest = Vault::new(b"a newer key");
        let registered = store.register_key("none", bench.clock.now()).await.unwrap();
        newest
            .adopt(
                &registered.fingerprint,
                registered.root.as_deref(),
                registered.has_content_keys,
            )
            .unwrap();
        let events = store.list_sealed(SealedColumn::Events, None, 999).await.unwrap();
        assert!(
            events
                .iter()
                .all(|event| EventContent::open(&newest, org, &event.id, &event.sealed).is_some())
        );
        assert!(blobs.find(&newest, org, &key).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn resealed_envelope_needs_only_newest_key() {
        let bench = Bench::new().await;
        let phone = bench.phone();
        let route = bench
            .store
            .find_route(Channel::Sms, phone.as_str())
            .await
            .unwrap()
            .unwrap();
        let message = InboundMessage::new("SM1", Channel::Sms, &phone, &phone);
        let payload = Envelope::message(&bench.vault, "twilio", route.agent().unwrap(), message).payload();
        let vault = rotating(&bench.vault);
        let resealed = Envelope::reseal(&vault, &payload).unwrap().unwrap();
        assert!(Envelope::reseal(&vault, &resealed).unwrap().is_none());
        assert!(Envelope::reseal(&vault, b"no envelope").unwrap().is_none());
        let envelope: Envelope = serde_json::from_slice(&resealed).unwrap();
        let SealedEvent::Message { org, sealed, .. } = &envelope.event else {
            panic!("a message")
        };
        assert!(Envelope::open(&Vault::new(b"a newer key"), org, &envelope.id, sealed).is_some());
    }
}
