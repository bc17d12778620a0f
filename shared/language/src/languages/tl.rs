//! Tagalog.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "tl",
    acknowledgements: &[
        "oo",
        "opo",
        "oho",
        "sige",
        "okay",
        "ok",
        "tama",
        "oo nga",
        "naiintindihan ko",
        "ganun ba",
        "salamat",
    ],
    sounds: &["eh", "hm", "ah"],
    ..Language::NONE
};
