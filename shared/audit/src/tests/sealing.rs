//! Sealing, checkpoints and exports.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::{INSTALLATION_LOG, Signing, note::Verifier};

/// The verifier for outsiders.
const VERIFY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/verify.py");

/// Runs the verifier on a file. Returns whether it accepts it, and what it says.
fn verify_with_python(text: &str, vkey: &str) -> (bool, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let output = Command::new("python3")
        .args(["-B", VERIFY])
        .arg(file.path())
        .args(["--vkey", vkey])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

both_engines! {
    async fn gives_each_row_one_place_in_its_log(world: &World) {
        world.seal(3).await;
        let entry = AuditEntry::new(None, "system", "bootstrap", "x", Clock::System.now());
        world.store.append_audit(&entry).await.unwrap();
        assert_eq!(world.audit.seal_due().await.unwrap(), 1);
        world.seal(2).await;
        // The row of the installation is in a separate log.
        assert_eq!(world.audit.seal_due().await.unwrap(), 0);
        for (log, size) in [(world.org.as_str(), 5), (INSTALLATION_LOG, 1)] {
            let verified = world.audit.verify(log, |_| ()).await.unwrap();
            assert_eq!((verified.verified, verified.size, verified.broken), (size, size, None));
        }
        assert_eq!(world.audit.logs().await.unwrap(), [INSTALLATION_LOG, world.org.as_str()]);
    }

    async fn sealers_of_two_replicas_make_one_chain(world: &World) {
        let (one, two) = (world.replica().await, world.replica().await);
        let writing = async {
            for _ in 0..20 {
                world.append(15).await;
            }
        };
        let sealing = async |sealer: &Audit| {
            let mut sealed = 0;
            while sealed < 1_000 {
                let Ok(count) = sealer.seal_due().await else { continue };
                sealed += count;
                let head = world.store.find_log_head(world.org.as_str()).await.unwrap();
                if head.is_some_and(|head| head.size == 300) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        let expire = async {
            // The lease changes hands all the time.
            loop {
                let head = world.store.find_log_head(world.org.as_str()).await.unwrap();
                if head.as_ref().is_some_and(|head| head.size == 300) {
                    break;
                }
                if head.is_some() {
                    world.tamper("UPDATE audit_logs SET lease_until = NULL").await;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(writing, sealing(&one), sealing(&two), expire);
        let verified = world.audit.verify(world.org.as_str(), |_| ()).await.unwrap();
        assert_eq!((verified.verified, verified.broken), (300, None));
    }

    async fn signs_what_it_has_sealed_and_nothing_else(world: &World) {
        world.seal(300).await;
        let log = world.org.as_str();
        assert_eq!(world.audit.sign_due().await.unwrap().signed, 1);
        assert_eq!(world.audit.sign_due().await.unwrap(), Signing::default(), "nothing is new");
        let signed = world.audit.checkpoint(log, 300).await.unwrap();
        assert_eq!(signed.size, 300);
        assert!(signed.note.starts_with("comms.example/audit/org_1\n300\n"), "{}", signed.note);
        let verifier = world.audit.verifier(log).await.unwrap();
        assert_eq!(verifier.open_checkpoint(&signed.note).unwrap().root, signed.root);
        assert_eq!(signed.vkey, verifier.vkey());
        let verified = world.audit.verify(log, |_| ()).await.unwrap();
        assert_eq!((verified.root, verified.signed_size, verified.broken), (signed.root, 300, None));
        let other = Verifier { name: "comms.example/audit/org_2".into(), ..verifier };
        assert_eq!(other.open_checkpoint(&signed.note), None, "a checkpoint belongs to one log");

        world.seal(1).await;
        assert_eq!(world.audit.checkpoint(log, 300).await.unwrap().size, 300, "fresh, and includes what is needed");
        assert_eq!(world.audit.checkpoint(log, 301).await.unwrap().size, 301);
        assert_eq!(world.audit.checkpoint("org_empty", 0).await.unwrap().size, 0);

        // The last entries are gone, and the head says so: what was signed before is not there any more.
        world.tamper("DELETE FROM audit_leaves WHERE seq >= 100").await;
        world.seal(1).await;
        assert!(world.audit.checkpoint(log, 302).await.is_err());
    }

    async fn outsider_verifies_an_export_with_python(world: &World) {
        world.seal(260).await;
        let log = world.org.as_str();
        let export = world.audit.export(log, 0, 5_000).await.unwrap();
        assert_eq!(export.lines.lines().count(), 261);
        let vkey = &export.checkpoint.vkey;
        let (accepted, said) = verify_with_python(&export.lines, vkey);
        assert!(accepted && said.contains("260 entries from 0 of 260"), "{said}");
        let second = world.audit.export(log, 257, 2).await.unwrap();
        let (accepted, said) = verify_with_python(&second.lines, vkey);
        assert!(accepted && said.contains("2 entries from 257 of 260"), "{said}");

        let lines: Vec<&str> = export.lines.lines().collect();
        let without = |seq: usize| [&lines[..=seq], &lines[seq + 2..]].concat().join("\n");
        let swapped = [&lines[..5], &[lines[6], lines[5]], &lines[7..]].concat().join("\n");
        for (damaged, reason) in [
            (export.lines.replacen("agt_7\\\"", "agt_8\\\"", 1), "entry 7"),
            (without(9), "entries are missing"),
            (without(259), "entries are missing"),
            (lines[..200].join("\n"), "entries are missing"),
            (swapped, "entry 4"),
            (export.lines.replacen("\\n260\\n", "\\n261\\n", 1), "not signed"),
        ] {
            assert_ne!(damaged, export.lines);
            let (accepted, said) = verify_with_python(&damaged, vkey);
            assert!(!accepted && said.contains(reason), "{reason}: {said}");
        }
        let foreign = world.audit.checkpoint("org_2", 0).await.unwrap().vkey;
        assert!(!verify_with_python(&export.lines, &foreign).0, "the key of another log");
    }

    async fn rows_beyond_retention_may_be_missing(world: &World) {
        for n in 0..4 {
            let entry = AuditEntry::new(Some(&world.org), "tok_1", "a.b", "x", at(n));
            world.store.append_audit(&entry).await.unwrap();
        }
        world.audit.seal_due().await.unwrap();
        world.seal(2).await;
        let before = world.audit.verify(world.org.as_str(), |_| ()).await.unwrap();
        world.tamper("DELETE FROM audit WHERE seq < 3").await;
        assert_eq!(world.broken().await.map(|broken| broken.0), Some(0), "rows are kept for ever");
        let keeping = audit(&world.store, Some(TimeDelta::days(1)));
        let verified = keeping.verify(world.org.as_str(), |_| ()).await.unwrap();
        assert_eq!((verified.verified, verified.expired, verified.broken), (6, 3, None));
        assert_eq!(verified.root, before.root);
        world.tamper("DELETE FROM audit WHERE seq = 5").await;
        let verified = keeping.verify(world.org.as_str(), |_| ()).await.unwrap();
        assert_eq!(verified.broken.map(|broken| broken.seq), Some(5), "this one is not old");
    }
}
