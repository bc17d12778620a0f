//! Bengali.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "bn",
    acknowledgements: &[
        "হ্যাঁ",
        "হ্যা",
        "জি",
        "ঠিক আছে",
        "ঠিক",
        "আচ্ছা",
        "বুঝেছি",
        "অবশ্যই",
        "ওকে",
        "ধন্যবাদ",
    ],
    sounds: &["উম", "হুম", "আঃ"],
    ..Language::NONE
};
