//! The database belongs to one encryption key.

use super::*;

both_engines! {
    async fn the_first_key_that_is_shown_is_the_one(db: &Database) {
        let later = morning() + seconds(1);
        assert_eq!(db.register_key_fingerprint("first", morning()).await.unwrap(), "first");
        assert_eq!(db.register_key_fingerprint("second", later).await.unwrap(), "first");
        assert_eq!(db.register_key_fingerprint("first", later).await.unwrap(), "first");
    }

    async fn of_several_at_once_one_is_first(db: &Database) {
        let shown = ["a", "b", "c", "d"].map(|shown| db.register_key_fingerprint(shown, morning()));
        let known = futures::future::try_join_all(shown).await.unwrap();
        assert!(known.iter().all(|one| *one == known[0]), "{known:?}");
    }
}
