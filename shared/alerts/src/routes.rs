//! The routes of an organization or of the installation: created, listed, changed, deleted and tried out by administrators.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use butt_dial_domain::{Address, Channel, Code, Failure, OrgId, ids};
use butt_dial_identity::Caller;
use butt_dial_store::{AlertRoute, AuditEntry, Change, Severity};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Alerts, handle::org_of, message::Message};

/// Routes of an organization.
const MAX_ROUTES: usize = 20;
const MAX_KEY: usize = butt_dial_domain::bounds::ROUTING_KEY;
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// The key of this organization encrypts targets of the installation.
const INSTALLATION: &str = "installation";

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum RouteKind {
    Email,
    Sms,
    Whatsapp,
    /// A call that speaks the alert.
    Voice,
    Webhook,
    Pagerduty,
    Slack,
}

/// A route to create, or the new settings of one.
#[derive(Clone, Copy, Debug)]
pub struct NewRoute<'a> {
    pub kind: RouteKind,
    /// Of mails, text messages, WhatsApp and calls.
    pub address: Option<&'a str>,
    /// Of webhooks and Slack; at PagerDuty another region's.
    pub url: Option<&'a str>,
    /// The routing key of PagerDuty.
    pub key: Option<&'a str>,
    pub severity: Severity,
    pub is_escalation: bool,
    /// Minutes after midnight UTC.
    pub quiet: Option<(u32, u32)>,
}

/// A route without its secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteView {
    pub route: AlertRoute,
    /// Of webhooks, for Standard Webhooks. Only in the answer to a creation.
    pub secret: Option<String>,
}

#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Target {
    pub address: String,
    pub url: String,
    pub key: String,
}

impl Alerts {
    /// Creates a route. Fails with `InvalidArgument` for a target that can't be reached by its kind.
    pub async fn create_route(&self, caller: &Caller, new: NewRoute<'_>) -> Result<RouteView, Failure> {
        let org = org_of(caller)?;
        if self.store.list_alert_routes(org.as_ref()).await?.len() >= MAX_ROUTES {
            let text = format!("there are {MAX_ROUTES} alert routes, as many as there may be");
            return Err(Failure::new(Code::InvalidArgument, text));
        }
        let id = format!("alt_{}", ids::unique());
        let route = self.row(org.as_ref(), id, new)?;
        let change = self.change(caller, org.as_ref(), "alert_route.create", &route);
        change.create_alert_route(&route).await?;
        let secret = (new.kind == RouteKind::Webhook)
            .then(|| format!("whsec_{}", BASE64_STANDARD.encode(self.webhook_key(&route.id))));
        Ok(RouteView { route, secret })
    }

    pub async fn list_routes(&self, caller: &Caller) -> Result<Vec<AlertRoute>, Failure> {
        Ok(self.store.list_alert_routes(org_of(caller)?.as_ref()).await?)
    }

    /// Replaces the settings of a route.
    pub async fn update_route(&self, caller: &Caller, id: &str, new: NewRoute<'_>) -> Result<RouteView, Failure> {
        let org = org_of(caller)?;
        let known = self.find_route(org.as_ref(), id).await?;
        let route = AlertRoute {
            created_at: known.created_at,
            ..self.row(org.as_ref(), known.id, new)?
        };
        if known.kind != route.kind {
            return Err(
                Failure::new(Code::InvalidArgument, "the kind of a route can't be changed")
                    .hint("create another route, and delete this one"),
            );
        }
        let change = self.change(caller, org.as_ref(), "alert_route.update", &route);
        match change.update_alert_route(&route).await? {
            true => Ok(RouteView { route, secret: None }),
            false => Err(no_such_route()),
        }
    }

    pub async fn delete_route(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        let org = org_of(caller)?;
        let route = self.find_route(org.as_ref(), id).await?;
        let change = self.change(caller, org.as_ref(), "alert_route.delete", &route);
        change.delete_alert_route(org.as_ref(), id).await?;
        self.store
            .delete_notifications(id, self.clock.now() + chrono::TimeDelta::days(366))
            .await?;
        Ok(())
    }

    /// Sends a message over a route, to try it out. Fails with `ChannelUnavailable` if it is not accepted.
    pub async fn test_route(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        let route = self.find_route(org_of(caller)?.as_ref(), id).await?;
        let message = Message {
            notifications: Vec::new(),
            links: Default::default(),
            count: 0,
            is_last_of_hour: false,
            is_test: true,
        };
        let key = format!("alert-test-{}", ids::unique());
        let told = self.send_over(&route, &message, &key).await;
        told.map_err(|reason| {
            Failure::new(
                Code::ChannelUnavailable,
                format!("the route did not accept the message: {reason}"),
            )
        })
    }

