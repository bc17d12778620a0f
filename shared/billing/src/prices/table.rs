//! The table of prices: rows of a CSV file, found by kind, carrier, destination and day.

use std::collections::BTreeMap;

use butt_dial_domain::{Micros, money::Rates};
use chrono::NaiveDate;
use serde::Deserialize;

/// Matches every carrier or destination.
const ANY: &str = "*";

/// The kinds of charges, with their units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, strum::Display, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// A segment of a text message.
    Sms,
    /// A text message with media.
    Mms,
    /// A message within the customer service window.
    WhatsappService,
    WhatsappUtility,
    WhatsappMarketing,
    WhatsappAuthentication,
    Email,
    /// A message beyond the free ones of a paid plan.
    Line,
    /// A started minute of a call leg.
    CallMinute,
    SatelliteMinute,
    PremiumMinute,
    /// A minute of speech recognition and synthesis by the carrier.
    ConversationMinute,
    /// 1,000 started characters of synthesized speech.
    Speech,
    /// A started minute of a transcribed recording.
    TranscriptionMinute,
    /// A month of a rented number.
    NumberLocal,
    NumberMobile,
    NumberTollFree,
}

/// One row of a file of prices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    kind: Kind,
    carrier: String,
    destination: String,
    amount: f64,
    currency: String,
    valid_from: String,
}

/// The prices of one kind for one destination, by carrier and first day.
type PricesOfDestination = BTreeMap<String, BTreeMap<NaiveDate, Micros>>;

/// Prices of every kind. Each kind has a price for every carrier, destination and day.
#[derive(Clone, Debug, PartialEq)]
pub struct Table(BTreeMap<Kind, BTreeMap<String, PricesOfDestination>>);

impl Table {
    /// Reads the prices of this build, and then the rows of an operator's file, which replace them. Fails with the line that can't
    /// be read, and if a kind has no price for every carrier and destination.
    pub fn read(shipped: &str, own: Option<&str>) -> Result<Self, String> {
        let mut table = Self(BTreeMap::new());
        table.add(shipped)?;
        if let Some(own) = own {
            table.add(own)?;
        }
        for kind in <Kind as strum::IntoEnumIterator>::iter() {
            if table.general(kind).is_none() {
                return Err(format!("{kind} has no price for carrier * and destination *"));
            }
        }
        Ok(table)
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let rates = Rates::default();
        let columns = reader.headers().map_err(|error| error.to_string())?.clone();
        let rows: Vec<Row> = reader
            .deserialize()
            .collect::<Result<_, _>>()
            .map_err(|error| describe(&error, &columns))?;
        let mut replaced = std::collections::BTreeSet::new();
        for row in rows {
            if row.amount < 0.0 {
                return Err(format!("{} for {}: the amount is negative", row.kind, row.destination));
            }
            let amount = rates.convert(row.amount, Some(&row.currency)).ok_or_else(|| {
                let (kind, currency) = (row.kind, &row.currency);
                format!("{kind} for {}: {currency} is no known currency", row.destination)
            })?;
            let valid_from: NaiveDate = row.valid_from.parse().map_err(|_| {
                let (kind, day) = (row.kind, &row.valid_from);
                format!(
                    "{kind} for {}: valid_from {day:?} is no day in the form 2026-10-01",
                    row.destination
                )
            })?;
            let prices = self
                .0
                .entry(row.kind)
                .or_default()
                .entry(row.destination.clone())
                .or_default();
            // The first row of a file for a carrier and a destination replaces all that earlier files say of them.
            let of_carrier = prices.entry(row.carrier.clone()).or_default();
            if replaced.insert((row.kind, row.destination, row.carrier)) {
                of_carrier.clear();
            }
            of_carrier.insert(valid_from, amount);
        }
        Ok(())
    }

