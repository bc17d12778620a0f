//! Reads the facts about traffic and lets the detectors decide: volume, spend, failures, calls, countries, and exchanges with people.

use std::collections::{BTreeSet, HashMap};

use butt_dial_domain::{
    AgentId, Failure, OrgId, address::contact_key, clock::Timestamp, limits::Period, senders::country_of,
};
use butt_dial_store::{BudgetUse, SeenCountry, SentToOne, Span};
use chrono::TimeDelta;

use crate::{
    Anomalies,
    baseline::{as_float, bucket_of},
    detectors::{
        bot_loop, call_burst, failure_rate, new_country, shared_contact, sms_pumping, spend_rate, volume_spike,
    },
    finding::{Detector, Finding},
    masked::masked,
    traffic::{Campaigns, Subject, Totals, totals, until},
    usuals::{Metric, Usuals},
};

/// Candidates of one detector.
const CANDIDATES: u32 = 200;
/// Messages of one exchange.
const EXCHANGE: u32 = 500;
const FIVE_MINUTES: TimeDelta = TimeDelta::minutes(5);
const QUARTER: TimeDelta = TimeDelta::minutes(15);
/// The tries of a one-time code.
pub(crate) const CODE_TRIES: i64 = 5;

/// A finding with its subject.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub detector: Detector,
    pub org: Option<OrgId>,
    pub agent: Option<AgentId>,
    /// Identifies the cause within its detector and organization. Holds no address.
    pub subject: String,
    pub finding: Finding,
}

/// The findings of one run.
#[derive(Default)]
pub(crate) struct Findings(pub Vec<Found>);

impl Findings {
    /// Adds a finding about an agent, or without one about its organization.
    pub fn add(
        &mut self,
        detector: Detector,
        (org, agent): (&OrgId, Option<&AgentId>),
        detail: &str,
        finding: Option<Finding>,
    ) {
        let subject = subject_in(agent, detail);
        self.0.extend(finding.map(|finding| Found {
            detector,
            org: Some(org.clone()),
            agent: agent.cloned(),
            subject,
            finding,
        }));
    }

    /// Returns whether the detector has found an agent of the organization.
    fn has_agent(&self, detector: Detector, org: &OrgId) -> bool {
        let mut of_agents = self.0.iter().filter(|found| found.agent.is_some());
        of_agents.any(|found| found.detector == detector && found.org.as_ref() == Some(org))
    }
}

impl Anomalies {
    /// Looks at the messages and calls of the last minutes.
    pub(crate) async fn find_in_traffic(&self, now: Timestamp, found: &mut Findings) -> Result<(), Failure> {
        let span = until(now, FIVE_MINUTES);
        let campaigns = self.campaigns(now).await?;
        let totals = totals(self.store.sum_traffic(span).await?);
        let calls = self.store.count_calls(span).await?;
        let orgs = totals.keys().map(|(org, _)| org.clone());
        let orgs: BTreeSet<OrgId> = orgs
            .chain(calls.iter().map(|row| OrgId::from(row.org_id.as_str())))
            .collect();
        let orgs: Vec<OrgId> = orgs.into_iter().collect();
        let usuals = self.usuals(&orgs, bucket_of(now)).await?;
        self.find_spikes(&totals, &usuals, &campaigns, found);
        self.find_spend(now, &totals, &usuals, &campaigns, found).await?;
        let setting = &self.parameters.call_burst;
        for row in calls.iter().filter(|_| setting.enabled) {
            let subject = (
                OrgId::from(row.org_id.as_str()),
                Some(AgentId::from(row.agent_id.as_str())),
            );
            let (direction, metric) = match row.direction.as_str() {
                "inbound" => ("inbound", Metric::InboundCalls),
                _ => ("outbound", Metric::OutboundCalls),
            };
            let facts = call_burst::Facts {
                direction,
                calls: row.calls,
                usual: usuals.of(&subject, metric),
                is_announced: direction == "outbound" && campaigns.cover(&subject),
            };
            found.add(
                Detector::CallBurst,
                (&subject.0, subject.1.as_ref()),
                direction,
                call_burst::detect(setting, &facts),
            );
        }
        self.find_failures(now, &usuals, found).await?;
        self.find_countries(now, span, &campaigns, found).await
    }

    fn find_spikes(
        &self,
        totals: &HashMap<Subject, Totals>,
        usuals: &Usuals,
        campaigns: &Campaigns,
        found: &mut Findings,
    ) {
        let setting = &self.parameters.volume_spike;
        // Agents first: an organization is not named again for the spike of one agent.
        let agents = totals.iter().filter(|((_, agent), _)| agent.is_some());
        let orgs = totals.iter().filter(|((_, agent), _)| agent.is_none());
        for (subject, total) in agents.chain(orgs).filter(|_| setting.enabled) {
            let (org, agent) = (&subject.0, subject.1.as_ref());
            if agent.is_none() && found.has_agent(Detector::VolumeSpike, org) {
                continue;
            }
            let facts = volume_spike::Facts {
                sent: total.sent,
                usual: usuals.of(subject, Metric::Sent),
                is_announced: campaigns.cover(subject),
            };
            let finding = volume_spike::detect(setting, &facts);
            found.add(Detector::VolumeSpike, (org, agent), "", finding);
        }
    }

