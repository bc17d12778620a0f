//! The consent ledger: every writer of consent appends to it, and the state is its fold.

use std::collections::BTreeMap;

use butt_dial_domain::{OrgId, address::contact_key};
use serde_json::json;

use super::inbound::{PERSON, inbound_event, read};
use super::*;
use crate::{
    ConsentAction, ConsentBasis, ConsentEvent, ConsentEvidence, ConsentMethod, ConsentRecord, ConsentStatus,
    ImportedConsent, ImportedConsents,
};

const ANN: &str = "+14155550123";
const MARKETING: &str = "marketing";

fn later(seconds: i64) -> Timestamp {
    morning() + TimeDelta::seconds(seconds)
}

async fn entries(db: &Database, org: &OrgId, address: &str) -> Vec<ConsentEvent> {
    let key = contact_key(address);
    db.list_consent_events_of(org, (&key, "none"), 0, 100).await.unwrap()
}

/// Returns the method and the action of each entry about a person.
async fn methods(db: &Database, org: &OrgId, address: &str) -> Vec<String> {
    let found = entries(db, org, address).await;
    found
        .iter()
        .map(|event| format!("{} {} {}", event.method, event.action, event.purpose))
        .collect()
}

fn statement<'a>(agent: &'a Agent, granted: bool) -> ConsentRecord<'a> {
    ConsentRecord {
        org: &agent.org_id,
        agent: &agent.id,
        actor: "tok_1",
        channel: Channel::Sms,
        address: ANN,
        granted,
        kind: granted.then_some("express"),
        source: Some("web form"),
        notes: None,
    }
}

fn row(address: &str, granted: bool, at: Timestamp) -> ImportedConsent {
    ImportedConsent {
        reference: format!("{}-{granted}-{}", contact_key(address).len(), at.timestamp()),
        address: address.into(),
        channel: if address.contains('@') {
            Channel::Email
        } else {
            Channel::Sms
        },
        is_marketing: false,
        granted,
        kind: granted.then(|| "express".into()),
        method: ConsentMethod::Import,
        evidence: json!({ "source": "paper form" }),
        at,
    }
}

async fn import(db: &Database, org: &OrgId, rows: &[ImportedConsent]) -> ImportedConsents {
    db.change(setup())
        .import_consents(org, rows, later(9_000))
        .await
        .unwrap()
}

/// Folds the entries of a person: the status by channel, and since when.
fn fold(events: &[ConsentEvent]) -> BTreeMap<&'static str, (ConsentStatus, Timestamp)> {
    let mut state: BTreeMap<&'static str, (ConsentStatus, Timestamp, ConsentMethod)> = BTreeMap::new();
    for event in events {
        let status = match event.action {
            ConsentAction::Granted => ConsentStatus::Granted,
            ConsentAction::Revoked | ConsentAction::Expired => ConsentStatus::Revoked,
        };
        let channels: Vec<&'static str> = match event.purpose.as_str() {
            MARKETING => vec![MARKETING],
            _ => event.channels().iter().map(|channel| channel.as_str()).collect(),
        };
        for channel in channels {
            let holds = state.get(channel).is_none_or(|(was, since, by)| match event.method {
                // The word of a person is not overruled by an agent, and a later word not by an import.
                ConsentMethod::Statement => *was == ConsentStatus::Granted || *by == ConsentMethod::Statement,
                ConsentMethod::Import | ConsentMethod::Administrator => {
                    *since < event.at || (*since == event.at && status == ConsentStatus::Revoked)
                }
                _ => true,
            });
            if holds {
                state.insert(channel, (status, event.at, event.method));
            }
        }
    }
    state
        .into_iter()
        .map(|(channel, (status, at, _))| (channel, (status, at)))
        .collect()
}

/// Asserts that the state of the contact is the fold of the ledger.
async fn assert_folds(db: &Database, agent: &Agent, address: &str) {
    let folded = fold(&entries(db, &agent.org_id, address).await);
    assert!(!folded.is_empty(), "{address}");
    for channel in Channel::ALL {
        let found = db.find_consent(&agent.org_id, channel, address).await.unwrap();
        let state = found.map(|consent| (consent.status, consent.updated_at));
        assert_eq!(folded.get(channel.as_str()).copied(), state, "{address} {channel}");
    }
    let sender = butt_dial_domain::ChannelId::from("none");
    let state = db
        .find_contact_state(&agent.org_id, &agent.id, (&sender, Channel::Whatsapp), address, "")
        .await;
    let marketing = folded.get(MARKETING).map(|(status, _)| *status);
    assert_eq!(state.unwrap().marketing, marketing, "{address}");
}

