//! Fuzz targets for the parsers of texts that strangers write: keywords, revocations and instructions in messages, addresses, contact
//! cards, and texts that are spoken or divided. Reading must not panic, must be fast, and must keep what the parser promises.

use butt_dial_domain::{Address, Channel, rich, text};
use butt_dial_language::{
    SpeechOptions, SpeechStream, SpokenForms, divide, has_card_number, instruction, is_acknowledgement, keyword, mail_keyword,
    mail_revocation, mentions_card_data, objects_to_recording, revocation, speakable, split_for_speech,
};

const CHANNELS: [Channel; 5] = [Channel::Sms, Channel::Voice, Channel::Whatsapp, Channel::Email, Channel::Line];

/// Reads a message, and divides it as a text that is too long. The first line is the subject of a mail.
pub fn read_message(input: &str) {
    let (subject, body) = input.split_once('\n').unwrap_or(("", input));
    assert_eq!(keyword(input), keyword(input));
    let _ = (mail_keyword(subject, body), mail_revocation(subject, body), revocation(input));
    let _ = (instruction::find(input), is_acknowledgement(input, "en"));
    let _ = (has_card_number(input), mentions_card_data(input), objects_to_recording(input));
    let clean = text::clean(input);
    assert_eq!(text::clean(&clean), clean, "a clean text is clean");
    let parts = divide(input, |part| part.len() <= 300);
    let without_blanks = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    assert_eq!(without_blanks(&parts.concat()), without_blanks(input), "only blanks are lost");
}

/// Makes a text speakable, as a whole and in two parts. The first two bytes say where it is divided.
pub fn speak(input: &[u8]) {
    let Some((head, rest)) = input.split_first_chunk::<2>() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    let options = SpeechOptions {
        spoken_forms: SpokenForms::Off,
        ..SpeechOptions::new(if head[1] & 1 == 0 { "en" } else { "de" })
    };
    let whole = speakable(text, &options);
    let mut at = usize::from(u16::from_be_bytes(*head)) % (text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let mut stream = SpeechStream::new(&options);
    let mut divided = stream.push(&text[..at]);
    divided.push_str(&stream.push(&text[at..]));
    divided.push_str(&stream.finish());
    // Reasoning that ends and has not begun can't be withdrawn.
    if !text.to_lowercase().contains("think") {
        assert_eq!(divided, whole, "divided at {at}");
    }
    for piece in split_for_speech(&whole, 200) {
        assert!(!piece.is_empty() && piece == piece.trim());
    }
}

/// Parses an address. The normal form of an address is that of its normal form.
pub fn parse_address(input: &str) {
    for channel in CHANNELS {
        let parsed = [
            Address::parse(channel, input),
            Address::parse_reply(channel, input),
            Address::parse_sender(channel, input),
        ];
        for address in parsed.into_iter().flatten() {
            let _ = (address.masked(), address.contact_key());
            let again = Address::parse_sender(channel, address.as_str()).or_else(|_| Address::parse_reply(channel, address.as_str()));
            assert_eq!(again.as_ref().map(Address::as_str), Ok(address.as_str()), "{channel:?}");
        }
        let _ = Address::known(channel, input).contact_key();
    }
    let _ = rich::parse_vcard(input);
}
