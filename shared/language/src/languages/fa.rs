//! Persian.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "fa",
    acknowledgements: &[
        "بله",
        "آره",
        "باشه",
        "خوب",
        "خب",
        "درسته",
        "اوکی",
        "فهمیدم",
        "حتما",
        "دقیقا",
        "آها",
        "ممنون",
    ],
    sounds: &["ام", "اوم", "اه", "هوم"],
    ..Language::NONE
};
