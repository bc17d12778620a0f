//! Backlogs: every kind is measured, with the time of the oldest.

use super::{inbound::batch, *};
use crate::{BacklogKind, DeadLetterReason, InboundBatch, NewDeadLetter};

both_engines! {
    async fn measures_every_kind(db: &Database) {
        let empty = db.measure_backlogs(morning()).await.unwrap();
        assert_eq!(empty.len(), <BacklogKind as strum::VariantArray>::VARIANTS.len());
        assert!(empty.iter().all(|backlog| backlog.kind().is_some() && backlog.count == 0 && backlog.oldest.is_none()));
        let letter = NewDeadLetter { id: "s-1".into(), reason: DeadLetterReason::Data, payload: vec![1] };
        let with_letter = InboundBatch { dead_letters: vec![letter], ..batch(0, vec![], vec![]) };
        db.apply_inbound(&with_letter, &|_| None).await.unwrap();
        let measured = db.measure_backlogs(morning()).await.unwrap();
        let letters = measured.iter().find(|backlog| backlog.kind() == Some(BacklogKind::DeadLetters)).unwrap();
        assert_eq!(letters.count, 1);
        assert!(letters.oldest.is_some());
    }
}
