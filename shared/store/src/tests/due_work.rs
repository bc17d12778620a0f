//! Due work: the tests of each claim check that its kind is listed.

use super::*;

both_engines! {
    async fn lists_only_what_is_due(db: &Database) {
        new_agent(db).await;
        db.execute("DELETE FROM audit").await;
        assert!(db.list_due_work(morning()).await.unwrap().is_empty());
    }
}
