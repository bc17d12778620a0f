//! The durable streams of webhook events.

use std::time::Duration;

use butt_dial_domain::ports::bus::StreamSpec;

/// Webhook events in the order of their arrival. Entries older than a week have been applied.
pub const STREAM: StreamSpec = StreamSpec {
    name: "INBOUND",
    // Without a partition, and of each partition.
    subjects: &["comms.inbound", "comms.inbound.*"],
    // Vendors repeat within seconds. A later repetition is recognized by the event's id in the database.
    dedup_window: Duration::from_secs(120),
    max_age: Duration::from_secs(7 * 86_400),
};
