//! Norwegian.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "nb",
    acknowledgements: &[
        "ja",
        "jo",
        "ok",
        "okei",
        "okay",
        "akkurat",
        "nettopp",
        "greit",
        "fint",
        "bra",
        "klart",
        "selvfølgelig",
        "skjønner",
        "jeg skjønner",
        "aha",
        "takk",
    ],
    sounds: &["øh", "eh", "hm", "æh", "øhm"],
    months: &[
        "januar",
        "februar",
        "mars",
        "april",
        "mai",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "desember",
    ],
};
