//! Thai.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "th",
    acknowledgements: &[
        "ใช่",
        "ครับ",
        "ค่ะ",
        "คะ",
        "ใช่ครับ",
        "ใช่ค่ะ",
        "โอเค",
        "ได้",
        "ได้ครับ",
        "ได้ค่ะ",
        "เข้าใจแล้ว",
        "ตกลง",
        "อืม",
        "ขอบคุณ",
    ],
    sounds: &["เอ่อ", "อืม", "อ่า", "เอ่ออ"],
    ..Language::NONE
};
