//! Malay.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "ms",
    acknowledgements: &[
        "ya",
        "ok",
        "okey",
        "baik",
        "baiklah",
        "betul",
        "sudah tentu",
        "faham",
        "terima kasih",
    ],
    sounds: &["eh", "hm", "ermm"],
    ..Language::NONE
};
