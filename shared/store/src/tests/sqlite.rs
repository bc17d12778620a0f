//! SQLite: checkpoints of the write-ahead log, and transactions that fail.

use std::time::Duration;

use super::*;
use crate::Acceptance;

#[tokio::test]
async fn log_is_copied_while_writers_go_on() {
    let db = Database::sqlite().await;
    let path = db.url.trim_start_matches("sqlite:").to_owned();
    let size = || std::fs::metadata(&path).unwrap().len();
    let before = size();
    let agent = new_agent(&db).await;
    for n in 0..50 {
        db.accept_send(text(&agent, &format!("k{n}"))).await.unwrap();
    }
    let is_copied = async {
        while size() <= before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), is_copied)
        .await
        .expect("the log was not copied into the file");
}

#[tokio::test]
async fn failed_batch_leaves_no_open_transaction() {
    let db = Database::sqlite().await;
    let agent = new_agent(&db).await;
    db.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN new.idempotency_key = 'refused'
            BEGIN SELECT RAISE(ABORT, 'refused'); END",
    )
    .await;
    let sends = ["one", "refused", "two"].map(|key| db.accept_send(text(&agent, key)));
    let [one, refused, two] = futures::future::join_all(sends).await.try_into().unwrap();
    assert_eq!(
        (one.unwrap(), two.unwrap()),
        (Acceptance::Accepted, Acceptance::Accepted)
    );
    refused.unwrap_err();
    assert_eq!(db.count("SELECT COUNT(*) FROM messages").await, 2);
    // Another connection of the pool has the temporary tables too.
    assert_eq!(
        db.accept_send(text(&agent, "three")).await.unwrap(),
        Acceptance::Accepted
    );
}
