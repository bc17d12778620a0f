//! Organizations that this process has changed recently. Cached values about them are read again at once. Other processes notice a
//! change when their cached value expires.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use butt_dial_domain::OrgId;

/// Longer than any value about an organization is cached.
const KEPT: Duration = Duration::from_secs(10);

#[derive(Clone, Default)]
pub(crate) struct RecentChanges {
    by_org: Arc<RwLock<HashMap<String, Instant>>>,
}

impl RecentChanges {
    pub fn note(&self, org: &str) {
        let now = Instant::now();
        let mut by_org = self.by_org.write().unwrap_or_else(PoisonError::into_inner);
        by_org.retain(|_, at| now.duration_since(*at) < KEPT);
        by_org.insert(org.to_owned(), now);
    }

    /// Returns whether the organization was changed at this time or later.
    pub fn has_changed_since(&self, org: &OrgId, read_at: Instant) -> bool {
        let by_org = self.by_org.read().unwrap_or_else(PoisonError::into_inner);
        by_org.get(org.as_str()).is_some_and(|changed| *changed >= read_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_count_for_earlier_reads_of_same_organization() {
        let changes = RecentChanges::default();
        let (org, other) = (OrgId::from("org_1"), OrgId::from("org_2"));
        let read_at = Instant::now();
        assert!(!changes.has_changed_since(&org, read_at));
        changes.note(org.as_str());
        assert!(changes.has_changed_since(&org, read_at));
        assert!(!changes.has_changed_since(&other, read_at));
        assert!(!changes.has_changed_since(&org, Instant::now() + Duration::from_millis(1)));
    }
}
