//! French.

use super::rules::{Currency, Rules, groups};

const SMALL: [&str; 17] = [
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "treize",
    "quatorze", "quinze", "seize",
];
const TENS: [&str; 10] = [
    "",
    "dix",
    "vingt",
    "trente",
    "quarante",
    "cinquante",
    "soixante",
    "soixante",
    "quatre-vingt",
    "quatre-vingt",
];
const MONTHS: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

pub(super) const RULES: Rules = Rules {
    cardinal,
    counting: cardinal,
    year: cardinal,
    date,
    time,
    price,
    ordinal,
    decimal_comma: true,
    thousands: &[' ', '.', '\'', '’'],
    point: "virgule",
    minus: "moins",
    plus: "plus",
    percent: "pour cent",
    to: "à",
    number: "numéro",
    star: "étoile",
    hash: "dièse",
    about: "environ",
    at: "arobase",
    dot: "point",
    dash: "tiret",
    underscore: "tiret bas",
    currencies: &[
        Currency {
            signs: &["€", "EUR"],
            one: "euro",
            many: "euros",
            cent: "centime",
            cents: "centimes",
        },
        Currency {
            signs: &["US$", "$", "USD", "CAD"],
            one: "dollar",
            many: "dollars",
            cent: "cent",
            cents: "cents",
        },
        Currency {
            signs: &["CHF"],
            one: "franc",
            many: "francs",
            cent: "centime",
            cents: "centimes",
        },
    ],
    units: &[
        ("km/h", "kilomètre par heure", "kilomètres par heure"),
        ("km", "kilomètre", "kilomètres"),
        ("cm", "centimètre", "centimètres"),
        ("mm", "millimètre", "millimètres"),
        ("kg", "kilo", "kilos"),
        ("ml", "millilitre", "millilitres"),
        ("°C", "degré Celsius", "degrés Celsius"),
        ("°", "degré", "degrés"),
    ],
    magnitudes: &["mille", "million", "millions", "milliard", "milliards"],
    of: "d'",
    clock: &["h", "heures"],
    on: &["le", "du", "au", "jusqu'au", "dès"],
    code_words: &[
        "code",
        "pin",
        "numéro",
        "commande",
        "référence",
        "réservation",
        "dossier",
        "poste",
    ],
};

fn cardinal(number: u64) -> String {
    if number == 0 {
        return SMALL[0].to_owned();
    }
    let parts: Vec<String> = groups(number)
        .into_iter()
        .map(|(power, group)| match (power, group) {
            (0, group) => hundreds(group, true),
            (1, 1) => "mille".to_owned(),
            (1, group) => format!("{} mille", hundreds(group, false)),
            (power, group) => {
                let name = match power {
                    2 => "million",
                    3 => "milliard",
                    4 => "billion",
                    _ => "billiard",
                };
                format!("{} {name}{}", hundreds(group, true), if group > 1 { "s" } else { "" })
            }
        })
        .collect();
    parts.join(" ")
}

/// `is_last`: "cent" and "vingt" have an s at the end of a number.
fn hundreds(number: u64, is_last: bool) -> String {
    let index = |number: u64| usize::try_from(number).unwrap_or_default();
    let (tens, ones) = (number % 100 / 10, number % 10);
    let below = match (tens, ones) {
        (0, 0) => String::new(),
        (0, _) | (1, 0..=6) => SMALL[index(number % 100)].to_owned(),
        (1, _) => format!("dix-{}", SMALL[index(ones)]),
        (8, 0) => format!("quatre-vingt{}", if is_last { "s" } else { "" }),
        (7, 1) => "soixante et onze".to_owned(),
        (7 | 9, 0..=6) => format!("{}-{}", TENS[index(tens)], SMALL[index(10 + ones)]),
        (7 | 9, _) => format!("{}-dix-{}", TENS[index(tens)], SMALL[index(ones)]),
        (8, _) => format!("quatre-vingt-{}", SMALL[index(ones)]),
        (_, 0) => TENS[index(tens)].to_owned(),
        (_, 1) => format!("{} et un", TENS[index(tens)]),
        _ => format!("{}-{}", TENS[index(tens)], SMALL[index(ones)]),
    };
    match (number / 100, number % 100) {
        (0, _) => below,
        (1, 0) => "cent".to_owned(),
        (1, _) => format!("cent {below}"),
        (hundreds, 0) => format!("{} cent{}", SMALL[index(hundreds)], if is_last { "s" } else { "" }),
        (hundreds, _) => format!("{} cent {below}", SMALL[index(hundreds)]),
    }
}

fn ordinal(number: u64, letters: &str) -> Option<String> {
    match (number, letters) {
        (1, "er") => Some("premier".to_owned()),
        (1, "re") => Some("première".to_owned()),
        _ => None,
    }
}

fn date(day: u64, month: usize, year: Option<u64>) -> String {
    let day = if day == 1 { "premier".to_owned() } else { cardinal(day) };
    let date = format!("{day} {}", MONTHS.get(month - 1).copied().unwrap_or_default());
    year.map_or_else(|| date.clone(), |year| format!("{date} {}", cardinal(year)))
}

fn time(hour: u64, minute: u64, _half: Option<&str>) -> String {
    let hours = match hour {
        0 => "minuit".to_owned(),
        1 => "une heure".to_owned(),
        12 => "midi".to_owned(),
        21 => "vingt et une heures".to_owned(),
        hour => format!("{} heures", cardinal(hour)),
    };
    if minute == 0 {
        hours
    } else {
        format!("{hours} {}", cardinal(minute))
    }
}

fn price(major: String, minor: Option<String>) -> String {
    minor.map_or_else(|| major.clone(), |minor| format!("{major} et {minor}"))
}
