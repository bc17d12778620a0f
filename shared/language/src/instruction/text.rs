//! The words of a text as the patterns see them, however the text is written: with look-alike letters, digits in place of letters,
//! invisible characters, in separate letters, without spaces, or misspelt.

use std::sync::LazyLock;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::spelling::{Spelling, without_digits};
use crate::{
    phrases::word::{BLOB, ELISIONS, LINK, MAIL, NUMBER, OPEN_LINK, Word, forms, is_ideograph},
    speech::is_invisible,
};

pub(super) static SPELLING: LazyLock<Spelling> =
    LazyLock::new(|| Spelling::read(include_str!("patterns/spelling.txt")));

/// In words: the end of a shorter sentence ends no pattern, as in "Ignore. All. Rules."
const MIN_SENTENCE: usize = 2;

/// In letters: a shorter run of separate letters is initials or words.
const MIN_LETTERS: usize = 5;

/// In letters: a longer run of separate letters is several runs.
const MAX_LETTERS: usize = 200;

/// In letters: a shorter word is not several words without spaces.
const MIN_JOINED: usize = 14;

/// In characters: the rest of a longer piece of a word is another word.
const MAX_PIECE: usize = 80;

/// In characters: shorter letters without words are a number or a name.
const MIN_BLOB: usize = 16;

/// Letters of other alphabets that look like Latin ones, and those.
const LOOKALIKES: &[(&str, &str)] = &[
    ("аеорсхуіјѕһԁӏԛԝ", "aeopcxyijshdlqw"),
    ("АВЕКМНОРСТХУІЈЅ", "ABEKMHOPCTXYIJS"),
    ("αορικτυνχε", "aopiktuvxe"),
    ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX"),
    ("ɡɑοᴀᴇɪᴏᴜ", "gaoaeiou"),
];

/// Returns a text in one form of each character, without invisible ones.
pub(super) fn plain(text: &str) -> String {
    text.nfkc()
        .filter(|c| matches!(c, '\n' | '\t') || !is_invisible(*c))
        .map(latin)
        .collect()
}

fn latin(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    let found = LOOKALIKES
        .iter()
        .find_map(|(letters, latin)| letters.chars().zip(latin.chars()).find(|(letter, _)| *letter == c));
    found.map_or(c, |(_, latin)| latin)
}

/// Splits a plain text into words.
pub(super) fn read(plain: &str) -> Vec<Word> {
    let mut reader = Reader {
        words: Vec::new(),
        letters: String::new(),
        length: 0,
        starts_sentence: true,
        starts_clause: true,
    };
    for line in plain.split('\n') {
        if line.trim().is_empty() {
            reader.flush_letters();
            reader.starts_sentence = true;
        }
        for chunk in line.split_whitespace() {
            reader.read_chunk(chunk);
        }
        // A line break alone is the end of a line of a mail.
        reader.starts_clause = true;
    }
    reader.flush_letters();
    reader.words
}

struct Reader {
    words: Vec<Word>,
    /// The separate letters before.
    letters: String,
    /// In words: since the last mark that ends a sentence.
    length: usize,
    starts_sentence: bool,
    starts_clause: bool,
}

impl Reader {
    /// Reads the characters between two spaces.
    fn read_chunk(&mut self, chunk: &str) {
        if let Some(class) = class_of(chunk) {
            self.flush_letters();
            if class == NUMBER && self.continues_number() {
                return;
            }
            let mut forms = vec![class.to_owned()];
            if matches!(class, NUMBER | BLOB) && chunk.len() <= MAX_PIECE {
                forms.push(chunk.to_lowercase());
            }
            self.push(forms);
            if chunk.ends_with(['.', '!', '?']) {
                self.end_sentence();
            }
            return;
        }
        let mut piece = String::new();
        // In letters: since the last full stop.
        let mut length = 0;
        let mut characters = chunk.chars().peekable();
        while let Some(c) = characters.next() {
            let is_within = length > 0 && is_before_letter(&mut characters);
            if is_ideograph(c) {
                self.end_piece(&mut piece);
                self.flush_letters();
                self.push(vec![c.to_string()]);
            } else if c.is_alphanumeric() || is_combining_mark(c) || is_within && matches!(c, '@' | '$' | '!' | '|') {
                piece.push(c);
                length += 1;
                if length == MAX_PIECE {
                    self.end_piece(&mut piece);
                    length = 0;
                }
                continue;
            } else if c == '.' && (is_within && length == 1 || piece.is_empty()) && is_before_letter(&mut characters) {
                // "i.g.n.o.r.e", ".env"
            } else if is_apostrophe(c) && !ELISIONS.contains(&piece.to_lowercase().as_str()) || matches!(c, '*' | '~') {
                continue;
            } else {
                self.end_piece(&mut piece);
                self.mark(c);
            }
            length = 0;
        }
        self.end_piece(&mut piece);
    }

