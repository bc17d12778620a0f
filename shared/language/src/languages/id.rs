//! Indonesian.

use super::Language;

pub(super) const LANGUAGE: Language = Language {
    code: "id",
    // "Batal" and "selesai" alone are about anything.
    stop: &[
        "berhenti|hentikan|stop|henti",
        "berhenti|batal|batalkan|hentikan langganan|berlangganan",
        "berhenti|stop|hentikan kirim|mengirim|kirimi|hubungi|menghubungi [saya] [pesan|sms]",
        "jangan kirim|kirimi|hubungi|telepon|sms|wa [saya] [pesan] [lagi]",
        "hapus|keluarkan saya|nomor_saya [dari_daftar]",
        "stop sms|pesan|promo|iklan",
    ],
    stop_alone: &[],
    start: &["mulai", "mulai lagi"],
    help: &["bantuan"],
    polite: &[
        "tolong",
        "mohon",
        "harap",
        "terima kasih",
        "makasih",
        "trims",
        "sekarang",
        "segera",
        "halo",
        "salah sambung",
        "salah nomor",
    ],
    closings: &["terima kasih", "salam", "hormat saya"],
    signatures: &["dikirim dari", "terkirim dari", "dapatkan outlook", "unduh outlook"],
    wrote: &["menulis"],
    acknowledgements: &[
        "ya",
        "iya",
        "iya iya",
        "oke",
        "ok",
        "baik",
        "baiklah",
        "betul",
        "benar",
        "tentu",
        "mengerti",
        "paham",
        "siap",
        "terima kasih",
    ],
    sounds: &["eh", "hm"],
    ..Language::NONE
};
