//! Numbers: prices, percentages, measures, ordinals, ranges, and plain numbers.

use super::{
    cursor::Cursor,
    rules::{Currency, Rules},
};

/// A number as it is written.
struct Number {
    whole: String,
    /// The digits after the decimal sign.
    fraction: String,
    has_separators: bool,
}

impl Number {
    fn value(&self) -> Option<u64> {
        self.whole.parse().ok()
    }

    fn say(&self, rules: &Rules) -> Option<String> {
        let whole = (rules.cardinal)(self.value()?);
        Some(if self.fraction.is_empty() {
            whole
        } else {
            format!("{whole} {} {}", rules.point, rules.digits(&self.fraction))
        })
    }
}

pub(super) fn read(rules: &Rules, start: Cursor<'_>, before: &str) -> Option<(String, usize)> {
    let mut cursor = start;
    if let Some(currency) = take_currency(rules, &mut cursor) {
        cursor.skip_space();
        return read_price(rules, currency, cursor);
    }
    let sign = match cursor.peek()? {
        '-' | '−' => rules.minus,
        '+' => rules.plus,
        '~' | '≈' => rules.about,
        _ => "",
    };
    cursor.at += usize::from(!sign.is_empty());
    let (said, end) = read_number(rules, cursor, before)?;
    Some((
        if sign.is_empty() {
            said
        } else {
            format!("{sign} {said}")
        },
        end,
    ))
}

