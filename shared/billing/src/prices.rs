//! Price estimates, in millionths of a US dollar: the amount that is reserved before a send. The carrier's price corrects them
//! where it reports one. They are upper bounds of list prices (autumn 2026, not re-checked); they protect budgets and are no
//! invoice.

use butt_dial_domain::{
    Address, Channel, Destination, Micros, call::Purpose, destination::is_caribbean, message::Content, sms,
};

/// Per segment, by the prefix of the number.
const SMS: &[(&str, i64)] = &[
    ("+1", 8_300),
    ("+44", 52_000),
    ("+49", 112_000),
    ("+33", 80_000),
    ("+91", 84_000),
];
const OTHER_SMS: i64 = 150_000;
const MMS: i64 = 22_000;
const WHATSAPP: i64 = 5_000;
const WHATSAPP_TEMPLATE: i64 = 40_000;
const EMAIL: i64 = 900;
/// Per message beyond the free ones of a paid plan.
const LINE: i64 = 3_000;

/// Per started minute, by the prefix of the number.
const MINUTE: &[(&str, i64)] = &[("+1", 14_000), ("+44", 35_000), ("+49", 52_000)];
const OTHER_MINUTE: i64 = 150_000;
/// Numbers of +1 outside of the United States and Canada.
const CARIBBEAN_MINUTE: i64 = 300_000;
/// Only where the operator allows such destinations.
const SATELLITE_MINUTE: i64 = 12_000_000;
const PREMIUM_MINUTE: i64 = 5_000_000;
/// Per 1,000 started characters of synthesized speech.
const SPEECH: i64 = 300_000;
/// Per started minute of a transcribed recording.
const TRANSCRIPTION_MINUTE: i64 = 7_000;
/// Per minute, for speech recognition and synthesis by the carrier.
const CONVERSATION_MINUTE: i64 = 70_000;

/// Estimates the price of a message, or of the first minute of a call.
pub fn estimate(channel: Channel, to: &Address, content: &Content) -> Micros {
    Micros(match channel {
        Channel::Email => EMAIL,
        Channel::Line => LINE,
        Channel::Voice => minute(to).0 + second_leg(content).0,
        Channel::Whatsapp if content.template.is_some() => WHATSAPP_TEMPLATE,
        Channel::Whatsapp => WHATSAPP,
        Channel::Sms if !content.media.is_empty() => MMS,
        Channel::Sms => {
            let (_, segments) = sms::segments(content.body.as_deref().unwrap_or_default());
            per_segment(to.as_str()).saturating_mul(i64::from(segments))
        }
    })
}

/// Returns the price of a text that the carrier has divided into this many segments. `None`: the message is not charged by
/// segments.
pub fn text_of_segments(channel: Channel, to: &Address, content: &Content, segments: u32) -> Option<Micros> {
    let is_text = channel == Channel::Sms && content.media.is_empty();
    is_text.then(|| Micros(per_segment(to.as_str()).saturating_mul(i64::from(segments))))
}

/// Price of one minute of a conversation with this number.
pub fn minute(to: &Address) -> Micros {
    Micros(leg_minute(to).0 + CONVERSATION_MINUTE)
}

/// Price of one minute of a call leg to this number, without speech recognition and synthesis.
pub fn leg_minute(to: &Address) -> Micros {
    Micros(match Destination::of(to) {
        Destination::Satellite => SATELLITE_MINUTE,
        Destination::Premium => PREMIUM_MINUTE,
        Destination::Ordinary if is_caribbean(to.as_str()) => CARIBBEAN_MINUTE,
        Destination::Ordinary => {
            let line = MINUTE.iter().find(|(prefix, _)| to.as_str().starts_with(prefix));
            line.map_or(OTHER_MINUTE, |(_, price)| *price)
        }
    })
}

