//! Slovak.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "sk",
    acknowledgements: &[
        "áno",
        "hej",
        "jasné",
        "dobre",
        "ok",
        "okej",
        "rozumiem",
        "presne",
        "aha",
        "určite",
        "samozrejme",
        "v poriadku",
        "ďakujem",
    ],
    sounds: &["ehm", "hm", "eee"],
    months: &[
        "januára",
        "februára",
        "marca",
        "apríla",
        "mája",
        "júna",
        "júla",
        "augusta",
        "septembra",
        "októbra",
        "novembra",
        "decembra",
    ],
};
