//! The migrations, embedded in the program. A new one is a file in `migrations/` and a line here.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// A Postgres migration that begins with this line is one statement that runs outside a transaction, such as
/// `CREATE INDEX CONCURRENTLY`, which does not stop writers.
const NO_TRANSACTION: &str = "-- no-transaction\n";

pub(crate) struct Step {
    version: i64,
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

macro_rules! portable {
    ($version:literal, $name:literal) => {
        Step {
            version: $version,
            name: $name,
            postgres: include_str!(concat!("../../../migrations/", $name, ".sql")),
            sqlite: include_str!(concat!("../../../migrations/", $name, ".sql")),
        }
    };
}

macro_rules! per_engine {
    ($version:literal, $name:literal) => {
        Step {
            version: $version,
            name: $name,
            postgres: include_str!(concat!("../../../migrations/", $name, ".postgres.sql")),
            sqlite: include_str!(concat!("../../../migrations/", $name, ".sqlite.sql")),
        }
    };
}

pub(crate) const STEPS: &[Step] = &[
    portable!(1, "0001_identity"),
    portable!(2, "0002_contacts"),
    portable!(3, "0003_messages"),
    portable!(4, "0004_accounting"),
    portable!(5, "0005_events"),
    portable!(6, "0006_inbound"),
    portable!(7, "0007_scheduled"),
    portable!(8, "0008_follow_ups"),
    portable!(9, "0009_calls"),
    portable!(10, "0010_voice_callback"),
    portable!(11, "0011_encryption_key"),
    portable!(12, "0012_events_unready_of_agent"),
    portable!(13, "0013_token_labels"),
    portable!(14, "0014_call_legs"),
    portable!(15, "0015_callback_keys"),
    portable!(16, "0016_dead_letters"),
    portable!(17, "0017_contact_keys"),
    portable!(18, "0018_one_carrier_id"),
    portable!(19, "0019_log_entries"),
    portable!(20, "0020_inbound_partitions"),
    portable!(21, "0021_content_keys"),
    per_engine!(22, "0022_scheduled_sends_of_org"),
    per_engine!(23, "0023_mailbox_keys"),
    portable!(24, "0024_voice_settings"),
    portable!(25, "0025_contact_identities"),
    portable!(26, "0026_transcription"),
    per_engine!(27, "0027_senders"),
    portable!(28, "0028_call_bridges"),
    portable!(29, "0029_accounts"),
    portable!(30, "0030_members"),
    portable!(31, "0031_one_time_tokens"),
    portable!(32, "0032_account_notices"),
    portable!(33, "0033_token_addresses"),
    portable!(34, "0034_challenges"),
    portable!(35, "0035_trust_and_consent"),
    portable!(36, "0036_conversations"),
    per_engine!(37, "0037_messages_of_thread"),
    portable!(38, "0038_billing_configs"),
    portable!(39, "0039_budget_alerts"),
    per_engine!(40, "0040_spend_by_period"),
    portable!(41, "0041_token_grants"),
    portable!(42, "0042_rent"),
    per_engine!(43, "0043_channels_rent"),
    portable!(44, "0044_number_registrations"),
    per_engine!(45, "0045_channels_webhooks"),
    portable!(46, "0046_subaccount_suspension"),
    portable!(47, "0047_operator_backlogs"),
    portable!(48, "0048_tasks"),
    per_engine!(49, "0049_spend_of_tasks"),
    per_engine!(50, "0050_messages_of_tasks"),
    portable!(51, "0051_compliance"),
    per_engine!(52, "0052_messages_of_marketing"),
    per_engine!(53, "0053_audit_chain"),
    per_engine!(54, "0054_audit_unsealed"),
    per_engine!(55, "0055_audit_sealed"),
    per_engine!(56, "0056_messages_unsealed"),
    portable!(57, "0057_approvals"),
    portable!(58, "0058_console"),
    per_engine!(59, "0059_messages_of_org"),
    per_engine!(60, "0060_calls_of_org"),
    portable!(61, "0061_alerts"),
    portable!(62, "0062_attempts_in_messages"),
    portable!(63, "0063_compliance_choices"),
    portable!(64, "0064_ai_disclosures"),
    per_engine!(65, "0065_consent_events"),
    portable!(66, "0066_subjects"),
    portable!(67, "0067_anomalies"),
    per_engine!(68, "0068_consents_revoked"),
    per_engine!(69, "0069_messages_complained"),
    per_engine!(70, "0070_challenges_by_time"),
    portable!(71, "0071_callback_attempts"),
    portable!(72, "0072_kept_texts"),
    per_engine!(73, "0073_messages_kept"),
    per_engine!(74, "0074_events_kept"),
    portable!(75, "0075_console_filters"),
    portable!(76, "0076_disclosure_of_organizations"),
    portable!(77, "0077_contact_pauses"),
    per_engine!(78, "0078_contact_pauses_by_id"),
    per_engine!(79, "0079_budget_alerts_by_time"),
    portable!(80, "0080_tainted_texts"),
    portable!(81, "0081_takeovers"),
    portable!(82, "0082_trace"),
    portable!(83, "0083_console_passkeys"),
];

impl Step {
    #[cfg(test)]
    pub fn new(version: i64, name: &'static str, sql: &'static str) -> Self {
        Self {
            version,
            name,
            postgres: sql,
            sqlite: sql,
        }
    }

    /// Whether it runs outside a transaction on Postgres.
    pub fn is_concurrent(&self) -> bool {
        self.postgres.starts_with(NO_TRANSACTION)
    }

    /// Returns the name of the index that a concurrent step creates.
    pub fn index_name(&self) -> Option<&'static str> {
        let (_, rest) = self.postgres.split_once("CONCURRENTLY ")?;
        rest.split_whitespace().next()
    }
}

/// Returns the migrations of Postgres up to the last one of `steps`.
pub(crate) fn for_postgres<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Migrator {
    migrator(
        steps
            .into_iter()
            .map(|step| (step, step.postgres, step.is_concurrent())),
    )
}

pub(crate) fn for_sqlite() -> Migrator {
    migrator(STEPS.iter().map(|step| (step, step.sqlite, false)))
}

fn migrator<'a>(steps: impl Iterator<Item = (&'a Step, &'static str, bool)>) -> Migrator {
    let migrations = steps
        .map(|(step, sql, no_transaction)| {
            let sql = sql.into_sql_str();
            Migration::new(
                step.version,
                step.name.into(),
                MigrationType::Simple,
                sql,
                no_transaction,
            )
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    // During a rolling update, a newer release has migrated already. Its migrations only add to the schema.
    migrator.set_ignore_missing(true);
    migrator
}

/// Returns the number of migrations.
pub fn count() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// Returns the version of the newest migration.
pub fn newest() -> i64 {
    STEPS.iter().map(|step| step.version).max().unwrap_or(0)
}