fn take_currency(rules: &Rules, cursor: &mut Cursor<'_>) -> Option<&'static Currency> {
    rules.currencies.iter().find(|currency| {
        currency.signs.iter().any(|sign| {
            let mut taken = *cursor;
            let is_word = sign.chars().all(char::is_alphabetic);
            let fits = taken.take(sign) && (!is_word || taken.ends_word());
            let written = cursor.chars.get(cursor.at..taken.at).unwrap_or_default();
            // "usd" is an amount, "chf" in a word is not.
            if fits && (!is_word || written.iter().all(|c| c.is_uppercase())) {
                *cursor = taken;
            }
            fits && cursor.at == taken.at
        })
    })
}

/// Reads the number after the sign of a currency.
fn read_price(rules: &Rules, currency: &Currency, mut cursor: Cursor<'_>) -> Option<(String, usize)> {
    let number = take_number(rules, &mut cursor)?;
    let end = cursor.at;
    cursor.skip_space();
    let word_end = cursor.at;
    let word = cursor.take_while(char::is_alphabetic);
    if rules.magnitudes.contains(&word.to_lowercase().as_str()) {
        let said = [&number.say(rules)?, &word, rules.of, currency.many].join(" ");
        let said = said.replace("  ", " ").replace("d' ", "d'");
        return Some((said, word_end + word.chars().count()));
    }
    let range = Cursor::new(cursor.chars, end);
    if let Some((upper, end)) = take_range(rules, range) {
        return Some((
            format!("{} {} {upper} {}", number.say(rules)?, rules.to, currency.many),
            end,
        ));
    }
    Cursor::new(cursor.chars, end)
        .ends_word()
        .then(|| Some((price(rules, currency, &number)?, end)))
        .flatten()
}

fn price(rules: &Rules, currency: &Currency, number: &Number) -> Option<String> {
    let whole = number.value()?;
    let name = |count: u64, one: &str, many: &str| {
        let name = if count == 1 { one } else { many };
        let of = if count >= 1_000_000 && count.is_multiple_of(1_000_000) {
            rules.of
        } else {
            ""
        };
        let said = format!("{} {of} {name}", (rules.counting)(count));
        said.replace("  ", " ").replace("d' ", "d'")
    };
    let cents = match number.fraction.len() {
        0 => 0,
        1 => number.fraction.parse::<u64>().ok()? * 10,
        2 => number.fraction.parse().ok()?,
        _ => return Some(format!("{} {}", number.say(rules)?, currency.many)),
    };
    let minor = (cents > 0).then(|| name(cents, currency.cent, currency.cents));
    match (whole, minor) {
        (0, Some(minor)) => Some(minor),
        (whole, minor) => Some((rules.price)(name(whole, currency.one, currency.many), minor)),
    }
}

/// Reads a number and the word or sign that belongs to it.
fn read_number(rules: &Rules, start: Cursor<'_>, before: &str) -> Option<(String, usize)> {
    let mut cursor = start;
    let number = take_number(rules, &mut cursor)?;
    let end = cursor.at;
    if let Some((fraction, end)) = read_fraction(rules, start) {
        return Some((fraction, end));
    }
    let letters = {
        let mut letters = cursor;
        letters.take_while(char::is_alphabetic)
    };
    if let Some(ordinal) = number.value().and_then(|value| (rules.ordinal)(value, &letters)) {
        return Some((ordinal, end + letters.chars().count()));
    }
    let mut after = cursor;
    after.skip_space();
    if after.peek() == Some('%') {
        return Some((format!("{} {}", number.say(rules)?, rules.percent), after.at + 1));
    }
    let mut taken = after;
    if let Some(currency) = take_currency(rules, &mut taken).filter(|_| taken.ends_word()) {
        return Some((price(rules, currency, &number)?, taken.at));
    }
    for (sign, one, many) in rules.units {
        let mut taken = after;
        let is_written = taken.take(sign)
            && taken.ends_word()
            && after.chars[after.at..taken.at].iter().collect::<String>() == *sign;
        if is_written {
            let is_one = number.whole == "1" && number.fraction.is_empty();
            let count = if is_one {
                (rules.counting)(1)
            } else {
                number.say(rules)?
            };
            return Some((format!("{count} {}", if is_one { one } else { many }), taken.at));
        }
    }
    if let Some((upper, end)) = take_range(rules, cursor) {
        return Some((format!("{} {} {upper}", number.say(rules)?, rules.to), end));
    }
    // "2x", "5-HT", "12-34-56", "192.168.0.1": not a plain number.
    let next = cursor.chars.get(end + 1).copied();
    let continues =
        matches!(cursor.peek(), Some('.' | ',' | ':' | '/' | '-' | '–')) && next.is_some_and(char::is_alphanumeric);
    if is_code_group(cursor) {
        return read_digit_groups(rules, start);
    }
    if continues || !cursor.ends_word() {
        return None;
    }
    let is_plain = number.fraction.is_empty() && !number.has_separators;
    if is_plain && (is_code(rules, &number.whole, before) || number.whole.len() > 6) {
        return Some((rules.digits(&number.whole), end));
    }
    let value = number.value()?;
    if is_plain && number.whole.len() == 4 && (1_900..2_100).contains(&value) {
        return Some(((rules.year)(value), end));
    }
    Some((number.say(rules)?, end))
}

/// Whether the words before the number announce digits: "your code is".
fn is_code(rules: &Rules, digits: &str, before: &str) -> bool {
    let is_announced = before
        .rsplit(['.', '!', '?'])
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .rev()
        .take(3)
        .any(|word| {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
            rules.code_words.contains(&word.as_str())
        });
    (digits.len() > 1 && digits.starts_with('0')) || (digits.len() >= 3 && is_announced)
}

fn is_code_group(cursor: Cursor<'_>) -> bool {
    let mut cursor = cursor;
    let mut groups = 0;
    while cursor.take("-") && !cursor.digits(6).is_empty() {
        groups += 1;
    }
    groups >= 2 && cursor.ends_word()
}

/// Reads `12-34-56`.
fn read_digit_groups(rules: &Rules, mut cursor: Cursor<'_>) -> Option<(String, usize)> {
    let mut groups = vec![rules.digits(&cursor.digits(6))];
    while cursor.take("-") {
        groups.push(rules.digits(&cursor.digits(6)));
    }
    Some((groups.join(", "), cursor.at))
}

/// Reads `1/2` and its siblings, in English, which has one word for each.
fn read_fraction(rules: &Rules, mut cursor: Cursor<'_>) -> Option<(String, usize)> {
    const FRACTIONS: [(&str, &str); 5] = [
        ("1/2", "one half"),
        ("1/4", "one quarter"),
        ("3/4", "three quarters"),
        ("1/3", "one third"),
        ("2/3", "two thirds"),
    ];
    if rules.decimal_comma {
        return None;
    }
    let (written, said) = FRACTIONS.into_iter().find(|(written, _)| {
        let mut taken = cursor;
        taken.take(written) && taken.ends_word() && taken.peek() != Some('/')
    })?;
    cursor.take(written);
    Some((said.to_owned(), cursor.at))
}

/// Takes `-10` after a number.
fn take_range(rules: &Rules, mut cursor: Cursor<'_>) -> Option<(String, usize)> {
    let is_dash = cursor.take("-") || cursor.take("–");
    if !is_dash {
        return None;
    }
    let upper = take_number(rules, &mut cursor)?;
    let ends = cursor.ends_word() && !matches!(cursor.peek(), Some('-' | '–' | '/' | ':'));
    ends.then(|| Some((upper.say(rules)?, cursor.at))).flatten()
}

/// Takes digits with separators of thousands and a decimal sign, as the language writes them.
fn take_number(rules: &Rules, cursor: &mut Cursor<'_>) -> Option<Number> {
    let decimal = if rules.decimal_comma { ',' } else { '.' };
    let mut whole = cursor.digits(15);
    if whole.is_empty() {
        return None;
    }
    let mut has_separators = false;
    if whole.len() <= 3 {
        while cursor.peek().is_some_and(|c| rules.thousands.contains(&c)) {
            let mut group = *cursor;
            group.at += 1;
            let digits = group.digits(4);
            if digits.len() != 3 {
                break;
            }
            whole.push_str(&digits);
            has_separators = true;
            *cursor = group;
        }
    }
    let mut fraction = String::new();
    let mut after = *cursor;
    if after.peek() == Some(decimal) {
        after.at += 1;
        let digits = after.digits(10);
        let continues =
            after.peek() == Some(decimal) && after.chars.get(after.at + 1).is_some_and(char::is_ascii_digit);
        if !digits.is_empty() && !continues {
            fraction = digits;
            *cursor = after;
        }
    }
    // Other languages write prices with a point as well: "9.99 €".
    if fraction.is_empty() && !has_separators && rules.decimal_comma && cursor.peek() == Some('.') {
        let mut after = *cursor;
        after.at += 1;
        let digits = after.digits(3);
        if (1..=2).contains(&digits.len()) && after.ends_word() && !matches!(after.peek(), Some('.')) {
            fraction = digits;
            *cursor = after;
        }
    }
    Some(Number {
        whole,
        fraction,
        has_separators,
    })
}
