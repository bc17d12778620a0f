//! The deletion of a person's messages, calls and recordings at vendors. The result for each is kept with the job.

use butt_dial_domain::{
    Channel, OrgId, ProviderAccountId,
    ports::carrier::{Deletion, VendorResourceKind},
};
use butt_dial_store::{StoreError, SubjectReceipt};

use super::{
    Subjects,
    walk::{RETRY, Work},
};

/// Requests of one page, one after the other, within the lease.
const BATCH: u32 = 2;
/// Tries of one resource. A vendor refuses messages that are on their way.
const MAX_TRIES: i64 = 10;

impl Subjects {
    /// Deletes the next resources. A resource that a vendor does not delete now is tried again later.
    pub(super) async fn delete_at_vendors(&self, work: &mut Work) -> Result<(), StoreError> {
        let org = work.job.org();
        let pending = self
            .store
            .list_subject_receipts(&org, &work.job.id, true, BATCH)
            .await?;
        if pending.is_empty() {
            work.finish_step();
            return self.advance(work).await;
        }
        let mut is_refused = false;
        for mut receipt in pending {
            let deletion = self.delete(&org, &receipt).await?;
            receipt.tries += 1;
            receipt.state = match deletion {
                Deletion::Deleted => "deleted",
                Deletion::Missing => "missing",
                Deletion::Unsupported => "unsupported",
                Deletion::Failed if receipt.tries >= MAX_TRIES => "failed",
                Deletion::Failed => "pending",
            }
            .to_owned();
            is_refused |= receipt.state == "pending";
            if receipt.state == "deleted" {
                work.count(1);
            }
            self.store
                .note_subject_receipt(&work.job.id, &receipt, self.clock.now())
                .await?;
        }
        if is_refused {
            work.pause = Some(RETRY);
        }
        self.advance(work).await
    }

    async fn delete(&self, org: &OrgId, receipt: &SubjectReceipt) -> Result<Deletion, StoreError> {
        let kind = match receipt.kind.as_str() {
            "call" => VendorResourceKind::Call,
            "recording" => VendorResourceKind::Recording,
            _ => VendorResourceKind::Message,
        };
        let account = self
            .store
            .find_account_of_sender(org, &receipt.own_address)
            .await?
            .flatten();
        let account = account.map(ProviderAccountId::from);
        let Some(channel) = Channel::parse(&receipt.channel) else {
            return Ok(Deletion::Unsupported);
        };
        let carrier = self
            .carriers
            .find_in(channel, account.as_ref().map(|id| (id, None)))
            .await?;
        let Some(carrier) = carrier.filter(|carrier| carrier.id == receipt.vendor) else {
            // Its account is gone.
            return Ok(Deletion::Unsupported);
        };
        Ok(carrier.messaging.delete(kind, &receipt.resource).await)
    }
}