both_engines! {
    async fn every_writer_appends_and_state_is_the_fold(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        assert!(db.record_agent_consent(&statement(&agent, true), morning()).await.unwrap());
        db.record_marketing_consent(org, ANN, false, "carrier", later(1)).await.unwrap();
        assert_folds(db, &agent, ANN).await;
        db.record_consent(org, Channel::Whatsapp, ANN, false, "keyword", later(2)).await.unwrap();
        assert_folds(db, &agent, ANN).await;
        assert!(!db.record_agent_consent(&statement(&agent, true), later(3)).await.unwrap());
        assert!(db.record_agent_consent(&statement(&agent, false), later(4)).await.unwrap());
        assert_folds(db, &agent, ANN).await;
        import(db, org, &[row(ANN, true, later(1))]).await;
        assert_folds(db, &agent, ANN).await;
        let basis = ConsentBasis { message: Some("msg_1"), ..ConsentBasis::new(ConsentMethod::Spoken, "keyword") };
        db.record_consent(org, Channel::Voice, ANN, true, basis, later(5)).await.unwrap();
        assert_folds(db, &agent, ANN).await;
        import(db, org, &[row(ANN, false, later(6))]).await;
        assert_folds(db, &agent, ANN).await;
        assert_eq!(methods(db, org, ANN).await, [
            "statement granted all", "vendor_preference revoked marketing", "keyword revoked all", "statement revoked all",
            "import granted all", "spoken granted all", "import revoked all",
        ]);
        let found = entries(db, org, ANN).await;
        assert_eq!((found[0].actor.as_str(), found[0].kind.as_deref()), ("tok_1", Some("express")));
        assert_eq!(found[0].evidence, json!({ "agentId": agent.id, "source": "web form" }));
        assert_eq!((found[5].message_id.as_deref(), found[5].actor.as_str()), (Some("msg_1"), "contact"));
        assert!(!format!("{found:?}").contains(ANN));
        let foreign = new_agent(db).await;
        assert!(entries(db, &foreign.org_id, ANN).await.is_empty());
    }

    async fn words_of_events_are_kept_once(db: &Database) {
        let agent = new_agent(db).await;
        let mut event = inbound_event(&agent, "e1", PERSON);
        event.consent = Some(false);
        event.evidence = Some(ConsentEvidence {
            method: ConsentMethod::FreeText,
            words: Some(vec![0, 0xfe]),
            message: None,
            detail: Some(json!({ "carrier": "simulator" })),
        });
        read(db, vec![event.clone()]).await;
        read(db, vec![event]).await;
        let found = entries(db, &agent.org_id, PERSON).await;
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].event_id.as_deref(), found[0].words.as_deref()), (Some("e1"), Some(&[0, 0xfe][..])));
        assert_eq!((found[0].method, found[0].evidence["carrier"].as_str()), (ConsentMethod::FreeText, Some("simulator")));
        // A mail of which the text follows is read again after a crash.
        for _ in 0..2 {
            let basis = ConsentBasis { event: Some("e2"), ..ConsentBasis::from("keyword") };
            db.record_consent(&agent.org_id, Channel::Sms, PERSON, true, basis, later(1)).await.unwrap();
        }
        assert_eq!(entries(db, &agent.org_id, PERSON).await.len(), 2);
        assert_folds(db, &agent, PERSON).await;
        let sealed = db.list_sealed(crate::SealedColumn::ConsentEvents, None, 9).await.unwrap();
        assert_eq!((sealed.len(), sealed[0].id.as_str()), (1, "e1"));
        assert!(db.replace_sealed(crate::SealedColumn::ConsentEvents, &sealed[0], &[7]).await.unwrap());
        assert_eq!(entries(db, &agent.org_id, PERSON).await[0].words.as_deref(), Some(&[7][..]));
    }

    async fn linked_addresses_have_the_entries_of_the_person(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        db.record_consent(org, Channel::Sms, PERSON, false, "keyword", morning()).await.unwrap();
        let mut event = inbound_event(&agent, "e1", "US.1");
        event.channel = Channel::Whatsapp;
        event.effects.aliases = vec![PERSON.into()];
        read(db, vec![event]).await;
        assert_eq!(methods(db, org, PERSON).await, ["keyword revoked all"]);
        assert_eq!(methods(db, org, "US.1").await, ["linked revoked all"]);
        db.record_consent(org, Channel::Whatsapp, "US.1", true, "keyword", later(1)).await.unwrap();
        for address in [PERSON, "US.1"] {
            assert_eq!(methods(db, org, address).await.len(), 2, "{address}");
            assert_folds(db, &agent, address).await;
        }
    }

    async fn import_keeps_later_words(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        let status = async || db.find_consent(org, Channel::Voice, ANN).await.unwrap().map(|found| found.status);
        let sent = super::scheduled::schedule(db, &agent, "k1", morning()).await.unwrap();
        let scheduled = db.list_scheduled(&agent.id, None, 10).await.unwrap()[0].recipient.clone();
        db.record_consent(org, Channel::Sms, ANN, false, "keyword", later(10)).await.unwrap();
        let early = row(ANN, true, later(9));
        assert_eq!(import(db, org, std::slice::from_ref(&early)).await, ImportedConsents { appended: 1, changed: 0 });
        assert_eq!(status().await, Some(ConsentStatus::Revoked));
        assert_eq!(import(db, org, &[early]).await, ImportedConsents::default(), "repeated");
        let audited = db.count("SELECT COUNT(*) FROM audit WHERE action = 'test.setup' AND CAST(detail ->> 'appended' AS TEXT) = '1'").await;
        assert_eq!(audited, 1, "a repeated import changes nothing");
        // At the same time, the revocation counts; afterwards, the person has consented again.
        import(db, org, &[row(ANN, true, later(10))]).await;
        assert_eq!(status().await, Some(ConsentStatus::Revoked));
        let both = [row(ANN, true, later(12)), row(ANN, false, later(11))];
        assert_eq!(import(db, org, &both).await, ImportedConsents { appended: 2, changed: 3 });
        assert_eq!(status().await, Some(ConsentStatus::Granted));
        assert_folds(db, &agent, ANN).await;
        assert!(!db.list_scheduled(&agent.id, None, 10).await.unwrap().is_empty());
        import(db, org, &[row(&scheduled, false, later(13))]).await;
        assert!(db.list_scheduled(&agent.id, None, 10).await.unwrap().is_empty(), "the revocation cancels it");
        drop(sent);
        // No agent overrules a revocation that an administrator has imported.
        import(db, org, &[row(ANN, false, later(14))]).await;
        assert!(!db.record_agent_consent(&statement(&agent, true), later(15)).await.unwrap());
    }

    async fn lists_entries_of_organization_in_pages(db: &Database) {
        let (mine, other) = (new_agent(db).await.org_id, new_agent(db).await.org_id);
        let rows: Vec<_> = (0..3).map(|n| row(&format!("+1415555012{n}"), true, later(n))).collect();
        import(db, &mine, &rows).await;
        let first = db.list_consent_events(&mine, 0, 2).await.unwrap();
        assert_eq!(first.iter().map(|event| event.contact.as_str()).collect::<Vec<_>>(), ["+14155550120", "+14155550121"]);
        let place = db.find_consent_event_place(&mine, &first[1].id).await.unwrap().unwrap();
        assert_eq!(place, first[1].seq);
        assert_eq!(db.list_consent_events(&mine, place, 2).await.unwrap().len(), 1);
        assert_eq!(db.find_consent_event_place(&other, &first[1].id).await.unwrap(), None, "of another organization");
        assert!(db.list_consent_events(&other, 0, 9).await.unwrap().is_empty());
    }

    async fn migration_fills_the_ledger(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        assert!(db.record_agent_consent(&statement(&agent, true), morning()).await.unwrap());
        db.record_consent(org, Channel::Sms, ANN, false, "keyword", later(1)).await.unwrap();
        db.record_consent(org, Channel::Email, "ann@example.com", false, "carrier", later(2)).await.unwrap();
        db.record_marketing_consent(org, PERSON, true, "keyword", later(3)).await.unwrap();
        let before = [ANN, "ann@example.com"];
        db.execute("DELETE FROM consent_events").await;
        let text = match db.is_postgres() {
            true => include_str!("../../../../migrations/0065_consent_events.postgres.sql"),
            false => include_str!("../../../../migrations/0065_consent_events.sqlite.sql"),
        };
        let (_, fill) = text.split_once("WHERE words IS NOT NULL;").unwrap();
        db.execute(fill.trim().trim_end_matches(';')).await;
        for address in before {
            assert_folds(db, &agent, address).await;
        }
        assert_folds(db, &agent, PERSON).await;
        assert_eq!(methods(db, org, ANN).await, ["statement granted all", "keyword revoked all"]);
        assert_eq!(methods(db, org, "ann@example.com").await, ["vendor_preference revoked all"]);
        assert_eq!(methods(db, org, PERSON).await, ["keyword granted marketing"]);
    }
}
