//! The events, calls and resources that a restricted token receives besides the results of its tools. They are granted with the
//! tools that return the same.

use butt_dial_domain::{Code, Failure};
use butt_dial_identity::Caller;
use butt_dial_sessions::Reach;

/// Each takes waiting events, so one of them is needed to receive events on a stream.
const RECEIVING: [&str; 3] = [
    "comms_wait_events",
    "comms_get_waiting_messages",
    "comms_subscribe_inbound",
];
const LISTING: &str = "comms_list_events";
const WAITING: &str = "comms_wait_events";
const ATTENDING: &str = "comms_attend_call";

/// Returns what is pushed to the streams of a caller.
pub fn reach(caller: &Caller) -> Reach {
    Reach {
        no_events: !RECEIVING.iter().any(|tool| caller.may_use(tool, false)),
        no_calls: !caller.may_use(ATTENDING, false) || !caller.may_take_any_call(),
    }
}

/// Returns whether the token may read events without taking them.
pub fn may_read_events(caller: &Caller) -> bool {
    caller.may_use(WAITING, false) || caller.may_use(LISTING, true)
}

/// Fails unless the token may read events without taking them.
pub fn require_events(caller: &Caller) -> Result<(), Failure> {
    match may_read_events(caller) {
        true => Ok(()),
        false => caller.require_tool(LISTING, true),
    }
}

/// Fails unless the token may receive the turns of any call.
pub fn require_calls(caller: &Caller) -> Result<(), Failure> {
    caller.require_tool(ATTENDING, false)?;
    require_any_call(caller)
}

/// Fails unless the token may talk with every person that calls.
pub fn require_any_call(caller: &Caller) -> Result<(), Failure> {
    match caller.may_take_any_call() {
        true => Ok(()),
        false => Err(Failure::new(
            Code::AuthForbidden,
            "this token is not granted every person that may call",
        )
        .hint("give the callId of a call with a person that it is granted")),
    }
}
