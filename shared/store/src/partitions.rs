//! The number of partitions of the inbound stream. It is registered once, with a position for each partition, and only grows.

use butt_dial_domain::clock::Timestamp;

use crate::{
    Store, StoreError,
    engine::{Sql, Tx, in_tx, on_writer, with_timeout},
    inbound::json,
};

const CREATE_POSITIONS: Sql = Sql {
    postgres: "INSERT INTO log_positions (stream, position) SELECT value, 0 FROM jsonb_array_elements_text($1::JSONB) AS item (value)
        ORDER BY value ON CONFLICT DO NOTHING",
    sqlite: "INSERT INTO log_positions (stream, position) SELECT value, 0 FROM json_each($1) WHERE true ON CONFLICT DO NOTHING",
};

impl Store {
    /// Returns the registered number of partitions. `None`: none is registered yet.
    pub async fn find_partition_count(&self) -> Result<Option<u16>, StoreError> {
        const SQL: &str = "SELECT partitions FROM inbound_partitions WHERE id = 1";
        let found: Option<i64> = on_writer!(self, |db| sqlx::query_scalar(SQL).fetch_optional(db).await)?;
        Ok(found.map(|count| u16::try_from(count).unwrap_or(u16::MAX)))
    }

    /// Returns the registered number of partitions. When there is none, registers `wanted` with the positions of these partitions.
    pub async fn register_partitions(
        &self,
        wanted: u16,
        positions: &[String],
        now: Timestamp,
    ) -> Result<u16, StoreError> {
        const SQL: &str =
            "INSERT INTO inbound_partitions (id, partitions, changed_at) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
        if let Some(registered) = self.find_partition_count().await? {
            return Ok(registered);
        }
        with_timeout(async {
            let mut tx = self.begin().await?;
            let is_first = in_tx!(&mut tx, |db| sqlx::query(SQL)
                .bind(i64::from(wanted))
                .bind(now)
                .execute(db)
                .await?
                .rows_affected())
                > 0;
            if is_first {
                create_positions(&mut tx, positions).await?;
            }
            tx.commit().await?;
            Ok::<_, StoreError>(())
        })
        .await?;
        Ok(self.find_partition_count().await?.unwrap_or(wanted))
    }

    /// Raises the registered number of partitions, and creates the positions of these partitions. Returns false, and changes
    /// nothing, when the number is not `from` any more.
    pub async fn raise_partitions(
        &self,
        from: u16,
        to: u16,
        positions: &[String],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE inbound_partitions SET partitions = $2, changed_at = $3
            WHERE id = 1 AND partitions = $1 AND partitions < $2";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let is_raised = in_tx!(&mut tx, |db| sqlx::query(SQL)
                .bind(i64::from(from))
                .bind(i64::from(to))
                .bind(now)
                .execute(db)
                .await?
                .rows_affected())
                > 0;
            if is_raised {
                create_positions(&mut tx, positions).await?;
                tx.commit().await?;
            }
            Ok(is_raised)
        })
        .await
    }
}

async fn create_positions(tx: &mut Tx, names: &[String]) -> Result<(), StoreError> {
    let (sql, names) = (tx.sql(CREATE_POSITIONS), json::text(names)?);
    in_tx!(tx, |db| sqlx::query(sql).bind(names).execute(db).await?.rows_affected());
    Ok(())
}
