//! Italian.

use super::rules::{Currency, Rules, groups};

const SMALL: [&str; 20] = [
    "zero",
    "uno",
    "due",
    "tre",
    "quattro",
    "cinque",
    "sei",
    "sette",
    "otto",
    "nove",
    "dieci",
    "undici",
    "dodici",
    "tredici",
    "quattordici",
    "quindici",
    "sedici",
    "diciassette",
    "diciotto",
    "diciannove",
];
const TENS: [&str; 10] = [
    "",
    "",
    "venti",
    "trenta",
    "quaranta",
    "cinquanta",
    "sessanta",
    "settanta",
    "ottanta",
    "novanta",
];
const MONTHS: [&str; 12] = [
    "gennaio",
    "febbraio",
    "marzo",
    "aprile",
    "maggio",
    "giugno",
    "luglio",
    "agosto",
    "settembre",
    "ottobre",
    "novembre",
    "dicembre",
];

pub(super) const RULES: Rules = Rules {
    cardinal,
    counting,
    year: cardinal,
    date,
    time,
    price,
    ordinal: |_, _| None,
    decimal_comma: true,
    thousands: &['.', '\'', '’'],
    point: "virgola",
    minus: "meno",
    plus: "più",
    percent: "per cento",
    to: "a",
    number: "numero",
    star: "asterisco",
    hash: "cancelletto",
    about: "circa",
    at: "chiocciola",
    dot: "punto",
    dash: "trattino",
    underscore: "trattino basso",
    currencies: &[
        Currency {
            signs: &["€", "EUR"],
            one: "euro",
            many: "euro",
            cent: "centesimo",
            cents: "centesimi",
        },
        Currency {
            signs: &["US$", "$", "USD"],
            one: "dollaro",
            many: "dollari",
            cent: "centesimo",
            cents: "centesimi",
        },
        Currency {
            signs: &["CHF"],
            one: "franco",
            many: "franchi",
            cent: "centesimo",
            cents: "centesimi",
        },
    ],
    units: &[
        ("km/h", "chilometro all'ora", "chilometri all'ora"),
        ("km", "chilometro", "chilometri"),
        ("cm", "centimetro", "centimetri"),
        ("mm", "millimetro", "millimetri"),
        ("kg", "chilo", "chili"),
        ("ml", "millilitro", "millilitri"),
        ("°C", "grado Celsius", "gradi Celsius"),
        ("°", "grado", "gradi"),
    ],
    magnitudes: &["mila", "milione", "milioni", "miliardo", "miliardi"],
    of: "di",
    clock: &[],
    on: &["il", "del", "al", "dal", "entro"],
    code_words: &[
        "codice",
        "pin",
        "numero",
        "ordine",
        "riferimento",
        "prenotazione",
        "pratica",
        "interno",
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
            (1, 1) => words.push_str("mille"),
            (1, group) => words.push_str(&format!("{}mila", hundreds(group))),
            (power, group) => {
                let (one, many) = match power {
                    2 => ("milione", "milioni"),
                    3 => ("miliardo", "miliardi"),
                    4 => ("bilione", "bilioni"),
                    _ => ("biliardo", "biliardi"),
                };
                let name = if group == 1 {
                    format!("un {one} ")
                } else {
                    format!("{} {many} ", hundreds(group))
                };
                words.push_str(&name);
            }
        }
    }
    let words = words.trim_end();
    // A three at the end of a longer word has an accent.
    match words.strip_suffix("tre") {
        Some(start) if !start.is_empty() && !start.ends_with(' ') => format!("{start}tré"),
        _ => words.to_owned(),
    }
}

fn counting(number: u64) -> String {
    if number == 1 { "un".to_owned() } else { cardinal(number) }
}

fn hundreds(number: u64) -> String {
    let index = |number: u64| usize::try_from(number).unwrap_or_default();
    let below = match number % 100 {
        0 => String::new(),
        small @ 1..20 => SMALL[index(small)].to_owned(),
        tens => {
            let (name, ones) = (TENS[index(tens / 10)], tens % 10);
            match ones {
                0 => name.to_owned(),
                // The vowel is left out: ventuno, ventotto.
                1 | 8 => format!("{}{}", &name[..name.len() - 1], SMALL[index(ones)]),
                _ => format!("{name}{}", SMALL[index(ones)]),
            }
        }
    };
    match number / 100 {
        0 => below,
        1 => format!("cento{below}"),
        hundreds => format!("{}cento{below}", SMALL[index(hundreds)]),
    }
}

fn date(day: u64, month: usize, year: Option<u64>) -> String {
    let day = if day == 1 { "primo".to_owned() } else { cardinal(day) };
    let date = format!("{day} {}", MONTHS.get(month - 1).copied().unwrap_or_default());
    year.map_or_else(|| date.clone(), |year| format!("{date} {}", cardinal(year)))
}

fn time(hour: u64, minute: u64, _half: Option<&str>) -> String {
    let hours = if hour == 1 { "una".to_owned() } else { cardinal(hour) };
    match minute {
        0 => hours,
        15 => format!("{hours} e un quarto"),
        30 => format!("{hours} e mezza"),
        minute => format!("{hours} e {}", cardinal(minute)),
    }
}

fn price(major: String, minor: Option<String>) -> String {
    minor.map_or_else(|| major.clone(), |minor| format!("{major} e {minor}"))
}
