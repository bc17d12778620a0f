//! Rows that are changed, deleted, inserted, reordered or cut off behind the back of the program: each is found and named.

use super::*;

/// Statements that change a row, and the place at which it is found.
const CHANGES: [&str; 9] = [
    "UPDATE audit SET actor = 'tok_2' WHERE seq = 5",
    "UPDATE audit SET actor_kind = 'user' WHERE seq = 5",
    "UPDATE audit SET action = 'agent.delete' WHERE seq = 5",
    "UPDATE audit SET target = 'agt_x' WHERE seq = 5",
    "UPDATE audit SET detail = '{}' WHERE seq = 5",
    "UPDATE audit SET state_after = '{\"status\":\"active\"}' WHERE seq = 5",
    "UPDATE audit SET request_id = 'x' WHERE seq = 5",
    "UPDATE audit_leaves SET leaf = chain WHERE seq = 5",
    "UPDATE audit_leaves SET chain = leaf WHERE seq = 5",
];

both_engines! {
    async fn whole_log_is_not_broken(world: &World) {
        world.seal(300).await;
        assert_eq!(world.broken().await, None);
        world.audit.sign_due().await.unwrap();
        assert_eq!(world.broken().await, None);
    }

    async fn log_that_grows_meanwhile_is_not_broken(world: &World) {
        world.seal(20).await;
        let grow = async {
            for _ in 0..60 {
                world.seal(1).await;
            }
        };
        let verify = async {
            for _ in 0..60 {
                assert_eq!(world.broken().await, None);
            }
        };
        tokio::join!(grow, verify);
    }

    async fn changed_rows_are_named(world: &World) {
        for sql in CHANGES {
            let world = match world.is_sqlite() {
                true => World::sqlite().await,
                false => World::postgres().await,
            };
            world.seal(12).await;
            world.audit.sign_due().await.unwrap();
            let id = world.id_at(5).await;
            world.tamper(sql).await;
            let (seq, named, reason) = world.broken().await.expect(sql);
            assert_eq!((seq, named), (5, Some(id)), "{sql}: {reason}");
        }
    }

    async fn changed_time_is_named(world: &World) {
        world.seal(12).await;
        let id = world.id_at(5).await;
        let later = if world.is_sqlite() { "'2030-01-01T00:00:00+00:00'" } else { "at + interval '1 second'" };
        world.tamper(&format!("UPDATE audit SET at = {later} WHERE seq = 5")).await;
        assert_eq!(world.broken().await.map(|(seq, named, _)| (seq, named)), Some((5, Some(id))));
    }

    async fn deleted_row_is_named(world: &World) {
        world.seal(12).await;
        let id = world.id_at(7).await;
        world.tamper("DELETE FROM audit WHERE seq = 7").await;
        assert_eq!(world.broken().await, Some((7, Some(id.clone()), "the row was deleted")));
        world.tamper("DELETE FROM audit_leaves WHERE seq = 7").await;
        assert_eq!(world.broken().await, Some((7, None, "the entry was deleted")));
    }

    async fn row_moved_to_another_place_is_named(world: &World) {
        world.seal(12).await;
        let (third, fourth) = (world.id_at(3).await, world.id_at(4).await);
        world.tamper("UPDATE audit SET seq = 99 WHERE seq = 3").await;
        world.tamper("UPDATE audit SET seq = 3 WHERE seq = 4").await;
        world.tamper("UPDATE audit SET seq = 4 WHERE seq = 99").await;
        let (seq, named, reason) = world.broken().await.unwrap();
        assert_eq!((seq, named), (3, Some(third)), "{reason}");
        // The leaves too.
        world.tamper("UPDATE audit_leaves SET seq = 99 WHERE seq = 3").await;
        world.tamper("UPDATE audit_leaves SET seq = 3 WHERE seq = 4").await;
        world.tamper("UPDATE audit_leaves SET seq = 4 WHERE seq = 99").await;
        let (seq, named, reason) = world.broken().await.unwrap();
        assert_eq!((seq, named), (3, Some(fourth)), "{reason}");
    }

    async fn inserted_rows_are_named(world: &World) {
        world.seal(6).await;
        world.tamper(
            "INSERT INTO audit (id, org_id, actor, action, target, detail, at, seq)
                SELECT 'aud_forged', org_id, 'tok_9', action, target, detail, at, 6 FROM audit WHERE seq = 5",
        ).await;
        assert_eq!(world.broken().await, Some((6, Some("aud_forged".into()), "the row is behind the end of the log")));
        world.tamper("DELETE FROM audit WHERE id = 'aud_forged'").await;
        assert_eq!(world.broken().await, None);

        // Behind the back of the sealer, which gives it a place: its date gives it away.
        let earlier = if world.is_sqlite() { "'2020-01-01T00:00:00+00:00'" } else { "at - interval '1 day'" };
        world.tamper(&format!(
            "INSERT INTO audit (id, org_id, actor, action, target, detail, at)
                SELECT 'aud_backdated', org_id, 'tok_9', action, target, detail, {earlier} FROM audit WHERE seq = 5"
        )).await;
        world.audit.seal_due().await.unwrap();
        let (seq, named, reason) = world.broken().await.unwrap();
        assert_eq!((seq, named.as_deref()), (6, Some("aud_backdated")), "{reason}");
    }

    async fn truncated_log_is_found(world: &World) {
        world.seal(12).await;
        world.audit.sign_due().await.unwrap();
        world.tamper("DELETE FROM audit WHERE seq >= 10").await;
        world.tamper("DELETE FROM audit_leaves WHERE seq >= 10").await;
        assert_eq!(world.broken().await, Some((10, None, "the entry was deleted")));
        // The end of the log is moved back as well.
        world.tamper(
            "UPDATE audit_logs SET size = 10, chain = (SELECT chain FROM audit_leaves WHERE seq = 9), signed_size = 0",
        ).await;
        let (seq, _, reason) = world.broken().await.unwrap();
        assert_eq!(seq, 10);
        assert!(reason.contains("shorter than a signed checkpoint"), "{reason}");
    }

    async fn recomputed_chain_differs_from_its_checkpoint(world: &World) {
        world.seal(6).await;
        world.audit.sign_due().await.unwrap();
        // An attacker who changes a row and seals everything again can't sign it.
        world.tamper("UPDATE audit SET actor = 'tok_2' WHERE seq = 2").await;
        world.tamper("UPDATE audit SET seq = NULL").await;
        world.tamper("DELETE FROM audit_leaves").await;
        world.tamper("DELETE FROM audit_logs").await;
        world.audit.seal_due().await.unwrap();
        let (seq, _, reason) = world.broken().await.unwrap();
        assert_eq!((seq, reason), (5, "the log up to here differs from its signed checkpoint"));
    }

    async fn changed_inner_hash_is_found(world: &World) {
        world.seal(300).await;
        world.tamper("UPDATE audit_nodes SET hash = (SELECT leaf FROM audit_leaves WHERE seq = 1)").await;
        let (seq, _, reason) = world.broken().await.unwrap();
        assert_eq!(seq, 0);
        assert!(reason.contains("stored hash"), "{reason}");
    }
}
