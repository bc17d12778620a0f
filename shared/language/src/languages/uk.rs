//! Ukrainian.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "uk",
    acknowledgements: &[
        "так",
        "ага",
        "угу",
        "добре",
        "гаразд",
        "зрозуміло",
        "ясно",
        "окей",
        "ок",
        "точно",
        "звичайно",
        "звісно",
        "зрозумів",
        "зрозуміла",
        "правильно",
        "дякую",
    ],
    sounds: &["е", "ем", "хм", "мм", "ну", "еее"],
    ..Language::NONE
};
