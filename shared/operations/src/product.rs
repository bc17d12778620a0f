//! The parts of the product that the gateway uses, in one place.

use std::sync::Arc;

use butt_dial_accounts::{
    Accounts, Agents, Challenges, People, ProviderAccounts, Registrations, Senders, Subjects, TeamTokens, Trust,
};
use butt_dial_alerts::Alerts;
use butt_dial_anomalies::Anomalies;
use butt_dial_audit::Audit;
use butt_dial_billing::Billing;
use butt_dial_calls::Calls;

use butt_dial_compliance::{Choices, ConsentLedger, Consents, DoNotContact, RuleHistory};
use butt_dial_domain::Clock;
use butt_dial_identity::Guard;
use butt_dial_messaging::{Conversations, Delivery, Inbound, Inbox, Media, Outbound};
use butt_dial_runtime::Platform;
use tokio_util::task::TaskTracker;

use crate::{Metrics, WaitSlots};

pub struct Product {
    pub guard: Arc<Guard>,
    pub agents: Agents,
    pub audit: Audit,
    pub alerts: Alerts,
    pub anomalies: Anomalies,
    pub team_tokens: TeamTokens,
    pub provider_accounts: ProviderAccounts,
    pub senders: Senders,
    pub registrations: Registrations,
    pub challenges: Challenges,
    pub accounts: Arc<Accounts>,
    pub trust: Trust,
    pub subjects: Subjects,
    pub conversations: Conversations,
    pub inbox: Inbox,
    pub people: People,
    pub consents: Consents,
    pub consent_ledger: ConsentLedger,
    pub rule_history: RuleHistory,
    pub do_not_contact: DoNotContact,
    pub compliance_choices: Choices,
    pub billing: Billing,
    pub calls: Arc<Calls>,
    pub delivery: Arc<Delivery>,
    pub inbound: Arc<Inbound>,
    pub media: Arc<Media>,
    pub outbound: Arc<Outbound>,
    /// Of the speech synthesizer.
    pub voices: Vec<String>,
    /// Names of the operations that an agent may use.
    pub agent_operations: Vec<&'static str>,
    pub clock: Clock,
    pub metrics: Metrics,
    pub wait_slots: WaitSlots,
    /// Operations run here, so that the process awaits them when it stops.
    pub tasks: TaskTracker,
}

impl Product {
    /// `metric` is the name of the metric of operations. Fails when it is registered already.
    pub fn new(
        platform: &Platform,
        agent_operations: Vec<&'static str>,
        metric: &str,
    ) -> Result<Self, prometheus::Error> {
        Ok(Self {
            guard: platform.product.guard.clone(),
            agents: platform.product.agents.clone(),
            audit: platform.product.audit.clone(),
            alerts: platform.product.alerts.clone(),
            anomalies: platform.product.anomalies.clone(),
            team_tokens: platform.product.team_tokens.clone(),
            provider_accounts: platform.product.provider_accounts.clone(),
            senders: platform.product.senders.clone(),
            registrations: platform.product.registrations.clone(),
            challenges: platform.product.challenges.clone(),
            accounts: platform.product.accounts.clone(),
            trust: platform.product.trust.clone(),
            subjects: platform.product.subjects.clone(),
            inbox: platform.product.inbox.clone(),
            conversations: platform.product.conversations.clone(),
            people: platform.product.people.clone(),
            consents: platform.product.consents.clone(),
            consent_ledger: platform.product.consent_ledger.clone(),
            do_not_contact: platform.product.do_not_contact.clone(),
            compliance_choices: platform.product.compliance_choices.clone(),
            rule_history: platform.product.rule_history.clone(),
            billing: platform.product.billing.clone(),
            calls: platform.product.calls.clone(),
            delivery: platform.product.delivery.clone(),
            inbound: platform.product.inbound.clone(),
            media: platform.product.media.clone(),
            outbound: platform.product.outbound.clone(),
            voices: platform
                .product
                .speech
                .as_ref()
                .map(|speech| speech.voices())
                .unwrap_or_default(),
            agent_operations,
            clock: platform.clock.clone(),
            metrics: Metrics::register(&platform.telemetry.registry, metric)?,
            wait_slots: WaitSlots::new(platform.config.waits_per_agent, platform.config.waits_per_organization),
            tasks: platform.lifecycle.in_flight().clone(),
        })
    }
}
