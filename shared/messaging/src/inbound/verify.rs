//! The verification stage: the carrier's signature. No part of a request is parsed before its signature is verified, except for
//! the account that it names: that account's own secret must have signed it.

use std::sync::Arc;

use butt_dial_domain::{
    ProviderAccountId,
    ports::webhook::{VerificationError, WebhookRequest, Webhooks},
};

use super::{Inbound, RawWebhook, Via, WebhookRefusal};
use crate::AccountCarrier;

/// A webhook with a valid signature.
pub struct VerifiedWebhook {
    pub carrier: &'static str,
    pub webhooks: Arc<dyn Webhooks>,
    /// The account that signed it. `None`: the installation's own.
    pub account: Option<Arc<AccountCarrier>>,
    pub request: WebhookRequest,
    /// The host's id of the agent in the path. Messages to other agents are refused.
    pub only: Option<String>,
}

pub(super) async fn verify(inbound: &Inbound, raw: RawWebhook) -> Result<VerifiedWebhook, WebhookRefusal> {
    let RawWebhook {
        via, request, account, ..
    } = raw;
    let (own, carrier, only) = match via {
        Via::Carrier(carrier) => {
            let own = inbound.carriers.find_webhooks(&carrier).filter(|_| account.is_none());
            (own, Some(carrier), None)
        }
        // The path does not name the carrier; the signature header does.
        Via::Agent(agent) => {
            let mut callers = inbound.carriers.webhooks();
            let found = callers.find(|(_, webhooks)| request.headers.contains_key(webhooks.signature_header()));
            (found, None, Some(agent))
        }
    };
    let mut refused = None;
    if let Some((carrier, webhooks)) = own {
        match webhooks.verify(&request) {
            Ok(()) => {
                return Ok(VerifiedWebhook {
                    carrier,
                    webhooks: webhooks.clone(),
                    account: None,
                    request,
                    only,
                });
            }
            Err(error) => refused = Some((carrier, error)),
        }
    }
    // Only what the installation's own secret has not signed costs a query.
    let accounts = match &carrier {
        Some(carrier) => find_accounts(inbound, carrier, account.as_ref(), &request).await?,
        None => Vec::new(),
    };
    for account in accounts {
        let Some(webhooks) = account.webhooks.clone() else {
            continue;
        };
        match webhooks.verify(&request) {
            Ok(()) => {
                return Ok(VerifiedWebhook {
                    carrier: account.vendor,
                    webhooks,
                    account: Some(account),
                    request,
                    only,
                });
            }
            Err(error) => refused = Some((account.vendor, error)),
        }
    }
    let (carrier, error) = match refused {
        Some(refused) => refused,
        // An unsigned request must not reveal whether the agent or the account exists.
        None if only.is_some() || account.is_some() => ("unknown", VerificationError::Unsigned),
        None => {
            inbound.metrics.record_webhook_event("unknown", "unknown_carrier");
            return Err(WebhookRefusal::Unknown);
        }
    };
    inbound.metrics.record_webhook_event(carrier, error.as_str());
    tracing::warn!(carrier, reason = error.as_str(), "webhook verification failed");
    Err(WebhookRefusal::Untrusted(error))
}

/// Finds the account of the path, or the accounts that the payload names.
async fn find_accounts(
    inbound: &Inbound,
    carrier: &str,
    named: Option<&ProviderAccountId>,
    request: &WebhookRequest,
) -> Result<Vec<Arc<AccountCarrier>>, WebhookRefusal> {
    let Some(accounts) = inbound.carriers.accounts() else {
        return Ok(Vec::new());
    };
    let found = match named {
        Some(account) => {
            let found = accounts.find(account, None).await;
            found.map(|found| found.into_iter().filter(|found| found.vendor == carrier).collect())
        }
        None => accounts.named_by(carrier, request).await,
    };
    found.map_err(|error| {
        tracing::warn!(%error, carrier, "accounts of a webhook not read");
        WebhookRefusal::Unavailable
    })
}
