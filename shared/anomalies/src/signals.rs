//! Looks at signs of abuse: refused destinations, guesses, replaced tokens, opt-outs and complaints.

use butt_dial_domain::{AgentId, Failure, OrgId, clock::Timestamp, keys};
use chrono::{DurationRound as _, TimeDelta};

use crate::{
    Anomalies,
    baseline::bucket_of,
    collect::{CODE_TRIES, Findings, Found},
    detectors::{
        code_guessing, complaints, opt_outs, premium_prefix, sign_in_guessing, token_guessing, token_rotation,
    },
    finding::{Detector, Finding},
    handle::unavailable,
};

const HOUR: TimeDelta = TimeDelta::hours(1);
const DAY: TimeDelta = TimeDelta::days(1);

impl Anomalies {
    pub(crate) async fn find_signals(&self, now: Timestamp, found: &mut Findings) -> Result<(), Failure> {
        let setting = &self.parameters.premium_prefix;
        if setting.enabled {
            for row in self.store.count_refused_premium(now - HOUR).await? {
                let (org, agent) = (OrgId::from(row.org_id), row.agent_id.map(AgentId::from));
                let finding = premium_prefix::detect(setting, &premium_prefix::Facts { attempts: row.count });
                found.add(Detector::PremiumPrefix, (&org, agent.as_ref()), "", finding);
            }
        }
        let setting = &self.parameters.code_guessing;
        if setting.enabled {
            for row in self.store.sum_codes(now - HOUR, CODE_TRIES).await? {
                let facts = code_guessing::Facts {
                    sent: row.sent,
                    confirmed: row.confirmed,
                    exhausted: row.exhausted,
                    wrong: row.wrong,
                };
                let (org, agent) = (OrgId::from(row.org_id), row.agent_id.map(AgentId::from));
                let finding = code_guessing::detect(setting, &facts);
                found.add(Detector::CodeGuessing, (&org, agent.as_ref()), "", finding);
            }
        }
        let setting = &self.parameters.token_rotation;
        if setting.enabled {
            let many = self.store.count_token_changes(now - HOUR).await?;
            let many = many.into_iter().filter(|row| row.count >= setting.parameters.rotations);
            for row in many {
                let org = OrgId::from(row.org_id);
                let facts = token_rotation::Facts {
                    rotations: row.count,
                    agents: self.store.find_agent_quota(&org).await?.0.into(),
                };
                let finding = token_rotation::detect(setting, &facts);
                found.add(Detector::TokenRotation, (&org, None), "", finding);
            }
        }
        self.find_unwanted(now, found).await
    }

    /// Looks at people who do not want messages, since the beginning of yesterday: the counts of messages are per day.
    async fn find_unwanted(&self, now: Timestamp, found: &mut Findings) -> Result<(), Failure> {
        let yesterday = now.duration_trunc(DAY).unwrap_or(now) - DAY;
        let day = yesterday.format("%Y-%m-%d").to_string();
        let setting = &self.parameters.opt_outs;
        if setting.enabled {
            for row in self.store.count_opt_outs(yesterday, &day).await? {
                let facts = opt_outs::Facts {
                    opt_outs: row.count,
                    sent: row.total,
                };
                let finding = opt_outs::detect(setting, &facts);
                found.add(Detector::OptOuts, (&OrgId::from(row.org_id), None), "", finding);
            }
        }
        let setting = &self.parameters.complaints;
        if setting.enabled {
            for row in self.store.count_complaints(yesterday, &day).await? {
                let facts = complaints::Facts {
                    complaints: row.count,
                    sent: row.total,
                };
                let finding = complaints::detect(setting, &facts);
                found.add(Detector::Complaints, (&OrgId::from(row.org_id), None), "", finding);
            }
        }
        Ok(())
    }

    /// Looks at guessed tokens and passwords, which are counted in the key-value store.
    pub(crate) async fn find_guesses(&self, now: Timestamp, found: &mut Findings) -> Result<(), Failure> {
        let bucket = bucket_of(now);
        let of_both = |key: fn(i64) -> String| [key(bucket - 1), key(bucket)];
        let keys = [
            of_both(keys::token_failures_in),
            of_both(keys::token_lockouts_in),
            of_both(keys::sign_in_failures_in),
        ];
        let counts = self.kv.get_many(keys.as_flattened()).await.map_err(unavailable)?;
        let sum = |n: usize| -> i64 {
            let of_kind = counts.iter().skip(2 * n).take(2).flatten();
            of_kind.filter_map(|count| count.parse::<i64>().ok()).sum()
        };
        let facts = token_guessing::Facts {
            failures: sum(0),
            lockouts: sum(1),
        };
        let setting = &self.parameters.token_guessing;
        let finding = setting.enabled.then(|| token_guessing::detect(setting, &facts));
        found.add_of_installation(Detector::TokenGuessing, finding.flatten());
        let setting = &self.parameters.sign_in_guessing;
        let facts = sign_in_guessing::Facts { failures: sum(2) };
        let finding = setting.enabled.then(|| sign_in_guessing::detect(setting, &facts));
        found.add_of_installation(Detector::SignInGuessing, finding.flatten());
        Ok(())
    }
}

impl Findings {
    fn add_of_installation(&mut self, detector: Detector, finding: Option<Finding>) {
        self.0.extend(finding.map(|finding| Found {
            detector,
            org: None,
            agent: None,
            subject: "installation".into(),
            finding,
        }));
    }
}
