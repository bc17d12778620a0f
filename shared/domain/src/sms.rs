//! The number of segments of an SMS: 160 septets of GSM 03.38 or 70 units of UCS-2 in one segment, 153 or 67 per segment
//! of several (3GPP TS 23.038, 23.040).

const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Characters of the extension table. Each takes two septets, because of its escape.
const EXTENDED: &str = "^{}\\[~]|€\u{c}";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Gsm7,
    Ucs2,
}

/// Returns the encoding and the number of segments. An empty text takes one segment.
pub fn segments(text: &str) -> (Encoding, u32) {
    match septets(text) {
        Some(units) => (Encoding::Gsm7, split(units, 160, 153)),
        None => (Encoding::Ucs2, split(text.encode_utf16().count(), 70, 67)),
    }
}

fn septets(text: &str) -> Option<usize> {
    text.chars().try_fold(0, |sum, c| {
        if c.is_ascii_alphanumeric() || c == ' ' || BASIC.contains(c) {
            Some(sum + 1)
        } else if EXTENDED.contains(c) {
            Some(sum + 2)
        } else {
            None
        }
    })
}

fn split(units: usize, single: usize, part: usize) -> u32 {
    let count = if units <= single { 1 } else { units.div_ceil(part) };
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_segments_of_both_encodings() {
        assert_eq!(segments(""), (Encoding::Gsm7, 1));
        assert_eq!(segments(&"a".repeat(160)), (Encoding::Gsm7, 1));
        assert_eq!(segments(&"a".repeat(161)), (Encoding::Gsm7, 2));
        assert_eq!(segments(&"€".repeat(80)), (Encoding::Gsm7, 1));
        assert_eq!(segments(&"€".repeat(81)), (Encoding::Gsm7, 2));
        assert_eq!(segments(&"ж".repeat(70)), (Encoding::Ucs2, 1));
        assert_eq!(segments(&"ж".repeat(71)), (Encoding::Ucs2, 2));
        assert_eq!(segments("👍"), (Encoding::Ucs2, 1));
    }
}
