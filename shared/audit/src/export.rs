//! Exports and receipts: entries with proofs that outsiders verify, without this program.

use std::collections::HashMap;

use butt_dial_domain::{Failure, OrgId};
use butt_dial_store::{LeafKind, LeafRow, Message};
use serde_json::{Value, json};

use crate::{
    Audit, canonical,
    entry::{self, SendRecord},
    note,
    service::{SignedCheckpoint, damaged, hashes, number},
    tree::{self, Tiles},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Entries of an export.
pub const MAX_EXPORT: u32 = 5_000;

/// A part of a log with proofs.
pub struct Export {
    /// JSON lines: the checkpoint first, then the entries.
    pub lines: String,
    pub checkpoint: SignedCheckpoint,
}

impl Audit {
    /// Exports up to `limit` entries of a log from the place `first`, with their proofs.
    pub async fn export(&self, log: &str, first: u64, limit: u32) -> Result<Export, Failure> {
        let limit = limit.clamp(1, MAX_EXPORT);
        let checkpoint = self.checkpoint(log, first.saturating_add(limit.into())).await?;
        let from = i64::try_from(first).unwrap_or(i64::MAX);
        let mut leaves = self.store.list_leaves(log, from, limit).await?;
        leaves.retain(|leaf| number(leaf.seq) < checkpoint.size);
        let end = leaves.last().map_or(from, |leaf| leaf.seq + 1);
        let changes = self.store.list_sealed_changes(log, from, end).await?;
        let mut texts: HashMap<String, String> = changes
            .into_iter()
            .map(|row| (row.id.clone(), entry::change(&row)))
            .collect();
        let next = (number(end) < checkpoint.size).then_some(end);
        let header = json!({
            "format": "butt-dial-audit-export/1",
            "log": log,
            "vkey": checkpoint.vkey,
            "checkpoint": checkpoint.note,
            "first": first,
            "count": leaves.len(),
            "next": next,
        });
        let mut lines = format!("{}\n", canonical::text(&header));
        let mut tiles = Tiles::default();
        for leaf in leaves {
            let proof = self.proof(log, &leaf, checkpoint.size, &mut tiles).await?;
            let proof: Vec<String> = proof.iter().map(|hash| BASE64_STANDARD.encode(hash)).collect();
            let text = match leaf.kind {
                LeafKind::Change => texts.remove(&leaf.reference),
                LeafKind::Send => leaf.entry,
            };
            // An entry of which only the hash is left has no text.
            let line = json!({
                "seq": leaf.seq,
                "entry": text,
                "leaf": BASE64_STANDARD.encode(&leaf.leaf),
                "chain": BASE64_STANDARD.encode(&leaf.chain),
                "proof": proof,
            });
            lines.push_str(&canonical::text(&line));
            lines.push('\n');
        }
        Ok(Export { lines, checkpoint })
    }

    /// Returns the receipt of a send: the proof that its outcome is in the log of its organization. `None`: the outcome is not
    /// known yet, or is not sealed yet.
    pub async fn receipt(&self, org: &OrgId, message: &Message) -> Result<Option<String>, Failure> {
        let log = org.as_str();
        let leaf = self.store.find_leaf(log, message.id.as_str()).await?;
        let Some(leaf) = leaf.filter(|leaf| leaf.kind == LeafKind::Send) else {
            return Ok(None);
        };
        let seq = number(leaf.seq);
        let checkpoint = self.checkpoint(log, seq + 1).await?;
        let proof = self.proof(log, &leaf, checkpoint.size, &mut Tiles::default()).await?;
        let record = SendRecord {
            sender: &message.sender,
            recipient: &message.recipient,
            body_hash: &message.body_hash,
        };
        let extra = json!({
            "entry": leaf.entry.map_or(Value::Null, Value::from),
            "nonce": BASE64_STANDARD.encode(entry::NonceKey::new(&self.vault).nonce(message.id.as_str())),
            "record": record.to_json(),
        });
        let extra = canonical::text(&extra);
        Ok(Some(note::receipt(
            Some(extra.as_bytes()),
            seq,
            &proof,
            &checkpoint.note,
        )))
    }

    async fn proof(
        &self,
        log: &str,
        leaf: &LeafRow,
        size: u64,
        tiles: &mut Tiles,
    ) -> Result<Vec<crate::hash::Hash>, Failure> {
        let index = number(leaf.seq);
        // A receipt must not be handed out for a leaf that is not what the tree contains.
        hashes(std::slice::from_ref(&leaf.leaf))?;
        self.load(log, size, tree::tiles_of_proof(index, size), tiles).await?;
        tiles.proof(index, size).ok_or_else(|| damaged(log))
    }
}
