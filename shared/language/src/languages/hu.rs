//! Hungarian.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "hu",
    acknowledgements: &[
        "igen",
        "ja",
        "oké",
        "ok",
        "jó",
        "jól van",
        "rendben",
        "értem",
        "persze",
        "pontosan",
        "így van",
        "aha",
        "ühüm",
        "köszönöm",
    ],
    sounds: &["öö", "ööö", "hm", "izé", "ő"],
    months: &[
        "január",
        "február",
        "március",
        "április",
        "május",
        "június",
        "július",
        "augusztus",
        "szeptember",
        "október",
        "november",
        "december",
    ],
};
