//! The handle of accounts.

use std::{net::IpAddr, sync::Arc};

use bon::bon;
use butt_dial_domain::{
    Clock, Code, Failure,
    ports::{bus::Bus, kv::Kv},
};
use butt_dial_messaging::{Egress, Outbound, PublicUrls, media::Blobs};
use butt_dial_store::Store;
use butt_dial_vault::Vault;
use tokio_util::task::TaskTracker;

use crate::{AccountSettings, Challenges, Registrations, Senders, audit::AuditLog, installation::Installation};

/// Registers organizations and serves their owners. One per process, shared.
pub struct Accounts {
    pub(crate) store: Store,
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) vault: Vault,
    pub(crate) clock: Clock,
    /// To the webhooks of organizations.
    pub(crate) egress: Egress,
    /// `None`: attachments are not stored.
    pub(crate) blobs: Option<Blobs>,
    pub(crate) installation: Installation,
    pub(crate) challenges: Challenges,
    pub(crate) senders: Senders,
    pub(crate) registrations: Registrations,
    pub(crate) settings: AccountSettings,
    pub(crate) audit: AuditLog,
    pub(crate) tasks: TaskTracker,
    /// The public address for links, with the base path and without a slash at the end.
    pub(crate) links: Option<String>,
}

#[bon]
impl Accounts {
    #[builder]
    pub fn new(
        store: Store,
        kv: Arc<dyn Kv>,
        bus: Arc<dyn Bus>,
        vault: Vault,
        clock: Clock,
        egress: Egress,
        blobs: Option<Blobs>,
        outbound: Arc<Outbound>,
        challenges: Challenges,
        senders: Senders,
        registrations: Registrations,
        public_urls: &PublicUrls,
        settings: AccountSettings,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            installation: Installation::new(store.clone(), outbound, clock.clone(), &settings),
            audit: AuditLog::new(store.clone(), clock.clone()),
            links: links(public_urls.base(), &settings.base_path),
            store,
            kv,
            bus,
            vault,
            clock,
            egress,
            blobs,
            challenges,
            senders,
            registrations,
            settings,
            tasks,
        })
    }

    /// Returns the secret of a mail or text for the response, where carriers are simulated and no person receives it.
    pub(crate) fn for_tests(&self, secret: &str) -> Option<String> {
        self.settings.simulated_world.then(|| secret.to_owned())
    }

    /// Returns the address of a page of this installation. `None`: its public address is not known.
    pub fn page(&self, path: &str) -> Option<String> {
        Some(format!("{}{path}", self.links.as_deref()?))
    }

    /// Checks a URL that a client chose for requests of this program.
    pub(crate) fn check_url(&self, field: &'static str, url: &str) -> Result<(), Failure> {
        if url.len() > MAX_URL_LENGTH {
            return Err(invalid(
                field,
                format!("{field} is longer than {MAX_URL_LENGTH} characters"),
            ));
        }
        match self.egress.check(url) {
            Ok(_) => Ok(()),
            Err(error) => Err(invalid(field, format!("{field}: {error}"))),
        }
    }
}

pub(crate) const MAX_URL_LENGTH: usize = butt_dial_domain::bounds::URL;

/// Builds the refusal of a field.
pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Failure {
    Failure::new(Code::InvalidArgument, message.into()).detail("fields", vec![field])
}

/// The client of an open route. A request without an address counts with all others of its kind.
pub(crate) fn client_id(client: Option<IpAddr>) -> String {
    match client.map(|client| client.to_canonical()) {
        // The smallest network that a host is given.
        Some(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::")
        }
        Some(v4) => v4.to_string(),
        None => "unknown".into(),
    }
}

fn links(base: Option<&str>, base_path: &str) -> Option<String> {
    let base = base?.trim_end_matches('/');
    Some(match base.ends_with(base_path) {
        true => base.to_owned(),
        false => format!("{base}{base_path}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_contain_base_path_once() {
        for (base, path, expected) in [
            ("https://a.example", "", "https://a.example"),
            ("https://a.example/", "/bd", "https://a.example/bd"),
            ("https://a.example/bd", "/bd", "https://a.example/bd"),
        ] {
            assert_eq!(links(Some(base), path).as_deref(), Some(expected));
        }
        assert_eq!(links(None, "/bd"), None);
    }

    #[test]
    fn clients_of_one_network_share_their_id() {
        let id = |text: &str| client_id(text.parse().ok());
        assert_eq!(id("2001:db8:1:2::1"), id("2001:db8:1:2:ffff::9"));
        assert_ne!(id("2001:db8:1:2::1"), id("2001:db8:1:3::1"));
        assert_eq!(id("::ffff:9.9.9.9"), id("9.9.9.9"));
    }
}
