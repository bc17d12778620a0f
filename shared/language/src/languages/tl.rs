//! Tagalog.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "tl",
    // "Tama na" ("enough") is an answer.
    stop: &[
        "itigil|tigil|tumigil|tigilan|ihinto|huminto|stop|itigil_na",
        "itigil|tigilan|ihinto mo|nyo|ninyo [na] [ang] [pagtext|pag_text|mga_mensahe|pagtawag]",
        "huwag|wag mo|nyo|ninyo na [akong|ako|niyo] itext|i_text|tawagan|kontakin|padalhan",
        "alisin|tanggalin mo|nyo|ninyo ako|na_ako [sa_listahan]",
        "ayaw ko na ng text|mensahe",
    ],
    stop_alone: &[],
    start: &["simulan", "magsimula"],
    help: &["tulong"],
    polite: &["pakiusap", "po", "salamat", "maraming salamat", "ngayon", "pls", "na"],
    closings: &["salamat"],
    signatures: &["ipinadala mula", "ipinadala gamit"],
    wrote: &["sumulat"],
    acknowledgements: &[
        "oo",
        "opo",
        "oho",
        "sige",
        "okay",
        "ok",
        "tama",
        "oo nga",
        "naiintindihan ko",
        "ganun ba",
        "salamat",
    ],
    sounds: &["eh", "hm", "ah"],
    ..Language::NONE
};
