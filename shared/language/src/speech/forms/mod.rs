//! Spoken forms: writes numbers, prices, dates, times, addresses and codes the way people say them. A language without rules
//! keeps them as they are.

mod addresses;
mod amounts;
mod cursor;
mod de;
mod en;
mod es;
mod fr;
mod it;
mod moments;
mod pt;
mod rules;
#[cfg(test)]
mod tests;

use cursor::Cursor;
use rules::Rules;

use crate::languages;

/// Whether the word is the name of a month, in any language.
pub(super) fn is_month(word: &str) -> bool {
    let word = word.to_lowercase();
    languages::ALL
        .iter()
        .any(|language| language.months.contains(&word.as_str()))
}

/// Returns the text in spoken forms of the language with this tag.
pub(super) fn spoken(text: &str, language: &str) -> String {
    let tag = language.to_ascii_lowercase();
    let Some(rules) = find(&tag) else {
        return text.to_owned();
    };
    // Months before days, as in 12/24.
    let month_first = matches!(tag.as_str(), "en" | "en-us" | "en_us" | "en-ph" | "en-ca");
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let cursor = Cursor::new(&chars, at);
        let found = cursor
            .starts_word()
            .then(|| read(rules, cursor, month_first, &out))
            .flatten();
        match found {
            Some((spoken, end)) if end > at => {
                // "5kg" has no space.
                if out.ends_with(char::is_alphanumeric) {
                    out.push(' ');
                }
                out.push_str(&spoken);
                if chars.get(end).is_some_and(|c| c.is_alphanumeric()) {
                    out.push(' ');
                }
                at = end;
            }
            _ => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    out
}

fn find(tag: &str) -> Option<&'static Rules> {
    let primary = tag.split(['-', '_']).next().unwrap_or_default();
    Some(match primary {
        "en" => &en::RULES,
        "de" => &de::RULES,
        "es" => &es::RULES,
        "fr" => &fr::RULES,
        "it" => &it::RULES,
        "pt" => &pt::RULES,
        _ => return None,
    })
}

/// Reads what begins here. Returns its spoken form and the place after it.
fn read(rules: &Rules, cursor: Cursor<'_>, month_first: bool, before: &str) -> Option<(String, usize)> {
    addresses::read(rules, cursor)
        .or_else(|| moments::read(rules, cursor, month_first, before))
        .or_else(|| addresses::read_phone(rules, cursor))
        .or_else(|| amounts::read(rules, cursor, before))
        .or_else(|| addresses::read_code(rules, cursor))
}
