//! Romanian.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "ro",
    acknowledgements: &[
        "da",
        "bine",
        "ok",
        "okay",
        "sigur",
        "exact",
        "corect",
        "înțeleg",
        "inteleg",
        "am înțeles",
        "așa este",
        "aha",
        "desigur",
        "perfect",
        "mulțumesc",
    ],
    sounds: &["ăă", "îî", "hm", "ăăă", "eh", "păi"],
    ..Language::NONE
};
