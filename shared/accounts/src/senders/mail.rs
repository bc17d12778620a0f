//! Mail senders: an address in the domain of the installation, or in a domain of the organization, which its vendor verifies by the
//! records that the organization publishes. Until then the sender is paused.

use butt_dial_domain::{
    AgentId, Channel, Code, Failure, OrgId, ProviderAccountId, Scope,
    ports::{
        mail_domains::{DnsRecord, MailDomain},
        numbers::NumberError,
    },
};
use butt_dial_identity::Caller;
use butt_dial_store::{NewSender, Registration, Sender};
use sha2::{Digest, Sha256};

use super::{Senders, addresses::local_part, failure_of, whatsapp::new_sender};

const MAIL_VENDOR: &str = "resend";

/// A domain that a new address is in.
struct Domain {
    name: String,
    /// The vendor's id, and whether it is verified; `None`: the domain of the installation.
    registered: Option<(String, bool)>,
    account: Option<ProviderAccountId>,
}

impl Senders {
    /// Gives an agent a mail address. `local` is the wanted local part; without one, the name of the agent is used, with a part of
    /// its id if the address has an owner.
    pub async fn add_mail(
        &self,
        caller: &Caller,
        agent: &AgentId,
        (local, domain): (Option<&str>, Option<&str>),
        name: &str,
        label: Option<&str>,
    ) -> Result<Sender, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = caller.org()?;
        let wanted = local_part(local.unwrap_or(name)).or_else(|failure| match local {
            Some(_) => Err(failure),
            None => local_part(agent.host_id()),
        })?;
        let domain = self.find_domain(org, agent, domain).await?;
        let registration = domain.registered.as_ref().map(|(id, is_verified)| match is_verified {
            true => (id.as_str(), Registration::Done),
            false => (id.as_str(), Registration::Pending),
        });
        let address = format!("{wanted}@{}", domain.name);
        let sender = NewSender {
            label,
            account: domain.account.as_ref(),
            registration,
            ..new_sender(org, Some(agent), Channel::Email, &address)
        };
        match self.store_one(caller, &sender).await {
            Err(failure) if failure.code == Code::AlreadyExists && local.is_none() => {
                let address = format!("{wanted}-{}@{}", short_id(org, agent), domain.name);
                let sender = NewSender {
                    address: &address,
                    ..sender
                };
                self.store_one(caller, &sender).await
            }
            stored => stored,
        }
    }

    /// Returns the records that the domain of a mail sender needs; empty once it is verified, and for other senders.
    pub async fn dns_records(&self, sender: &Sender) -> Result<Vec<DnsRecord>, Failure> {
        match (&sender.registration_id, sender.registration) {
            (Some(id), Some(Registration::Pending)) if sender.channel == Channel::Email => {
                Ok(self.fetch_domain(sender.account.as_ref(), id).await?.records)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Finds the domain of a new address. A domain of another organization, or one that the vendor's account has for other purposes,
    /// is refused: no organization may send in the name of another one.
    async fn find_domain(&self, org: &OrgId, agent: &AgentId, wanted: Option<&str>) -> Result<Domain, Failure> {
        let (name, is_own) = self.mail_domain(wanted)?;
        if is_own {
            return Ok(Domain {
                name,
                registered: None,
                account: None,
            });
        }
        if let Some(known) = self.store.find_mail_domain(&name).await? {
            let (true, Some(id)) = (known.org == *org, known.registration_id) else {
                return Err(domain_taken());
            };
            return Ok(Domain {
                registered: Some((id, known.registration == Some(Registration::Done))),
                account: known.account,
                name,
            });
        }
        let account = self.accounts.find_for(org, Some(agent), MAIL_VENDOR).await?;
        let account = account.map(|account| account.id);
        let domains = self.accounts.mail_domains(MAIL_VENDOR, account.as_ref()).await?;
        let domains = domains.ok_or_else(no_mail_vendor)?;
        let refused = |error: &NumberError| failure_of(error, "add the mail domain");
        let created = match domains.create(&name).await {
            Ok(created) => created,
            // An own account may have had the domain. In the shared one, an unverified domain without senders is left from a request
            // with a lost answer.
            Err(NumberError::Unavailable) => {
                let found = domains.find(&name).await.map_err(|error| refused(&error))?;
                let may_adopt = |found: &MailDomain| account.is_some() || !found.is_verified;
                found.filter(may_adopt).ok_or_else(domain_taken)?
            }
            Err(error) => return Err(refused(&error)),
        };
        Ok(Domain {
            registered: Some((created.id, created.is_verified)),
            account,
            name,
        })
    }

    /// Concludes the registration of a mail sender once its vendor has verified the domain.
    pub(super) async fn check_mail_domain(&self, sender: &Sender, id: &str) -> Result<(), Failure> {
        match self.fetch_domain(sender.account.as_ref(), id).await {
            Ok(domain) if domain.is_verified => self.conclude(sender, true).await,
            Ok(_) => Ok(()),
            Err(failure) if failure.code == Code::NotFound => self.conclude(sender, false).await,
            Err(failure) => Err(failure),
        }
    }

    /// Removes the domain of a mail address from the installation's account, if the organization brought the domain along.
    pub(super) async fn remove_domain(&self, sender: &Sender) -> Result<(), Failure> {
        let (Channel::Email, None, Some(id)) = (sender.channel, &sender.account, &sender.registration_id) else {
            return Ok(());
        };
        let domains = self.accounts.mail_domains(MAIL_VENDOR, None).await?;
        match domains.ok_or_else(no_mail_vendor)?.remove(id).await {
            Ok(()) | Err(NumberError::NotFound) => Ok(()),
            Err(error) => Err(failure_of(&error, "remove the mail domain")),
        }
    }

    async fn fetch_domain(&self, account: Option<&ProviderAccountId>, id: &str) -> Result<MailDomain, Failure> {
        let domains = self.accounts.mail_domains(MAIL_VENDOR, account).await?;
        let domains = domains.ok_or_else(no_mail_vendor)?;
        domains
            .fetch(id)
            .await
            .map_err(|error| failure_of(&error, "show the mail domain"))
    }
}

fn no_mail_vendor() -> Failure {
    Failure::new(Code::NotSupported, "no provider of mail domains is configured")
        .hint("register a Resend account, or ask the operator of this installation")
}

fn domain_taken() -> Failure {
    Failure::new(Code::AlreadyExists, "this mail domain belongs to another account")
        .on(Channel::Email)
        .hint("use another domain or a subdomain, or register your own Resend account")
}

/// Returns eight characters that tell agents with the same name apart.
fn short_id(org: &OrgId, agent: &AgentId) -> String {
    let hash = Sha256::digest(format!("{org} {agent}").as_bytes());
    hex::encode(&hash[..4])
}
