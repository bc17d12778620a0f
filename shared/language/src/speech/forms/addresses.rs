//! E-mail addresses, hosts, telephone numbers and codes.

use super::{cursor::Cursor, rules::Rules};

/// The last labels of hosts. Other words with dots are abbreviations or names of files.
const TOP_LEVELS: &[&str] = &[
    "com", "org", "net", "io", "ai", "app", "dev", "info", "biz", "edu", "gov", "eu", "de", "at", "ch", "fr", "es",
    "it", "pt", "br", "mx", "ar", "uk", "ie", "us", "ca", "au", "nl", "be", "se", "no", "dk", "fi", "pl", "cz", "in",
    "jp", "cn", "ru", "co", "me", "tv", "shop", "store", "online", "example", "test",
];

/// Reads an e-mail address or the name of a host.
pub(super) fn read(rules: &Rules, start: Cursor<'_>) -> Option<(String, usize)> {
    let mut cursor = start;
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '%' | '@');
    let taken = cursor.take_while(is_part);
    let text = taken.trim_end_matches(['.', '-', '+', '_']);
    let end = start.at + text.chars().count();
    let is_host = |host: &str| {
        let labels: Vec<&str> = host.split('.').collect();
        labels.len() >= 2
            && labels
                .iter()
                .all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'))
            && labels
                .last()
                .is_some_and(|last| TOP_LEVELS.contains(&last.to_lowercase().as_str()))
    };
    let is_mail = text
        .split_once('@')
        .is_some_and(|(local, host)| !local.is_empty() && host.contains('.') && !host.contains('@'));
    let has_word = text.split('.').next().is_some_and(|label| label.chars().count() > 1);
    let is_address = is_mail || (has_word && is_host(text));
    is_address.then(|| (spell(rules, text), end))
}

/// Says the signs of an address; words and numbers in it stay together.
fn spell(rules: &Rules, address: &str) -> String {
    let mut words: Vec<String> = vec![String::new()];
    for c in address.chars() {
        let sign = match c {
            '@' => rules.at,
            '.' => rules.dot,
            '-' => rules.dash,
            '_' => rules.underscore,
            '+' => rules.plus,
            '%' => rules.percent,
            _ => "",
        };
        let changes = |word: &String| {
            word.chars()
                .last()
                .is_some_and(|last| last.is_ascii_digit() != c.is_ascii_digit())
        };
        match words.last_mut() {
            _ if !sign.is_empty() => words.extend([sign.to_owned(), String::new()]),
            Some(word) if !changes(word) => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let said = words.iter().filter(|word| !word.is_empty()).map(|word| {
        let is_number = word.chars().all(|c| c.is_ascii_digit());
        if is_number { rules.digits(word) } else { word.clone() }
    });
    said.collect::<Vec<_>>().join(" ")
}

/// Reads a telephone number: digits one by one, with a pause after each group.
pub(super) fn read_phone(rules: &Rules, start: Cursor<'_>) -> Option<(String, usize)> {
    let mut cursor = start;
    let is_international = cursor.take("+");
    let begins_with_area = cursor.peek() == Some('(');
    let mut groups: Vec<String> = Vec::new();
    let mut end = cursor.at;
    let mut separators = String::new();
    loop {
        let digits = cursor.digits(15);
        if digits.is_empty() {
            match cursor.peek() {
                Some(c @ ('(' | ')' | ' ' | '-' | '.' | '/' | '\u{a0}')) if separators.len() < 40 => {
                    separators.push(c);
                    cursor.at += 1;
                }
                _ => break,
            }
        } else {
            groups.push(digits);
            end = cursor.at;
        }
    }
    let closed = start.chars[start.at..end].iter().filter(|c| **c == '(').count();
    let opened = start.chars[start.at..end].iter().filter(|c| **c == ')').count();
    let digits: usize = groups.iter().map(String::len).sum();
    let lengths = groups.iter().map(String::len);
    let is_grouped =
        groups.len() >= 3 && lengths.clone().skip(1).all(|length| (2..=4).contains(&length)) && digits >= 9;
    let is_local = groups.len() >= 2 && groups[0].starts_with('0') && groups[0].len() >= 3 && digits >= 6;
    let is_american = groups.len() == 2 && groups[0].len() == 3 && groups[1].len() == 4 && separators.starts_with('-');
    let is_spaced = is_grouped && separators.contains(['-', ' ']) && groups[0].len() <= 5;
    let is_marked = (is_international || begins_with_area) && digits >= 7;
    let is_number = is_marked || is_spaced || is_local || is_american;
    let at_end = Cursor::new(start.chars, end);
    if !is_number || digits > 17 || closed != opened || !at_end.ends_word() {
        return None;
    }
    let said: Vec<String> = groups.iter().map(|group| rules.digits(group)).collect();
    let plus = if is_international {
        format!("{} ", rules.plus)
    } else {
        String::new()
    };
    Some((format!("{plus}{}", said.join(", ")), end))
}

/// Reads a code of capitals and digits, a number after `#`, and the signs of telephone codes.
pub(super) fn read_code(rules: &Rules, start: Cursor<'_>) -> Option<(String, usize)> {
    let mut cursor = start;
    if cursor.take("#") || cursor.take("*") {
        let sign = start.peek()?;
        let digits = cursor.digits(15);
        let ends_with_hash = cursor.take("#");
        if digits.is_empty() || !cursor.ends_word() {
            return None;
        }
        let said = match (sign, ends_with_hash) {
            ('#', false) => format!("{} {}", rules.number, (rules.cardinal)(digits.parse().ok()?)),
            ('*', false) => format!("{} {}", rules.star, rules.digits(&digits)),
            (_, true) => {
                let first = if sign == '*' { rules.star } else { rules.hash };
                format!("{first} {} {}", rules.digits(&digits), rules.hash)
            }
            _ => return None,
        };
        return Some((said, cursor.at));
    }
    let code = cursor.take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-');
    let code = code.trim_end_matches('-');
    let end = start.at + code.len();
    let letters = code.chars().filter(char::is_ascii_uppercase).count();
    let digits = code.chars().filter(char::is_ascii_digit).count();
    if letters == 0 || digits < 2 || letters + digits < 5 || !Cursor::new(start.chars, end).ends_word() {
        return None;
    }
    let groups = code.split('-').map(|group| {
        let signs = group.chars().map(|c| match c.to_digit(10) {
            Some(digit) => (rules.cardinal)(digit.into()),
            None => c.to_string(),
        });
        signs.collect::<Vec<_>>().join(" ")
    });
    Some((groups.collect::<Vec<_>>().join(", "), end))
}
