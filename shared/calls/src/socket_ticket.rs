//! One-time tickets in the URLs of relay sockets. A carrier gets a ticket with the script that opens a socket; each ticket
//! opens one socket. A ticket alone proves nothing: the relay also verifies the carrier's signature.

use std::time::Duration;

use butt_dial_domain::{CallId, ids, keys, ports::kv::KvError};
use serde::{Deserialize, Serialize};

use crate::Calls;

/// The carrier opens the socket within a second.
const TICKET_TTL: Duration = Duration::from_secs(120);
/// Longer than a ticket is valid.
const REDEEMED_TTL: Duration = Duration::from_secs(600);
const MAX_LENGTH: usize = 64;

#[derive(Serialize, Deserialize)]
struct Ticket {
    call: CallId,
}

/// Issues a ticket for a socket of the call. Returns its token.
pub(crate) async fn issue(calls: &Calls, call: &CallId) -> Result<String, KvError> {
    let token = format!("{}{}", ids::random(), ids::random());
    let ticket = Ticket { call: call.clone() };
    let ticket = serde_json::to_string(&ticket).unwrap_or_default();
    calls.kv.set(&keys::call_token(&token), &ticket, TICKET_TTL).await?;
    Ok(token)
}

/// Finds the call of a valid ticket.
pub async fn find(calls: &Calls, token: &str) -> Result<Option<CallId>, KvError> {
    if token.len() > MAX_LENGTH || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    let text = calls.kv.get(&keys::call_token(token)).await?;
    let ticket: Option<Ticket> = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(ticket.map(|ticket| ticket.call))
}

/// Redeems a ticket. Returns false if it was redeemed before.
pub async fn redeem(calls: &Calls, token: &str) -> Result<bool, KvError> {
    let key = format!("{}:used", keys::call_token(token));
    calls.kv.once(&key, REDEEMED_TTL).await
}

/// Returns the URL of the socket. Carriers open `wss` only.
pub fn socket_url(base: &str, token: &str) -> String {
    let host = base.split_once("://").map_or(base, |(_, host)| host);
    format!("wss://{host}/relay/{token}")
}
