//! The trace of a message: a short text that is written with its outcome. It says how long each stage of its send took, and the
//! reconciler's looks at the carrier. No statement and no row are added for it, and writing it allocates nothing.

use std::{fmt, str::FromStr, time::Duration};

use butt_dial_domain::clock::Timestamp;
use chrono::DateTime;

/// The stages that are measured before a message is recorded, in their order.
pub const STAGES: [&str; 6] = ["authorize", "validate", "deduplicate", "comply", "reserve", "dispatch"];

/// How long each of `STAGES` took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes([u32; STAGES.len()]);

/// The finding of a look at the carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString)]
pub enum Found {
    /// The outcome.
    #[strum(serialize = "s")]
    Outcome,
    /// The carrier does not have the message (yet).
    #[strum(serialize = "n")]
    Nothing,
    /// The carrier did not answer.
    #[strum(serialize = "x")]
    NoAnswer,
}

/// A look of the reconciler at the carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub at: Timestamp,
    pub took: Duration,
    pub found: Found,
}

/// An entry of the trace of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceStep {
    Sent(StageTimes),
    Looked(Look),
}

impl StageTimes {
    /// Notes the duration of a stage. Other stages are not measured.
    pub fn note(&mut self, stage: &str, took: Duration) {
        if let Some(place) = STAGES.iter().position(|known| *known == stage) {
            self.0[place] = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        }
    }

    /// Returns the stages with their durations.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let times = self.0.map(|micros| Duration::from_micros(micros.into()));
        STAGES.into_iter().zip(times)
    }
}

impl fmt::Display for TraceStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(StageTimes([first, rest @ ..])) => {
                write!(f, "{first}")?;
                rest.iter().try_for_each(|micros| write!(f, ",{micros}"))
            }
            Self::Looked(Look { at, took, found }) => {
                let letter: &str = found.into();
                write!(f, "{letter}{},{}", at.timestamp_millis(), took.as_micros())
            }
        }
    }
}

impl FromStr for TraceStep {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |text: &str| text.parse::<i64>().map_err(drop);
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let mut times = StageTimes::default();
            for (place, micros) in text.split(',').enumerate() {
                // A later release may measure more stages.
                if let Some(time) = times.0.get_mut(place) {
                    *time = micros.parse().map_err(drop)?;
                }
            }
            return Ok(Self::Sent(times));
        }
        let (letter, rest) = text.split_at_checked(1).ok_or(())?;
        let (at, took) = rest.split_once(',').ok_or(())?;
        Ok(Self::Looked(Look {
            at: DateTime::from_timestamp_millis(number(at)?).ok_or(())?,
            took: Duration::from_micros(number(took)?.unsigned_abs()),
            found: letter.parse().map_err(drop)?,
        }))
    }
}

/// Reads the trace of a message. Steps that this release does not know are left out.
pub(crate) fn parse(text: &str) -> Vec<TraceStep> {
    text.split(' ').filter_map(|step| step.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_is_read_as_it_was_written() {
        let mut times = StageTimes::default();
        times.note("authorize", Duration::from_micros(120));
        times.note("dispatch", Duration::from_secs(9_999));
        times.note("headers", Duration::from_secs(1));
        let look = Look {
            at: DateTime::from_timestamp_millis(1_790_000_000_123).unwrap(),
            took: Duration::from_millis(31),
            found: Found::NoAnswer,
        };
        let (sent, looked) = (TraceStep::Sent(times), TraceStep::Looked(look));
        let text = format!("{sent} {looked}");
        assert_eq!(text, "120,0,0,0,0,4294967295 x1790000000123,31000");
        assert_eq!(parse(&text), [sent, looked]);
        assert_eq!(times.iter().next(), Some(("authorize", Duration::from_micros(120))));
        assert_eq!(parse("? z1,2 s1 12,x"), []);
        assert_eq!(parse("1,2,3,4,5,6,7").len(), 1);
    }
}
