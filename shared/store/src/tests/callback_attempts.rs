//! Requests to callbacks.

use super::*;
use crate::{CallbackAttemptFilter, NewCallbackAttempt, TimedRows};

pub(super) async fn note(db: &Store, agent: &Agent, event: &str, outcome: &'static str, is_repeated: bool) {
    let attempt = NewCallbackAttempt {
        org: &agent.org_id,
        agent: &agent.id,
        event,
        kind: "message.received",
        outcome,
        status: (outcome != "failed").then_some(200),
        error: (outcome == "failed").then_some("connection refused"),
        milliseconds: 12,
        retry_at: None,
        at: morning(),
        is_repeated,
    };
    db.add_callback_attempt(&attempt).await.unwrap();
}

both_engines! {
    async fn lists_requests_newest_first_with_filters(db: &Database) {
        let (mine, other) = (new_agent(db).await, new_agent(db).await);
        let colleague = new_agent_in(db, &mine.org_id).await;
        note(db, &mine, "e1", "failed", false).await;
        note(db, &mine, "e1", "delivered", true).await;
        note(db, &colleague, "e2", "gone", false).await;
        note(db, &other, "e3", "failed", false).await;
        let list = async |filter: CallbackAttemptFilter<'_>| {
            let found = db.list_callback_attempts(&mine.org_id, &filter, 2).await.unwrap();
            found.into_iter().map(|attempt| (attempt.event_id, attempt.outcome)).collect::<Vec<_>>()
        };
        let (delivered, failed) = (("e1".to_owned(), "delivered".to_owned()), ("e1".to_owned(), "failed".to_owned()));
        let gone = ("e2".to_owned(), "gone".to_owned());
        let all = CallbackAttemptFilter::default();
        assert_eq!(list(all).await, [gone.clone(), delivered.clone()]);
        assert_eq!(list(CallbackAttemptFilter { only_failed: true, ..all }).await, [gone, failed.clone()]);
        assert_eq!(list(CallbackAttemptFilter { event: Some("e1"), ..all }).await, [delivered.clone(), failed.clone()]);
        assert_eq!(list(CallbackAttemptFilter { event: Some("e3"), ..all }).await, [], "of another organization");
        let of_agent = CallbackAttemptFilter { agent: Some(&mine.id), ..all };
        let page = db.list_callback_attempts(&mine.org_id, &of_agent, 1).await.unwrap();
        assert_eq!((page[0].agent(), page[0].http_status, page[0].error.clone()), (mine.id.clone(), Some(200), None));
        assert_eq!(list(CallbackAttemptFilter { before: Some(&page[0].id), ..of_agent }).await, [failed]);
    }

    async fn newest_requests_of_an_event_stay_until_they_are_old(db: &Database) {
        let agent = new_agent(db).await;
        for number in 0..30 {
            note(db, &agent, "e1", if number == 29 { "delivered" } else { "failed" }, number > 0).await;
        }
        let list = async || db.list_callback_attempts(&agent.org_id, &CallbackAttemptFilter::default(), 99).await.unwrap();
        let found = list().await;
        assert_eq!((found.len(), found[0].outcome.as_str()), (20, "delivered"));
        let after = morning().max(butt_dial_domain::Clock::System.now()) + TimeDelta::days(1);
        assert_eq!(db.delete_timed(TimedRows::CallbackAttempts, morning()).await.unwrap(), 0);
        assert_eq!(db.delete_timed(TimedRows::CallbackAttempts, after).await.unwrap(), 20);
    }
}
