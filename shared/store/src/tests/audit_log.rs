//! The logs of the audit: leases, places, and hashes.

use butt_dial_domain::OrgId;

use super::*;
use crate::{AuditEntry, INSTALLATION_LOG, LeafKind, LeafRow, LogHead, NodeRow, SealedBatch};

const LEASE: TimeDelta = TimeDelta::seconds(10);

fn log(name: &str) -> (String, Vec<u8>) {
    (name.to_owned(), vec![7; 32])
}

/// Builds a batch with these rows as the next entries of the log.
fn batch(before: &LogHead, rows: &[(LeafKind, &str)]) -> SealedBatch {
    let leaf = |(n, (kind, id)): (i64, &(LeafKind, &str))| LeafRow {
        seq: before.size + n,
        kind: *kind,
        reference: (*id).to_owned(),
        leaf: vec![u8::try_from(n).unwrap(); 32],
        chain: vec![u8::try_from(before.size + n).unwrap() + 100; 32],
        at: morning(),
        entry: (*kind == LeafKind::Send).then(|| "{}".to_owned()),
    };
    SealedBatch {
        before: before.clone(),
        leaves: (0..).zip(rows).map(leaf).collect(),
        nodes: Vec::new(),
    }
}

async fn lease(db: &Store, names: &[&str], sealer: &str, now: Timestamp) -> Vec<LogHead> {
    let logs: Vec<_> = names.iter().map(|name| log(name)).collect();
    let mut heads = db.lease_logs(&logs, sealer, now, now + LEASE).await.unwrap();
    heads.sort_by(|a, b| a.log.cmp(&b.log));
    heads
}

async fn append(db: &Store, org: Option<&OrgId>, action: &str) -> String {
    db.append_audit(&AuditEntry::new(org, "system", action, "x", morning()))
        .await
        .unwrap();
    let filter = crate::AuditFilter {
        action: Some(action),
        ..Default::default()
    };
    db.list_audit(org, filter, 1).await.unwrap().remove(0).id
}

