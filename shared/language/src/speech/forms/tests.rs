//! Spoken forms in each language with rules.

use crate::{SpeechOptions, SpeechStream, SpokenForms, speakable};

fn say(language: &str, text: &str) -> String {
    let options = SpeechOptions {
        spoken_forms: SpokenForms::On,
        ..SpeechOptions::new(language)
    };
    speakable(text, &options)
}

fn assert_forms(language: &str, cases: &[(&str, &str)]) {
    let wrong: Vec<_> = cases
        .iter()
        .map(|(text, expected)| (*text, say(language, text), *expected))
        .filter(|(_, said, expected)| said != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn speaks_english() {
    assert_forms(
        "en-US",
        &[
            (
                "It costs $1,234.50 at 9:30 pm on 12/24.",
                "It costs one thousand two hundred thirty-four dollars and fifty cents at nine thirty p.m. on December twenty-fourth.",
            ),
            ("$1 or $0.99", "one dollar or ninety-nine cents"),
            ("$5 million", "five million dollars"),
            ("€20 or 20 € or 20 EUR", "twenty euros or twenty euros or twenty euros"),
            ("£3.01", "three pounds and one penny"),
            ("$5-10", "five to ten dollars"),
            ("rate 5-10", "rate five to ten"),
            ("50% off, 2.5%", "fifty percent off, two point five percent"),
            (
                "at 9:05, 9:00, 14:30 and 9pm",
                "at nine oh five, nine o'clock, fourteen thirty and nine p.m.",
            ),
            ("It is 9 a.m.", "It is nine a.m."),
            ("Come at 9 pm.", "Come at nine p.m."),
            ("Come at 9 pm!", "Come at nine p.m!"),
            (
                "12/24/2026 and 2026-12-24",
                "December twenty-fourth, twenty twenty-six and December twenty-fourth, twenty twenty-six",
            ),
            ("1/2 cup", "one half cup"),
            ("by 3/4", "by March fourth"),
            (
                "the 1st, 2nd, 3rd and 21st",
                "the first, second, third and twenty-first",
            ),
            (
                "in 2026 and 1905 and 2005",
                "in twenty twenty-six and nineteen oh five and two thousand five",
            ),
            ("1,000,001 people", "one million one people"),
            (
                "-5 °C, ~5 km, 1 kg, 5ft",
                "minus five degrees Celsius, about five kilometers, one kilogram, five feet",
            ),
            (
                "Mail ann.lee_7@example.com.",
                "Mail ann dot lee underscore seven at example dot com.",
            ),
            ("See example.com!", "See example dot com!"),
            (
                "Call +1 415 555 0123",
                "Call plus one, four one five, five five five, zero one two three",
            ),
            (
                "Call (415) 555-0123.",
                "Call four one five, five five five, zero one two three.",
            ),
            ("Call 555-0123", "Call five five five, zero one two three"),
            ("Your code is 4711", "Your code is four seven one one"),
            ("PIN 007", "PIN zero zero seven"),
            ("order AB12C3", "order A B one two C three"),
            ("The code is 12-34-56.", "The code is one two, three four, five six."),
            ("12345678", "one two three four five six seven eight"),
            ("Suite #5, dial *69", "Suite number five, dial star six nine"),
            ("0 and 15 and 100", "zero and fifteen and one hundred"),
            ("3.14", "three point one four"),
            ("Version 1.2.3 at 192.168.0.1", "Version 1.2.3 at 192.168.0.1"),
            ("C#, MP3, 5G, B2B", "C#, MP3, 5G, B2B"),
            ("Mr. Smith e.g. the U.S.", "Mr. Smith e.g. the U.S."),
            ("I'm 30.", "I'm thirty."),
        ],
    );
    assert_forms(
        "en-GB",
        &[("on 24/12", "on December twenty-fourth"), ("by 3/4", "by April third")],
    );
}

#[test]
fn speaks_german() {
    assert_forms(
        "de-DE",
        &[
            (
                "1.234,50 €",
                "eintausendzweihundertvierunddreißig Euro und fünfzig Cent",
            ),
            (
                "1 €, 0,99 €, 9.99 €",
                "ein Euro, neunundneunzig Cent, neun Euro und neunundneunzig Cent",
            ),
            ("um 14:30 Uhr und 9 Uhr", "um vierzehn Uhr dreißig und neun Uhr"),
            ("um 1:00", "um ein Uhr"),
            (
                "am 24.12.2026",
                "am vierundzwanzigsten Dezember zweitausendsechsundzwanzig",
            ),
            ("am 3.5. um neun", "am dritten Mai um neun"),
            ("am 1.7.", "am ersten Juli."),
            ("Nur am 1.7. Dann nicht.", "Nur am ersten Juli. Dann nicht."),
            ("3,5 km und 21 %", "drei Komma fünf Kilometer und einundzwanzig Prozent"),
            ("1984", "neunzehnhundertvierundachtzig"),
            ("101 und 1.000.000", "einhunderteins und eine Million"),
            ("Ihr Code ist 4711", "Ihr Code ist vier sieben eins eins"),
            ("030 1234567", "null drei null, eins zwei drei vier fünf sechs sieben"),
            ("ann@example.de", "ann at example Punkt de"),
            ("5-10 Tage", "fünf bis zehn Tage"),
        ],
    );
}

#[test]
fn speaks_spanish_french_italian_portuguese() {
    assert_forms(
        "es",
        &[
            (
                "1.234,50 €",
                "mil doscientos treinta y cuatro euros con cincuenta céntimos",
            ),
            ("21 €", "veintiún euros"),
            ("1 000", "mil"),
            ("101 y 2026", "ciento uno y dos mil veintiséis"),
            ("a las 9:30", "a las nueve y media"),
            ("el 24/12/2026", "el veinticuatro de diciembre de dos mil veintiséis"),
            ("50 %", "cincuenta por ciento"),
            ("ann@example.es", "ann arroba example punto es"),
            ("2 millones", "dos millones"),
        ],
    );
    assert_forms(
        "fr-FR",
        &[
            (
                "1 234,50 €",
                "mille deux cent trente-quatre euros et cinquante centimes",
            ),
            (
                "71, 80, 81, 91, 99 et 200",
                "soixante et onze, quatre-vingts, quatre-vingt-un, quatre-vingt-onze, quatre-vingt-dix-neuf et deux cents",
            ),
            ("12,50 €", "douze euros et cinquante centimes"),
            ("à 14h30 ou 9h", "à quatorze heures trente ou neuf heures"),
            ("le 01/05/2026", "le premier mai deux mille vingt-six"),
            ("20 %", "vingt pour cent"),
        ],
    );
    assert_forms(
        "it",
        &[
            ("1.234,50 €", "milleduecentotrentaquattro euro e cinquanta centesimi"),
            ("21, 28, 33 e 101", "ventuno, ventotto, trentatré e centouno"),
            ("alle 9:30", "alle nove e mezza"),
            ("il 01/05/2026", "il primo maggio duemilaventisei"),
        ],
    );
    assert_forms(
        "pt-BR",
        &[
            (
                "R$ 1.234,50",
                "mil duzentos e trinta e quatro reais e cinquenta centavos",
            ),
            ("1.100 e 1.001", "mil e cem e mil e um"),
            ("às 14:30", "às catorze horas e trinta"),
            ("dia 24/12", "dia vinte e quatro de dezembro"),
            ("2.000.000 €", "dois milhões de euros"),
        ],
    );
}

#[test]
fn other_languages_and_the_default_keep_numbers() {
    assert_eq!(say("ja", "3月5日 10:30 $5"), "3月5日 10:30 $5");
    assert_eq!(speakable("$5 at 9:30", &SpeechOptions::new("en")), "$5 at 9:30");
}

#[test]
fn chunks_have_no_effect_on_spoken_forms() {
    let options = SpeechOptions {
        spoken_forms: SpokenForms::On,
        ..SpeechOptions::new("en")
    };
    let text = "It costs $1,234.50 at 9:30 p.m. on 12/24. Call +1 415 555 0123! **Mail ann@example.com.** Bye 5.";
    for size in 1..9 {
        let mut stream = SpeechStream::new(&options);
        let chars: Vec<char> = text.chars().collect();
        let mut said: String = chars
            .chunks(size)
            .map(|chunk| stream.push(&chunk.iter().collect::<String>()))
            .collect();
        said.push_str(&stream.finish());
        assert_eq!(said, speakable(text, &options), "{size}");
    }
}

/// Pieces of numbers and signs, joined at random.
const PIECES: &[&str] = &[
    "1",
    "12",
    "007",
    "2026",
    "999999999999999",
    "$",
    "€",
    "R$",
    "EUR",
    " ",
    " ",
    ".",
    ",",
    ":",
    "/",
    "-",
    "–",
    "+",
    "%",
    "#",
    "*",
    "(",
    ")",
    "@",
    "a",
    "Z",
    "example",
    "com",
    "pm",
    "Uhr",
    "h",
    "st",
    "km",
    "°C",
    "million",
    "code ",
    "on ",
    "_",
    "’",
    "é",
    "日",
    "~",
    "12/24",
    "9:30",
    "1.234,5",
    "1,234.5",
];

#[test]
fn random_texts_keep_their_words() {
    let mut state: u64 = 7;
    let mut random = move |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit
    };
    for _ in 0..500 {
        let text: String = (0..random(12)).map(|_| PIECES[random(PIECES.len())]).collect();
        for language in ["en", "de", "es", "fr", "it", "pt"] {
            let said = super::spoken(&text, language);
            assert_eq!(said.contains('日'), text.contains('日'), "{text:?}");
            assert!(
                said.chars().count() < 40 + text.chars().count() * 12,
                "{text:?} {said:?}"
            );
        }
    }
}
