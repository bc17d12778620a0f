//! Carriers' callbacks about calls, on any replica. Each callback carries a report, which becomes durable in the inbound
//! stream, and gets a script as its response. If a person on the line waits for the response, the report is published in
//! parallel (`durable_publish.rs`); otherwise before it.

mod callback;
mod durable_publish;
mod handlers;
mod inbound_call;
mod missing_state;
mod receive;
mod recorded;

pub use callback::CallbackKind;
