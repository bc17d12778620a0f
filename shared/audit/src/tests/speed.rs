//! Prints how fast logs are sealed and verified: `cargo test -p butt-dial-audit --release speed -- --nocapture`. Checks the size of
//! proofs.

use std::time::Instant;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::*;
use crate::{canonical, entry, hash, note, tree};

/// Rows of the measured log; a debug build measures fewer.
const ROWS: usize = if cfg!(debug_assertions) { 8_000 } else { 1_000_000 };

both_engines! {
    async fn seals_and_verifies_many_rows(world: &World) {
        let is_sqlite = world.is_sqlite();
        let numbers = match is_sqlite {
            true => "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})",
            false => "WITH numbers (n) AS (SELECT generate_series(1, {rows}))",
        };
        let time = if is_sqlite { "'2026-11-29T10:00:00+00:00'" } else { "TIMESTAMPTZ '2026-11-29T10:00:00Z'" };
        let sql = format!(
            "{numbers} INSERT INTO audit (id, org_id, actor, actor_kind, action, target, detail, at)
                SELECT 'aud_' || n, 'org_1', 'tok_1', 'token', 'agent.status', 'agt_' || n, '{{\"status\":\"active\"}}', {time}
                FROM numbers"
        );
        world.tamper(&sql.replace("{rows}", &ROWS.to_string())).await;
        let engine = if is_sqlite { "SQLite" } else { "Postgres" };
        let started = Instant::now();
        assert_eq!(world.audit.seal_due().await.unwrap(), ROWS);
        let rate = ROWS as f64 / started.elapsed().as_secs_f64();
        println!("{engine}: sealed {ROWS} rows, {rate:.0} a second");
        let started = Instant::now();
        world.audit.sign_due().await.unwrap();
        println!("{engine}: signed in {:?}", started.elapsed());
        let started = Instant::now();
        let verified = world.audit.verify("org_1", |_| ()).await.unwrap();
        assert_eq!((verified.verified, verified.broken), (ROWS as u64, None));
        println!("{engine}: verified {ROWS} rows in {:?}", started.elapsed());
        let started = Instant::now();
        let export = world.audit.export("org_1", 100, 1_000).await.unwrap();
        println!("{engine}: exported 1000 of {ROWS} rows in {:?}, {} bytes", started.elapsed(), export.lines.len());
    }
}

#[test]
fn receipt_in_a_log_of_a_million_is_under_2_kb() {
    let key = entry::NonceKey::new(&Vault::new(b"secret"));
    let at = at(0);
    let row = butt_dial_store::UnsealedSend {
        id: "msg_019e0000000070008000000000000000".into(),
        org_id: "org_019e0000000070008000000000000000".into(),
        agent_id: "agt_019e0000000070008000000000000000".into(),
        channel: "whatsapp".into(),
        sender: "+14155550100".into(),
        recipient: "+14155550199".into(),
        body_hash: "00".repeat(32),
        status: "accepted".into(),
        carrier: "twilio".into(),
        carrier_id: Some("SM00000000000000000000000000000000".into()),
        carrier_status: Some("queued".into()),
        failure: None,
        updated_at: at,
    };
    let record = entry::SendRecord {
        sender: &row.sender,
        recipient: &row.recipient,
        body_hash: &row.body_hash,
    };
    let extra = json!({
        "entry": entry::send(&key, &row),
        "nonce": BASE64_STANDARD.encode(key.nonce(&row.id)),
        "record": record.to_json(),
    });
    let extra = canonical::text(&extra);
    let signer = note::Signer::new("comms.example.com/audit/org_019e0000000070008000000000000000", &[1; 32]).unwrap();
    let path = vec![hash::empty_root(); 20];
    let text = note::receipt(
        Some(extra.as_bytes()),
        999_999,
        &path,
        &signer.checkpoint(1_000_000, &hash::empty_root()),
    );
    let proof = note::receipt(None, 999_999, &path, &signer.checkpoint(1_000_000, &hash::empty_root()));
    println!("receipt {} bytes, without its extra {} bytes", text.len(), proof.len());
    assert!(text.len() < 2_048, "{} bytes", text.len());
    assert!(tree::tiles_of_proof(999_999, 1_000_000).len() <= 6);
}
