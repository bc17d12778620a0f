//! Spellings of telephone numbers: reads a number as people write it (ITU-T E.123 and habits), and finds the one key of all
//! numbers that reach the same person. Never refuses a number that is only unassigned.

use phonenumber::metadata::{DATABASE, Descriptor, Metadata};

/// In characters, with all signs.
const MAX_TEXT: usize = 64;

/// A number in international form.
pub(crate) struct Number {
    /// As it was given, without a prefix that is only dialled within the country.
    pub given: String,
    /// The current number, if the country has changed its numbers since.
    pub current: Option<String>,
}

/// Reads a number that begins with `+` or `00`. `None`: it is no international number, or has no possible length.
pub(crate) fn read(text: &str) -> Option<Number> {
    let text = text.trim();
    if text.chars().count() > MAX_TEXT {
        return None;
    }
    let (digits, has_trunk_prefix) = match text.strip_prefix('+') {
        // E.164 already, as most numbers of a send are.
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => (digits.to_owned(), false),
        _ => written_digits(text)?,
    };
    if digits.starts_with('0') {
        return None;
    }
    let given = without_trunk_prefix(digits, has_trunk_prefix);
    let current = current_number(&given);
    let dialled = current.as_deref().unwrap_or(&given);
    ((7..=15).contains(&given.len()) && is_dialable(dialled)).then_some(Number { given, current })
}

/// Returns the digits of a number as people write it, without `+` or `00`, and whether they contain `(0)`.
fn written_digits(text: &str) -> Option<(String, bool)> {
    let plain: String = text.chars().filter_map(plain).collect();
    let scheme = plain.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("tel:"));
    let plain = match scheme {
        // Parameters of RFC 3966; an extension would be lost.
        Some(_) => match plain[4..].split_once(';') {
            Some((_, parameters))
                if parameters
                    .to_ascii_lowercase()
                    .split(';')
                    .any(|one| one.starts_with("ext=")) =>
            {
                return None;
            }
            Some((number, _)) => number.to_owned(),
            None => plain[4..].to_owned(),
        },
        None => plain,
    };
    let plain = plain.trim();
    let rest = plain
        .strip_prefix('+')
        .or_else(|| plain.strip_prefix("00").filter(|rest| !rest.starts_with('0')))?;
    let has_number_format = rest.bytes().all(|b| b.is_ascii_digit() || b" -().".contains(&b));
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    let compact: String = rest.chars().filter(|c| *c != ' ').collect();
    has_number_format.then(|| (digits, compact.contains("(0)")))
}

/// The kind of a number in its numbering plan. Ported numbers keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LineType {
    Mobile,
    Landline,
    /// The plan does not tell these apart, as in North America.
    MobileOrLandline,
    TollFree,
    Premium,
    SharedCost,
    Voip,
    Personal,
}

