//! Arabic.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "ar",
    acknowledgements: &[
        "نعم",
        "أيوه",
        "ايوه",
        "أيوا",
        "اه",
        "آه",
        "طيب",
        "تمام",
        "ماشي",
        "حسنا",
        "حسنًا",
        "أكيد",
        "صحيح",
        "فهمت",
        "مفهوم",
        "أوكي",
        "اوكي",
        "شكرا",
    ],
    sounds: &["امم", "اممم", "اه", "آه", "يعني", "همم"],
    ..Language::NONE
};
