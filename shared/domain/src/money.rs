//! Money in micro-units of the organization's currency. Integers, so that sums are exact.

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_units_and_micros() {
        assert_eq!(Micros::from_units(0.0079), Some(Micros(7_900)));
        assert_eq!(Micros(7_900).to_string(), "0.007900");
        assert_eq!(Micros(-1_500_000).to_string(), "-1.500000");
        assert_eq!(Micros::from_units(f64::NAN), None);
        assert_eq!(Micros::from_units(1e300), None);
    }
}
