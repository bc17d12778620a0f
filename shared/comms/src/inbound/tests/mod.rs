//! What happens between a carrier's webhook and an agent's log, on a real database and with a bus that does as it is told.

mod aside;
pub(crate) mod bench;
mod blocked;
mod follow_ups;
mod routes;

use butt_dial_domain::{
    Address, Channel,
    inbound::InboundMessage,
    ports::bus::{Headers, Logged, Message},
    subjects,
};

use super::record::Recorder;
use bench::Bench;

const PERSON: &str = "+14155550123";

fn says(bench: &Bench, id: &str, body: &str) -> InboundMessage {
    let from = Address::parse(Channel::Sms, PERSON).unwrap();
    let mut message = InboundMessage::new(id, Channel::Sms, &from, &bench.phone());
    message.body = Some(body.to_owned());
    message
}

fn logged(sequence: u64, payload: Vec<u8>) -> Logged {
    Logged {
        sequence,
        message: Message {
            subject: subjects::INBOUND.into(),
            headers: Headers::from([("traceparent".into(), "00-1-2-3".into())]),
            payload: payload.into(),
            reply_to: None,
        },
    }
}

fn recorder(bench: &Bench) -> Recorder {
    Recorder::new(bench.comms.clone())
}
