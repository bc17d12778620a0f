//! The text that a person wrote in a message or mail: without quoted mail, the lines that a program added, greeting and
//! signature.

use std::sync::LazyLock;

use super::{
    find_alone,
    normalize::{fold, words},
    table::Words,
};
use crate::languages;

/// The lines of a mail's head that begin a quoted mail, in the languages of mail programs.
const FROM: &[&str] = &[
    "from:",
    "von:",
    "de:",
    "da:",
    "van:",
    "från:",
    "fra:",
    "lähettäjä:",
    "od:",
    "от:",
    "від:",
    "kimden:",
    "gönderen:",
    "feladó:",
    "de la:",
    "από:",
    "发件人:",
    "发件人：",
    "寄件者:",
    "寄件者：",
    "差出人:",
    "差出人：",
    "보낸 사람:",
    "מאת:",
    "من:",
    "expéditeur:",
    "remitente:",
    "mittente:",
];

/// The words in the line above a quoted or forwarded mail.
const ORIGINAL: &[&str] = &[
    "original",
    "message",
    "ursprüngliche",
    "nachricht",
    "weitergeleitete",
    "forwarded",
    "mensaje",
    "mensagem",
    "messaggio",
    "bericht",
    "meddelande",
    "wiadomość",
    "сообщение",
    "zpráva",
    "原始邮件",
    "原邮件",
    "元のメッセージ",
    "원본",
    "origine",
];

const GREETINGS: &[&str] = &[
    "hi",
    "hello",
    "hey",
    "dear",
    "hallo",
    "guten",
    "sehr",
    "liebe",
    "lieber",
    "liebes",
    "moin",
    "servus",
    "hola",
    "estimado",
    "estimada",
    "estimados",
    "buenos",
    "buenas",
    "bonjour",
    "bonsoir",
    "madame",
    "cher",
    "chère",
    "salut",
    "ciao",
    "gentile",
    "gentili",
    "buongiorno",
    "salve",
    "olá",
    "oi",
    "prezado",
    "prezada",
    "prezados",
    "bom",
    "boa",
    "beste",
    "geachte",
    "hej",
    "hei",
    "god",
    "kära",
    "kære",
    "dzień",
    "witam",
    "cześć",
    "szanowni",
    "dobrý",
    "vážený",
    "kedves",
    "tisztelt",
    "bună",
    "stimate",
    "здравствуйте",
    "привет",
    "уважаемые",
    "добрый",
    "вітаю",
    "merhaba",
    "sayın",
    "γεια",
    "שלום",
    "مرحبا",
    "السلام",
    "你好",
    "您好",
    "こんにちは",
    "안녕하세요",
    "नमस्ते",
];

/// Verbs in the line above a quoted mail, and closing phrases, in normalized words.
static VERBS: LazyLock<Vec<String>> = LazyLock::new(|| normalized(|language| language.wrote));
static CLOSINGS: LazyLock<Vec<String>> = LazyLock::new(|| normalized(|language| language.closings));

fn normalized(phrases: impl Fn(&languages::Language) -> &'static [&'static str]) -> Vec<String> {
    let phrases = languages::ALL.iter().flat_map(&phrases);
    phrases.map(|phrase| folded(phrase).join(" ")).collect()
}

fn folded(text: &str) -> Vec<String> {
    words(text).iter().map(|word| fold(word)).collect()
}

/// Bytes of the own text, beyond which it is no keyword, whatever follows.
const MAX_OWN: usize = 2_000;

pub(crate) struct OwnText {
    pub text: String,
    /// A name was removed, or words that look like one.
    pub without_name: bool,
}

/// Returns the text that a person wrote above, or else below, the quoted part.
pub(crate) fn own_text(text: &str) -> OwnText {
    let mut without_name = false;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut own: Vec<&str> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if line.is_empty() {
            own.push(line);
            continue;
        }
        if own.iter().map(|line| line.len()).sum::<usize>() > MAX_OWN {
            break;
        }
        let next = lines.get(at + 1).copied().unwrap_or_default();
        if line.starts_with(['>', '＞']) {
            continue;
        }
        if is_head_of_quote(line, next) {
            if own.iter().any(|line| !line.is_empty()) {
                break;
            }
            continue;
        }
        let has_text = own.iter().any(|line| !line.is_empty());
        if has_text && (is_signature(line) || is_closing(line)) {
            break;
        }
        if has_text && is_name(line, own.last()) {
            without_name = true;
            break;
        }
        own.push(line);
    }
    let first = own.iter().position(|line| !line.is_empty()).unwrap_or(0);
    let has_more = own.iter().skip(first + 1).any(|line| !line.is_empty());
    let skipped = if has_more && is_greeting(own.get(first).copied().unwrap_or_default()) {
        first + 1
    } else {
        first
    };
    let text = own[skipped..].join("\n");
    let (text, name) = without_inline_signature(text.trim());
    OwnText {
        text: text.trim().to_owned(),
        without_name: without_name || name,
    }
}

