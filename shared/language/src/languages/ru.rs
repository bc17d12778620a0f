//! Russian.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "ru",
    acknowledgements: &[
        "да",
        "да да",
        "ага",
        "угу",
        "хорошо",
        "ладно",
        "понятно",
        "ясно",
        "окей",
        "ок",
        "так",
        "верно",
        "точно",
        "конечно",
        "понял",
        "поняла",
        "правильно",
        "отлично",
        "спасибо",
    ],
    sounds: &["э", "эм", "эээ", "хм", "мм", "ну", "ээ"],
    ..Language::NONE
};
