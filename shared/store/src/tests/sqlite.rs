//! Checkpoints of SQLite, and batches that fail.

use std::time::Duration;

use super::*;
use crate::Acceptance;

/// Makes the database refuse a message with the key `refused`.
async fn refuse_key(db: &Database) {
    if db.is_postgres() {
        db.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF new.idempotency_key = 'refused' THEN RAISE 'refused'; END IF; RETURN new; END $$",
        )
        .await;
        db.execute("CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION refuse()")
            .await;
    } else {
        db.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN new.idempotency_key = 'refused'
                BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )
        .await;
    }
}

both_engines! {
    async fn log_is_copied_while_writers_go_on(db: &Database) {
        let Some(path) = db.url.strip_prefix("sqlite:") else { return };
        let size = || std::fs::metadata(path).unwrap().len();
        let before = size();
        let agent = new_agent(db).await;
        for n in 0..50 {
            db.accept_send(text(&agent, &format!("k{n}"))).await.unwrap();
        }
        let is_copied = async {
            while size() <= before {
                tokio::time::sleep(Duration::from_millis(5)).await; // not a synchronisation: nothing reports the size of a file
            }
        };
        tokio::time::timeout(Duration::from_secs(30), is_copied).await.expect("the log was not copied into the file");
    }

    async fn failed_batch_leaves_no_open_transaction(db: &Database) {
        let agent = new_agent(db).await;
        refuse_key(db).await;
        let sends = ["one", "refused", "two"].map(|key| db.accept_send(text(&agent, key)));
        let [one, refused, two] = futures::future::join_all(sends).await.try_into().unwrap();
        assert_eq!((one.unwrap(), two.unwrap()), (Acceptance::Accepted, Acceptance::Accepted));
        refused.unwrap_err();
        assert_eq!(db.count("SELECT COUNT(*) FROM messages").await, 2);
        // On SQLite, another connection has the temporary tables too.
        assert_eq!(db.accept_send(text(&agent, "three")).await.unwrap(), Acceptance::Accepted);
    }
}
