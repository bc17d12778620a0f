//! Portuguese.

use super::rules::{Currency, Rules, groups};

const SMALL: [&str; 20] = [
    "zero",
    "um",
    "dois",
    "três",
    "quatro",
    "cinco",
    "seis",
    "sete",
    "oito",
    "nove",
    "dez",
    "onze",
    "doze",
    "treze",
    "catorze",
    "quinze",
    "dezesseis",
    "dezessete",
    "dezoito",
    "dezenove",
];
const TENS: [&str; 10] = [
    "",
    "",
    "vinte",
    "trinta",
    "quarenta",
    "cinquenta",
    "sessenta",
    "setenta",
    "oitenta",
    "noventa",
];
const HUNDREDS: [&str; 10] = [
    "",
    "cento",
    "duzentos",
    "trezentos",
    "quatrocentos",
    "quinhentos",
    "seiscentos",
    "setecentos",
    "oitocentos",
    "novecentos",
];
const MONTHS: [&str; 12] = [
    "janeiro",
    "fevereiro",
    "março",
    "abril",
    "maio",
    "junho",
    "julho",
    "agosto",
    "setembro",
    "outubro",
    "novembro",
    "dezembro",
];

pub(super) const RULES: Rules = Rules {
    cardinal,
    counting: cardinal,
    year: cardinal,
    date,
    time,
    price,
    ordinal: |_, _| None,
    decimal_comma: true,
    thousands: &['.'],
    point: "vírgula",
    minus: "menos",
    plus: "mais",
    percent: "por cento",
    to: "a",
    number: "número",
    star: "asterisco",
    hash: "jogo da velha",
    about: "cerca de",
    at: "arroba",
    dot: "ponto",
    dash: "hífen",
    underscore: "sublinhado",
    currencies: &[
        Currency {
            signs: &["R$", "BRL"],
            one: "real",
            many: "reais",
            cent: "centavo",
            cents: "centavos",
        },
        Currency {
            signs: &["€", "EUR"],
            one: "euro",
            many: "euros",
            cent: "cêntimo",
            cents: "cêntimos",
        },
        Currency {
            signs: &["US$", "$", "USD"],
            one: "dólar",
            many: "dólares",
            cent: "centavo",
            cents: "centavos",
        },
    ],
    units: &[
        ("km/h", "quilômetro por hora", "quilômetros por hora"),
        ("km", "quilômetro", "quilômetros"),
        ("cm", "centímetro", "centímetros"),
        ("mm", "milímetro", "milímetros"),
        ("kg", "quilo", "quilos"),
        ("ml", "mililitro", "mililitros"),
        ("°C", "grau Celsius", "graus Celsius"),
        ("°", "grau", "graus"),
    ],
    magnitudes: &["mil", "milhão", "milhões", "bilhão", "bilhões"],
    of: "de",
    clock: &["h", "horas"],
    on: &["em", "dia", "até", "desde", "no"],
    code_words: &[
        "código",
        "pin",
        "número",
        "pedido",
        "referência",
        "reserva",
        "senha",
        "protocolo",
        "ramal",
    ],
};

fn cardinal(number: u64) -> String {
    if number == 0 {
        return SMALL[0].to_owned();
    }
    let groups = groups(number);
    let mut words = String::new();
    for (at, (power, group)) in groups.iter().enumerate() {
        if at > 0 {
            // "mil e cem", "mil e um", but "mil duzentos e trinta".
            let is_last = at + 1 == groups.len();
            let joins = is_last && *power == 0 && (*group < 100 || group % 100 == 0);
            words.push_str(if joins { " e " } else { " " });
        }
        let part = match (power, group) {
            (0, group) => hundreds(*group),
            (1, 1) => "mil".to_owned(),
            (1, group) => format!("{} mil", hundreds(*group)),
            (power, group) => {
                let (one, many) = match power {
                    2 => ("milhão", "milhões"),
                    3 => ("bilhão", "bilhões"),
                    4 => ("trilhão", "trilhões"),
                    _ => ("quatrilhão", "quatrilhões"),
                };
                format!("{} {}", hundreds(*group), if *group == 1 { one } else { many })
            }
        };
        words.push_str(&part);
    }
    words
}

fn hundreds(number: u64) -> String {
    let index = |number: u64| usize::try_from(number).unwrap_or_default();
    let below = match number % 100 {
        0 => String::new(),
        small @ 1..20 => SMALL[index(small)].to_owned(),
        tens if tens % 10 == 0 => TENS[index(tens / 10)].to_owned(),
        tens => format!("{} e {}", TENS[index(tens / 10)], SMALL[index(tens % 10)]),
    };
    match (number / 100, number % 100) {
        (0, _) => below,
        (1, 0) => "cem".to_owned(),
        (hundreds, 0) => HUNDREDS[index(hundreds)].to_owned(),
        (hundreds, _) => format!("{} e {below}", HUNDREDS[index(hundreds)]),
    }
}

fn date(day: u64, month: usize, year: Option<u64>) -> String {
    let day = if day == 1 { "primeiro".to_owned() } else { cardinal(day) };
    let date = format!("{day} de {}", MONTHS.get(month - 1).copied().unwrap_or_default());
    year.map_or_else(|| date.clone(), |year| format!("{date} de {}", cardinal(year)))
}

fn time(hour: u64, minute: u64, _half: Option<&str>) -> String {
    let hours = match hour {
        1 => "uma hora".to_owned(),
        2 => "duas horas".to_owned(),
        21 => "vinte e uma horas".to_owned(),
        22 => "vinte e duas horas".to_owned(),
        hour => format!("{} horas", cardinal(hour)),
    };
    match minute {
        0 => hours,
        minute => format!("{hours} e {}", cardinal(minute)),
    }
}

fn price(major: String, minor: Option<String>) -> String {
    minor.map_or_else(|| major.clone(), |minor| format!("{major} e {minor}"))
}
