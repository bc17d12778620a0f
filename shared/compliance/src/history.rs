//! Decisions of the past: refusals that can be listed and explained, and the replay of decisions against other rules.

use std::{collections::BTreeMap, sync::Arc};

use butt_dial_domain::{AgentId, CallId, Clock, Failure, MessageId, OrgId, clock::Timestamp, ids};
use butt_dial_store::{Decided, REFUSAL_PREFIX, Refusal, RefusalFilter, Store, StoredRuling};
use serde::Deserialize;

use crate::{Facts, RuleSet, decide};

/// Rows of one query.
const BATCH: u32 = 500;
/// Changes that are shown in full; all are counted.
const EXAMPLES: usize = 50;

/// A decision that other rules would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedDecision {
    /// The id of the message, call or refusal.
    pub id: String,
    pub at: Timestamp,
    pub was: String,
    pub becomes: &'static str,
    /// The rule that the new verdict comes from.
    pub rule: Option<String>,
}

/// The result of a replay.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Decisions that were made again.
    pub examined: u64,
    pub changed: u64,
    /// Changes by the old verdict, the new verdict and the rule that it comes from.
    pub counts: BTreeMap<(String, &'static str, Option<String>), u64>,
    /// The first changes.
    pub examples: Vec<ChangedDecision>,
    /// The id after which the replay has stopped, because it has examined as many rows as allowed.
    pub stopped_after: Option<String>,
}

/// Which decisions a replay makes again.
#[derive(Clone, Copy, Debug)]
pub struct ReplayRange<'a> {
    /// `None`: of all organizations.
    pub org: Option<&'a OrgId>,
    pub since: Timestamp,
    /// Rows to read at most.
    pub max_rows: u64,
}

#[derive(Deserialize)]
struct Record {
    verdict: String,
    facts: Facts,
}

/// Decisions of the past. Cheap to clone.
#[derive(Clone)]
pub struct RuleHistory {
    store: Store,
    clock: Clock,
    rule_set: Arc<RuleSet>,
}

impl RuleHistory {
    pub fn new(store: Store, clock: Clock, rule_set: Arc<RuleSet>) -> Self {
        Self { store, clock, rule_set }
    }

    /// The rules in force.
    pub fn rule_set(&self) -> &RuleSet {
        &self.rule_set
    }

    /// Lists refusals of an organization, newest first: those of an agent, by a rule, before an id.
    pub async fn list_refusals(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
        rule: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Refusal>, Failure> {
        let filter = RefusalFilter { agent, rule, before };
        Ok(self.store.list_refusals(org, &filter, limit).await?)
    }

    /// Makes decisions again by other rules, and returns what would change. `progress` gets the number of decisions after each
    /// batch.
    pub async fn replay(
        &self,
        rules: &RuleSet,
        range: ReplayRange<'_>,
        progress: impl Fn(u64),
    ) -> Result<Replay, Failure> {
        let (mut replay, mut rows_left) = (Replay::default(), range.max_rows);
        let now = self.clock.now();
        for (of, prefix) in [
            (Decided::Messages, MessageId::PREFIX),
            (Decided::Messages, CallId::PREFIX),
            (Decided::Refusals, REFUSAL_PREFIX),
        ] {
            let (mut after, end) = (ids::earliest(prefix, range.since), ids::earliest(prefix, now));
            loop {
                if rows_left == 0 {
                    replay.stopped_after = Some(after);
                    return Ok(replay);
                }
                let limit = u32::try_from(rows_left).unwrap_or(BATCH).min(BATCH);
                let rows = self.store.list_rulings(of, (&after, &end), limit).await?;
                let Some(last) = rows.last() else { break };
                after.clone_from(&last.id);
                rows_left -= rows.len() as u64;
                for row in &rows {
                    if range.org.is_none_or(|org| org.as_str() == row.org_id) {
                        replay.add(rules, row);
                    }
                }
                progress(replay.examined);
            }
        }
        Ok(replay)
    }
}

impl Replay {
    /// Makes one decision again. A row without a record, or with one that this release does not know, is left out.
    fn add(&mut self, rules: &RuleSet, row: &StoredRuling) {
        let record = row.ruling.as_deref().map(serde_json::from_str::<Record>);
        let Some(Ok(record)) = record else {
            return;
        };
        self.examined += 1;
        let decision = decide(rules, &record.facts);
        if decision.label() == record.verdict {
            return;
        }
        self.changed += 1;
        let rule = decision.rule().map(str::to_owned);
        let key = (record.verdict.clone(), decision.label(), rule.clone());
        *self.counts.entry(key).or_default() += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(ChangedDecision {
                id: row.id.clone(),
                at: record.facts.at,
                was: record.verdict,
                becomes: decision.label(),
                rule,
            });
        }
    }
}
