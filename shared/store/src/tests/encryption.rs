//! The fingerprint of the encryption key.

use super::*;

both_engines! {
    async fn keeps_first_key_fingerprint(db: &Database) {
        let later = morning() + seconds(1);
        assert_eq!(db.register_key_fingerprint("first", morning()).await.unwrap(), "first");
        assert_eq!(db.register_key_fingerprint("second", later).await.unwrap(), "first");
        assert_eq!(db.register_key_fingerprint("first", later).await.unwrap(), "first");
    }

    async fn concurrent_registrations_agree_on_one_key(db: &Database) {
        let shown = ["a", "b", "c", "d"].map(|shown| db.register_key_fingerprint(shown, morning()));
        let known = futures::future::try_join_all(shown).await.unwrap();
        assert!(known.iter().all(|one| *one == known[0]), "{known:?}");
    }
}