    /// Returns the price of one unit: of the longest beginning of the destination that has a price on that day, the carrier's own
    /// before that for all carriers.
    pub fn find(&self, kind: Kind, carrier: Option<&str>, destination: &str, day: NaiveDate) -> Micros {
        let prices = self.0.get(&kind);
        let beginnings = (1..=destination.len()).rev().filter_map(|end| destination.get(..end));
        let found = beginnings.chain([ANY]).find_map(|beginning| {
            let prices = prices?.get(beginning)?;
            let of = |carrier: &str| {
                prices
                    .get(carrier)?
                    .range(..=day)
                    .next_back()
                    .map(|(_, amount)| *amount)
            };
            carrier.and_then(of).or_else(|| of(ANY))
        });
        // A day before all prices, such as that of a wrong clock, has the first general price.
        found
            .or_else(|| self.general(kind)?.values().next().copied())
            .unwrap_or_default()
    }

    /// Returns the prices for every carrier and destination, by their first day.
    fn general(&self, kind: Kind) -> Option<&BTreeMap<NaiveDate, Micros>> {
        self.0.get(&kind)?.get(ANY)?.get(ANY)
    }
}

/// Describes an unreadable row by its line and column.
fn describe(error: &csv::Error, columns: &csv::StringRecord) -> String {
    let csv::ErrorKind::Deserialize { pos: Some(place), err } = error.kind() else {
        return error.to_string();
    };
    let column = err.field().and_then(|field| columns.get(usize::try_from(field).ok()?));
    format!("line {}: {}: {}", place.line(), column.unwrap_or("row"), err.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "kind,carrier,destination,amount,currency,valid_from\n";

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn table(own: &str) -> Result<Table, String> {
        Table::read(super::super::SHIPPED, Some(&format!("{HEAD}{own}")))
    }

    #[test]
    fn finds_longest_destination_carrier_and_day() {
        let table = table(
            "sms,*,+49,0.2,USD,2026-01-01\nsms,*,+49,0.3,USD,2026-12-01\nsms,twilio,+4917,0.1,EUR,2026-06-01\n\
             # A comment.\nsms,*,+4917,0.4,USD,2026-01-01\n",
        )
        .unwrap();
        for (carrier, to, on, micros) in [
            (None, "+493012345", "2026-11-29", 200_000),
            (None, "+493012345", "2026-12-01", 300_000),
            (Some("twilio"), "+491761234567", "2026-11-29", 120_000),
            (Some("twilio"), "+491761234567", "2026-05-31", 400_000),
            (Some("other"), "+491761234567", "2026-11-29", 400_000),
            // No price of the destination is valid yet, so the general one counts.
            (None, "+493012345", "2025-12-31", 150_000),
            (None, "+358401234567", "2026-11-29", 150_000),
            (None, "+358401234567", "1990-01-01", 150_000),
        ] {
            assert_eq!(
                table.find(Kind::Sms, carrier, to, day(on)),
                Micros(micros),
                "{carrier:?} {to} {on}"
            );
        }
    }

    #[test]
    fn rows_of_a_file_replace_those_shipped() {
        let table = table("whatsapp_service,*,+49,0,USD,2020-01-01\n").unwrap();
        let price = |to| table.find(Kind::WhatsappService, None, to, day("2026-11-29"));
        assert_eq!(price("+4930123"), Micros::ZERO);
        assert!(price("+33123") > Micros::ZERO);
    }

    #[test]
    fn refuses_unusable_rows() {
        for (row, problem) in [
            ("sms,*,+49,cheap,USD,2026-01-01\n", "amount"),
            ("sms,*,+49,0.1,USD,yesterday\n", "valid_from"),
            ("fax,*,+49,0.1,USD,2026-01-01\n", "fax"),
            ("sms,*,+49,-0.1,USD,2026-01-01\n", "negative"),
            ("sms,*,+49,0.1,XTS,2026-01-01\n", "XTS"),
            ("sms,*,+49,0.1\n", "found record with 4 fields"),
        ] {
            let error = table(row).unwrap_err();
            assert!(error.contains(problem), "{row}: {error}");
        }
        assert!(
            Table::read(&format!("{HEAD}sms,*,*,1,USD,2026-01-01\n"), None)
                .unwrap_err()
                .contains("mms")
        );
    }
}
