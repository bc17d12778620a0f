//! English.

use super::rules::{Currency, Rules, groups};

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = [
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
const POWERS: [&str; 7] = [
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) const RULES: Rules = Rules {
    cardinal,
    counting: cardinal,
    year,
    date,
    time,
    price,
    ordinal,
    decimal_comma: false,
    thousands: &[','],
    point: "point",
    minus: "minus",
    plus: "plus",
    percent: "percent",
    to: "to",
    number: "number",
    star: "star",
    hash: "pound",
    about: "about",
    at: "at",
    dot: "dot",
    dash: "dash",
    underscore: "underscore",
    currencies: &[
        Currency {
            signs: &["US$", "$", "USD"],
            one: "dollar",
            many: "dollars",
            cent: "cent",
            cents: "cents",
        },
        Currency {
            signs: &["€", "EUR"],
            one: "euro",
            many: "euros",
            cent: "cent",
            cents: "cents",
        },
        Currency {
            signs: &["£", "GBP"],
            one: "pound",
            many: "pounds",
            cent: "penny",
            cents: "pence",
        },
        Currency {
            signs: &["¥", "JPY"],
            one: "yen",
            many: "yen",
            cent: "sen",
            cents: "sen",
        },
        Currency {
            signs: &["₹", "INR"],
            one: "rupee",
            many: "rupees",
            cent: "paisa",
            cents: "paise",
        },
        Currency {
            signs: &["CHF"],
            one: "Swiss franc",
            many: "Swiss francs",
            cent: "centime",
            cents: "centimes",
        },
    ],
    units: &[
        ("km/h", "kilometer per hour", "kilometers per hour"),
        ("mph", "mile per hour", "miles per hour"),
        ("km", "kilometer", "kilometers"),
        ("cm", "centimeter", "centimeters"),
        ("mm", "millimeter", "millimeters"),
        ("kg", "kilogram", "kilograms"),
        ("mg", "milligram", "milligrams"),
        ("ml", "milliliter", "milliliters"),
        ("lbs", "pound", "pounds"),
        ("lb", "pound", "pounds"),
        ("oz", "ounce", "ounces"),
        ("ft", "foot", "feet"),
        ("GB", "gigabyte", "gigabytes"),
        ("MB", "megabyte", "megabytes"),
        ("°C", "degree Celsius", "degrees Celsius"),
        ("°F", "degree Fahrenheit", "degrees Fahrenheit"),
        ("°", "degree", "degrees"),
    ],
    magnitudes: &["thousand", "million", "billion", "trillion"],
    of: "",
    clock: &[],
    on: &["on", "by", "until", "till", "before", "after", "since", "from", "due"],
    code_words: &[
        "code",
        "pin",
        "number",
        "order",
        "reference",
        "ticket",
        "confirmation",
        "booking",
        "id",
        "extension",
        "password",
        "account",
    ],
};

fn cardinal(number: u64) -> String {
    if number == 0 {
        return SMALL[0].to_owned();
    }
    let parts: Vec<String> = groups(number)
        .into_iter()
        .map(|(power, group)| format!("{} {}", hundreds(group), POWERS[power]).trim_end().to_owned())
        .collect();
    parts.join(" ")
}

fn hundreds(number: u64) -> String {
    let index = |number: u64| usize::try_from(number).unwrap_or_default();
    let below = match number % 100 {
        small @ 0..20 => SMALL[index(small)].to_owned(),
        tens if tens % 10 == 0 => TENS[index(tens / 10)].to_owned(),
        tens => format!("{}-{}", TENS[index(tens / 10)], SMALL[index(tens % 10)]),
    };
    match (number / 100, number % 100) {
        (0, _) => below,
        (hundreds, 0) => format!("{} hundred", SMALL[index(hundreds)]),
        (hundreds, _) => format!("{} hundred {below}", SMALL[index(hundreds)]),
    }
}

fn year(year: u64) -> String {
    let (century, rest) = (year / 100, year % 100);
    match (century, rest) {
        (20, 0..10) => cardinal(year),
        (_, 0) => format!("{} hundred", cardinal(century)),
        (_, 1..10) => format!("{} oh {}", cardinal(century), cardinal(rest)),
        _ => format!("{} {}", cardinal(century), cardinal(rest)),
    }
}

fn ordinal_words(number: u64) -> String {
    let words = cardinal(number);
    let (start, last) = words
        .rfind([' ', '-'])
        .map_or(("", words.as_str()), |at| words.split_at(at + 1));
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        last => last
            .strip_suffix('y')
            .map_or_else(|| format!("{last}th"), |stem| format!("{stem}ieth")),
    };
    format!("{start}{last}")
}

fn ordinal(number: u64, letters: &str) -> Option<String> {
    matches!(letters, "st" | "nd" | "rd" | "th").then(|| ordinal_words(number))
}

fn date(day: u64, month: usize, written_year: Option<u64>) -> String {
    let name = MONTHS.get(month - 1).copied().unwrap_or_default();
    let date = format!("{name} {}", ordinal_words(day));
    written_year.map_or_else(|| date.clone(), |number| format!("{date}, {}", year(number)))
}

fn time(hour: u64, minute: u64, half: Option<&str>) -> String {
    let hours = cardinal(hour);
    let spoken = match (minute, half) {
        (0, Some(_)) => hours,
        (0, None) if (1..=12).contains(&hour) => format!("{hours} o'clock"),
        (0, None) => format!("{hours} hundred"),
        (1..10, _) => format!("{hours} oh {}", cardinal(minute)),
        _ => format!("{hours} {}", cardinal(minute)),
    };
    match half {
        Some("am") => format!("{spoken} a.m."),
        Some(_) => format!("{spoken} p.m."),
        None => spoken,
    }
}

fn price(major: String, minor: Option<String>) -> String {
    minor.map_or_else(|| major.clone(), |minor| format!("{major} and {minor}"))
}