    async fn find_spend(
        &self,
        now: Timestamp,
        totals: &HashMap<Subject, Totals>,
        usuals: &Usuals,
        campaigns: &Campaigns,
        found: &mut Findings,
    ) -> Result<(), Failure> {
        let setting = &self.parameters.spend_rate;
        if !setting.enabled || totals.values().all(|total| total.cost < setting.parameters.floor) {
            return Ok(());
        }
        let (day, month) = (Period::Day.key(now), Period::Month.key(now));
        let budgets = self.store.list_budget_use(&day, &month, &self.default_limits).await?;
        for budget in budgets {
            let subject = subject_of(&budget);
            let Some(total) = totals.get(&subject) else { continue };
            let period = match budget.period == day {
                true => Period::Day,
                false => Period::Month,
            };
            let facts = spend_rate::Facts {
                spent: total.cost,
                usual: usuals.of(&subject, Metric::Cost),
                used: budget.used,
                cap: budget.cap,
                minutes_left: as_float((period.end(now) - now).num_minutes()),
                is_announced: campaigns.cover(&subject),
            };
            let finding = spend_rate::detect(setting, &facts);
            let detail = format!("budget:{}", period.as_str());
            found.add(Detector::SpendRate, (&subject.0, subject.1.as_ref()), &detail, finding);
        }
        Ok(())
    }

    async fn find_failures(&self, now: Timestamp, usuals: &Usuals, found: &mut Findings) -> Result<(), Failure> {
        let setting = &self.parameters.failure_rate;
        if !setting.enabled {
            return Ok(());
        }
        let totals = totals(self.store.sum_traffic(until(now, QUARTER)).await?);
        for (subject, total) in totals.iter().filter(|((_, agent), _)| agent.is_some()) {
            let usual = |metric| usuals.of(subject, metric).value;
            let facts = failure_rate::Facts {
                sent: total.sent,
                failed: total.failed,
                usual_rate: (usual(Metric::Failed) / usual(Metric::Sent).max(1.0)).clamp(0.0, 1.0),
            };
            let finding = failure_rate::detect(setting, &facts);
            found.add(Detector::FailureRate, (&subject.0, subject.1.as_ref()), "", finding);
        }
        Ok(())
    }

    async fn find_countries(
        &self,
        now: Timestamp,
        span: Span,
        campaigns: &Campaigns,
        found: &mut Findings,
    ) -> Result<(), Failure> {
        let mut sent: HashMap<(OrgId, String), i64> = HashMap::new();
        for row in self.store.count_sent_to_prefixes(span).await? {
            if let Some(country) = country_of(&row.number) {
                *sent.entry((OrgId::from(row.org_id), country)).or_default() += row.sent;
            }
        }
        let orgs: BTreeSet<OrgId> = sent.keys().map(|(org, _)| org.clone()).collect();
        let orgs: Vec<OrgId> = orgs.into_iter().collect();
        let known = self.store.list_countries(&orgs).await?;
        let setting = &self.parameters.new_country;
        let hours = |since: Option<Timestamp>| since.map_or(0, |since| (now - since).num_hours());
        let mut new = Vec::new();
        for ((org, country), sent) in sent {
            let of_org = || known.iter().filter(|seen| seen.org_id == org.as_str());
            let first = of_org().find(|seen| seen.country == country);
            if first.is_none() {
                new.push(SeenCountry {
                    org_id: org.to_string(),
                    country: country.clone(),
                    first_at: now,
                });
            }
            let facts = new_country::Facts {
                sent,
                known_hours: hours(first.map(|seen| seen.first_at)),
                history_hours: hours(of_org().map(|seen| seen.first_at).min()),
                known_countries: of_org().count(),
                is_announced: campaigns.cover(&(org.clone(), None)),
                country,
            };
            let detail = format!("country:{}", facts.country);
            let finding = setting.enabled.then(|| new_country::detect(setting, &facts)).flatten();
            found.add(Detector::NewCountry, (&org, None), &detail, finding);
        }
        if !new.is_empty() {
            self.store.add_countries(&new, now).await?;
        }
        Ok(())
    }

