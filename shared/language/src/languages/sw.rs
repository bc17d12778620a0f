//! Swahili.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "sw",
    // "Acha" ("leave it") is not included: in Hindi it means "okay". "Mwisho" is the end of anything.
    stop: &[
        "sitisha|jiondoe|komesha|stop",
        "acha|acheni|sitisha kutuma|kunitumia|kupiga|kunipigia [ujumbe|meseji|sms|simu]",
        "usitume|msitume|usinitumie|msinitumie [ujumbe|meseji|sms] [tena]",
        "niondoe|niondoeni [kwenye_orodha]",
        "jiondoe|kujiondoa",
        "ghairi usajili",
    ],
    stop_alone: &[],
    start: &["anza", "anza tena"],
    help: &["msaada"],
    polite: &["tafadhali", "asante", "asante sana", "sasa", "habari", "samahani"],
    closings: &["asante", "wako"],
    signatures: &["imetumwa kutoka"],
    wrote: &["aliandika"],
    acknowledgements: &[
        "ndiyo",
        "ndio",
        "sawa",
        "sawa sawa",
        "naam",
        "haya",
        "nimeelewa",
        "kweli",
        "asante",
    ],
    sounds: &["eh", "mh", "aa"],
    ..Language::NONE
};
