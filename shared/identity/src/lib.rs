//! Authentication: tokens, the auth guard, and the rights of a verified caller.
//!
//! [`Guard`] turns a bearer token and a peer address into a [`Caller`], or refuses. It fails closed: when a backend does not
//! answer, no token is accepted. [`Caller`] is the only source of an agent's and an organization's id; ids in a request are
//! never trusted. Tokens are made in [`token`] and stored as hashes only.

mod caller;
mod grants;
mod guard;
mod last_used;
mod lockout;
mod metrics;
pub mod token;

pub use butt_dial_store::Origin;
pub use caller::{Caller, find_visible_agent, find_visible_id, on_behalf_of, wrong_scope};
pub use guard::Guard;
pub use metrics::Metrics;
