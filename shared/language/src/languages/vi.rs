//! Vietnamese.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "vi",
    acknowledgements: &[
        "vâng",
        "dạ",
        "ừ",
        "ờ",
        "đúng",
        "đúng rồi",
        "được",
        "ok",
        "okay",
        "tôi hiểu",
        "hiểu rồi",
        "tốt",
        "tất nhiên",
        "cảm ơn",
    ],
    sounds: &["ừm", "à", "ờm", "hm"],
    ..Language::NONE
};
