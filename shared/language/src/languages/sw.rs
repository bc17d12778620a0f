//! Swahili.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "sw",
    acknowledgements: &[
        "ndiyo",
        "ndio",
        "sawa",
        "sawa sawa",
        "naam",
        "haya",
        "nimeelewa",
        "kweli",
        "asante",
    ],
    sounds: &["eh", "mh", "aa"],
    ..Language::NONE
};
