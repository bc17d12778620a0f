//! Malay.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "ms",
    // "Tamat" is the end of anything.
    stop: &[
        "berhenti|hentikan|henti|stop",
        "berhenti|batalkan|hentikan langganan|melanggan",
        "jangan hantar|hubungi|mesej|telefon [saya] [mesej|sms] [lagi]",
        "henti|berhenti|hentikan hantar|menghantar [saya] [mesej|sms]",
        "keluarkan|buang|padam saya|nombor_saya [dari_senarai|daripada_senarai]",
    ],
    stop_alone: &[],
    start: &["mula", "mula semula"],
    help: &["bantuan"],
    polite: &["tolong", "sila", "terima kasih", "sekarang", "helo", "salah nombor"],
    closings: &["terima kasih", "salam", "sekian"],
    signatures: &["dihantar dari", "dihantar daripada", "dapatkan outlook"],
    wrote: &["menulis"],
    acknowledgements: &[
        "ya",
        "ok",
        "okey",
        "baik",
        "baiklah",
        "betul",
        "sudah tentu",
        "faham",
        "terima kasih",
    ],
    sounds: &["eh", "hm", "ermm"],
    ..Language::NONE
};
