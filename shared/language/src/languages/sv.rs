//! Swedish.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "sv",
    acknowledgements: &[
        "ja",
        "jaha",
        "japp",
        "jo",
        "okej",
        "ok",
        "okay",
        "precis",
        "just det",
        "visst",
        "bra",
        "absolut",
        "jag förstår",
        "förstår",
        "aha",
        "mm",
        "klart",
        "såklart",
        "tack",
    ],
    sounds: &["öh", "eh", "ehm", "hm", "äh", "asså"],
    months: &[
        "januari",
        "februari",
        "mars",
        "april",
        "maj",
        "juni",
        "juli",
        "augusti",
        "september",
        "oktober",
        "november",
        "december",
    ],
};