    /// Looks at the people that agents write to.
    pub(crate) async fn find_among_people(&self, now: Timestamp, found: &mut Findings) -> Result<(), Failure> {
        let span = until(now, QUARTER);
        self.find_pumping(now, span, found).await?;
        let setting = &self.parameters.shared_contact;
        if setting.enabled {
            let min = setting.parameters.agents;
            for shared in self.store.list_shared_recipients(span, min, CANDIDATES).await? {
                let org = OrgId::from(shared.org_id);
                let facts = shared_contact::Facts {
                    agents: shared.agents,
                    sent: shared.sent,
                    contact: masked(&shared.recipient),
                };
                let detail = self.contact_detail(&org, &shared.recipient);
                let finding = shared_contact::detect(setting, &facts);
                found.add(Detector::SharedContact, (&org, None), &detail, finding);
            }
        }
        let setting = &self.parameters.bot_loop;
        if setting.enabled {
            let min = setting.parameters.turns.min(setting.parameters.mail_turns);
            let min = i64::try_from(min).unwrap_or(i64::MAX);
            for one in self.store.list_sent_to_one(span, min, CANDIDATES).await? {
                let facts = self.exchange(&one, span).await?;
                let (org, agent) = (OrgId::from(one.org_id), AgentId::from(one.agent_id));
                let detail = self.contact_detail(&org, &one.recipient);
                let finding = bot_loop::detect(setting, &facts);
                let pause = TimeDelta::minutes(setting.parameters.pause_minutes.into());
                found.add(Detector::BotLoop, (&org, Some(&agent)), &detail, finding.clone());
                if let Some(finding) = finding {
                    let subject = subject_in(Some(&agent), &detail);
                    self.stop_loop((&org, &agent), &one.recipient, (&subject, &finding), pause)
                        .await?;
                }
            }
        }
        Ok(())
    }

    async fn exchange(&self, one: &SentToOne, span: Span) -> Result<bot_loop::Facts, Failure> {
        let agent = AgentId::from(one.agent_id.as_str());
        let contact = contact_key(&one.recipient);
        Ok(bot_loop::Facts {
            sent: self.store.list_sent_times(one, span, EXCHANGE).await?,
            received: self
                .store
                .list_received_times(&agent, Some(&contact), span.0, EXCHANGE)
                .await?,
            contact: masked(&one.recipient),
            is_mail: one.recipient.contains('@'),
        })
    }

    async fn find_pumping(&self, now: Timestamp, span: Span, found: &mut Findings) -> Result<(), Failure> {
        let setting = &self.parameters.sms_pumping;
        if !setting.enabled {
            return Ok(());
        }
        let min = setting.parameters.min_numbers;
        let mut agents: HashMap<(OrgId, AgentId), sms_pumping::Facts> = HashMap::new();
        for block in self.store.list_sent_to_blocks(span, min, CANDIDATES).await? {
            let key = (OrgId::from(block.org_id), AgentId::from(block.agent_id));
            let facts = agents.entry(key).or_insert(sms_pumping::Facts {
                numbers: 0,
                blocks: 0,
                sent: 0,
                replies: 0,
                codes: 0,
                confirmed_codes: 0,
                is_announced: false,
            });
            facts.numbers = facts.numbers.max(block.numbers);
            facts.blocks += 1;
            facts.sent += block.sent;
        }
        if agents.is_empty() {
            return Ok(());
        }
        let campaigns = self.campaigns(now).await?;
        let codes = self.store.sum_codes(span.0, CODE_TRIES).await?;
        for ((org, agent), mut facts) in agents {
            let replies = self.store.list_received_times(&agent, None, span.0, EXCHANGE).await?;
            facts.replies = i64::try_from(replies.len()).unwrap_or(i64::MAX);
            let of_agent = codes
                .iter()
                .filter(|row| row.agent_id.as_deref() == Some(agent.as_str()));
            for row in of_agent {
                facts.codes += row.sent;
                facts.confirmed_codes += row.confirmed;
            }
            facts.is_announced = campaigns.cover(&(org.clone(), Some(agent.clone())));
            let finding = sms_pumping::detect(setting, &facts);
            found.add(Detector::SmsPumping, (&org, Some(&agent)), "", finding);
        }
        Ok(())
    }

    /// Identifies a contact without its address.
    pub(crate) fn contact_detail(&self, org: &OrgId, recipient: &str) -> String {
        let hash = self.vault.contact_hash(org, &contact_key(recipient));
        format!("contact:{}", hash.get(..16).unwrap_or(&hash))
    }
}

/// Identifies a cause within its detector and organization.
fn subject_in(agent: Option<&AgentId>, detail: &str) -> String {
    let of = agent.map_or_else(|| "org".to_owned(), |agent| format!("agent:{agent}"));
    match detail.is_empty() {
        true => of,
        false => format!("{of} {detail}"),
    }
}

fn subject_of(budget: &BudgetUse) -> Subject {
    (
        OrgId::from(budget.org_id.as_str()),
        budget.agent_id.as_deref().map(AgentId::from),
    )
}
