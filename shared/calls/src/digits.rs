//! Keys that an agent presses: during a conversation, and when the callee of a transfer answers. Keys can be secrets, so no
//! log contains them.

use butt_dial_domain::{AgentId, CallId, Channel, Code, Failure};

use super::{
    commands::{self, CallCommand, CompletedCommand},
    handle::Calls,
    state::AfterSession,
};

const MAX_DIGITS: usize = butt_dial_domain::bounds::KEYS;
/// Half a second of silence.
const PAUSE: char = 'w';
/// The same pause, as modems write it.
const COMMA: char = ',';

/// Checks keys, and removes the characters that only make them readable.
pub fn parse_digits(text: &str) -> Result<String, Failure> {
    let invalid = |message: String| {
        Failure::new(Code::InvalidArgument, message)
            .on(Channel::Voice)
            .hint("give keys such as 1 or 4711#; w is a pause of half a second")
    };
    let mut digits = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' | '*' | '#' => digits.push(c),
            PAUSE | 'W' | COMMA => digits.push(PAUSE),
            ' ' | '-' | '.' | '(' | ')' => {}
            _ => return Err(invalid("digits has a character that is no key of a phone".to_owned())),
        }
    }
    match digits.len() {
        0 => Err(invalid("digits has no key".to_owned())),
        1..=MAX_DIGITS => Ok(digits),
        _ => Err(invalid(format!("digits has at most {MAX_DIGITS} keys"))),
    }
}

/// Presses keys in a conversation, after the speech that is queued before them.
pub async fn send_digits(
    calls: &Calls,
    agent: &AgentId,
    call: &CallId,
    digits: &str,
    key: Option<String>,
) -> Result<CompletedCommand, Failure> {
    let digits = parse_digits(digits)?;
    let state = commands::find_owned_call(calls, agent, call).await?;
    let is_transferred = matches!(state.after_session, AfterSession::Transfer { .. });
    if state.is_live() && state.is_session_closed_by_us && is_transferred {
        return Err(Failure::new(
            Code::NotSupported,
            "the call is connected with another number, where the carrier presses no keys",
        )
        .on(Channel::Voice)
        .hint("give digits to comms_transfer_call: they are pressed when the other number answers"));
    }
    commands::send(calls, agent, call, CallCommand::Digits { digits, key }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_keys_and_pauses_in_any_notation() {
        for (text, expected) in [
            ("1", "1"),
            ("4711#", "4711#"),
            ("*69 w, 1-2", "*69ww12"),
            ("(415) 555.0123", "4155550123"),
        ] {
            assert_eq!(parse_digits(text).as_deref(), Ok(expected));
        }
        for invalid in ["", " ", "-", "12x", "+1", "１", "\u{0}", &"1".repeat(MAX_DIGITS + 1)] {
            let failure = parse_digits(invalid).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument, "{invalid}");
        }
    }
}
