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
    // An escape and its character, and the two halves of a surrogate pair, stay in one segment.
    match text.chars().map(septets).collect::<Option<Vec<_>>>() {
        Some(sizes) => (Encoding::Gsm7, split(sizes, 160, 153)),
        None => (Encoding::Ucs2, split(text.chars().map(char::len_utf16), 70, 67)),
    }
}

/// Returns the septets of a character. `None`: GSM 03.38 does not have it.
fn septets(c: char) -> Option<usize> {
    if c.is_ascii_alphanumeric() || c == ' ' || BASIC.contains(c) {
        Some(1)
    } else if EXTENDED.contains(c) {
        Some(2)
    } else {
        None
    }
}

/// Fills the segments with characters of these sizes, none of which is divided.
fn split(sizes: impl IntoIterator<Item = usize>, single: usize, part: usize) -> u32 {
    let (mut total, mut count, mut used) = (0, 1, 0);
    for size in sizes {
        total += size;
        if used + size > part {
            count += 1;
            used = 0;
        }
        used += size;
    }
    if total <= single { 1 } else { count }
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
        assert_eq!(segments(&"a".repeat(306)), (Encoding::Gsm7, 2));
        assert_eq!(segments(&"a".repeat(307)), (Encoding::Gsm7, 3));
    }

    #[test]
    fn divides_no_character_between_segments() {
        let text = |before: &str, middle: &str, count| format!("{0}{middle}{0}", before.repeat(count));
        assert_eq!(segments(&text("a", "€", 152)), (Encoding::Gsm7, 3));
        assert_eq!(segments(&text("a", "€", 151)), (Encoding::Gsm7, 2));
        assert_eq!(segments(&text("ж", "👍", 66)), (Encoding::Ucs2, 3));
        assert_eq!(segments(&text("ж", "👍", 65)), (Encoding::Ucs2, 2));
        assert_eq!(segments(&"👍".repeat(35)), (Encoding::Ucs2, 1));
        assert_eq!(segments(&"👍".repeat(66)), (Encoding::Ucs2, 2));
        assert_eq!(segments(&"👍".repeat(67)), (Encoding::Ucs2, 3));
    }
}
