//! Legal holds on persons, as retention asks for them. Rows name addresses in any spelling and holds are keyed hashes, so that old rows
//! of an organization with holds on persons are read, compared and deleted by their ids. A row that cannot be compared stays.

use std::collections::{BTreeMap, BTreeSet};

use butt_dial_domain::{OrgId, address::contact_key, clock::Timestamp};
use serde_json::Value;
use sqlx::{FromRow, types::Json};

use crate::{
    Store, StoreError,
    engine::{Sql, on_reader},
};

/// The longest text of an event that can be an address.
const MAX_ADDRESS: usize = 320;

/// The organizations with holds on persons and none on the organization.
pub struct PersonHolds {
    held: BTreeMap<OrgId, BTreeSet<String>>,
}

/// An old row of such an organization.
#[derive(FromRow)]
pub(crate) struct ExpiringRow {
    pub id: String,
    pub org_id: String,
    pub address: Option<String>,
    /// JSON with further addresses.
    pub data: Option<String>,
    /// A keyed hash in place of an address.
    pub hash: Option<String>,
    pub at: Timestamp,
    /// Of an event.
    #[sqlx(default)]
    pub seq: i64,
}

impl ExpiringRow {
    /// Returns the keys of all addresses that the row can name.
    fn keys(&self) -> BTreeSet<String> {
        let mut keys: BTreeSet<String> = self.address.iter().map(|address| contact_key(address)).collect();
        let data = self.data.as_deref().and_then(|text| serde_json::from_str(text).ok());
        add_keys(&data.unwrap_or_default(), &mut keys);
        keys
    }
}

fn add_keys(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.len() <= MAX_ADDRESS => {
            keys.insert(contact_key(text));
        }
        Value::Array(values) => values.iter().for_each(|value| add_keys(value, keys)),
        Value::Object(members) => members.values().for_each(|value| add_keys(value, keys)),
        _ => {}
    }
}

impl PersonHolds {
    /// Returns the organizations.
    pub fn organizations(&self) -> impl Iterator<Item = &OrgId> {
        self.held.keys()
    }

    pub(crate) fn has(&self, org: &OrgId) -> bool {
        self.held.contains_key(org)
    }

    /// Returns the hashes of all holds as a parameter. A statement keeps the rows of an organization with any other hold: it was put
    /// after they were compared.
    pub(crate) fn known(&self) -> Json<Vec<&str>> {
        Json(self.held.values().flatten().map(String::as_str).collect())
    }
}

impl Store {
    /// Reads the holds on persons.
    pub async fn list_person_holds(&self) -> Result<PersonHolds, StoreError> {
        const SQL: &str = "SELECT h.org_id, h.contact_hash FROM legal_holds h WHERE NOT EXISTS
            (SELECT 1 FROM legal_holds w WHERE w.org_id = h.org_id AND w.contact_hash = '*')";
        let found: Vec<(String, String)> = on_reader!(self, |db| sqlx::query_as(SQL).fetch_all(db).await)?;
        let mut held: BTreeMap<OrgId, BTreeSet<String>> = BTreeMap::new();
        for (org, hash) in found {
            held.entry(OrgId::from(org)).or_default().insert(hash);
        }
        Ok(PersonHolds { held })
    }

    /// Returns the ids of the rows that are about no held person.
    pub(crate) async fn find_free(&self, holds: &PersonHolds, rows: &[ExpiringRow]) -> Result<Vec<String>, StoreError> {
        let mut open: BTreeMap<OrgId, Vec<(&ExpiringRow, BTreeSet<String>)>> = BTreeMap::new();
        for row in rows {
            let (org, keys) = (OrgId::from(row.org_id.as_str()), row.keys());
            let by_hash = row.hash.as_ref().zip(holds.held.get(&org));
            if !by_hash.is_some_and(|(hash, held)| held.contains(hash)) && !self.is_held(holds, &org, &keys)? {
                open.entry(org).or_default().push((row, keys));
            }
        }
        let mut free = Vec::new();
        for (org, rows) in open {
            let keys: BTreeSet<&String> = rows.iter().flat_map(|(_, keys)| keys).collect();
            let mut held: BTreeSet<String> = BTreeSet::new();
            for (key, other) in self.list_links(&org, &keys).await? {
                if self.is_held(holds, &org, &BTreeSet::from([other]))? {
                    held.insert(key);
                }
            }
            let is_free = |keys: &BTreeSet<String>| keys.is_disjoint(&held);
            free.extend(
                rows.iter()
                    .filter(|(_, keys)| is_free(keys))
                    .map(|(row, _)| row.id.clone()),
            );
        }
        Ok(free)
    }

    fn is_held(&self, holds: &PersonHolds, org: &OrgId, keys: &BTreeSet<String>) -> Result<bool, StoreError> {
        let Some(held) = holds.held.get(org) else {
            return Ok(true);
        };
        for key in keys {
            if held.contains(&hex::encode(self.contact_digest(org, key)?)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lists the other addresses that carriers have named together with these, each with its key.
    async fn list_links(&self, org: &OrgId, keys: &BTreeSet<&String>) -> Result<Vec<(String, String)>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT found.value, linked.value FROM contact_identities found
                JOIN contact_identities linked ON linked.org_id = found.org_id AND linked.contact = found.contact
                WHERE found.org_id = $1 AND found.value = ANY (ARRAY(SELECT jsonb_array_elements_text($2)))
                    AND linked.value <> found.value",
            sqlite: "SELECT found.value, linked.value FROM contact_identities found
                JOIN contact_identities linked ON linked.org_id = found.org_id AND linked.contact = found.contact
                WHERE found.org_id = $1 AND found.value IN (SELECT value FROM json_each($2))
                    AND linked.value <> found.value",
        };
        let sql = self.sql(SQL);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(org.as_str())
            .bind(Json(keys))
            .fetch_all(db)
            .await)?)
    }

    /// Returns those of the events of an organization that are about no held person, or do not exist any more.
    pub async fn find_free_events(
        &self,
        holds: &PersonHolds,
        org: &OrgId,
        ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT e.id, a.org_id, e.contact AS address, CAST(e.data AS TEXT) AS data,
                    CAST(NULL AS TEXT) AS hash, e.created_at AS at
                FROM events e JOIN agents a ON a.id = e.agent_id
                WHERE e.id = ANY (ARRAY(SELECT jsonb_array_elements_text($1)))",
            sqlite: "SELECT e.id, a.org_id, e.contact AS address, CAST(e.data AS TEXT) AS data,
                    CAST(NULL AS TEXT) AS hash, e.created_at AS at
                FROM events e JOIN agents a ON a.id = e.agent_id WHERE e.id IN (SELECT value FROM json_each($1))",
        };
        if !holds.has(org) {
            return Ok(Vec::new());
        }
        let sql = self.sql(SQL);
        let rows: Vec<ExpiringRow> = on_reader!(self, |db| sqlx::query_as(sql).bind(Json(ids)).fetch_all(db).await)?;
        let free: BTreeSet<String> = self.find_free(holds, &rows).await?.into_iter().collect();
        let held: BTreeSet<&str> = rows
            .iter()
            .map(|row| row.id.as_str())
            .filter(|id| !free.contains(*id))
            .collect();
        Ok(ids.iter().filter(|id| !held.contains(id.as_str())).cloned().collect())
    }
}