    async fn find_route(&self, org: Option<&OrgId>, id: &str) -> Result<AlertRoute, Failure> {
        let routes = self.store.list_alert_routes(org).await?;
        routes
            .into_iter()
            .find(|route| route.id == id)
            .ok_or_else(no_such_route)
    }

    fn change(&self, caller: &Caller, org: Option<&OrgId>, action: &str, route: &AlertRoute) -> Change {
        let actor = caller.principal.token.as_str();
        let entry = AuditEntry::new(org, actor, action, &route.id, self.clock.now());
        let severity: &str = route.severity.into();
        self.store
            .change(entry.with_detail(json!({ "kind": route.kind, "hint": route.hint, "severity": severity })))
    }

    fn row(&self, org: Option<&OrgId>, id: String, new: NewRoute<'_>) -> Result<AlertRoute, Failure> {
        let (target, hint) = self.target(&new)?;
        let plain = serde_json::to_vec(&target).map_err(|_| Failure::internal())?;
        let now = self.clock.now();
        Ok(AlertRoute {
            target: self.vault.encrypt(&key_owner(org), &id, &plain),
            id,
            org_id: org.map(OrgId::to_string),
            kind: new.kind.to_string(),
            hint,
            severity: new.severity,
            is_escalation: new.is_escalation,
            quiet_from: new.quiet.map(|(from, _)| from.into()),
            quiet_until: new.quiet.map(|(_, until)| until.into()),
            created_at: now,
            window_at: None,
            window_count: 0,
            free_at: now,
        })
    }

    /// Checks the target of a route. Returns also how lists show it.
    fn target(&self, new: &NewRoute<'_>) -> Result<(Target, String), Failure> {
        let invalid =
            |field: &str, text: String| Failure::new(Code::InvalidArgument, text).detail("fields", json!([field]));
        let needed = |field: &str, value: Option<&str>| {
            let value = value.map(str::trim).filter(|value| !value.is_empty());
            value
                .map(str::to_owned)
                .ok_or_else(|| invalid(field, format!("a route of the kind {} needs {field}", new.kind)))
        };
        let mut target = Target::default();
        let hint = match new.kind {
            RouteKind::Email | RouteKind::Sms | RouteKind::Whatsapp | RouteKind::Voice => {
                let channel = match new.kind {
                    RouteKind::Sms => Channel::Sms,
                    RouteKind::Whatsapp => Channel::Whatsapp,
                    RouteKind::Voice => Channel::Voice,
                    _ => Channel::Email,
                };
                let text = needed("address", new.address)?;
                let address = Address::parse(channel, &text).map_err(|error| invalid("address", error.to_string()))?;
                target.address = address.as_str().to_owned();
                let tail: String = target.address.chars().rev().take(4).collect();
                format!("…{}", tail.chars().rev().collect::<String>())
            }
            RouteKind::Webhook | RouteKind::Slack | RouteKind::Pagerduty => {
                if new.kind == RouteKind::Pagerduty {
                    target.key = needed("key", new.key)?;
                    if target.key.len() > MAX_KEY {
                        return Err(invalid("key", format!("key has at most {MAX_KEY} characters")));
                    }
                }
                let url = match new.kind {
                    RouteKind::Pagerduty => new.url.unwrap_or(PAGERDUTY).to_owned(),
                    _ => needed("url", new.url)?,
                };
                let checked = self
                    .egress
                    .check(&url)
                    .map_err(|error| invalid("url", error.to_string()))?;
                target.url = checked.to_string();
                checked.host_str().unwrap_or_default().to_owned()
            }
        };
        if let Some((from, until)) = new.quiet
            && (from >= 24 * 60 || until >= 24 * 60 || from == until)
        {
            return Err(invalid(
                "quietFrom",
                "quiet hours begin and end at different times of a day".into(),
            ));
        }
        Ok((target, hint))
    }

    pub(crate) fn open_target(&self, route: &AlertRoute) -> Result<Target, Failure> {
        let org = route.org_id.as_deref().map(OrgId::from);
        let plain = self.vault.decrypt(&key_owner(org.as_ref()), &route.id, &route.target);
        let plain = plain.map_err(|_| Failure::internal())?;
        serde_json::from_slice(&plain).map_err(|_| Failure::internal())
    }

    /// Derives the key that signs the webhooks of a route.
    pub(crate) fn webhook_key(&self, route: &str) -> [u8; 32] {
        self.vault.key(&format!("alert webhook {route}"))
    }
}

fn key_owner(org: Option<&OrgId>) -> OrgId {
    org.cloned().unwrap_or_else(|| OrgId::from(INSTALLATION))
}

fn no_such_route() -> Failure {
    Failure::new(Code::NotFound, "there is no alert route with this id").hint("GET /api/v1/alert-routes lists them")
}
