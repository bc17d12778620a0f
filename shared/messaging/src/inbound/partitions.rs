//! The partitions of the inbound stream. Several dispatchers read it in parallel, each some of its partitions.
//!
//! All entries of an agent are in one partition, in the order in which they were appended: messages, reports about calls, and
//! receipts of carriers that name the sender of the message. So the order of each contact and agent stays. A receipt
//! with an unknown sender is in the partition of that address, one without a sender in that of the carrier's message id: receipts of one message keep their order,
//! but not the order with messages. That is safe: the status of a message only moves forward, and a receipt can revoke consent
//! but never grant it.
//!
//! Webhooks are appended without the database, so the partition is a function of the agent id only, the same in all releases.

use sha2::{Digest, Sha256};

use butt_dial_domain::subjects;

use super::STREAM;

/// The largest number of partitions.
pub const MAX_PARTITIONS: u16 = 1_024;

/// The number of partitions of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partitions(u16);

/// A part of the stream with its own position and reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Identifies its position in the database and the lease of its reader.
    pub name: String,
    pub subject: String,
    /// In metrics.
    pub label: String,
}

impl Partitions {
    /// The whole stream is one partition: on an embedded bus, which has one process.
    pub const ONE: Self = Self(1);

    pub fn new(count: u16) -> Self {
        Self(count.clamp(1, MAX_PARTITIONS))
    }

    pub fn count(self) -> u16 {
        self.0
    }

    /// Returns all partitions that are appended to.
    pub fn all(self) -> Vec<Partition> {
        match self {
            Self::ONE => vec![Partition::unpartitioned()],
            Self(count) => (0..count).map(Partition::numbered).collect(),
        }
    }

    /// Returns the names of all partitions.
    pub fn names(self) -> Vec<String> {
        self.all().into_iter().map(|partition| partition.name).collect()
    }

    /// Returns the partition that releases without partitions append to, if it is not among `all`. It is read before the others.
    pub fn former(self) -> Option<Partition> {
        (self != Self::ONE).then(Partition::unpartitioned)
    }

    /// Returns the subject for entries of an agent, or of another key.
    pub fn subject_of(self, key: &str) -> String {
        match self {
            Self::ONE => subjects::INBOUND.to_owned(),
            Self(count) => subjects::inbound_partition(number_of(key, count)),
        }
    }
}

impl Partition {
    fn unpartitioned() -> Self {
        Self {
            name: STREAM.name.to_owned(),
            subject: subjects::INBOUND.to_owned(),
            label: "none".to_owned(),
        }
    }

    fn numbered(number: u16) -> Self {
        Self {
            name: format!("{}.{number}", STREAM.name),
            subject: subjects::inbound_partition(number),
            label: number.to_string(),
        }
    }
}

/// Returns the partition of a key: the first 8 bytes of its SHA-256 as a big-endian number, modulo the number of partitions. Part
/// of the format of the stream: all releases must agree on it.
fn number_of(key: &str, count: u16) -> u16 {
    let hash = Sha256::digest(key.as_bytes());
    let number = hash
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    // Less than `count`.
    u16::try_from(number % u64::from(count)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_partition_of_each_key_in_all_releases() {
        // Computed with: python3 -c 'import hashlib;print(int(hashlib.sha256(b"agt_1").hexdigest()[:16],16)%16)'
        for (key, number) in [("agt_1", 12), ("agt_2", 8), ("+14155550100", 6), ("", 4)] {
            assert_eq!(number_of(key, 16), number, "{key}");
        }
    }

    #[test]
    fn spreads_agents_evenly() {
        let mut counts = [0; 16];
        for n in 0..16_000 {
            counts[usize::from(number_of(&format!("agent-{n}"), 16))] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn names_each_partition_once() {
        assert_eq!(Partitions::ONE.all(), [Partition::unpartitioned()]);
        assert_eq!(Partitions::ONE.former(), None);
        assert_eq!(Partitions::ONE.subject_of("agt_1"), "comms.inbound");
        let partitions = Partitions::new(16);
        let names: Vec<String> = partitions.all().into_iter().map(|partition| partition.name).collect();
        assert_eq!(
            (names.len(), names[0].as_str(), names[15].as_str()),
            (16, "INBOUND.0", "INBOUND.15")
        );
        assert_eq!(partitions.former(), Some(Partition::unpartitioned()));
        let subject = partitions.subject_of("agt_1");
        assert!(partitions.all().iter().any(|partition| partition.subject == subject));
    }
}
