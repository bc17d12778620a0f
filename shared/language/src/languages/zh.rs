//! Chinese.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "zh",
    acknowledgements: &[
        "嗯",
        "嗯嗯",
        "是",
        "是的",
        "对",
        "對",
        "对的",
        "對的",
        "好",
        "好的",
        "好啊",
        "行",
        "可以",
        "明白",
        "知道了",
        "了解",
        "没错",
        "沒錯",
        "当然",
        "當然",
        "噢",
        "哦",
        "喔",
        "谢谢",
        "謝謝",
        "对对对",
        "好好好",
    ],
    sounds: &["呃", "嗯", "啊", "唔", "额", "呵"],
    ..Language::NONE
};
