//! Classes of telephone numbers that cost far more than others. Fraud aims at them: a call to a satellite phone or to a premium
//! number costs several dollars per minute, and a part of it goes to the owner of the number.

use phonenumber::{Type, metadata::DATABASE};

use crate::Address;

/// Global services of the ITU (E.164.1 and the list of assigned codes): Inmarsat, satellite networks, international networks,
/// universal and premium services.
const SATELLITE: &[&str] = &["870", "881", "882", "883", "8816", "8817", "888"];
/// International premium rate (979), and premium codes of countries that the metadata does not classify: +1 900 and
/// +1 976, and 09 and 087 in the United Kingdom.
const PREMIUM: &[&str] = &["979", "1900", "1976", "4487", "4490", "4491", "4498"];
/// Area codes of independent countries and British territories in the Caribbean and the Atlantic (NANPA, list of area codes by
/// country). Puerto Rico, the Virgin Islands and the Pacific territories of the United States are domestic.
const CARIBBEAN: &[&str] = &[
    "242", "246", "264", "268", "284", "345", "441", "473", "649", "658", "664", "721", "758", "767", "784", "809",
    "829", "849", "868", "869", "876",
];

/// The class of a telephone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    Ordinary,
    Satellite,
    Premium,
    /// A number of +1 outside the United States and Canada: it looks domestic, and costs as an international one.
    Caribbean,
}

impl Destination {
    /// Classifies an address. Addresses that are no telephone numbers are ordinary.
    pub fn of(address: &Address) -> Self {
        let Address::Phone(number) = address else {
            return Self::Ordinary;
        };
        let digits = number.trim_start_matches('+');
        let begins_with = |prefixes: &[&str]| prefixes.iter().any(|prefix| digits.starts_with(prefix));
        if begins_with(SATELLITE) {
            return Self::Satellite;
        }
        // In North America the prefixes say all that the metadata does, without its regular expressions, but for the exchange 976
        // (premium in Barbados).
        let is_plain = digits.starts_with('1') && digits.get(4..7) != Some("976");
        if begins_with(PREMIUM) || (!is_plain && is_premium_by_metadata(number)) {
            return Self::Premium;
        }
        if digits.starts_with('1') && digits.get(1..4).is_some_and(|area| CARIBBEAN.contains(&area)) {
            return Self::Caribbean;
        }
        Self::Ordinary
    }
}

fn is_premium_by_metadata(number: &str) -> bool {
    phonenumber::parse(None, number).is_ok_and(|parsed| parsed.number_type(&DATABASE) == Type::PremiumRate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: &str) -> Destination {
        Destination::of(&Address::Phone(number.to_owned()))
    }

    #[test]
    fn prefixes_classify_north_america_as_the_metadata_does() {
        for code in 200..1_000 {
            for rest in ["2345678", "5550123", "9761234"] {
                let number = format!("+1{code}{rest}");
                let is_premium = of(&number) == Destination::Premium;
                assert!(is_premium || !is_premium_by_metadata(&number), "{number}");
            }
        }
    }

    #[test]
    fn classifies_satellite_and_premium_numbers() {
        for number in ["+881612345678", "+870773123456", "+88213000000", "+883510001234"] {
            assert_eq!(of(number), Destination::Satellite, "{number}");
        }
        // The last two are known to the metadata only.
        for number in [
            "+19005550123",
            "+19765550123",
            "+979123456789",
            "+4490912345678",
            "+499001234567",
            "+33899123456",
        ] {
            assert_eq!(of(number), Destination::Premium, "{number}");
        }
        for number in [
            "+14155550123",
            "+4917612345678",
            "+442071234567",
            "+17875551234",
            "+37120000000",
            "+6591234567",
        ] {
            assert_eq!(of(number), Destination::Ordinary, "{number}");
        }
        for number in ["+18765551234", "+18095551234", "+16495551234", "+12845551234"] {
            assert_eq!(of(number), Destination::Caribbean, "{number}");
        }
        assert_eq!(
            Destination::of(&Address::Email("a@b.example".into())),
            Destination::Ordinary
        );
    }
}