both_engines! {
    async fn leases_each_log_to_one_sealer(db: &Database) {
        let names = ["org_1", INSTALLATION_LOG];
        assert_eq!(lease(db, &names, "one", morning()).await.len(), 2);
        assert_eq!(lease(db, &["org_1", "org_2"], "two", morning()).await.len(), 1, "org_1 is leased");
        assert_eq!(lease(db, &names, "one", morning()).await.len(), 2, "a lease is renewed");
        let later = morning() + LEASE;
        let taken_over = lease(db, &["org_1"], "two", later).await;
        assert_eq!((taken_over[0].size, &taken_over[0].chain), (0, &vec![7; 32]));
        assert_eq!(lease(db, &["org_1"], "one", later).await, []);
    }

    async fn seals_changes_and_sends_once(db: &Database) {
        let agent = new_agent(db).await;
        db.execute("DELETE FROM audit").await;
        let org = &agent.org_id;
        let change = append(db, Some(org), "a.b").await;
        let other = append(db, None, "c.d").await;
        let send = text(&agent, "k1");
        let message = send.id.clone();
        db.accept_send(send).await.unwrap();
        let unsealed_sends = async |sealer| db.list_unsealed_sends(sealer, morning(), 9).await.unwrap();
        let unsealed_changes = async |sealer| db.list_unsealed_changes(sealer, morning(), 9).await.unwrap();
        assert_eq!(unsealed_sends("one").await, [], "its outcome is not known");
        db.settle_send(settled(&message, accepted(ESTIMATE))).await.unwrap();

        assert_eq!(db.find_oldest_unsealed().await.unwrap(), Some(morning()));
        assert!(is_due(db, DueKind::UnsealedRows, morning()).await);
        assert!(db.find_oldest_unsealed_send().await.unwrap().is_some());
        let changes = unsealed_changes("one").await;
        assert_eq!(changes.iter().map(|row| row.id.clone()).collect::<Vec<_>>(), [change.clone(), other.clone()]);
        let sends = unsealed_sends("one").await;
        assert_eq!((sends[0].id.as_str(), sends[0].status.as_str()), (message.as_str(), "accepted"));

        lease(db, &[org.as_str()], "one", morning()).await;
        assert_eq!(unsealed_sends("one").await, sends, "its own lease");
        assert_eq!(unsealed_sends("two").await, [], "the log is leased to another sealer");
        assert_eq!(unsealed_changes("two").await.len(), 1, "the log of the installation is free");
        assert_eq!(db.list_unsealed_sends("two", morning() + LEASE, 9).await.unwrap(), sends, "the lease has ended");
        let heads = lease(db, &[org.as_str(), INSTALLATION_LOG], "one", morning()).await;
        let (ours, installation) = match heads[0].log == INSTALLATION_LOG {
            true => (&heads[1], &heads[0]),
            false => (&heads[0], &heads[1]),
        };
        let mut ours = batch(ours, &[(LeafKind::Change, &change), (LeafKind::Send, message.as_str())]);
        ours.nodes = vec![NodeRow { level: 1, n: 0, hash: vec![9; 32] }];
        let batches = [ours, batch(installation, &[(LeafKind::Change, &other)])];
        assert!(db.append_leaves(&batches).await.unwrap());
        assert!(!db.append_leaves(&batches).await.unwrap(), "the logs end elsewhere now");
        assert!(unsealed_sends("one").await.is_empty() && unsealed_changes("one").await.is_empty());
        assert_eq!(db.find_oldest_unsealed().await.unwrap(), None);
        assert_eq!(db.find_oldest_unsealed_send().await.unwrap(), None);

        let head = db.find_log_head(org.as_str()).await.unwrap().unwrap();
        assert_eq!((head.size, head.chain), (2, vec![101; 32]));
        assert_eq!(db.list_log_hashes(org.as_str(), 0, 0, 9).await.unwrap(), [vec![0; 32], vec![1; 32]]);
        assert_eq!(db.list_log_hashes(org.as_str(), 0, 1, 1).await.unwrap(), [vec![1; 32]]);
        assert_eq!(db.list_log_hashes(org.as_str(), 1, 0, 9).await.unwrap(), [vec![9; 32]]);
        let leaves = db.list_leaves(org.as_str(), 1, 9).await.unwrap();
        assert_eq!(leaves, batches[0].leaves[1..]);
        assert_eq!(db.find_leaf(org.as_str(), message.as_str()).await.unwrap().as_ref(), leaves.first());
        assert_eq!(db.find_leaf("org_other", message.as_str()).await.unwrap(), None);
        let sealed = db.list_sealed_changes(org.as_str(), 0, 9).await.unwrap();
        assert_eq!((sealed[0].id.as_str(), sealed[0].seq, sealed.len()), (change.as_str(), Some(0), 1));
        assert_eq!(db.find_sealed_change(org.as_str(), 0).await.unwrap().map(|row| row.id), Some(change));
        assert_eq!(db.find_sealed_change(org.as_str(), 1).await.unwrap(), None);
        assert_eq!(db.list_logs("", 9).await.unwrap().len(), 2);
    }

    async fn refuses_entries_that_are_sealed_already(db: &Database) {
        let id = append(db, None, "a.b").await;
        let head = lease(db, &[INSTALLATION_LOG], "one", morning()).await.remove(0);
        assert!(db.append_leaves(&[batch(&head, &[(LeafKind::Change, &id)])]).await.unwrap());
        let head = db.find_log_head(INSTALLATION_LOG).await.unwrap().unwrap();
        let again = db.append_leaves(&[batch(&head, &[(LeafKind::Change, &id)])]).await;
        assert!(!again.unwrap(), "an entry is in a log once");
        let unknown = db.append_leaves(&[batch(&head, &[(LeafKind::Change, "aud_unknown")])]).await;
        assert!(!unknown.unwrap(), "there is no such row");
        assert_eq!(db.find_log_head(INSTALLATION_LOG).await.unwrap().unwrap(), head);
    }

    async fn records_checkpoints_in_one_order(db: &Database) {
        let (one, two) = (append(db, None, "a.b").await, append(db, None, "c.d").await);
        let head = lease(db, &[INSTALLATION_LOG], "one", morning()).await.remove(0);
        db.append_leaves(&[batch(&head, &[(LeafKind::Change, &one), (LeafKind::Change, &two)])]).await.unwrap();
        let head = db.find_log_head(INSTALLATION_LOG).await.unwrap().unwrap();
        let unsigned = async |before| db.list_unsigned_logs(before, "", 9).await.unwrap().len();
        assert_eq!(unsigned(morning()).await, 1);
        assert!(db.record_checkpoint(&head, 1, &[1; 32], "note 1", morning()).await.unwrap());
        assert!(!db.record_checkpoint(&head, 2, &[2; 32], "fork", morning()).await.unwrap(), "it was signed meanwhile");
        assert_eq!(unsigned(morning()).await, 0, "signed at that time");
        assert_eq!(unsigned(morning() + seconds(1)).await, 1);
        let head = db.find_log_head(INSTALLATION_LOG).await.unwrap().unwrap();
        assert_eq!((head.signed_size, head.signed_root.clone(), head.signed_at), (1, Some(vec![1; 32]), Some(morning())));
        assert!(!db.record_checkpoint(&head, 3, &[2; 32], "too long", morning()).await.unwrap());
        assert!(db.record_checkpoint(&head, 2, &[2; 32], "note 2", morning()).await.unwrap());
        assert_eq!(unsigned(morning() + seconds(1)).await, 0, "nothing is unsigned");
        let notes = db.list_checkpoints(INSTALLATION_LOG, 0, 9).await.unwrap();
        assert_eq!(notes.iter().map(|row| row.note.as_str()).collect::<Vec<_>>(), ["note 1", "note 2"]);
        assert_eq!(db.list_checkpoints(INSTALLATION_LOG, 2, 9).await.unwrap().len(), 1);
    }

    async fn keeps_first_name_of_the_audit_key(db: &Database) {
        let first = db.register_audit_key("a.example", &[1; 32], morning()).await.unwrap();
        assert_eq!(first, ("a.example".to_owned(), vec![1; 32]));
        assert_eq!(db.register_audit_key("b.example", &[2; 32], morning()).await.unwrap(), first);
    }
}
