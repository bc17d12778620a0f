//! Turkish.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "tr",
    acknowledgements: &[
        "evet",
        "tamam",
        "peki",
        "olur",
        "tabii",
        "tabi",
        "anladım",
        "doğru",
        "aynen",
        "hı hı",
        "hıhı",
        "ok",
        "okey",
        "güzel",
        "iyi",
        "elbette",
        "kesinlikle",
        "teşekkürler",
    ],
    sounds: &["ııı", "eee", "şey", "hmm", "ah", "ee"],
    months: &[
        "ocak", "şubat", "mart", "nisan", "mayıs", "haziran", "temmuz", "ağustos", "eylül", "ekim", "kasım", "aralık",
    ],
};
