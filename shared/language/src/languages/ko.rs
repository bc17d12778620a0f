//! Korean.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "ko",
    acknowledgements: &[
        "네",
        "예",
        "응",
        "어",
        "음",
        "그래",
        "그래요",
        "네네",
        "맞아요",
        "맞습니다",
        "그렇군요",
        "알겠습니다",
        "알겠어요",
        "좋아요",
        "오케이",
        "물론이죠",
        "당연하죠",
        "아 네",
        "감사합니다",
    ],
    sounds: &["음", "어", "아"],
    ..Language::NONE
};
