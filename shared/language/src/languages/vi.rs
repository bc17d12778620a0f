//! Vietnamese.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "vi",
    // Without its accent "dừng" could be "đúng" ("correct"), so these accents are not optional.
    stop: &[
        "=dừng|=dừng_lại|=ngừng|hủy_đăng_ký|huỷ_đăng_ký|=ngưng",
        "=dừng|=ngừng|=ngưng gửi|nhắn|gọi [tin|tin_nhắn|cho_tôi]",
        "đừng gửi|nhắn|gọi [tin|tin_nhắn] [cho_tôi] [nữa]",
        "không nhận tin|tin_nhắn [nữa]",
        "tôi muốn hủy|huỷ đăng_ký",
        "từ chối nhận tin",
    ],
    stop_alone: &[],
    start: &["=bắt_đầu", "đăng ký lại"],
    help: &["trợ_giúp|giúp_đỡ"],
    polite: &[
        "xin",
        "xin vui lòng",
        "vui lòng",
        "làm ơn",
        "cảm ơn",
        "xin cảm ơn",
        "ngay",
        "ngay lập tức",
        "xin chào",
        "nhầm số",
    ],
    closings: &["cảm ơn", "trân trọng"],
    signatures: &["được gửi từ", "gửi từ", "đã gửi từ", "tải outlook", "lấy outlook"],
    wrote: &["đã viết"],
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
