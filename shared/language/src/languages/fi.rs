//! Finnish.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "fi",
    acknowledgements: &[
        "joo",
        "juu",
        "kyllä",
        "niin",
        "okei",
        "ok",
        "selvä",
        "aivan",
        "hyvä",
        "totta",
        "ymmärrän",
        "aha",
        "kiitos",
    ],
    sounds: &["öö", "ööh", "hm", "äh", "eh"],
    months: &[
        "tammikuuta",
        "helmikuuta",
        "maaliskuuta",
        "huhtikuuta",
        "toukokuuta",
        "kesäkuuta",
        "heinäkuuta",
        "elokuuta",
        "syyskuuta",
        "lokakuuta",
        "marraskuuta",
        "joulukuuta",
    ],
};