impl LineType {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The facts about a number in the numbering plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberFacts {
    /// In E.164 form.
    pub number: String,
    /// ISO 3166-1. `None`: several countries share the number's range, or it is of no country.
    pub country: Option<&'static str>,
    /// The country's calling code, without `+`.
    pub calling_code: String,
    /// `None`: the number is in no range that is in use.
    pub line_type: Option<LineType>,
}

/// Describes a number as people write it. `None`: it is no international number.
pub fn describe(text: &str) -> Option<NumberFacts> {
    let number = read(text)?;
    let digits = number.current.unwrap_or(number.given);
    let (code, national, regions) = split(&digits)?;
    let kinds = |region: &&'static Metadata| Some((region.id(), line_type(region, national)?));
    let found = regions.iter().find_map(kinds);
    let country = match (found, regions.as_slice()) {
        (Some((id, _)), _) => Some(id),
        (None, [only]) => Some(only.id()),
        (None, _) => None,
    };
    Some(NumberFacts {
        number: format!("+{digits}"),
        // Ranges of no country have 001.
        country: country.filter(|id| id.bytes().all(|b| b.is_ascii_uppercase())),
        calling_code: code.to_owned(),
        line_type: found.map(|(_, kind)| kind),
    })
}

/// Returns the kind of the number in this region. `None`: it is not one of the region's.
fn line_type(region: &Metadata, national: &str) -> Option<LineType> {
    let descriptors = region.descriptors();
    let is_in = |kind: Option<&Descriptor>| kind.is_some_and(|kind| kind.is_match(national));
    if !descriptors.general().is_match(national) {
        return None;
    }
    for (descriptor, kind) in [
        (descriptors.premium_rate(), LineType::Premium),
        (descriptors.toll_free(), LineType::TollFree),
        (descriptors.shared_cost(), LineType::SharedCost),
        (descriptors.voip(), LineType::Voip),
        (descriptors.personal_number(), LineType::Personal),
    ] {
        if is_in(descriptor) {
            return Some(kind);
        }
    }
    match (is_in(descriptors.mobile()), is_in(descriptors.fixed_line())) {
        (true, true) => Some(LineType::MobileOrLandline),
        (true, false) => Some(LineType::Mobile),
        (false, true) => Some(LineType::Landline),
        (false, false) => None,
    }
}

/// Returns the key of the person behind a number in E.164 form, without its `+`.
pub(crate) fn key(digits: &str) -> String {
    let current = current_number(digits).unwrap_or_else(|| digits.to_owned());
    argentina_key(&current)
        .or_else(|| brazil_key(&current))
        .or_else(|| san_marino_key(&current))
        .unwrap_or(current)
}

/// Returns the plain character for one that looks the same; `None` for one that is not visible.
fn plain(c: char) -> Option<char> {
    match c {
        // Direction marks, joiners, soft hyphens: copied with a number from a web page or an address book.
        '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => None,
        '\u{ff0b}' => Some('+'),
        '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(c) - 0xff10, 10),
        '\u{660}'..='\u{669}' => char::from_digit(u32::from(c) - 0x660, 10),
        '\u{6f0}'..='\u{6f9}' => char::from_digit(u32::from(c) - 0x6f0, 10),
        '\u{966}'..='\u{96f}' => char::from_digit(u32::from(c) - 0x966, 10),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' | '\u{30fc}' | '/' | '\u{2044}' | '\u{ff0f}' => Some('-'),
        '\u{b7}' | '\u{2022}' | '\u{ff0e}' => Some('.'),
        '\u{ff08}' | '[' => Some('('),
        '\u{ff09}' | ']' => Some(')'),
        // A line break separates two numbers.
        '\n' | '\r' => Some(c),
        c if c.is_whitespace() => Some(' '),
        c => Some(c),
    }
}

/// Splits the digits after the country's code, and returns the regions with this code.
fn split(digits: &str) -> Option<(&str, &str, Vec<&'static Metadata>)> {
    (1..=3).find_map(|length| {
        let (code, national) = (digits.get(..length)?, digits.get(length..)?);
        let regions = DATABASE
            .by_code(&code.parse().ok()?)
            .filter(|regions| !regions.is_empty())?;
        Some((code, national, regions))
    })
}

/// Removes the prefix of calls within a country that was written after the country's code: `+49 (0)176` is `+49 176`, and
/// `+7 8 912` is `+7 912`.
fn without_trunk_prefix(digits: String, is_marked: bool) -> String {
    let Some((code, national, regions)) = split(&digits) else {
        return digits;
    };
    let without = match code {
        "39" => italy(national, is_marked),
        // Numbers of these countries begin with a zero.
        "225" | "229" | "241" | "242" | "378" => None,
        // Russia and Kazakhstan.
        "7" => national.strip_prefix('8').filter(|rest| rest.len() == 10),
        "36" => national.strip_prefix("06").filter(|rest| rest.len() >= 8),
        "370" => national.strip_prefix(['8', '0']).filter(|rest| rest.len() == 8),
        "375" => national
            .strip_prefix("80")
            .or_else(|| national.strip_prefix('8'))
            .filter(|rest| rest.len() == 9),
        "993" => national.strip_prefix('8').filter(|rest| rest.len() == 8),
        "998" => national.strip_prefix('8').filter(|rest| rest.len() == 9),
        "52" => ["01", "044", "045"]
            .iter()
            .find_map(|prefix| national.strip_prefix(prefix))
            .filter(|rest| rest.len() == 10),
        "54" => return argentina(national),
        "55" => brazil(national),
        _ if is_marked || regions.iter().any(|region| region.national_prefix() == Some("0")) => {
            national.strip_prefix('0')
        }
        _ => None,
    };
    without.map_or_else(|| digits.clone(), |without| format!("{code}{without}"))
}

/// The areas of Italy with codes that begin with 03. Mobile numbers begin with 3.
const ITALIAN_AREAS: &[&str] = &[
    "030", "031", "0321", "0322", "0323", "0324", "0331", "0332", "0341", "0342", "0343", "0344", "0345", "0346",
    "035", "0362", "0363", "0364", "0365", "0371", "0372", "0373", "0374", "0375", "0376", "0377", "0381", "0382",
    "0383", "0384", "0385", "0386", "039",
];

/// Removes the zero before a mobile number. It is part of every number of a fixed line.
fn italy(national: &str, is_marked: bool) -> Option<&str> {
    let rest = national.strip_prefix('0')?;
    // Numbers of fixed lines have at most eleven digits with the zero, and those with eleven do not begin with 03.
    let is_mobile = rest.starts_with('3') && rest.len() == 10;
    let is_area = ITALIAN_AREAS.iter().any(|area| national.starts_with(area));
    // `(0)0…`: the zero was written twice.
    let is_double = is_marked && rest.starts_with('0');
    ((is_mobile && (is_marked || !is_area)) || is_double).then_some(rest)
}

/// Removes the 0, and the 15 after the area that marks mobile numbers within Argentina; in international form they have a 9
/// before the area.
fn argentina(national: &str) -> String {
    let is_marked = national.starts_with('9') && national.len() > 10;
    let rest = if is_marked { &national[1..] } else { national };
    let rest = rest.strip_prefix('0').unwrap_or(rest);
    if let Some(number) = without_15(rest) {
        return format!("549{number}");
    }
    format!("54{}{rest}", if is_marked { "9" } else { "" })
}

/// The areas of Argentina with three digits. The area of Buenos Aires has two, others have four.
const ARGENTINIAN_AREAS: &[&str] = &[
    "220", "221", "223", "230", "236", "237", "249", "260", "261", "263", "264", "266", "280", "291", "294", "297",
    "298", "299", "336", "341", "342", "343", "345", "348", "351", "353", "358", "362", "364", "370", "376", "379",
    "380", "381", "383", "385", "387", "388",
];

fn without_15(national: &str) -> Option<String> {
    if national.len() != 12 || !national.is_ascii() {
        return None;
    }
    let length = match national {
        _ if national.starts_with("11") => 2,
        _ if ARGENTINIAN_AREAS.contains(&&national[..3]) => 3,
        _ => 4,
    };
    let (area, number) = national.split_at(length);
    Some(format!("{area}{}", number.strip_prefix("15")?))
}

/// Removes the 0, with or without the two digits that select a carrier.
fn brazil(national: &str) -> Option<&str> {
    let rest = national.strip_prefix('0')?;
    match rest.len() {
        12 | 13 => rest.get(2..),
        _ => Some(rest),
    }
}

/// Returns the number that replaces a number of a former plan. WhatsApp still names some accounts by them.
fn current_number(digits: &str) -> Option<String> {
    mexico(digits)
        .or_else(|| ivory_coast(digits))
        .or_else(|| benin(digits))
        .or_else(|| gabon(digits))
        .or_else(|| san_marino(digits))
}

/// Mexico marked mobile numbers with a 1 until 2019: `+52 1 55 …` is `+52 55 …`.
fn mexico(digits: &str) -> Option<String> {
    let national = digits.strip_prefix("521")?;
    (national.len() == 10).then(|| format!("52{national}"))
}

/// Côte d'Ivoire put two digits before numbers of eight in 2021, by operator (ARTCI, national numbering plan). The second digit
/// of a mobile number, or the third of a fixed line, was the operator.
fn ivory_coast(digits: &str) -> Option<String> {
    let national = digits.strip_prefix("225").filter(|national| national.len() == 8)?;
    let [first, second, third, ..] = national.as_bytes() else {
        return None;
    };
    let prefix = match (first, second, third) {
        (b'2' | b'3', _, b'0') => "25",
        (b'2' | b'3', _, b'8') => "21",
        (b'2' | b'3', ..) => "27",
        (_, b'7' | b'8' | b'9', _) => "07",
        (_, b'4' | b'5' | b'6', _) => "05",
        _ => "01",
    };
    Some(format!("225{prefix}{national}"))
}

/// Benin put 01 before all numbers in 2024.
fn benin(digits: &str) -> Option<String> {
    let national = digits.strip_prefix("229").filter(|national| national.len() == 8)?;
    Some(format!("22901{national}"))
}

/// Gabon replaced the 0 of its numbers by two digits in 2019, by operator (ARCEP, national numbering plan): `+241 06 …` is
/// `+241 66 …`. The 0 is left out by some.
fn gabon(digits: &str) -> Option<String> {
    let national = digits.strip_prefix("241")?;
    let number = national.strip_prefix('0').unwrap_or(national);
    let prefix = match number.as_bytes() {
        [b'1', ..] => '1',
        [b'2' | b'5' | b'6', ..] => '6',
        [b'4' | b'7', ..] => '7',
        _ => return None,
    };
    (number.len() == 7).then(|| format!("241{prefix}{number}"))
}

/// Argentina writes a 9 before mobile numbers in international form; WhatsApp knows both.
fn argentina_key(digits: &str) -> Option<String> {
    let national = digits.strip_prefix("54")?;
    let number = argentina(national);
    let number = number.strip_prefix("549").filter(|number| number.len() == 10)?;
    Some(format!("54{number}"))
}

/// Brazil put a 9 before the eight digits of mobile numbers, which began with 6 to 9; older accounts of WhatsApp lack it.
fn brazil_key(digits: &str) -> Option<String> {
    let national = digits.strip_prefix("55")?;
    let (area, number) = (national.get(..2)?, national.get(2..)?);
    let older = number.strip_prefix('9').filter(|older| older.len() == 8)?;
    older
        .starts_with(['6', '7', '8', '9'])
        .then(|| format!("55{area}{older}"))
}

/// San Marino's fixed lines have the area 0549 of the Italian plan; calls from most countries reach them without it, too.
fn san_marino(digits: &str) -> Option<String> {
    let number = digits.strip_prefix("378")?;
    let is_fixed = number.len() == 6 && number.starts_with(['8', '9']);
    is_fixed.then(|| format!("3780549{number}"))
}

/// Calls from Italy reach San Marino by its area.
fn san_marino_key(digits: &str) -> Option<String> {
    let number = digits.strip_prefix("390549")?;
    (number.len() == 6).then(|| format!("3780549{number}"))
}

/// Checks the calling code and the length of the number. Does not check that the number is assigned: only the carrier
/// knows, and examples use unassigned numbers (+1 415 555 01xx, reserved for fiction).
fn is_dialable(digits: &str) -> bool {
    let Some((_, national, regions)) = split(digits) else {
        return false;
    };
    regions.iter().any(|region| {
        let descriptors = region.descriptors();
        let kinds = [
            Some(descriptors.general()),
            descriptors.fixed_line(),
            descriptors.mobile(),
            descriptors.toll_free(),
            descriptors.shared_cost(),
            descriptors.personal_number(),
            descriptors.voip(),
        ];
        let mut lengths = kinds
            .into_iter()
            .flatten()
            .flat_map(Descriptor::possible_length)
            .peekable();
        lengths.peek().is_none() || lengths.any(|length| usize::from(*length) == national.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_country_and_kind_of_numbers() {
        for (text, country, code, kind) in [
            ("+1 415 555 2671", Some("US"), "1", Some(LineType::MobileOrLandline)),
            ("+1 604 555 2671", Some("CA"), "1", Some(LineType::MobileOrLandline)),
            ("+1 800 555 2671", Some("US"), "1", Some(LineType::TollFree)),
            ("+49 (0)176 04069012", Some("DE"), "49", Some(LineType::Mobile)),
            ("+49 30 12345678", Some("DE"), "49", Some(LineType::Landline)),
            ("+44 7400 123456", Some("GB"), "44", Some(LineType::Mobile)),
            ("+7 701 123 4567", Some("KZ"), "7", Some(LineType::Mobile)),
        ] {
            let facts = describe(text).unwrap();
            let described = (facts.country, facts.calling_code.as_str(), facts.line_type);
            assert_eq!(described, (country, code, kind), "{text}");
        }
        assert_eq!(describe("+49 176 04069012").unwrap().number, "+4917604069012");
        for text in ["415 555 2671", "+999 1234567", "ann@example.com", ""] {
            assert_eq!(describe(text), None, "{text}");
        }
    }

    fn given(text: &str) -> Option<String> {
        read(text).map(|number| number.given)
    }

    #[test]
    fn removes_the_prefix_of_calls_within_the_country() {
        for (text, expected) in [
            ("+49 (0)176 04069012", "4917604069012"),
            ("+49 0176 04069012", "4917604069012"),
            ("+49(0)176/0406-9012", "4917604069012"),
            ("+43 (0)664 1234567", "436641234567"),
            ("+61 (0)491 570 156", "61491570156"),
            ("+31 (0)6 12345678", "31612345678"),
            ("+81 (0)90-1234-5678", "819012345678"),
            ("+91 098765 43210", "919876543210"),
            ("+44 (0)20 7946 0958", "442079460958"),
            ("+44 ( 0 ) 20 7946 0958", "442079460958"),
            ("+41 (0)79 123 45 67", "41791234567"),
            ("+33 (0)6 12 34 56 78", "33612345678"),
            ("+32 (0)470 12 34 56", "32470123456"),
            ("+46 (0)70-123 45 67", "46701234567"),
            ("+27 (0)82 123 4567", "27821234567"),
            ("+90 (0)532 123 45 67", "905321234567"),
            ("+62 (0)812-3456-7890", "6281234567890"),
            ("+34 (0)612 345 678", "34612345678"),
            ("+39 (0)6 1234 5678", "390612345678"),
            ("+39 06 1234 5678", "390612345678"),
            ("+39 (0)347 1234567", "393471234567"),
            ("+39 0347 1234567", "393471234567"),
            ("+39 347 1234567", "393471234567"),
            ("+39 0341 123456", "390341123456"),
            ("+39 (0)341 123456", "390341123456"),
            ("+39 (0)2 1234 5678", "390212345678"),
            ("+39 06 698 12345", "390669812345"),
            ("+378 0549 886377", "3780549886377"),
            ("+7 (8) 912 345-67-89", "79123456789"),
            ("+7 8 912 345-67-89", "79123456789"),
            ("+7 812 345-67-89", "78123456789"),
            ("+7 8 701 123 45 67", "77011234567"),
            ("+36 (06) 30 123 4567", "36301234567"),
            ("+36 06 1 234 5678", "3612345678"),
            ("+375 8029 123-45-67", "375291234567"),
            ("+370 (8) 612 34567", "37061234567"),
            ("+52 (01) 55 1234 5678", "525512345678"),
            ("+52 044 55 1234 5678", "525512345678"),
            ("+55 (0)11 98765-4321", "5511987654321"),
            ("+55 0 15 11 98765-4321", "5511987654321"),
            ("+54 (0)11 4123-4567", "541141234567"),
            ("+54 11 15 2345 6789", "5491123456789"),
            ("+54 9 11 15-2345-6789", "5491123456789"),
            ("+54 0351 15 234 5678", "5493512345678"),
            ("+54 2966 15 234567", "5492966234567"),
            ("+54 9 11 2345 6789", "5491123456789"),
            ("+225 07 07 07 07 01", "2250707070701"),
        ] {
            assert_eq!(given(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn reads_numbers_as_people_write_them() {
        for text in [
            "+49 176/0406-9012",
            "+49.176.04069012",
            "+49\u{a0}176\u{202f}04069012",
            "\u{202a}+49 176 04069012\u{202c}",
            "\u{200e}+49\u{2011}176\u{2011}04069012",
            "＋４９ １７６ ０４０６９０１２",
            "+٤٩١٧٦٠٤٠٦٩٠١٢",
            "tel:+49-176-04069012",
            "TEL:+4917604069012;phone-context=example.com",
            "0049 176 04069012",
            "00 49 (0)176 04069012",
            "+49 [176] 04069012",
        ] {
            assert_eq!(given(text).as_deref(), Some("4917604069012"), "{text}");
        }
    }

    #[test]
    fn refuses_texts_that_are_no_international_number() {
        for text in [
            "",
            "+",
            "00",
            "000491760406901",
            "0176 04069012",
            "4917604069012",
            "+0491760406901",
            "+49 176 04069012 x5",
            "tel:+4917604069012;ext=5",
            "tel:017604069012",
            "+49 176\n04069012",
            "+49 176 0406 9012 3456",
            "++4917604069012",
            "+1 415 555 012",
            "+999 123 456 789",
            "+49 176 04069012, +49 176 04069013",
        ] {
            assert_eq!(given(text), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_of_one_person_share_a_key() {
        for spellings in [
            &[
                "+5215512345678",
                "+525512345678",
                "+52 1 55 1234 5678",
                "+52 (01) 55 1234 5678",
            ][..],
            &[
                "+5491123456789",
                "+541123456789",
                "+54 11 15 2345 6789",
                "+54 9 11 15 2345 6789",
                "+54 (0)11 15 2345-6789",
                "+54 9 (0)11 2345-6789",
            ],
            &["+551187654321", "+5511987654321", "+55 (0)11 98765-4321"],
            &["+22507070701", "+2250707070701", "+225 07 07 07 01"],
            &["+22505060708", "+2250505060708"],
            &["+22502030405", "+2250102030405"],
            &["+22547123456", "+2250747123456"],
            &["+22520212345", "+2252720212345"],
            &["+22997123456", "+2290197123456"],
            &["+24107123456", "+24177123456", "+241 7 12 34 56"],
            &["+24106031817", "+24166031817", "+241 06 03 18 17"],
            &["+24101730000", "+24111730000"],
            &["+4917604069012", "+49 (0)176 04069012"],
            &["+393471234567", "+39 (0)347 1234567"],
            &["+378886377", "+3780549886377", "+39 0549 886377"],
        ] {
            let keys: Vec<String> = spellings
                .iter()
                .map(|text| key(&read(text).unwrap_or_else(|| panic!("{text}")).given))
                .collect();
            assert!(keys.iter().all(|key| *key == keys[0]), "{spellings:?} {keys:?}");
        }
    }

    #[test]
    fn numbers_of_two_people_have_two_keys() {
        for [first, second] in [
            ["2250707070701", "2250507070701"],
            ["22507070701", "2250107070701"],
            ["5511932345678", "551132345678"],
            ["541123456789", "541123456780"],
            ["390612345678", "39612345678"],
            ["2290197123456", "2290297123456"],
            ["24107123456", "24174123456"],
            ["24177123456", "24166123456"],
        ] {
            assert_ne!(key(first), key(second));
        }
        assert_eq!(key("5511987654321"), key("551187654321"));
        assert_eq!(key("14155550123"), "14155550123");
        assert_eq!(key("54"), "54");
        assert_eq!(key(""), "");
    }

    #[test]
    fn former_numbers_are_read_with_the_current_one() {
        let number = read("+225 07070703").unwrap();
        assert_eq!(
            (number.given.as_str(), number.current.as_deref()),
            ("22507070703", Some("2250707070703"))
        );
        assert!(read("+4917604069012").unwrap().current.is_none());
    }
}
