//! Indonesian.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "id",
    acknowledgements: &[
        "ya",
        "iya",
        "iya iya",
        "oke",
        "ok",
        "baik",
        "baiklah",
        "betul",
        "benar",
        "tentu",
        "mengerti",
        "paham",
        "siap",
        "terima kasih",
    ],
    sounds: &["eh", "hm"],
    ..Language::NONE
};
