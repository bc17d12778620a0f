//! The carrier of a sender.

use butt_dial_domain::{Channel, Code, Failure};
use butt_dial_store::AccountRef;

use super::Outbound;
use crate::Carrier;

/// Returns the carrier of a channel in the account of a sender; `None` stands for the installation's own account.
pub(super) async fn find_carrier(
    outbound: &Outbound,
    channel: Channel,
    account: Option<&AccountRef>,
) -> Result<Carrier, Failure> {
    let known = account.map(|account| (&account.id, Some(account.version)));
    let found = outbound.carriers.find_in(channel, known).await?;
    found.ok_or_else(|| match account {
        None => Failure::new(Code::NotSupported, format!("no carrier is configured for {channel}"))
            .on(channel)
            .hint("an operator has to set the carrier's credentials; `butt-dial doctor` shows which"),
        Some(_) => Failure::new(
            Code::ProviderMisconfigured,
            "the provider account of this sender is suspended or closed",
        )
        .on(channel)
        .hint("an administrator has to register the account again, or choose another sender"),
    })
}
