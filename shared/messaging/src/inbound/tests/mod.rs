//! From a webhook event to an agent's log, on a real database and a scripted bus.

mod blocked;
mod dead_letter;
mod follow_ups;
mod partitions;
mod routes;
mod takeovers;

use butt_dial_domain::{
    Address, Channel,
    inbound::InboundMessage,
    ports::bus::{Headers, LogEntry, Message},
    subjects,
};

use super::apply::Applier;
use crate::testing::{Bench, PHONE};

const CONTACT: &str = "+14155550123";

fn text_message(bench: &Bench, id: &str, body: &str) -> InboundMessage {
    let from = Address::parse(Channel::Sms, CONTACT).unwrap();
    let mut message = InboundMessage::new(id, Channel::Sms, &from, &bench.phone());
    message.body = Some(body.to_owned());
    message
}

fn log_entry(sequence: u64, payload: Vec<u8>) -> LogEntry {
    LogEntry {
        sequence,
        id: format!("append-{sequence}"),
        message: Message {
            subject: subjects::INBOUND.into(),
            headers: Headers::from([("traceparent".into(), "00-1-2-3".into())]),
            payload: payload.into(),
            reply_to: None,
        },
    }
}

fn applier(bench: &Bench) -> Applier {
    Applier::new(bench.inbound.clone())
}
