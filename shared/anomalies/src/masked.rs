//! Addresses in explanations.

use butt_dial_domain::{Address, Channel};

/// Returns an address of which only a part can be read.
pub(crate) fn masked(recipient: &str) -> String {
    let channel = match recipient.contains('@') {
        true => Channel::Email,
        false => Channel::Sms,
    };
    Address::parse(channel, recipient).map_or_else(|_| "***".into(), |address| address.masked())
}
