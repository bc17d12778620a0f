//! Links in alerts that approve or reject a held message without a login. A link belongs to one message and to the alert route that
//! got it. It works while the message waits, once.

use std::sync::Arc;

use butt_dial_domain::{Code, Failure, MessageId, OrgId};
use butt_dial_vault::Vault;
use serde::{Deserialize, Serialize};

use super::{HeldMessage, Outbound};
use crate::{PublicUrls, sealed_token};

const CONTEXT: &str = "approval link";

/// The content of a link's token.
#[derive(Serialize, Deserialize)]
pub struct ApprovalLink {
    pub message: MessageId,
    /// The alert route, which the audit log names as the actor.
    pub route: String,
}

impl ApprovalLink {
    /// Returns the URL of the page. `None`: the installation has no public address.
    pub fn url(&self, vault: &Vault, urls: &PublicUrls, org: &OrgId) -> Option<String> {
        urls.approval(&sealed_token::seal(vault, org, CONTEXT, self))
    }
}

impl Outbound {
    /// Finds the message of a link. Fails with `MessageNotFound` if the link is invalid, or the message does not wait any more.
    pub async fn find_held_by_link(&self, token: &str) -> Result<HeldMessage, Failure> {
        let (org, link) = self.open_link(token).await?;
        let held = self.store.find_held(&org, &link.message, self.clock.now()).await?;
        self.view_held(held.ok_or_else(not_waiting)?)
    }

    /// Approves or rejects the message of a link, with the alert route as the actor. Fails as `find_held_by_link`.
    pub async fn decide_by_link(self: &Arc<Self>, token: &str, approves: bool) -> Result<(), Failure> {
        let (org, link) = self.open_link(token).await?;
        let actor = format!("alert-route:{}", link.route);
        self.decide(&org, &actor, &link.message, approves).await
    }

    /// Opens a link, as long as its route exists: an administrator who deletes the route takes the right back.
    async fn open_link(&self, token: &str) -> Result<(OrgId, ApprovalLink), Failure> {
        let (org, link): (_, ApprovalLink) = sealed_token::open(&self.vault, CONTEXT, token).ok_or_else(not_waiting)?;
        let routes = self.store.list_alert_routes(Some(&org)).await?;
        match routes.iter().any(|route| route.id == link.route) {
            true => Ok((org, link)),
            false => Err(not_waiting()),
        }
    }
}

fn not_waiting() -> Failure {
    Failure::new(Code::MessageNotFound, "no message waits for this approval")
}
