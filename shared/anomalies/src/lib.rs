//! Anomalies: unusual traffic and signs of abuse, found once per interval in rows that exist anyway, so that no send pays for them.
//!
//! Detectors (`detectors/`) are pure functions of small facts, with parameters as data (`deploy/anomalies.toml`). `collect` reads the
//! facts, `sweep` keeps one anomaly per cause while it lasts, and `react` restrains agents. The program reacts to an anomaly once: it
//! never undoes what an administrator has decided meanwhile.

mod announcements;
mod baseline;
mod collect;
mod detectors;
mod finding;
mod handle;
mod learn;
mod masked;
mod parameters;
mod react;
mod reporter;
mod setting;
mod signals;
mod stop_loop;
mod sweep;
#[cfg(test)]
mod tests;
mod traffic;
mod usuals;

pub use announcements::Announcement;
pub use butt_dial_store::{Anomaly, AnomalyFilter, AnomalyState, Campaign, ContactPause, Reaction, Severity};
pub use finding::{Detector, Finding};
pub use handle::{Anomalies, AnomalySettings};
pub use parameters::{ParameterError, Parameters};
pub use reporter::{Pause, Reporter};