    /// Whether the word before is a number of the same clause: a telephone number is often written in groups.
    fn continues_number(&self) -> bool {
        let is_number = |word: &Word| word.forms.first().is_some_and(|form| form == NUMBER);
        !self.starts_sentence && !self.starts_clause && self.words.last().is_some_and(is_number)
    }

    fn mark(&mut self, c: char) {
        match c {
            '.' | '!' | '?' | ';' | '…' | '。' | '؟' | '؛' => self.end_sentence(),
            '-' | '_' | '/' | '\'' | '’' | '`' => {}
            _ => self.starts_clause = true,
        }
    }

    fn end_sentence(&mut self) {
        self.starts_clause = true;
        if self.letters.is_empty() && self.length >= MIN_SENTENCE {
            self.starts_sentence = true;
        }
        self.length = 0;
    }

    fn end_piece(&mut self, piece: &mut String) {
        if piece.is_empty() {
            return;
        }
        let word = std::mem::take(piece).to_lowercase();
        if word.chars().count() == 1 && word.chars().all(char::is_alphabetic) {
            self.letters.push_str(&word);
            if self.letters.len() >= MAX_LETTERS {
                self.flush_letters();
            }
            return;
        }
        self.flush_letters();
        if word.len() >= MIN_JOINED
            && let Some(parts) = SPELLING.split(&word)
        {
            for part in parts {
                self.push(forms_of(part));
            }
            return;
        }
        self.push(forms_of(&word));
    }

    /// Reads the separate letters as words.
    fn flush_letters(&mut self) {
        let letters = std::mem::take(&mut self.letters);
        if letters.chars().count() >= MIN_LETTERS {
            for part in SPELLING.find_all(&letters) {
                self.push(forms_of(part));
            }
        } else {
            for letter in letters.chars() {
                self.push(forms(letter.encode_utf8(&mut [0; 4])));
            }
        }
    }

    fn push(&mut self, forms: Vec<String>) {
        self.length += 1;
        self.words.push(Word {
            forms,
            starts_sentence: std::mem::take(&mut self.starts_sentence),
            starts_clause: std::mem::take(&mut self.starts_clause),
        });
    }
}

fn is_before_letter(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    characters.peek().is_some_and(|next| next.is_alphanumeric())
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | 'ʼ' | '´' | '`')
}

/// Returns the forms that a word can be read as, with corrections of its spelling.
fn forms_of(word: &str) -> Vec<String> {
    let mut all = Vec::new();
    for readable in without_digits(word) {
        all.extend(forms(&readable));
    }
    all.extend(forms(word));
    let corrected: Vec<String> = all
        .iter()
        .flat_map(|form| SPELLING.correct(form))
        .map(str::to_owned)
        .collect();
    all.splice(0..0, corrected);
    all
}

/// Returns the class of what is no word.
fn class_of(chunk: &str) -> Option<&'static str> {
    let inner = chunk.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '+' | '=' | '/'));
    let start = inner.find("http").unwrap_or(0);
    if inner[start..].starts_with("http://") || inner[start..].starts_with("https://") || inner.starts_with("www.") {
        return Some(if inner.ends_with('=') { OPEN_LINK } else { LINK });
    }
    if let Some((name, host)) = inner.split_once('@')
        && !name.is_empty()
        && host.contains('.')
        && !host.contains('@')
    {
        return Some(MAIL);
    }
    let digits = inner.bytes().filter(u8::is_ascii_digit).count();
    let is_long = digits >= 3 || digits > 0 && inner.starts_with('+') || digits == 2 && inner.len() == 2;
    if is_long && inner.chars().all(|c| c.is_numeric() || "+-/().,:$€£".contains(c)) {
        return Some(NUMBER);
    }
    is_blob(inner).then_some(BLOB)
}

/// Whether characters are probably encoded data.
fn is_blob(inner: &str) -> bool {
    let is_encoded = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'=' | b'_' | b'-');
    if inner.len() < MIN_BLOB || !inner.bytes().all(is_encoded) {
        return false;
    }
    let has = |test: fn(&u8) -> bool| inner.bytes().any(|c| test(&c));
    let is_hex = inner.bytes().all(|c| c.is_ascii_hexdigit()) && has(u8::is_ascii_digit);
    let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    is_hex || is_mixed || inner.ends_with('=')
}
