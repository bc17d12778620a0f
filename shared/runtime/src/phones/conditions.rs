//! The conditions under which simulated people and carriers act: faults, late and doubled receipts, and what a person does when the
//! telephone rings. They hold for all organizations of the installation.

use std::time::Duration;

use butt_dial_domain::{Channel, Failure};
use butt_dial_providers::{
    VENDORS, Vendor, WebhookBehavior,
    simulator::{InjectedFault, calls::CalleeBehavior},
};

use super::{Phones, person_address, wrong};

/// The delay of a slow answer, and the longest delay of receipts.
const SLOW_MS: u64 = 3_000;
const MAX_DELAY: Duration = Duration::from_secs(300);

/// Faults of a carrier with their names for people.
pub const FAULTS: [(&str, &str); 8] = [
    ("timeout_after_accept", "Takes the message and never answers"),
    ("stall_before_accept", "Takes nothing and never answers"),
    ("reset_after_accept", "Takes the message and loses the answer"),
    ("server_error", "Answers 503 and takes nothing"),
    ("server_error_after_accept", "Answers 500 although it took the message"),
    ("rate_limit", "Answers 429: too many requests"),
    ("nonsense", "Answers 200 with a web page"),
    ("slow", "Answers three seconds late"),
];

/// The manners of a person when the telephone rings.
pub const MANNERS: [(&str, &str); 5] = [
    ("answers", "Answers"),
    ("busy", "Is busy"),
    ("no_answer", "Does not answer"),
    ("machine", "Has an answering machine"),
    ("fails", "Does not exist"),
];

/// The behaviour of a carrier.
pub struct CarrierState {
    pub id: &'static str,
    pub title: &'static str,
    /// Faults that wait for sends, with their numbers.
    pub faults: Vec<(InjectedFault, u32)>,
    pub behavior: WebhookBehavior,
}

impl Phones {
    /// Lists the carriers with their faults.
    pub fn carriers(&self) -> Vec<CarrierState> {
        let carriers = VENDORS.iter().filter(|vendor| vendor.manifest.is_carrier());
        let state = |vendor: &&Vendor| CarrierState {
            id: vendor.manifest.id,
            title: vendor.manifest.title,
            faults: self.state().faults(vendor.manifest.id),
            behavior: self.state().webhook_behavior(vendor.manifest.id),
        };
        carriers.map(state).collect()
    }

    /// Applies a fault to the carrier's next sends. `kind` is a name of `FAULTS`.
    pub fn inject_fault(&self, carrier: &str, kind: &str, times: u32) -> Result<(), Failure> {
        let carrier = find_carrier(carrier)?;
        if !FAULTS.iter().any(|(name, _)| *name == kind) {
            return Err(wrong("kind", "there is no such fault"));
        }
        let fault = serde_json::from_value(serde_json::json!({ "kind": kind, "delay_ms": SLOW_MS }));
        let fault: InjectedFault = fault.map_err(|_| wrong("kind", "there is no such fault"))?;
        self.state().inject_fault(carrier, fault, times.clamp(1, 100));
        Ok(())
    }

    /// Removes the faults of a carrier that wait for sends.
    pub fn clear_faults(&self, carrier: &str) -> Result<(), Failure> {
        self.state().clear_faults(find_carrier(carrier)?);
        Ok(())
    }

    /// Sets how often a carrier sends each webhook, and whether it reverses the receipts of a message.
    pub fn set_receipts(&self, carrier: &str, copies: u32, reversed: bool) -> Result<(), Failure> {
        let copies = copies.clamp(1, 5);
        let behavior = WebhookBehavior { copies, reversed };
        self.state().set_webhook_behavior(find_carrier(carrier)?, behavior);
        Ok(())
    }

    /// Returns how long after the answer the first receipt follows, of all carriers.
    pub fn receipt_delay(&self) -> Duration {
        self.state().delivery_delay()
    }

    pub fn set_receipt_delay(&self, delay: Duration) {
        self.state().set_delivery_delay(delay.min(MAX_DELAY));
    }

    /// Sets what a person does when the telephone rings. `manner` is a name of `MANNERS`.
    pub fn set_manner(&self, person: &str, manner: &str) -> Result<(), Failure> {
        let behavior = match manner {
            "answers" => CalleeBehavior::default(),
            "busy" => CalleeBehavior::Busy,
            "no_answer" => CalleeBehavior::NoAnswer,
            "fails" => CalleeBehavior::Fails,
            "machine" => CalleeBehavior::Machine {
                after_ms: 2_000,
                greeting: "You have reached a simulated answering machine. Please leave a message.".to_owned(),
                beeps: true,
            },
            _ => return Err(wrong("manner", "there is no such manner")),
        };
        self.state()
            .set_callee_behavior(&person_address(Channel::Voice, person)?, behavior);
        Ok(())
    }

    /// Returns what a person does when the telephone rings, as a name of `MANNERS`.
    pub fn manner(&self, person: &str) -> &'static str {
        match self.state().callee_behavior(person) {
            CalleeBehavior::Answers { .. } => "answers",
            CalleeBehavior::Machine { .. } => "machine",
            CalleeBehavior::Busy => "busy",
            CalleeBehavior::NoAnswer => "no_answer",
            CalleeBehavior::Fails => "fails",
        }
    }
}

fn find_carrier(id: &str) -> Result<&'static str, Failure> {
    let mut carriers = VENDORS.iter().filter(|vendor| vendor.manifest.is_carrier());
    let found = carriers.find(|vendor| vendor.manifest.id == id);
    found
        .map(|vendor| vendor.manifest.id)
        .ok_or_else(|| wrong("carrier", "there is no such carrier"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{PERSON, start},
        *,
    };

    #[tokio::test]
    async fn faults_wait_for_sends_and_are_removed() {
        let phones = start().await;
        for (kind, _) in FAULTS {
            phones.inject_fault("twilio", kind, 1).unwrap();
        }
        assert_eq!(phones.carriers()[0].faults.len(), FAULTS.len());
        phones.clear_faults("twilio").unwrap();
        assert!(phones.carriers()[0].faults.is_empty());
        for (carrier, kind) in [("twilio", "none"), ("anthropic", "slow"), ("none", "slow")] {
            assert!(phones.inject_fault(carrier, kind, 1).is_err(), "{carrier} {kind}");
        }
    }

    #[tokio::test]
    async fn manner_of_a_person_is_kept() {
        let phones = start().await;
        for (manner, _) in MANNERS {
            phones.set_manner(PERSON, manner).unwrap();
            assert_eq!(phones.manner(PERSON), manner);
        }
        assert!(phones.set_manner(PERSON, "sings").is_err());
    }
}
