//! Money in micro-units of the organization's currency. Integers, so that sums are exact. Prices in other currencies are
//! converted by a table of rates.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// One millionth of a currency unit (1 US dollar = 1,000,000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    pub const ZERO: Self = Self(0);
    const PER_UNIT: i64 = 1_000_000;

    /// Converts an amount in units, rounded to the nearest micro-unit. `None` when it is not finite or too large.
    pub fn from_units(units: f64) -> Option<Self> {
        let micros = (units * Self::PER_UNIT as f64).round();
        (micros.is_finite() && micros.abs() < 9.0e18).then_some(Self(micros as i64))
    }

    /// Converts to units for display. Not exact: never use it for sums.
    pub fn as_units(self) -> f64 {
        self.0 as f64 / Self::PER_UNIT as f64
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let whole = self.0.unsigned_abs() / Self::PER_UNIT as u64;
        let rest = self.0.unsigned_abs() % Self::PER_UNIT as u64;
        write!(f, "{sign}{whole}.{rest:06}")
    }
}

/// The currency of all amounts.
const CURRENCY: &str = "USD";
/// US dollars for one unit (autumn 2026, rounded up). They keep budgets, and are no invoice.
const RATES: &[(&str, f64)] = &[
    ("AED", 0.2723),
    ("ALL", 0.0125),
    ("AMD", 0.0027),
    ("AOA", 0.0011),
    ("ARS", 0.0012),
    ("AUD", 0.68),
    ("AZN", 0.59),
    ("BAM", 0.62),
    ("BDT", 0.0084),
    ("BGN", 0.62),
    ("BHD", 2.66),
    ("BND", 0.79),
    ("BOB", 0.146),
    ("BRL", 0.2),
    ("BWP", 0.076),
    ("BYN", 0.35),
    ("CAD", 0.75),
    ("CHF", 1.27),
    ("CLP", 0.0011),
    ("CNY", 0.145),
    ("COP", 0.00027),
    ("CRC", 0.0021),
    ("CZK", 0.049),
    ("DKK", 0.16),
    ("DOP", 0.0175),
    ("DZD", 0.0079),
    ("EGP", 0.022),
    ("ETB", 0.0082),
    ("EUR", 1.2),
    ("GBP", 1.38),
    ("GEL", 0.38),
    ("GHS", 0.1),
    ("GTQ", 0.132),
    ("HKD", 0.1291),
    ("HNL", 0.0385),
    ("HUF", 0.0031),
    ("IDR", 0.000065),
    ("ILS", 0.31),
    ("INR", 0.012),
    ("IQD", 0.00077),
    ("ISK", 0.0085),
    ("JMD", 0.0065),
    ("JOD", 1.411),
    ("JPY", 0.0072),
    ("KES", 0.0078),
    ("KHR", 0.00025),
    ("KRW", 0.00076),
    ("KWD", 3.3),
    ("KZT", 0.0021),
    ("LKR", 0.0034),
    ("LYD", 0.19),
    ("MAD", 0.112),
    ("MDL", 0.062),
    ("MKD", 0.0205),
    ("MNT", 0.0003),
    ("MOP", 0.126),
    ("MUR", 0.023),
    ("MXN", 0.057),
    ("MYR", 0.25),
    ("MZN", 0.0158),
    ("NAD", 0.06),
    ("NGN", 0.0008),
    ("NIO", 0.0275),
    ("NOK", 0.104),
    ("NPR", 0.0077),
    ("NZD", 0.62),
    ("OMR", 2.61),
    ("PAB", 1.0),
    ("PEN", 0.29),
    ("PHP", 0.0182),
    ("PKR", 0.0037),
    ("PLN", 0.282),
    ("PYG", 0.00016),
    ("QAR", 0.2748),
    ("RON", 0.238),
    ("RSD", 0.0105),
    ("RUB", 0.0135),
    ("RWF", 0.0007),
    ("SAR", 0.2668),
    ("SEK", 0.112),
    ("SGD", 0.79),
    ("THB", 0.032),
    ("TND", 0.35),
    ("TRY", 0.026),
    ("TTD", 0.15),
    ("TWD", 0.035),
    ("TZS", 0.00043),
    ("UAH", 0.025),
    ("UGX", 0.0003),
    ("UYU", 0.026),
    ("UZS", 0.000085),
    ("VND", 0.00004),
    ("XAF", 0.0019),
    ("XOF", 0.0019),
    ("ZAR", 0.06),
    ("ZMW", 0.045),
];

/// The value of other currencies.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates(BTreeMap<String, f64>);

impl Default for Rates {
    fn default() -> Self {
        Self(RATES.iter().map(|(code, rate)| ((*code).to_owned(), *rate)).collect())
    }
}

impl Rates {
    /// Parses pairs such as `EUR=1.16,JPY=0.0067`: US dollars for one unit. They replace the defaults.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rates = Self::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let parsed = pair.split_once('=').and_then(|(code, rate)| {
                let (code, rate) = (code.trim().to_ascii_uppercase(), rate.trim().parse::<f64>().ok()?);
                let is_code = code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
                (is_code && rate.is_finite() && rate > 0.0).then_some((code, rate))
            });
            let Some((code, rate)) = parsed else {
                return Err(format!(
                    "`{pair}` is not a currency and its value in US dollars, such as EUR=1.16"
                ));
            };
            rates.0.insert(code, rate);
        }
        Ok(rates)
    }

    /// Converts an amount; without a currency, it is in US dollars. `None`: the currency has no rate, or the amount is no
    /// number.
    pub fn convert(&self, amount: f64, currency: Option<&str>) -> Option<Micros> {
        let code = currency
            .map(|code| code.trim().to_ascii_uppercase())
            .unwrap_or_default();
        let rate = match code.as_str() {
            "" | CURRENCY => 1.0,
            code => *self.0.get(code)?,
        };
        Micros::from_units(amount * rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_currencies_by_rates() {
        let rates = Rates::parse(" EUR=1.1, jpy = 0.01,").unwrap();
        for (amount, currency, micros) in [
            (0.0079, None, Some(7_900)),
            (0.0079, Some("usd"), Some(7_900)),
            (14.5, Some("JPY"), Some(145_000)),
            (14.5, Some("jpy"), Some(145_000)),
            (0.07, Some("EUR"), Some(77_000)),
            (1.0, Some("GBP"), Some(1_380_000)),
            // Three decimals, and none.
            (0.012, Some("BHD"), Some(31_920)),
            (0.01, Some("kwd"), Some(33_000)),
            (28.0, Some("KRW"), Some(21_280)),
            (1.0, Some("XTS"), None),
        ] {
            assert_eq!(
                rates.convert(amount, currency),
                micros.map(Micros),
                "{amount} {currency:?}"
            );
        }
        for wrong in ["EUR", "EUR=", "EUR=0", "EUR=-1", "EURO=1", "EUR=inf", "€=1"] {
            assert!(Rates::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn converts_units_and_micros() {
        assert_eq!(Micros::from_units(0.0079), Some(Micros(7_900)));
        assert_eq!(Micros(7_900).to_string(), "0.007900");
        assert_eq!(Micros(-1_500_000).to_string(), "-1.500000");
        assert_eq!(Micros::from_units(f64::NAN), None);
        assert_eq!(Micros::from_units(1e300), None);
    }
}
