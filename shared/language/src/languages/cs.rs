//! Czech.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "cs",
    acknowledgements: &[
        "ano",
        "jo",
        "jasně",
        "dobře",
        "dobrá",
        "ok",
        "okej",
        "rozumím",
        "přesně",
        "aha",
        "fajn",
        "určitě",
        "samozřejmě",
        "v pořádku",
        "děkuji",
    ],
    sounds: &["ehm", "hm", "eee", "mno"],
    months: &[
        "ledna",
        "února",
        "března",
        "dubna",
        "května",
        "června",
        "července",
        "srpna",
        "září",
        "října",
        "listopadu",
        "prosince",
    ],
};
