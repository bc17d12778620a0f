//! German.

use super::rules::{Currency, Rules, groups};

const SMALL: [&str; 20] = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
];
const TENS: [&str; 10] = [
    "", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
];
const MONTHS: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

pub(super) const RULES: Rules = Rules {
    cardinal,
    counting,
    year,
    date,
    time,
    price,
    ordinal: |_, _| None,
    decimal_comma: true,
    thousands: &['.', '\'', '’'],
    point: "Komma",
    minus: "minus",
    plus: "plus",
    percent: "Prozent",
    to: "bis",
    number: "Nummer",
    star: "Stern",
    hash: "Raute",
    about: "etwa",
    at: "at",
    dot: "Punkt",
    dash: "Bindestrich",
    underscore: "Unterstrich",
    currencies: &[
        Currency {
            signs: &["€", "EUR"],
            one: "Euro",
            many: "Euro",
            cent: "Cent",
            cents: "Cent",
        },
        Currency {
            signs: &["US$", "$", "USD"],
            one: "Dollar",
            many: "Dollar",
            cent: "Cent",
            cents: "Cent",
        },
        Currency {
            signs: &["£", "GBP"],
            one: "Pfund",
            many: "Pfund",
            cent: "Penny",
            cents: "Pence",
        },
        Currency {
            signs: &["CHF"],
            one: "Franken",
            many: "Franken",
            cent: "Rappen",
            cents: "Rappen",
        },
    ],
    units: &[
        ("km/h", "Kilometer pro Stunde", "Kilometer pro Stunde"),
        ("km", "Kilometer", "Kilometer"),
        ("cm", "Zentimeter", "Zentimeter"),
        ("mm", "Millimeter", "Millimeter"),
        ("kg", "Kilogramm", "Kilogramm"),
        ("mg", "Milligramm", "Milligramm"),
        ("ml", "Milliliter", "Milliliter"),
        ("qm", "Quadratmeter", "Quadratmeter"),
        ("GB", "Gigabyte", "Gigabyte"),
        ("MB", "Megabyte", "Megabyte"),
        ("°C", "Grad Celsius", "Grad Celsius"),
        ("°", "Grad", "Grad"),
    ],
    magnitudes: &["tausend", "million", "millionen", "milliarde", "milliarden"],
    of: "",
    clock: &["uhr"],
    on: &["am", "bis", "vom", "zum", "ab", "seit", "den", "der"],
    code_words: &[
        "code",
        "pin",
        "nummer",
        "auftrag",
        "bestellung",
        "referenz",
        "ticket",
        "kennwort",
        "buchung",
        "durchwahl",
        "kundennummer",
        "bestellnummer",
    ],
};

fn cardinal(number: u64) -> String {
    if number == 0 {
        return SMALL[0].to_owned();
    }
    let mut words = String::new();
    for (power, group) in groups(number) {
        match (power, group) {
            (0, group) => words.push_str(&hundreds(group)),
            (1, group) => words.push_str(&format!("{}tausend", stem(group))),
            (power, group) => {
                let (one, many) = match power {
                    2 => ("Million", "Millionen"),
                    3 => ("Milliarde", "Milliarden"),
                    4 => ("Billion", "Billionen"),
                    _ => ("Billiarde", "Billiarden"),
                };
                let name = if group == 1 {
                    format!("eine {one} ")
                } else {
                    format!("{} {many} ", hundreds(group))
                };
                words.push_str(&name);
            }
        }
    }
    words.trim_end().to_owned()
}

/// "eins" is "ein" before another part of the word.
fn stem(number: u64) -> String {
    let words = hundreds(number);
    words
        .strip_suffix("eins")
        .map_or(words.clone(), |start| format!("{start}ein"))
}

fn counting(number: u64) -> String {
    let words = cardinal(number);
    words
        .strip_suffix("eins")
        .map_or(words.clone(), |start| format!("{start}ein"))
}

fn hundreds(number: u64) -> String {
    let index = |number: u64| usize::try_from(number).unwrap_or_default();
    let below = match number % 100 {
        0 => String::new(),
        small @ 1..20 => SMALL[index(small)].to_owned(),
        tens if tens % 10 == 0 => TENS[index(tens / 10)].to_owned(),
        tens => format!("{}und{}", stem(tens % 10), TENS[index(tens / 10)]),
    };
    match number / 100 {
        0 => below,
        hundreds => format!("{}hundert{below}", stem(hundreds)),
    }
}

fn year(year: u64) -> String {
    match (year / 100, year % 100) {
        (century @ 11..=19, 0) => format!("{}hundert", cardinal(century)),
        (century @ 11..=19, rest) => format!("{}hundert{}", cardinal(century), cardinal(rest)),
        _ => cardinal(year),
    }
}

fn date(day: u64, month: usize, written_year: Option<u64>) -> String {
    let ordinal = match day {
        1 => "erster".to_owned(),
        3 => "dritter".to_owned(),
        7 => "siebter".to_owned(),
        8 => "achter".to_owned(),
        2..20 => format!("{}ter", cardinal(day)),
        _ => format!("{}ster", cardinal(day)),
    };
    // After "am" and "bis zum" the ending is -n, which is not known here: "am vierundzwanzigsten" is by far the most common.
    let ordinal = ordinal.trim_end_matches('r').to_owned() + "n";
    let date = format!("{ordinal} {}", MONTHS.get(month - 1).copied().unwrap_or_default());
    written_year.map_or_else(|| date.clone(), |number| format!("{date} {}", year(number)))
}

fn time(hour: u64, minute: u64, _half: Option<&str>) -> String {
    let hours = counting(hour);
    if minute == 0 {
        format!("{hours} Uhr")
    } else {
        format!("{hours} Uhr {}", cardinal(minute))
    }
}

fn price(major: String, minor: Option<String>) -> String {
    minor.map_or_else(|| major.clone(), |minor| format!("{major} und {minor}"))
}
