//! The times of messages: at once, in a digest, after quiet hours, or later if an alert is not acknowledged. No I/O, no clock.

use butt_dial_domain::clock::Timestamp;
use butt_dial_store::{AlertRoute, Due, Severity};
use chrono::{DurationRound as _, TimeDelta, Timelike as _};

pub const OPENED: &str = "opened";
pub const ESCALATED: &str = "escalated";
pub const RESOLVED: &str = "resolved";

/// How long an alert may wait for an acknowledgement before it is escalated.
pub const ESCALATE_AFTER: TimeDelta = TimeDelta::minutes(15);
/// Medium and low alerts share a message once in this time.
const DIGEST: TimeDelta = TimeDelta::hours(1);
/// The budget of a route.
pub const MAX_PER_HOUR: i64 = 6;
/// Pauses after the messages of an hour, in minutes.
const PAUSES: [i64; 5] = [1, 3, 6, 10, 15];

/// Returns when each route receives a new alert.
pub fn when_opened(routes: &[AlertRoute], severity: Severity, now: Timestamp) -> Vec<Due> {
    let takes = routes.iter().filter(|route| severity >= route.severity);
    let due = takes.filter_map(|route| {
        let (reason, at) = match (route.is_escalation, severity) {
            (true, Severity::Critical | Severity::High) => (ESCALATED, now + ESCALATE_AFTER),
            (true, _) => return None,
            (false, Severity::Critical | Severity::High) => (OPENED, now),
            (false, _) => (OPENED, next_digest(now)),
        };
        let at = match severity {
            Severity::Critical => at,
            _ => after_quiet_hours(route, at),
        };
        Some(Due {
            route: route.id.clone(),
            reason,
            at,
        })
    });
    due.collect()
}

/// Returns when programs receive the end of an alert. People do not.
pub fn when_resolved(routes: &[AlertRoute], now: Timestamp) -> Vec<Due> {
    let programs = routes
        .iter()
        .filter(|route| !route.is_escalation && matches!(route.kind.as_str(), "webhook" | "pagerduty"));
    let due = programs.map(|route| Due {
        route: route.id.clone(),
        reason: RESOLVED,
        at: now,
    });
    due.collect()
}

/// Returns when a route may send again after its `sent`th message of the hour that began at `window`.
pub fn next_free(sent: i64, window: Timestamp, now: Timestamp) -> Timestamp {
    if sent >= MAX_PER_HOUR {
        return window + TimeDelta::hours(1);
    }
    let index = usize::try_from(sent.saturating_sub(1)).unwrap_or_default();
    now + TimeDelta::minutes(PAUSES[index.min(PAUSES.len() - 1)])
}

fn next_digest(now: Timestamp) -> Timestamp {
    now.duration_trunc(DIGEST).map_or(now, |begin| begin + DIGEST)
}

/// Returns the end of the quiet hours if the time is in them.
fn after_quiet_hours(route: &AlertRoute, at: Timestamp) -> Timestamp {
    let (Some(from), Some(until)) = (route.quiet_from, route.quiet_until) else {
        return at;
    };
    let minute = i64::from(at.hour() * 60 + at.minute());
    let is_quiet = match from <= until {
        true => (from..until).contains(&minute),
        false => minute >= from || minute < until,
    };
    if !is_quiet {
        return at;
    }
    let left = (until - minute).rem_euclid(24 * 60);
    let at = at + TimeDelta::minutes(left);
    at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-29T{text}:30Z").parse().unwrap()
    }

    fn route(severity: Severity, quiet: Option<(i64, i64)>) -> AlertRoute {
        AlertRoute {
            id: "alt_1".into(),
            org_id: None,
            kind: "email".into(),
            target: Vec::new(),
            hint: String::new(),
            severity,
            is_escalation: false,
            quiet_from: quiet.map(|quiet| quiet.0),
            quiet_until: quiet.map(|quiet| quiet.1),
            created_at: at("00:00"),
            window_at: None,
            window_count: 0,
            free_at: at("00:00"),
        }
    }

    fn time_of(route: &AlertRoute, severity: Severity, now: &str) -> Option<String> {
        let due = when_opened(std::slice::from_ref(route), severity, at(now));
        due.first().map(|due| due.at.format("%dT%H:%M:%S").to_string())
    }

    #[test]
    fn urgent_alerts_leave_at_once_others_in_a_digest() {
        let all = route(Severity::Low, None);
        assert_eq!(time_of(&all, Severity::Critical, "10:20").unwrap(), "29T10:20:30");
        assert_eq!(time_of(&all, Severity::High, "10:20").unwrap(), "29T10:20:30");
        assert_eq!(time_of(&all, Severity::Medium, "10:20").unwrap(), "29T11:00:00");
        assert_eq!(time_of(&all, Severity::Low, "23:59").unwrap(), "30T00:00:00");
        assert_eq!(time_of(&route(Severity::High, None), Severity::Medium, "10:20"), None);
    }

    #[test]
    fn quiet_hours_delay_all_but_critical_alerts() {
        let night = route(Severity::Low, Some((22 * 60, 7 * 60)));
        for (now, expected) in [
            ("21:59", "29T21:59:30"),
            ("22:00", "30T07:00:00"),
            ("06:59", "29T07:00:00"),
            ("07:00", "29T07:00:30"),
        ] {
            assert_eq!(time_of(&night, Severity::High, now).unwrap(), expected);
        }
        assert_eq!(time_of(&night, Severity::Critical, "23:00").unwrap(), "29T23:00:30");
        let lunch = route(Severity::Low, Some((12 * 60, 13 * 60)));
        assert_eq!(time_of(&lunch, Severity::High, "12:30").unwrap(), "29T13:00:00");
        assert_eq!(time_of(&lunch, Severity::High, "13:00").unwrap(), "29T13:00:30");
    }

    #[test]
    fn escalation_route_waits_for_acknowledgement() {
        let escalation = AlertRoute {
            is_escalation: true,
            ..route(Severity::Low, None)
        };
        let due = when_opened(std::slice::from_ref(&escalation), Severity::High, at("10:00"));
        assert_eq!((due[0].reason, due[0].at), (ESCALATED, at("10:15")));
        assert_eq!(time_of(&escalation, Severity::Medium, "10:00"), None);
    }

    #[test]
    fn pauses_grow_until_the_budget_is_used_up() {
        let (window, now) = (at("10:00"), at("10:40"));
        let pauses: Vec<i64> = (1..=6)
            .map(|sent| (next_free(sent, window, now) - now).num_minutes())
            .collect();
        assert_eq!(pauses, [1, 3, 6, 10, 15, 20]);
    }
}