/// Whether the line, perhaps with the next one, introduces a quoted mail.
fn is_head_of_quote(line: &str, next: &str) -> bool {
    let is_dashed = |sign: char| line.starts_with(sign) && line.chars().filter(|c| *c == sign).count() >= 5;
    if is_dashed('-') || is_dashed('_') {
        let words = words(line);
        return words.is_empty() || words.iter().any(|word| ORIGINAL.contains(&word.as_str()));
    }
    let lower = line.trim_matches(['*', ' ']).to_lowercase();
    if FROM.iter().any(|from| lower.starts_with(from)) && (lower.contains('@') || next.contains([':', '：'])) {
        return true;
    }
    let introduces = |line: &str| {
        let end = line.trim_end();
        (end.ends_with([':', '：']) && has_verb(end)) || (end.ends_with('>') && has_verb(end))
    };
    let is_date = line.chars().any(|c| c.is_ascii_digit()) || line.to_lowercase().starts_with("on ");
    introduces(line) || (is_date && !next.is_empty() && !next.starts_with('>') && introduces(&format!("{line} {next}")))
}

fn has_verb(line: &str) -> bool {
    let words = folded(line);
    let line = format!(" {} ", words.join(" "));
    words.len() > 1
        && VERBS.iter().any(|verb| {
            let is_joined = verb.chars().any(|c| c > '\u{2e80}');
            if is_joined {
                line.contains(verb)
            } else {
                line.contains(&format!(" {verb} "))
            }
        })
}

/// Whether a program or a person separates a signature with this line, or begins it.
fn is_signature(line: &str) -> bool {
    if line.is_empty() {
        return false;
    }
    if line
        .chars()
        .all(|c| matches!(c, '-' | '—' | '–' | '_' | '=' | '*' | '~'))
    {
        return true;
    }
    let lower = line
        .trim_start_matches(['-', '—', '–', ' ', '*', '•', '[', '('])
        .to_lowercase();
    languages::ALL
        .iter()
        .flat_map(|language| language.signatures)
        .any(|start| lower.starts_with(start) || (start.chars().any(|c| c > '\u{2e80}') && lower.contains(start)))
        || ["iphone", "ipad", "android", "outlook"].iter().any(|device| {
            // "Von meinem iPhone gesendet", in a language without an entry.
            lower.contains(device) && words(&lower).len() <= 6
        })
}

/// Whether the line is a closing phrase, alone or with a name: "Thanks, Ann".
pub(super) fn is_closing(line: &str) -> bool {
    let words = folded(line);
    let text = words.join(" ");
    words.len() <= 7
        && CLOSINGS.iter().any(|closing| {
            let rest = text.strip_prefix(closing.as_str());
            rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with(' ') && rest.split(' ').count() <= 4))
        })
}

/// Whether the line is a name after an empty line, or after a dash: "- Ann", "~ Ann Lee".
fn is_name(line: &str, before: Option<&&str>) -> bool {
    let name = line.trim_start_matches(['-', '–', '—', '~', '*', ' ']);
    let is_marked = name.len() < line.len() || before.is_some_and(|line| line.is_empty());
    is_marked && is_capitalized(name)
}

fn is_capitalized(name: &str) -> bool {
    let parts: Vec<&str> = name.split_whitespace().collect();
    (1..=3).contains(&parts.len())
        && parts.iter().all(|part| {
            let mut chars = part.chars();
            let starts = chars
                .next()
                .is_some_and(|c| c.is_uppercase() || !(c.is_lowercase() || c.is_ascii()));
            starts && chars.all(|c| c.is_alphabetic() || matches!(c, '.' | '\'' | '’' | '-'))
        })
        && find_alone(&Words::read(name)).is_none()
}

fn is_greeting(line: &str) -> bool {
    let words = words(line);
    let is_short = (1..=5).contains(&words.len());
    is_short && line.ends_with([',', '!', '.', '，', '、', '！', ':']) && GREETINGS.contains(&words[0].as_str())
        || (words.len() <= 2 && words.first().is_some_and(|word| GREETINGS.contains(&word.as_str())))
}

/// Removes a signature on the same line: "STOP - Ann", "Stop. Sent from my iPhone". Returns whether it was a name.
fn without_inline_signature(text: &str) -> (&str, bool) {
    if let Some(at) = text.find(" Sent from my ").or_else(|| text.find(" Get Outlook for ")) {
        return (&text[..at], false);
    }
    for dash in [" - ", " – ", " — ", " -", " –", " —", " ~", " --", " /"] {
        if let Some((text, name)) = text.rsplit_once(dash)
            && is_capitalized(name.trim_start_matches(['-', '~', '/', ' ']))
        {
            return (text, true);
        }
    }
    (text, false)
}
