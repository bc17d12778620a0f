//! Danish.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "da",
    acknowledgements: &[
        "ja",
        "jo",
        "okay",
        "ok",
        "præcis",
        "nemlig",
        "javel",
        "fint",
        "godt",
        "klart",
        "selvfølgelig",
        "jeg forstår",
        "aha",
        "tak",
    ],
    sounds: &["øh", "øhm", "eh", "hm", "æh"],
    months: &[
        "januar",
        "februar",
        "marts",
        "april",
        "maj",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "december",
    ],
};
