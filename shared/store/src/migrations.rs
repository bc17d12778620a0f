//! The migrations, embedded in the program. A new one is a file in `migrations/` and a line here.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

struct Step {
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

const STEPS: &[Step] = &[
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
];

pub fn for_postgres() -> Migrator {
    migrator(|step| step.postgres)
}

pub fn for_sqlite() -> Migrator {
    migrator(|step| step.sqlite)
}

fn migrator(text: impl Fn(&Step) -> &'static str) -> Migrator {
    let migrations = STEPS
        .iter()
        .map(|step| {
            let sql = text(step).into_sql_str();
            Migration::new(step.version, step.name.into(), MigrationType::Simple, sql, false)
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
