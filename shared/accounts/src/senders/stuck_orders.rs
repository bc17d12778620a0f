//! Orders that could not be undone, for the operator: the vendor refused to take a number back.

use butt_dial_domain::{Code, Failure, Scope, SenderOrderId};
use butt_dial_identity::Caller;
use butt_dial_store::SenderOrder;
use serde_json::json;

use super::Senders;

const PAGE: u32 = 100;

impl Senders {
    /// Lists the orders of all organizations that could not be undone, oldest first. At most 100.
    pub async fn list_stuck_orders(&self, caller: &Caller) -> Result<Vec<SenderOrder>, Failure> {
        caller.require(Scope::SuperAdmin)?;
        Ok(self.store.list_stuck_orders(PAGE).await?)
    }

    /// Has a dispatcher undo an order once more, within seconds.
    pub async fn retry_stuck_order(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        caller.require(Scope::SuperAdmin)?;
        let id = SenderOrderId::from(id);
        let Some(org) = self.store.retry_stuck_order(&id, self.clock.now()).await? else {
            return Err(Failure::new(Code::NotFound, "there is no stuck order with this id"));
        };
        let actor = caller.principal.token.as_str();
        self.audit
            .append(&org, actor, "number.retry_order", id.as_str(), json!({}))
            .await
    }
}
