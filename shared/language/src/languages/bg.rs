//! Bulgarian.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "bg",
    acknowledgements: &[
        "да",
        "добре",
        "ок",
        "окей",
        "ясно",
        "разбирам",
        "точно",
        "аха",
        "разбира се",
        "чудесно",
        "благодаря",
    ],
    sounds: &["ъъ", "хм", "ами", "еми", "ъм"],
    ..Language::NONE
};
