//! Hindi.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "hi",
    acknowledgements: &[
        "हाँ",
        "हां",
        "जी",
        "जी हाँ",
        "जी हां",
        "हाँ जी",
        "हां जी",
        "ठीक है",
        "ठीक",
        "अच्छा",
        "सही",
        "सही है",
        "समझ गया",
        "समझ गई",
        "बिल्कुल",
        "ओके",
        "धन्यवाद",
        "haan",
        "accha",
        "theek hai",
        "ji",
    ],
    sounds: &["अं", "हम्म", "उम", "ओह", "उह"],
    ..Language::NONE
};
