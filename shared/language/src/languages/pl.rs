//! Polish.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "pl",
    acknowledgements: &[
        "tak",
        "no",
        "no tak",
        "aha",
        "dobrze",
        "dobra",
        "okej",
        "ok",
        "okay",
        "jasne",
        "rozumiem",
        "zgadza się",
        "dokładnie",
        "właśnie",
        "oczywiście",
        "świetnie",
        "super",
        "dziękuję",
        "mhm",
    ],
    sounds: &["yyy", "eee", "hm", "ee", "yy", "ech"],
    months: &[
        "stycznia",
        "lutego",
        "marca",
        "kwietnia",
        "maja",
        "czerwca",
        "lipca",
        "sierpnia",
        "września",
        "października",
        "listopada",
        "grudnia",
    ],
};
