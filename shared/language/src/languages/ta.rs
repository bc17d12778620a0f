//! Tamil.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "ta",
    acknowledgements: &[
        "ஆமா",
        "ஆமாம்",
        "ஆம்",
        "சரி",
        "சரிங்க",
        "புரிகிறது",
        "புரிந்தது",
        "ஓகே",
        "நன்றி",
    ],
    sounds: &["ம்", "ஹ்ம்", "உம்"],
    ..Language::NONE
};
