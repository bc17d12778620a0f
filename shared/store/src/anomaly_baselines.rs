//! The baselines of anomalies: moving averages per bucket of five minutes, and the countries that an organization has sent to.

use butt_dial_domain::{OrgId, clock::Timestamp};
use serde::Serialize;
use sqlx::types::Json;

use crate::{
    Store, StoreError,
    engine::{Sql, on_reader, on_writer},
};

/// The slot of the average over the last hours. Others are hours of the week.
pub const RECENT: i64 = -1;
/// The slot of the largest value.
pub const PEAK: i64 = -2;

/// The usual value of a number.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow)]
pub struct BaselineRow {
    pub org_id: String,
    /// Empty: of the whole organization.
    pub agent_id: String,
    pub metric: String,
    pub slot: i64,
    pub mean: f64,
    pub samples: i64,
    /// The newest bucket that is part of it.
    pub bucket: i64,
}

/// A country that an organization has sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct SeenCountry {
    pub org_id: String,
    pub country: String,
    pub first_at: Timestamp,
}

// A bucket is counted once, by the first process.
const SAVE: Sql = Sql {
    postgres: "INSERT INTO anomaly_baselines (org_id, agent_id, metric, slot, mean, samples, bucket)
        SELECT org_id, agent_id, metric, slot, mean, samples, bucket
        FROM jsonb_to_recordset($1) AS i (org_id TEXT, agent_id TEXT, metric TEXT, slot BIGINT, mean DOUBLE PRECISION,
            samples BIGINT, bucket BIGINT)
        ORDER BY org_id, agent_id, metric, slot
        ON CONFLICT (org_id, agent_id, metric, slot) DO UPDATE SET mean = excluded.mean, samples = excluded.samples,
            bucket = excluded.bucket WHERE anomaly_baselines.bucket < excluded.bucket",
    sqlite: "INSERT INTO anomaly_baselines (org_id, agent_id, metric, slot, mean, samples, bucket)
        SELECT value ->> 'org_id', value ->> 'agent_id', value ->> 'metric', value ->> 'slot', value ->> 'mean',
            value ->> 'samples', value ->> 'bucket' FROM jsonb_each($1)
        WHERE true ORDER BY 1, 2, 3, 4
        ON CONFLICT (org_id, agent_id, metric, slot) DO UPDATE SET mean = excluded.mean, samples = excluded.samples,
            bucket = excluded.bucket WHERE anomaly_baselines.bucket < excluded.bucket",
};

const ADD_COUNTRIES: Sql = Sql {
    postgres: "INSERT INTO anomaly_countries (org_id, country, first_at)
        SELECT org_id, country, $2 FROM jsonb_to_recordset($1) AS i (org_id TEXT, country TEXT) ORDER BY org_id, country
        ON CONFLICT DO NOTHING",
    sqlite: "INSERT INTO anomaly_countries (org_id, country, first_at)
        SELECT value ->> 'org_id', value ->> 'country', $2 FROM jsonb_each($1) WHERE true ORDER BY 1, 2
        ON CONFLICT DO NOTHING",
};

const LIST_BASELINES: Sql = Sql {
    postgres: "SELECT org_id, agent_id, metric, slot, mean, samples, bucket FROM anomaly_baselines
        WHERE org_id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::JSONB))) AND slot IN ($2, -1, -2)",
    sqlite: "SELECT org_id, agent_id, metric, slot, mean, samples, bucket FROM anomaly_baselines
        WHERE org_id IN (SELECT value FROM json_each($1)) AND slot IN ($2, -1, -2)",
};

const LIST_COUNTRIES: Sql = Sql {
    postgres: "SELECT org_id, country, first_at FROM anomaly_countries
        WHERE org_id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::JSONB)))",
    sqlite: "SELECT org_id, country, first_at FROM anomaly_countries WHERE org_id IN (SELECT value FROM json_each($1))",
};

impl Store {
    /// Lists the baselines of organizations and their agents, of one hour of the week, of the last hours, and their peaks.
    pub async fn list_baselines(&self, orgs: &[OrgId], slot: i64) -> Result<Vec<BaselineRow>, StoreError> {
        let (sql, orgs) = (self.sql(LIST_BASELINES), as_list(orgs));
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(&orgs)
            .bind(slot)
            .fetch_all(db)
            .await)?)
    }

    /// Saves baselines, unless another process has counted the same bucket.
    pub async fn save_baselines(&self, rows: &[BaselineRow]) -> Result<(), StoreError> {
        let (sql, rows) = (self.sql(SAVE), Json(rows));
        on_writer!(self, |db| sqlx::query(sql).bind(rows).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Deletes baselines that no bucket after `bucket` is part of. Returns how many.
    pub async fn delete_old_baselines(&self, bucket: i64, limit: u32) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM anomaly_baselines WHERE (org_id, agent_id, metric, slot) IN
            (SELECT org_id, agent_id, metric, slot FROM anomaly_baselines WHERE bucket <= $1 LIMIT $2)";
        Ok(on_writer!(self, |db| sqlx::query(SQL)
            .bind(bucket)
            .bind(i64::from(limit))
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?)
    }

    /// Lists the countries that organizations have sent to.
    pub async fn list_countries(&self, orgs: &[OrgId]) -> Result<Vec<SeenCountry>, StoreError> {
        let (sql, orgs) = (self.sql(LIST_COUNTRIES), as_list(orgs));
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(&orgs)
            .fetch_all(db)
            .await)?)
    }

    /// Adds countries that organizations have sent to.
    pub async fn add_countries(&self, seen: &[SeenCountry], now: Timestamp) -> Result<(), StoreError> {
        let (sql, rows) = (self.sql(ADD_COUNTRIES), Json(seen));
        on_writer!(self, |db| sqlx::query(sql)
            .bind(rows)
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }
}

/// Returns a list of ids as JSON text.
fn as_list(orgs: &[OrgId]) -> String {
    let ids: Vec<&str> = orgs.iter().map(OrgId::as_str).collect();
    serde_json::Value::from(ids).to_string()
}
