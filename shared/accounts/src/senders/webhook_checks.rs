//! Checks of the webhooks of numbers: once a day, and on demand. A webhook that was changed at the vendor is set again, and the audit
//! log has it.

use butt_dial_domain::{
    Channel, Code, Failure,
    ports::numbers::{NumberKey, NumberUrls},
};
use butt_dial_identity::Caller;
use butt_dial_store::Sender;
use chrono::TimeDelta;
use serde_json::json;

use super::{NUMBER_VENDOR, Senders, failure_of, no_number_vendor};
use crate::audit::SYSTEM;

const BATCH: u32 = 20;
const INTERVAL: TimeDelta = TimeDelta::days(1);

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberCheck {
    pub number: String,
    /// The webhooks that had been changed, and are set again: sms, voice and status.
    pub repaired: Vec<&'static str>,
}

impl Senders {
    /// Compares the webhooks of a number with those at the vendor, and repairs them.
    pub async fn check_number(&self, caller: &Caller, id: &str) -> Result<NumberCheck, Failure> {
        let sender = self.get(caller, id).await?;
        let has_number = matches!(sender.channel, Channel::Sms | Channel::Voice);
        let is_managed = sender.number_id.is_some() || sender.account.is_some();
        if !has_number || !is_managed {
            return Err(Failure::new(
                Code::NotSupported,
                "only the webhooks of bought and adopted numbers are checked",
            )
            .on(sender.channel));
        }
        let repaired = self.compare(&sender, caller.principal.token.as_str()).await?;
        self.store.note_number_check(&sender.id, self.clock.now()).await?;
        Ok(NumberCheck {
            number: sender.address,
            repaired,
        })
    }

    /// Checks the numbers that are due. Returns how many were.
    pub async fn check_numbers(&self) -> Result<usize, Failure> {
        if self.public_urls.base().is_none() {
            return Ok(0);
        }
        let mut total = 0;
        loop {
            let now = self.clock.now();
            let due = self.store.claim_number_checks(BATCH, now - INTERVAL, now).await?;
            total += due.len();
            for sender in &due {
                if let Err(failure) = self.compare(sender, SYSTEM).await {
                    tracing::warn!(%failure, sender = %sender.id, "webhooks of a number not checked; they are due tomorrow");
                }
            }
            if due.len() < BATCH as usize {
                return Ok(total);
            }
        }
    }

    /// Repairs the webhooks of a number. Returns those that had been changed.
    async fn compare(&self, sender: &Sender, actor: &str) -> Result<Vec<&'static str>, Failure> {
        let wanted = self.number_urls(NUMBER_VENDOR)?;
        let numbers = self.accounts.numbers(NUMBER_VENDOR, sender.account.as_ref()).await?;
        let numbers = numbers.ok_or_else(no_number_vendor)?;
        let found = numbers.find(NumberKey::Number(&sender.address)).await;
        let found = found.map_err(|error| failure_of(&error, "find the number"))?;
        let owned = found.ok_or_else(|| {
            Failure::new(
                Code::NotFound,
                "the provider account does not have this number any more",
            )
            .hint("release the number, or add it to the account again")
        })?;
        let changed = changes(&owned.urls, &wanted);
        if changed.is_empty() {
            return Ok(changed);
        }
        let set = numbers.configure(&owned.id, &wanted).await;
        set.map_err(|error| failure_of(&error, "configure the number"))?;
        tracing::warn!(sender = %sender.id, org = %sender.org, ?changed, "webhooks of a number were changed at its provider; they are set again");
        let detail = json!({ "webhooks": changed });
        self.audit
            .append(&sender.org, actor, "number.repair", sender.id.as_str(), detail)
            .await?;
        Ok(changed)
    }
}

/// Names the webhooks that differ.
fn changes(found: &NumberUrls, wanted: &NumberUrls) -> Vec<&'static str> {
    let all = [
        ("sms", &found.sms, &wanted.sms),
        ("voice", &found.voice, &wanted.voice),
        ("status", &found.status, &wanted.status),
    ];
    let differ = all.into_iter().filter(|(_, found, wanted)| found != wanted);
    differ.map(|(name, ..)| name).collect()
}