/// Price of synthesizing a text of this many characters.
pub fn speech(characters: usize) -> Micros {
    let thousands = i64::try_from(characters.div_ceil(1_000)).unwrap_or(i64::MAX);
    Micros(SPEECH.saturating_mul(thousands))
}

/// Price of transcribing a recording of this many bytes. Speech has at least two kilobytes per second.
pub fn transcription(bytes: usize) -> Micros {
    let minutes = i64::try_from(bytes.div_ceil(120_000)).unwrap_or(i64::MAX);
    Micros(TRANSCRIPTION_MINUTE.saturating_mul(minutes.max(1)))
}

/// A call that connects the callee to a third party has a second leg.
fn second_leg(content: &Content) -> Micros {
    match content.call.as_ref().map(|call| &call.plan.purpose) {
        Some(Purpose::Connect { to }) => Address::parse(Channel::Voice, to).map_or(Micros::ZERO, |to| leg_minute(&to)),
        _ => Micros::ZERO,
    }
}

fn per_segment(number: &str) -> i64 {
    if is_caribbean(number) {
        return OTHER_SMS;
    }
    SMS.iter()
        .find(|(prefix, _)| number.starts_with(prefix))
        .map_or(OTHER_SMS, |(_, price)| *price)
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::call::{CallOptions, Plan};

    use super::*;

    fn text(body: &str) -> Content {
        Content {
            body: Some(body.into()),
            ..Content::default()
        }
    }

    #[test]
    fn charges_two_legs_for_connecting_call() {
        let plan = |purpose| Plan {
            purpose,
            ..Plan::default()
        };
        let call = |purpose| Content {
            call: Some(CallOptions {
                ring_seconds: 30,
                limit_seconds: 60,
                detects_machine: false,
                digits: None,
                plan: plan(purpose),
            }),
            ..Content::default()
        };
        let us = Address::Phone("+14155550123".into());
        let to = "+4917612345678".into();
        assert_eq!(estimate(Channel::Voice, &us, &call(Purpose::Converse)), Micros(84_000));
        assert_eq!(
            estimate(Channel::Voice, &us, &call(Purpose::Connect { to })),
            Micros(136_000)
        );
    }

    #[test]
    fn charges_more_for_international_and_special_numbers() {
        let minute = |number: &str| leg_minute(&Address::Phone(number.into()));
        let domestic = minute("+14155550123");
        for dearer in ["+18765551234", "+18095551234", "+881612345678", "+19005550123"] {
            assert!(minute(dearer) > domestic, "{dearer}");
        }
        assert_eq!(
            [1, 120_000, 120_001].map(transcription),
            [TRANSCRIPTION_MINUTE, TRANSCRIPTION_MINUTE, 2 * TRANSCRIPTION_MINUTE].map(Micros)
        );
        assert_eq!(
            (speech(1), speech(1_000), speech(1_001)),
            (Micros(SPEECH), Micros(SPEECH), Micros(2 * SPEECH))
        );
    }

    #[test]
    fn charges_as_many_segments_as_the_carrier_counts() {
        let us = Address::Phone("+14155550123".into());
        let price = |channel, content| text_of_segments(channel, &us, &content, 3);
        assert_eq!(price(Channel::Sms, text("hi")), Some(Micros(24_900)));
        assert_eq!(price(Channel::Whatsapp, text("hi")), None);
        let picture = Content {
            media: vec!["https://example.com/a.png".into()],
            ..text("hi")
        };
        assert_eq!(price(Channel::Sms, picture), None);
    }

    #[test]
    fn charges_sms_by_segment_and_country() {
        let us = Address::Phone("+14155550123".into());
        assert_eq!(estimate(Channel::Sms, &us, &text("hi")), Micros(8_300));
        assert_eq!(estimate(Channel::Sms, &us, &text(&"a".repeat(161))), Micros(16_600));
        assert_eq!(
            estimate(Channel::Sms, &Address::Phone("+4917612345678".into()), &text("hi")),
            Micros(112_000)
        );
    }
}
