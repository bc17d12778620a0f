//! The text of a message with a one-time code, in the language of its reader. Each fits one SMS.

/// The texts by language (ISO 639-1); `{}` stands for the code.
const TEXTS: &[(&str, &str)] = &[
    ("en", "{} is your code. It is valid for 10 minutes. Do not share it."),
    ("ar", "{} هو رمزك. صالح لمدة 10 دقائق. لا تشاركه."),
    ("bg", "{} е вашият код. Валиден е 10 минути. Не го споделяйте."),
    ("bn", "{} আপনার কোড। 10 মিনিট বৈধ। কাউকে বলবেন না।"),
    ("cs", "{} je váš kód. Platí 10 minut. Nikomu ho nesdělujte."),
    ("da", "{} er din kode. Den gælder i 10 minutter. Del den ikke."),
    ("de", "{} ist Ihr Code. Er gilt 10 Minuten. Geben Sie ihn nicht weiter."),
    ("el", "{} είναι ο κωδικός σας. Ισχύει 10 λεπτά. Μην τον κοινοποιείτε."),
    ("es", "{} es su código. Es válido durante 10 minutos. No lo comparta."),
    ("fa", "{} کد شماست. 10 دقیقه معتبر است. آن را به کسی ندهید."),
    ("fi", "{} on koodisi. Se on voimassa 10 minuuttia. Älä jaa sitä."),
    (
        "fr",
        "{} est votre code. Il est valable 10 minutes. Ne le partagez pas.",
    ),
    ("he", "{} הוא הקוד שלך. תקף ל-10 דקות. אין לשתף אותו."),
    ("hi", "{} आपका कोड है। 10 मिनट तक मान्य। इसे साझा न करें।"),
    ("hu", "{} az Ön kódja. 10 percig érvényes. Ne ossza meg senkivel."),
    ("id", "{} adalah kode Anda. Berlaku 10 menit. Jangan bagikan."),
    ("it", "{} è il suo codice. È valido per 10 minuti. Non lo condivida."),
    ("ja", "コードは {} です。10分間有効です。他人に教えないでください。"),
    ("ko", "인증 코드는 {} 입니다. 10분간 유효합니다. 공유하지 마세요."),
    ("ms", "{} ialah kod anda. Sah selama 10 minit. Jangan kongsikannya."),
    ("nb", "{} er koden din. Den gjelder i 10 minutter. Ikke del den."),
    ("nl", "{} is uw code. Deze is 10 minuten geldig. Deel de code niet."),
    ("pl", "{} to Twój kod. Jest ważny 10 minut. Nie udostępniaj go."),
    ("pt", "{} é o seu código. É válido por 10 minutos. Não o partilhe."),
    ("ro", "{} este codul dvs. Este valabil 10 minute. Nu îl divulgați."),
    ("ru", "{} - ваш код. Он действует 10 минут. Никому его не сообщайте."),
    ("sk", "{} je váš kód. Platí 10 minút. Nikomu ho neprezraďte."),
    ("sv", "{} är din kod. Den gäller i 10 minuter. Dela den inte."),
    ("sw", "{} ni msimbo wako. Unatumika kwa dakika 10. Usimpe mtu."),
    ("ta", "{} உங்கள் குறியீடு. 10 நிமிடங்கள் செல்லும். பகிர வேண்டாம்."),
    ("th", "{} คือรหัสของคุณ ใช้ได้ 10 นาที ห้ามเปิดเผย"),
    ("tl", "{} ang iyong code. May bisa ito ng 10 minuto. Huwag ibahagi."),
    ("tr", "{} kodunuz. 10 dakika geçerlidir. Kimseyle paylaşmayın."),
    ("uk", "{} - ваш код. Він дійсний 10 хвилин. Нікому його не кажіть."),
    ("ur", "{} آپ کا کوڈ ہے۔ 10 منٹ تک درست۔ کسی کو نہ بتائیں۔"),
    ("vi", "{} là mã của bạn. Có hiệu lực trong 10 phút. Không chia sẻ mã."),
    ("zh", "您的验证码是 {}，10 分钟内有效，请勿告诉他人。"),
];

/// Returns the text with a one-time code. `language` is a tag such as `pt-BR`; an unknown one gives English.
pub fn one_time_code(language: Option<&str>, code: &str) -> String {
    find(language).replace("{}", code)
}

/// Returns the text as it is spoken: the code digit by digit, and twice.
pub fn spoken_one_time_code(language: Option<&str>, code: &str) -> String {
    let digits: Vec<String> = code.chars().map(String::from).collect();
    let text = find(language).replace("{}", &digits.join(", "));
    format!("{text} {text}")
}

fn find(language: Option<&str>) -> &'static str {
    let tag = language.unwrap_or_default().to_ascii_lowercase();
    let code = tag.split(['-', '_']).next().unwrap_or_default();
    // Norwegian and Hebrew have older codes, too.
    let code = match code {
        "no" | "nn" => "nb",
        "iw" => "he",
        "in" => "id",
        "fil" => "tl",
        code => code,
    };
    let found = TEXTS.iter().find(|(known, _)| *known == code);
    found.or(TEXTS.first()).map_or("{}", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages;

    #[test]
    fn every_language_has_a_text_with_the_code_once() {
        for language in languages::ALL {
            let text = one_time_code(Some(language.code), "123456");
            assert_eq!(text.matches("123456").count(), 1, "{}", language.code);
            assert_eq!(
                language.code == "en",
                text.contains("is your code"),
                "{}",
                language.code
            );
        }
    }

    #[test]
    fn region_and_older_tags_find_their_language() {
        for (tag, code) in [
            ("pt-BR", "pt"),
            ("de_AT", "de"),
            ("NO", "nb"),
            ("iw", "he"),
            ("tlh", "en"),
            ("", "en"),
        ] {
            assert_eq!(one_time_code(Some(tag), "1"), one_time_code(Some(code), "1"), "{tag}");
        }
        assert_eq!(one_time_code(None, "1"), one_time_code(Some("en"), "1"));
    }

    #[test]
    fn texts_fit_one_sms() {
        for (code, text) in TEXTS {
            let max = if text.is_ascii() { 160 } else { 70 };
            let length = text.replace("{}", "123456").encode_utf16().count();
            assert!(length <= max, "{code}: {length}");
        }
    }

    #[test]
    fn spoken_code_is_read_by_digit_and_repeated() {
        let text = spoken_one_time_code(Some("en"), "120456");
        assert_eq!(text.matches("1, 2, 0, 4, 5, 6 is your code").count(), 2);
    }
}
