//! The state of the console, and the operations that its pages call. A page has no other way to data of an organization: each
//! call checks the role of the person, and organization and agent come from the session.

use std::{net::IpAddr, sync::Arc};

use butt_dial_accounts::{Console, Role, Sender, console::RelyingParty};
use butt_dial_domain::{Clock, Code, Failure};
use butt_dial_identity::{Caller, Origin};
use butt_dial_operations::{self as operations, Context, Definition, Product, RequestContext};
use butt_dial_runtime::{Platform, http::TrustedProxies, phones::Phones};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    member::Member,
    open_sessions::{OpenSessions, Watching},
    recent::Recent,
    rights,
};

/// Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

struct Parts {
    product: Arc<Product>,
    console: Console,
    platform: Platform,
    /// The path of the console, with the base path of the installation.
    base: String,
    public_host: Option<String>,
    site: Option<RelyingParty>,
    overviews: Recent<Value>,
    overview_parts: Recent<Arc<str>>,
    open_sessions: OpenSessions,
    senders: Recent<Arc<[Sender]>>,
    phones: Option<Phones>,
}

impl App {
    pub fn new(platform: Platform, product: Product) -> Self {
        let public = platform.config.webhook_base_url.as_ref();
        let public_host = public.and_then(|url| {
            let host = url.host_str()?;
            Some(match url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            })
        });
        Self(Arc::new(Parts {
            product: Arc::new(product),
            console: platform.product.console.clone(),
            base: format!("{}/console", platform.config.base_path),
            public_host,
            site: RelyingParty::of(public, platform.config.port),
            overviews: Recent::default(),
            overview_parts: Recent::default(),
            open_sessions: OpenSessions::default(),
            senders: Recent::default(),
            phones: platform.simulator.clone().map(Phones::new),
            platform,
        }))
    }

    /// Returns the path of a page, such as `/console/messages`.
    pub fn path(&self, page: &str) -> String {
        format!("{}{page}", self.0.base)
    }

    pub fn base(&self) -> &str {
        &self.0.base
    }

    pub fn console(&self) -> &Console {
        &self.0.console
    }

    pub fn platform(&self) -> &Platform {
        &self.0.platform
    }

    pub fn clock(&self) -> &Clock {
        &self.0.platform.clock
    }

    pub fn proxies(&self) -> &TrustedProxies {
        &self.0.platform.proxies
    }

    pub fn draining(&self) -> &CancellationToken {
        self.0.platform.lifecycle.draining()
    }

    /// Returns the host of the public address, if it is known.
    pub fn public_host(&self) -> Option<&str> {
        self.0.public_host.as_deref()
    }

    /// Returns the site that passkeys are bound to. `None`: browsers have none for the address of this installation.
    pub fn site(&self) -> Option<&RelyingParty> {
        self.0.site.as_ref()
    }

    /// Returns the site that passkeys are bound to, or the failure for a person.
    pub fn require_site(&self) -> Result<&RelyingParty, Failure> {
        self.site().ok_or_else(|| {
            Failure::new(
                Code::InvalidArgument,
                "passkeys need a public address with a name and https",
            )
        })
    }

    /// Returns the address of this installation for clients, without a slash at the end.
    pub fn public_url(&self) -> String {
        let (config, urls) = (&self.0.platform.config, &self.0.platform.product.public_urls);
        let known = urls.base().map(|base| base.trim_end_matches('/').to_owned());
        known.unwrap_or_else(|| config.base_url(config.port))
    }

    /// Returns the whole address of a page, for a link that a person passes on.
    pub fn link(&self, page: &str) -> String {
        let path = format!("/console{page}");
        let known = self.0.platform.product.accounts.page(&path);
        known.unwrap_or_else(|| format!("{}{path}", self.public_url()))
    }

    /// Returns the telephones of simulated people, if the simulator runs in this process.
    pub fn phones(&self) -> Option<&Phones> {
        self.0.phones.as_ref()
    }

    pub fn is_simulated(&self) -> bool {
        self.0.platform.product.simulated_world
    }

    /// Returns the origin of a request, for the audit entries of what it changes.
    pub fn origin(&self, client: Option<IpAddr>, request_id: Option<String>) -> Origin {
        let origin = self.0.platform.product.guard.origin(client, request_id);
        Origin {
            via: Some("console"),
            ..origin
        }
    }

    /// Writes down when tokens were used last, so that a page shows the uses of this moment, and not only those of some seconds ago.
    pub async fn flush_last_used(&self) {
        self.0.platform.product.guard.flush_last_used().await;
    }

    /// Returns whether this release has an operation.
    pub fn offers(name: &str) -> bool {
        operations::all().iter().any(|definition| definition.name == name)
    }

    /// Calls an operation on the member's organization.
    pub async fn call(&self, member: &Member, name: &str, args: Value) -> Result<Value, Failure> {
        let definition = permitted(member.role(), name)?;
        self.run(definition, member.caller(), args).await
    }

    /// Returns an overview of this moment. All open pages of an organization share it, so that many of them cost as much as one.
    pub async fn recent_overview(&self, member: &Member) -> Result<Value, Failure> {
        let org = &member.inner.org;
        if let Some(known) = self.0.overviews.find(org) {
            return Ok(known);
        }
        let overview = self.call(member, "get_overview", json!({})).await?;
        self.0.overviews.keep(org, overview.clone());
        Ok(overview)
    }

    /// Returns the live part of the overview, which all open pages of an organization share, too.
    pub async fn recent_overview_part(
        &self,
        member: &Member,
        render: impl FnOnce(&Value) -> String,
    ) -> Result<Arc<str>, Failure> {
        let org = &member.inner.org;
        if let Some(known) = self.0.overview_parts.find(org) {
            return Ok(known);
        }
        let part: Arc<str> = render(&self.recent_overview(member).await?).into();
        self.0.overview_parts.keep(org, part.clone());
        Ok(part)
    }

    /// Watches the session of a stream.
    pub fn watch_session(&self, member: &Member) -> Watching {
        let key = (member.session().id_hash.clone(), member.inner.org.clone());
        let tasks = &self.0.product.tasks;
        self.0.open_sessions.watch(key, self.console(), tasks, self.draining())
    }

    /// Returns the senders of the organization, as they were at most two seconds ago.
    pub async fn recent_senders(&self, member: &Member) -> Result<Arc<[Sender]>, Failure> {
        let org = &member.inner.org;
        if let Some(known) = self.0.senders.find(org) {
            return Ok(known);
        }
        let senders: Arc<[Sender]> = self.0.product.senders.list_of_org(org).await?.into();
        self.0.senders.keep(org, senders.clone());
        Ok(senders)
    }

    /// Calls an operation as one of the organization's agents.
    pub async fn call_as_agent(&self, member: &Member, agent: &str, name: &str, args: Value) -> Result<Value, Failure> {
        let definition = permitted(member.role(), name)?;
        let caller = self.0.console.as_agent(&member.inner, agent).await?;
        self.run(definition, caller, args).await
    }

    /// Calls an operation on the installation. Only its operators may.
    pub async fn call_as_operator(&self, member: &Member, name: &str, args: Value) -> Result<Value, Failure> {
        let definition = permitted(member.role(), name)?;
        let Some(caller) = member.inner.operator() else {
            return Err(Failure::new(
                Code::AuthForbidden,
                "this page is for operators of the installation",
            ));
        };
        self.run(definition, caller, args).await
    }

    /// Notes in the audit log what a member has done. A failure is logged only: the deed is done.
    pub async fn note(&self, member: &Member, action: &str, target: &str, detail: Value) {
        if let Err(failure) = self.0.console.note_action(&member.inner, action, target, detail).await {
            tracing::warn!(code = failure.code.as_str(), "audit entry not written");
        }
    }

    /// Runs an operation as a task: it completes when the browser disconnects.
    async fn run(&self, definition: &'static Definition, caller: Caller, args: Value) -> Result<Value, Failure> {
        let product = self.0.product.clone();
        let tasks = product.tasks.clone();
        let context = Context {
            product,
            caller: Arc::new(caller),
            request: RequestContext::of_page(self.draining().clone(), Origin::current()),
        };
        let args = match args {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let running = tasks.spawn(definition.run(context, args).in_current_span());
        let text = running.await.unwrap_or_else(|error| {
            tracing::error!(%error, operation = definition.name, "operation task failed");
            Err(Failure::internal())
        })?;
        // A result that is not JSON is a text, such as CSV.
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

fn permitted(role: Role, name: &str) -> Result<&'static Definition, Failure> {
    let definition = operations::all().iter().find(|definition| definition.name == name);
    let definition = definition.ok_or_else(|| {
        tracing::error!(operation = name, "page calls an operation that does not exist");
        Failure::internal()
    })?;
    match rights::permits(role, definition) {
        true => Ok(definition),
        false => Err(rights::refusal(role)),
    }
}
