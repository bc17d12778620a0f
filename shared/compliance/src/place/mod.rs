//! The places in which a recipient may be: jurisdictions and time zones, by the number. A mobile number moves, so this is a hint; laws are
//! obeyed in every place that is possible.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use butt_dial_domain::{Address, senders::country_of};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Area codes of the North American Numbering Plan (`generate.py` makes the table).
const NANP: &str = include_str!("nanp.csv");
/// Time zones of countries that differ from each other today.
const COUNTRIES: &str = include_str!("countries.csv");

/// Zones of a US number with an area code that belongs to no place: those of the contiguous states.
const CONTIGUOUS: [Tz; 4] = [
    Tz::America__New_York,
    Tz::America__Chicago,
    Tz::America__Denver,
    Tz::America__Los_Angeles,
];

/// How sure a place is. Stored with decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The number belongs to one zone.
    OneZone,
    /// The number belongs to several zones.
    SeveralZones,
    /// The number belongs to no place.
    None,
}

#[derive(Debug, Serialize, Deserialize)]
struct Data {
    /// ISO 3166: the country, then its possible regions.
    jurisdictions: Vec<String>,
    zones: Vec<Tz>,
    confidence: Confidence,
}

/// Jurisdictions and time zones of a recipient. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Place(Arc<Data>);

impl Place {
    /// Returns the place of an address. That of mail and chat addresses is unknown.
    pub fn of(address: &Address) -> Self {
        let Address::Phone(number) = address else {
            return UNKNOWN.clone();
        };
        if let Some(code) = number.strip_prefix("+1").and_then(|rest| rest.get(..3)) {
            return TABLES.area_codes.get(code).unwrap_or(&TABLES.anywhere_in_us).clone();
        }
        let country = country_of(number);
        let known = country.and_then(|country| TABLES.countries.get(&country));
        known.unwrap_or(&UNKNOWN).clone()
    }

    /// Returns the country and its possible regions.
    pub fn jurisdictions(&self) -> &[String] {
        &self.0.jurisdictions
    }

    /// Returns the possible time zones. Empty: unknown.
    pub fn zones(&self) -> &[Tz] {
        &self.0.zones
    }

    pub fn confidence(&self) -> Confidence {
        self.0.confidence
    }

    fn new(jurisdictions: Vec<String>, zones: Vec<Tz>) -> Self {
        let confidence = match zones.len() {
            0 => Confidence::None,
            1 => Confidence::OneZone,
            _ => Confidence::SeveralZones,
        };
        Self(Arc::new(Data {
            jurisdictions,
            zones,
            confidence,
        }))
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Data::deserialize(deserializer).map(|data| Self(Arc::new(data)))
    }
}

static UNKNOWN: LazyLock<Place> = LazyLock::new(|| Place::new(Vec::new(), Vec::new()));
static TABLES: LazyLock<Tables> = LazyLock::new(Tables::parse);

struct Tables {
    area_codes: HashMap<&'static str, Place>,
    countries: HashMap<String, Place>,
    anywhere_in_us: Place,
}

impl Tables {
    fn parse() -> Self {
        let anywhere_in_us = Place(Arc::new(Data {
            jurisdictions: vec!["US".into()],
            zones: CONTIGUOUS.to_vec(),
            confidence: Confidence::None,
        }));
        let area_codes = rows(NANP).map(|[code, regions, zones]| {
            let place = match zones.is_empty() {
                true => anywhere_in_us.clone(),
                false => Place::new(with_countries(regions), parse_zones(zones)),
            };
            (code, place)
        });
        let countries = rows(COUNTRIES).map(|[country, zones]| {
            (
                country.to_owned(),
                Place::new(vec![country.to_owned()], parse_zones(zones)),
            )
        });
        Self {
            area_codes: area_codes.collect(),
            countries: countries.collect(),
            anywhere_in_us,
        }
    }
}

/// Returns the rows of a table without its head. Values have no commas.
fn rows<const N: usize>(table: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    let lines = table.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.filter_map(|line| line.split(',').collect::<Vec<_>>().try_into().ok())
}

/// Returns the countries of regions such as `US-FL`, and the regions.
fn with_countries(regions: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for region in regions.split_whitespace() {
        let country = region.split('-').next().unwrap_or(region);
        for name in [country, region] {
            if !all.iter().any(|known| known == name) {
                all.push(name.to_owned());
            }
        }
    }
    all
}

fn parse_zones(zones: &str) -> Vec<Tz> {
    zones.split_whitespace().filter_map(|zone| zone.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: &str) -> Place {
        Place::of(&Address::Phone(number.to_owned()))
    }

    #[test]
    fn reads_every_row_of_the_tables() {
        let lines = |table: &str| table.lines().filter(|line| !line.starts_with('#')).count() - 1;
        assert_eq!(rows::<3>(NANP).count(), lines(NANP));
        assert_eq!(rows::<2>(COUNTRIES).count(), lines(COUNTRIES));
        let zones = rows::<3>(NANP)
            .map(|[_, _, zones]| zones)
            .chain(rows::<2>(COUNTRIES).map(|[_, zones]| zones));
        for name in zones.flat_map(str::split_whitespace) {
            assert!(name.parse::<Tz>().is_ok(), "{name}");
        }
    }

    #[test]
    fn finds_all_zones_of_split_area_codes() {
        for (number, zones) in [
            ("+12125550123", vec![Tz::America__New_York]),
            ("+18505550123", vec![Tz::America__Chicago, Tz::America__New_York]),
            ("+14485550123", vec![Tz::America__Chicago, Tz::America__New_York]),
            ("+18085550123", vec![Tz::Pacific__Honolulu]),
        ] {
            let mut found = place(number).zones().to_vec();
            found.sort_by_key(|zone| zone.name());
            assert_eq!(found, zones, "{number}");
        }
        for code in [
            "208", "986", "219", "574", "812", "250", "867", "270", "606", "308", "418", "423", "541", "605", "620",
            "785", "701", "709", "879", "775", "807", "850", "906", "907", "928", "364", "448", "458", "930", "236",
            "257", "672", "778", "367", "581",
        ] {
            assert!(place(&format!("+1{code}5550123")).zones().len() > 1, "{code}");
        }
    }

    #[test]
    fn knows_states_provinces_and_countries() {
        assert_eq!(place("+13055550123").jurisdictions(), ["US", "US-FL"]);
        assert_eq!(place("+16045550123").jurisdictions()[0], "CA");
        assert_eq!(place("+18765550123").jurisdictions()[0], "JM");
        assert_eq!(place("+4917612345678").jurisdictions(), ["DE"]);
        assert_eq!(place("+4917612345678").zones(), [Tz::Europe__Berlin]);
        assert!(place("+5511987654321").zones().len() > 1, "Brazil has several zones");
    }

    #[test]
    fn takes_toll_free_numbers_for_anywhere_in_the_states() {
        let place = place("+18005550123");
        assert_eq!(
            (place.zones(), place.confidence()),
            (CONTIGUOUS.as_slice(), Confidence::None)
        );
        assert_eq!(place.jurisdictions(), ["US"]);
    }

    #[test]
    fn knows_no_place_of_mail_addresses() {
        let mail = Address::parse(butt_dial_domain::Channel::Email, "ann@example.com").unwrap();
        assert!(Place::of(&mail).zones().is_empty());
    }
}
