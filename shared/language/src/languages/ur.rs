//! Urdu.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "ur",
    acknowledgements: &[
        "جی",
        "جی ہاں",
        "ہاں",
        "ٹھیک ہے",
        "ٹھیک",
        "اچھا",
        "صحیح",
        "سمجھ گیا",
        "بالکل",
        "شکریہ",
    ],
    sounds: &["ام", "ہمم", "اوہ"],
    ..Language::NONE
};
