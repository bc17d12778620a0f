//! Alerts: a cause that a person should look at is one alert while it lasts, and people receive few messages about it. The first one
//! leaves within seconds; later alerts are joined into one message after growing pauses, and a route has a budget per hour. A message
//! that can't be delivered is never the cause of another alert.

mod handle;
mod mailer;
mod message;
mod notify;
mod observe;
mod routes;
mod schedule;
#[cfg(test)]
mod tests;
mod transport;

pub use butt_dial_store::{Alert, AlertRoute, AlertState, Severity};
pub use handle::{Alerts, Cause};
pub use mailer::Mailer;
pub use routes::{NewRoute, RouteKind, RouteView};
