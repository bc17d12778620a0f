//! The spoken forms of one language.

/// A currency: its signs, and the names of one and of several units and hundredths.
pub(super) struct Currency {
    pub signs: &'static [&'static str],
    pub one: &'static str,
    pub many: &'static str,
    pub cent: &'static str,
    pub cents: &'static str,
}

pub(super) struct Rules {
    pub cardinal: fn(u64) -> String,
    /// The number before a masculine noun: "ein Euro" instead of "eins".
    pub counting: fn(u64) -> String,
    pub year: fn(u64) -> String,
    pub date: fn(day: u64, month: usize, year: Option<u64>) -> String,
    /// `half`: "am" or "pm", if it was written.
    pub time: fn(hour: u64, minute: u64, half: Option<&str>) -> String,
    pub price: fn(major: String, minor: Option<String>) -> String,
    /// The ordinal number; `None` if the language writes none with these letters.
    pub ordinal: fn(u64, &str) -> Option<String>,
    pub decimal_comma: bool,
    /// The signs between thousands.
    pub thousands: &'static [char],
    pub point: &'static str,
    pub minus: &'static str,
    pub plus: &'static str,
    pub percent: &'static str,
    pub to: &'static str,
    pub number: &'static str,
    pub star: &'static str,
    pub hash: &'static str,
    pub about: &'static str,
    pub at: &'static str,
    pub dot: &'static str,
    pub dash: &'static str,
    pub underscore: &'static str,
    pub currencies: &'static [Currency],
    /// Units after a number: the sign, and the words for one and for several.
    pub units: &'static [(&'static str, &'static str, &'static str)],
    /// Words after a number that belong to a price: "million".
    pub magnitudes: &'static [&'static str],
    /// Word between a large round number and the currency: "de" in "un millón de euros".
    pub of: &'static str,
    /// The name of the hour after a time: "Uhr".
    pub clock: &'static [&'static str],
    /// Words before a date without a year.
    pub on: &'static [&'static str],
    /// Words before a code.
    pub code_words: &'static [&'static str],
}

impl Rules {
    /// Says digits one by one.
    pub(super) fn digits(&self, digits: &str) -> String {
        let words: Vec<String> = digits
            .chars()
            .filter_map(|c| c.to_digit(10))
            .map(|digit| (self.cardinal)(digit.into()))
            .collect();
        words.join(" ")
    }
}

/// Writes a number in groups of three digits, from the largest.
pub(super) fn groups(number: u64) -> Vec<(usize, u64)> {
    let mut rest = number;
    let mut groups = Vec::new();
    let mut power = 0;
    while rest > 0 {
        if !rest.is_multiple_of(1_000) {
            groups.push((power, rest % 1_000));
        }
        rest /= 1_000;
        power += 1;
    }
    groups.reverse();
    groups
}
