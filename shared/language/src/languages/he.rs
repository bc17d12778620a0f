//! Hebrew.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "he",
    acknowledgements: &[
        "כן",
        "אוקיי",
        "אוקי",
        "בסדר",
        "טוב",
        "נכון",
        "הבנתי",
        "בטח",
        "ברור",
        "אהה",
        "אהא",
        "מצוין",
        "בדיוק",
        "תודה",
    ],
    sounds: &["אממ", "אה", "אמ", "המממ", "נו"],
    ..Language::NONE
};
