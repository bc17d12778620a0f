//! Dead letters: stored with the position, listed in pages, replayed on request.

use super::{inbound::batch, *};
use crate::{DeadLetterReason, InboundBatch, NewDeadLetter};

fn letter(id: &str) -> NewDeadLetter {
    NewDeadLetter {
        id: id.into(),
        reason: DeadLetterReason::Unreadable,
        payload: vec![0, 0xff, 1],
    }
}

async fn ids(db: &Database, after: Option<&str>, limit: u32) -> Vec<String> {
    let letters = db.list_dead_letters(after, limit).await.unwrap();
    letters.into_iter().map(|letter| letter.id).collect()
}

both_engines! {
    async fn batch_stores_dead_letters_with_position(db: &Database) {
        let with_letters = InboundBatch { dead_letters: vec![letter("s-1"), letter("s-2")], position: 2, ..batch(0, vec![], vec![]) };
        db.apply_inbound(&with_letters, &|_| None).await.unwrap();
        assert!(matches!(db.apply_inbound(&with_letters, &|_| None).await, Err(StoreError::Conflict)));
        assert_eq!(ids(db, None, 10).await, ["s-1", "s-2"]);
        assert_eq!(ids(db, Some("s-1"), 10).await, ["s-2"]);
        assert_eq!(ids(db, None, 1).await, ["s-1"]);
        let found = db.find_dead_letter("s-1").await.unwrap().unwrap();
        assert_eq!((found.payload, found.reason), (vec![0, 0xff, 1], DeadLetterReason::Unreadable));
        assert!(db.find_dead_letter("s-9").await.unwrap().is_none());
    }

    async fn skipping_advances_position_once(db: &Database) {
        let skip = async |after| db.skip_as_dead_letter("INBOUND", after, 1, &letter("s-1"), morning()).await.unwrap();
        assert!(!skip(7).await, "not the stored position");
        assert_eq!(ids(db, None, 10).await.len(), 0);
        assert!(!is_due(db, DueKind::AlertCauses, morning()).await);
        assert!(skip(0).await);
        assert!(is_due(db, DueKind::AlertCauses, morning()).await);
        assert!(!skip(0).await);
        assert_eq!(db.find_log_position("INBOUND").await.unwrap(), 1);
        assert_eq!(ids(db, None, 10).await, ["s-1"]);
    }

    async fn replays_what_was_requested(db: &Database) {
        let with_letters = InboundBatch { dead_letters: vec![letter("s-1"), letter("s-2")], ..batch(0, vec![], vec![]) };
        db.apply_inbound(&with_letters, &|_| None).await.unwrap();
        assert_eq!(db.list_requested_replays(10).await.unwrap().len(), 0);
        assert!(!is_due(db, DueKind::RequestedReplays, morning()).await);
        assert_eq!(db.request_replay(Some("s-2"), morning()).await.unwrap(), 1);
        assert_eq!(db.request_replay(Some("s-2"), morning()).await.unwrap(), 0);
        assert!(is_due(db, DueKind::RequestedReplays, morning()).await);
        let requested = db.list_requested_replays(10).await.unwrap();
        assert_eq!(requested.len(), 1);
        assert_eq!((requested[0].id.as_str(), requested[0].replay_requested_at), ("s-2", Some(morning())));
        assert_eq!(db.request_replay(None, morning()).await.unwrap(), 1);
        assert!(db.delete_dead_letter("s-2").await.unwrap());
        assert!(!db.delete_dead_letter("s-2").await.unwrap());
        assert_eq!(ids(db, None, 10).await, ["s-1"]);
    }
}
