//! The key of the database, and contents that are encrypted with another one.

use super::*;
use crate::{SealedColumn, SealedContent};

async fn list(db: &Database, column: SealedColumn) -> Vec<SealedContent> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = db.list_sealed(column, after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { return found };
        after = Some(last.cursor());
        found.extend(page);
    }
}

both_engines! {
    async fn keeps_first_key_until_it_is_replaced(db: &Database) {
        let later = morning() + seconds(1);
        let first = db.register_key("first", morning()).await.unwrap();
        assert_eq!((first.fingerprint.as_str(), &first.root, first.has_content_keys), ("first", &None, true));
        assert_eq!(db.register_key("second", later).await.unwrap(), first);
        db.execute("UPDATE encryption_key SET has_content_keys = FALSE").await;
        assert!(!db.register_key("first", later).await.unwrap().has_content_keys, "a database of an older release");
        db.allow_content_keys().await.unwrap();
        db.replace_key("second", &[1, 2], later).await.unwrap();
        let second = db.register_key("first", later).await.unwrap();
        assert_eq!((second.fingerprint.as_str(), second.root, second.has_content_keys), ("second", Some(vec![1, 2]), true));
    }

    async fn concurrent_registrations_agree_on_one_key(db: &Database) {
        let shown = ["a", "b", "c", "d"].map(|shown| db.register_key(shown, morning()));
        let known = futures::future::try_join_all(shown).await.unwrap();
        assert!(known.iter().all(|one| *one == known[0]), "{known:?}");
    }

    async fn lists_and_replaces_contents_of_every_column(db: &Database) {
        let agent = new_agent(db).await;
        let mut contents = std::collections::BTreeMap::new();
        for key in ["k1", "k2", "k3"] {
            super::scheduled::schedule(db, &agent, key, morning()).await.unwrap();
            let message = AcceptedSend { fallback: Some(vec![9]), ..text(&agent, key) };
            db.accept_send(message).await.unwrap();
        }
        for column in SealedColumn::ALL {
            contents.insert(column.to_string(), list(db, column).await);
        }
        let of = |column: SealedColumn| &contents[&column.to_string()];
        for column in [SealedColumn::Messages, SealedColumn::Fallbacks, SealedColumn::ScheduledSends] {
            assert_eq!(of(column).len(), 3, "{column}");
            let [first, second, _] = &of(column)[..] else { panic!("three") };
            assert_eq!(first.org(), agent.org_id);
            assert!(db.replace_sealed(column, first, &[7]).await.unwrap());
            assert!(!db.replace_sealed(column, first, &[8]).await.unwrap(), "it has changed");
            let changed = list(db, column).await;
            let sealed = |id: &str| changed.iter().find(|content| content.id == id).unwrap().sealed.clone();
            assert_eq!((sealed(&first.id), sealed(&second.id)), (vec![7], second.sealed.clone()));
        }
        for column in [SealedColumn::Events, SealedColumn::Calls, SealedColumn::DeadLetters, SealedColumn::Conversations] {
            assert!(of(column).is_empty(), "{column}");
            let missing = of(SealedColumn::Messages)[0].clone();
            assert!(!db.replace_sealed(column, &missing, &[7]).await.unwrap(), "{column}");
        }
    }
}
