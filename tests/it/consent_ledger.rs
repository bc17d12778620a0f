//! The consent ledger over REST: each word with its evidence, exports and imports.

use serde_json::{Value, json};

use crate::support::{Account, RequestExt as _, Transport, sms};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
const CID: &str = "+14155550125";

profiles! {
    async fn ledger_shows_words_and_imports_keep_later_ones(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let list = async |token: &str, contact: &str| {
            let path = format!("/api/v1/consents?contact={}", contact.replace('+', "%2B"));
            cluster.gateways.get(&path).bearer_auth(token).reply().await.expect(200)["entries"].clone()
        };
        let add = async |body: Value| {
            let request = cluster.gateways.post("/api/v1/consents", &body).bearer_auth(&cluster.account.team_token);
            request.reply().await.expect(200)
        };
        let token = &cluster.account.team_token;
        let record = json!({ "contact": ANN, "source": "web form" });
        agent.call("comms_record_consent", record).await.unwrap();
        cluster.texts(ANN, "STOP").await;
        cluster.texts(BOB, "I told you people to stop calling me").await;
        agent.expect_events(2).await;

        let ann = list(token, "+1 (415) 555-0123").await;
        let methods: Vec<&str> = ann.as_array().unwrap().iter().map(|entry| entry["method"].as_str().unwrap()).collect();
        assert_eq!(methods, ["statement", "keyword"]);
        assert_eq!((&ann[0]["evidence"]["source"], &ann[0]["status"]), (&json!("web form"), &json!("granted")));
        assert_eq!((&ann[1]["words"], &ann[1]["status"]), (&json!("STOP"), &json!("revoked")));
        assert_eq!(ann[1]["channels"], json!(["sms", "whatsapp", "voice"]));
        assert!(ann[1]["eventId"].is_string());
        let bob = list(token, BOB).await;
        assert_eq!((&bob[0]["method"], &bob[0]["words"]), (&json!("free_text"), &json!("I told you people to stop calling me")));

        // An import from before the STOP is evidence, and changes nothing.
        let csv = format!(
            "at,status,address,source\n2026-01-02T03:04:05Z,granted,{ANN},paper form\n2026-01-02T03:04:05Z,granted,{CID},paper form\n\
             yesterday,granted,{BOB},paper form\n2026-01-02T03:04:05Z,granted,{BOB},\n"
        );
        let imported = add(json!({ "csv": csv })).await;
        assert_eq!(
            (&imported["read"], &imported["recorded"], &imported["invalid"]),
            (&json!(4), &json!(2), &json!(2)),
            "{imported}"
        );
        let errors: Vec<_> = imported["errors"].as_array().unwrap().iter().map(|error| (&error["line"], &error["column"])).collect();
        assert_eq!(errors, [(&json!(4), &json!("at")), (&json!(5), &json!("source"))]);
        assert_eq!(add(json!({ "csv": csv })).await["recorded"], 0, "repeated");
        assert_eq!(agent.send(sms(ANN, "Hi")).await.unwrap_err()["code"], "CONTACT_OPTED_OUT");
        agent.send(sms(CID, "Hi")).await.unwrap();
        let revoked = json!({ "address": CID, "status": "revoked", "at": "2026-02-03T04:05:06Z", "evidence": "letter 12" });
        assert_eq!(add(json!({ "entries": [revoked] })).await["changed"], 3);
        assert_eq!(agent.send(sms(CID, "Hi")).await.unwrap_err()["code"], "CONTACT_OPTED_OUT");

        let export = async |path: &str| {
            let request = cluster.gateways.get(path).bearer_auth(token);
            request.send().await.unwrap().text().await.unwrap()
        };
        let lines = export("/api/v1/consents/export").await;
        let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(entries.len(), 6, "{lines}");
        let last = export(&format!("/api/v1/consents/export?after={}", entries[4]["id"].as_str().unwrap())).await;
        assert_eq!(serde_json::from_str::<Value>(&last).unwrap(), entries[5]);
        let table = export("/api/v1/consents/export.csv").await;
        assert!(table.starts_with("id,address,channel,purpose,status,"), "{table}");
        assert_eq!(table.lines().count(), 7);
        assert!(table.contains("letter 12"), "{table}");
        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        assert_eq!(list(&other.team_token, ANN).await, json!([]));
    }
}
