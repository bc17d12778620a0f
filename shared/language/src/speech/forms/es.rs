//! Spanish.

use super::rules::{Currency, Rules, groups};

const SMALL: [&str; 30] = [
    "cero",
    "uno",
    "dos",
    "tres",
    "cuatro",
    "cinco",
    "seis",
    "siete",
    "ocho",
    "nueve",
    "diez",
    "once",
    "doce",
    "trece",
    "catorce",
    "quince",
    "dieciséis",
    "diecisiete",
    "dieciocho",
    "diecinueve",
    "veinte",
    "veintiuno",
    "veintidós",
    "veintitrés",
    "veinticuatro",
    "veinticinco",
    "veintiséis",
    "veintisiete",
    "veintiocho",
    "veintinueve",
];
const TENS: [&str; 10] = [
    "",
    "",
    "veinte",
    "treinta",
    "cuarenta",
    "cincuenta",
    "sesenta",
    "setenta",
    "ochenta",
    "noventa",
];
const HUNDREDS: [&str; 10] = [
    "",
    "ciento",
    "doscientos",
    "trescientos",
    "cuatrocientos",
    "quinientos",
    "seiscientos",
    "setecientos",
    "ochocientos",
    "novecientos",
];
const MONTHS: [&str; 12] = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
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
    thousands: &['.', ' '],
    point: "coma",
    minus: "menos",
    plus: "más",
    percent: "por ciento",
    to: "a",
    number: "número",
    star: "asterisco",
    hash: "almohadilla",
    about: "unos",
    at: "arroba",
    dot: "punto",
    dash: "guion",
    underscore: "guion bajo",
    currencies: &[
        Currency {
            signs: &["€", "EUR"],
            one: "euro",
            many: "euros",
            cent: "céntimo",
            cents: "céntimos",
        },
        Currency {
            signs: &["US$", "$", "USD"],
            one: "dólar",
            many: "dólares",
            cent: "centavo",
            cents: "centavos",
        },
        Currency {
            signs: &["MXN"],
            one: "peso",
            many: "pesos",
            cent: "centavo",
            cents: "centavos",
        },
    ],
    units: &[
        ("km/h", "kilómetro por hora", "kilómetros por hora"),
        ("km", "kilómetro", "kilómetros"),
        ("cm", "centímetro", "centímetros"),
        ("mm", "milímetro", "milímetros"),
        ("kg", "kilo", "kilos"),
        ("ml", "mililitro", "mililitros"),
        ("°C", "grado Celsius", "grados Celsius"),
        ("°", "grado", "grados"),
    ],
    magnitudes: &["mil", "millón", "millones"],
    of: "de",
    clock: &["h", "horas"],
    on: &["el", "del", "al", "hasta", "desde", "para"],
    code_words: &[
        "código",
        "pin",
        "número",
        "pedido",
        "referencia",
        "reserva",
        "contraseña",
        "extensión",
    ],
};

fn cardinal(number: u64) -> String {
    if number == 0 {
        return SMALL[0].to_owned();
    }
    let mut parts = Vec::new();
    // Two groups of three share a name: mil millones.
    let (millions, rest) = (number / 1_000_000, number % 1_000_000);
    match millions {
        0 => {}
        1 => parts.push("un millón".to_owned()),
        millions => parts.push(format!("{} millones", shortened(&cardinal(millions)))),
    }
    for (power, group) in groups(rest) {
        parts.push(match (power, group) {
            (1, 1) => "mil".to_owned(),
            (1, group) => format!("{} mil", shortened(&hundreds(group))),
            (_, group) => hundreds(group),
        });
    }
    parts.join(" ")
}

/// "uno" is "un" before a noun.
fn shortened(words: &str) -> String {
    if let Some(start) = words.strip_suffix("veintiuno") {
        return format!("{start}veintiún");
    }
    words
        .strip_suffix("uno")
        .map_or(words.to_owned(), |start| format!("{start}un"))
}

fn counting(number: u64) -> String {
    shortened(&cardinal(number))
}

fn hundreds(number: u64) -> String {
    let index = |number: u64| usize::try_from(number).unwrap_or_default();
    let below = match number % 100 {
        0 => String::new(),
        small @ 1..30 => SMALL[index(small)].to_owned(),
        tens if tens % 10 == 0 => TENS[index(tens / 10)].to_owned(),
        tens => format!("{} y {}", TENS[index(tens / 10)], SMALL[index(tens % 10)]),
    };
    match (number / 100, number % 100) {
        (0, _) => below,
        (1, 0) => "cien".to_owned(),
        (hundreds, 0) => HUNDREDS[index(hundreds)].to_owned(),
        (hundreds, _) => format!("{} {below}", HUNDREDS[index(hundreds)]),
    }
}

fn date(day: u64, month: usize, year: Option<u64>) -> String {
    let day = if day == 1 { "uno".to_owned() } else { cardinal(day) };
    let date = format!("{day} de {}", MONTHS.get(month - 1).copied().unwrap_or_default());
    year.map_or_else(|| date.clone(), |year| format!("{date} de {}", cardinal(year)))
}

fn time(hour: u64, minute: u64, half: Option<&str>) -> String {
    let hours = if hour == 1 { "una".to_owned() } else { cardinal(hour) };
    let hours = hours
        .strip_suffix("veintiuno")
        .map_or(hours.clone(), |_| "veintiuna".to_owned());
    let spoken = match minute {
        0 => format!("{hours} en punto"),
        15 => format!("{hours} y cuarto"),
        30 => format!("{hours} y media"),
        minute => format!("{hours} y {}", cardinal(minute)),
    };
    match half {
        Some("am") => format!("{spoken} de la mañana"),
        Some(_) => format!("{spoken} de la tarde"),
        None => spoken,
    }
}

fn price(major: String, minor: Option<String>) -> String {
    minor.map_or_else(|| major.clone(), |minor| format!("{major} con {minor}"))
}
