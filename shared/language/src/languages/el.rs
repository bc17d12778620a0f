//! Greek.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "el",
    acknowledgements: &[
        "ναι",
        "ναι ναι",
        "εντάξει",
        "οκ",
        "οκέι",
        "ωραία",
        "καλά",
        "σωστά",
        "κατάλαβα",
        "ακριβώς",
        "βέβαια",
        "φυσικά",
        "μάλιστα",
        "αχά",
        "ευχαριστώ",
    ],
    sounds: &["εε", "χμ", "εμ", "αα"],
    ..Language::NONE
};
