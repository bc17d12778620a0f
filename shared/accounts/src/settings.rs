//! The settings of accounts.

use std::time::Duration;

use butt_dial_domain::limits::Limits;
use butt_dial_store::OrgMode;

/// The permission to register an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Registration {
    Open,
    /// Callers with an invite code.
    Invite,
    Closed,
}

/// The terms that an owner accepts before an organization becomes active.
#[derive(Clone, Debug)]
pub struct Terms {
    pub version: String,
    pub url: Option<String>,
}

#[derive(Clone, Debug)]
pub struct AccountSettings {
    pub registration: Registration,
    /// The mode of new organizations.
    pub mode: OrgMode,
    /// `None`: no terms.
    pub terms: Option<Terms>,
    /// The addresses that the installation's own mails and texts are sent from.
    pub email: Option<String>,
    pub phone: Option<String>,
    pub whatsapp: Option<String>,
    /// The template for alerts over WhatsApp.
    pub alert_template: Option<String>,
    /// The template for one-time codes over WhatsApp.
    pub code_template: Option<String>,
    /// The delay after each failed attempt to deliver a notice. One that failed more often is dead.
    pub notice_retry_after: Vec<Duration>,
    /// For agents without limits of their own.
    pub default_limits: Limits,
    /// The carriers are simulators: responses contain the secrets of mails and texts, and limits are wide.
    pub simulated_world: bool,
    /// The path that a proxy puts before all paths, or an empty text.
    pub base_path: String,
}
