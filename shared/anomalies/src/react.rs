//! Reactions to anomalies. Each is written with its audit entry, and with the mark that the program has reacted, in one transaction: it
//! happens once, so that the program never undoes an administrator's decision while the anomaly lasts.

use butt_dial_domain::{Failure, clock::Timestamp};
use butt_dial_store::{Anomaly, NewRestraint, Reaction};
use chrono::TimeDelta;

use crate::Anomalies;

/// Characters of the reason of a suspension.
const MAX_REASON: usize = 400;

impl Anomalies {
    /// Restrains the agent of an anomaly, once, and extends its restraints while the anomaly is seen.
    pub(crate) async fn react(&self, anomaly: &Anomaly, now: Timestamp) -> Result<(), Failure> {
        let settings = &self.parameters.reactions;
        let until = now + TimeDelta::minutes(settings.restraint_minutes.into());
        if anomaly.dismissed_at.is_some() {
            return Ok(());
        }
        if anomaly.reacted_at.is_some() {
            let is_restrained = matches!(anomaly.reaction, Reaction::Throttle | Reaction::Confirm);
            if is_restrained && anomaly.last_at == now {
                self.store.extend_restraints(&anomaly.id, until).await?;
            }
            return Ok(());
        }
        let (Some(org), Some(agent)) = (anomaly.org(), anomaly.agent()) else {
            return Ok(());
        };
        let of = (&org, &agent);
        let change = |action| self.store.change(self.entry(&org, action, agent.as_str(), anomaly));
        let done = match anomaly.reaction {
            Reaction::Alert => return Ok(()),
            Reaction::Throttle => {
                let throttle = NewRestraint::Throttle(settings.throttle_per_minute);
                change("agent.throttle")
                    .restrain_agent(&anomaly.id, of, throttle, until, now)
                    .await?
            }
            Reaction::Confirm => {
                change("agent.confirm")
                    .restrain_agent(&anomaly.id, of, NewRestraint::Confirm, until, now)
                    .await?
            }
            Reaction::Suspend => {
                let reason: String = anomaly.explanation.chars().take(MAX_REASON).collect();
                let reason = format!("anomaly {}: {reason}", anomaly.detector);
                let done = change("agent.status")
                    .suspend_for_anomaly(&anomaly.id, of, &reason, now)
                    .await?;
                if done && let Err(error) = self.reporter.report_suspension(&org, &agent, &reason).await {
                    // The suspension stands, and the alert names it.
                    tracing::warn!(%error, anomaly = anomaly.id, "suspension not reported to its agent");
                }
                done
            }
        };
        if done {
            let reaction: &str = anomaly.reaction.into();
            tracing::warn!(anomaly = anomaly.id, %agent, reaction, "reacted to an anomaly");
        }
        Ok(())
    }
}
