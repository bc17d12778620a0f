//! Refusals of compliance, the decisions of messages, and what rules about frequency count.

use butt_dial_domain::{Code, OrgId, ids};

use super::*;
use crate::{ConsentRecord, Decided, NewRefusal, REFUSAL_PREFIX, RefusalFilter};

pub(super) async fn refuse(db: &Store, org: &OrgId, agent: &AgentId, rule: &str) -> String {
    let refusal = NewRefusal {
        org,
        agent,
        channel: Channel::Sms,
        recipient: "+1***0199",
        contact_hash: "aa",
        purpose: SendPurpose::Marketing,
        rule,
        code: Code::ConsentRequired,
        ruling: "{}",
    };
    db.add_refusal(&refusal, morning()).await.unwrap()
}

both_engines! {
    async fn lists_refusals_of_the_organization_newest_first(db: &Database) {
        let (mine, other) = (new_agent(db).await, new_agent(db).await);
        let colleague = new_agent_in(db, &mine.org_id).await;
        let first = refuse(db, &mine.org_id, &mine.id, "a").await;
        let second = refuse(db, &mine.org_id, &colleague.id, "b").await;
        let third = refuse(db, &mine.org_id, &mine.id, "b").await;
        refuse(db, &other.org_id, &other.id, "a").await;
        let list = async |filter: RefusalFilter<'_>| -> Vec<String> {
            let found = db.list_refusals(&mine.org_id, &filter, 2).await.unwrap();
            found.into_iter().map(|refusal| refusal.id).collect()
        };
        assert_eq!(list(RefusalFilter::default()).await, [third.clone(), second.clone()]);
        let before = RefusalFilter { before: Some(&second), ..RefusalFilter::default() };
        assert_eq!(list(before).await, std::slice::from_ref(&first));
        let of_agent = RefusalFilter { agent: Some(&mine.id), rule: Some("b"), ..RefusalFilter::default() };
        assert_eq!(list(of_agent).await, [third]);
        let range = (REFUSAL_PREFIX, first.as_str());
        assert!(db.list_rulings(Decided::Refusals, range, 10).await.unwrap().is_empty(), "the end is excluded");
        let found = db.list_rulings(Decided::Refusals, (REFUSAL_PREFIX, &second), 10).await.unwrap();
        assert_eq!((found.len(), found[0].id.clone(), found[0].ruling.as_deref()), (1, first, Some("{}")));
    }

    async fn counts_marketing_that_may_have_been_sent(db: &Database) {
        let agent = new_agent(db).await;
        let mut ids = Vec::new();
        for (n, purpose) in [SendPurpose::Marketing, SendPurpose::Otp, SendPurpose::Marketing].into_iter().enumerate() {
            let send = AcceptedSend {
                purpose,
                ruling: Some(format!("{{\"n\":{n}}}")),
                at: morning() + seconds(n as i64),
                ..text(&agent, &format!("k{n}"))
            };
            ids.push(send.id.clone());
            db.accept_send(send).await.unwrap();
        }
        let count = async |since| db.count_marketing(&agent.org_id, "+14155550199", since).await.unwrap();
        assert_eq!(count(morning() - seconds(1)).await, 2);
        assert_eq!(count(morning()).await, 1);
        db.settle_send(settled(&ids[2], failed(false))).await.unwrap();
        assert_eq!(count(morning()).await, 0);
        let other = new_agent(db).await;
        assert_eq!(db.count_marketing(&other.org_id, "+14155550199", morning() - seconds(1)).await.unwrap(), 0);
        let end = ids::earliest(MessageId::PREFIX, butt_dial_domain::Clock::System.now() + seconds(60));
        let found = db.list_rulings(Decided::Messages, (ids[0].as_str(), &end), 500).await.unwrap();
        let of_agent = found.iter().filter(|row| row.org_id == agent.org_id.as_str());
        assert_eq!(of_agent.map(|row| row.ruling.clone()).collect::<Vec<_>>(), [Some("{\"n\":1}".to_owned()), Some("{\"n\":2}".to_owned())]);
    }

    async fn consent_has_the_kind_that_an_agent_recorded(db: &Database) {
        let agent = new_agent(db).await;
        let sender = butt_dial_domain::ChannelId::from("none");
        let kind = async || {
            let state = db.find_contact_state(&agent.org_id, &agent.id, (&sender, Channel::Sms), "+14155550199", "k").await;
            state.unwrap().consent_kind
        };
        let record = ConsentRecord {
            org: &agent.org_id,
            agent: &agent.id,
            actor: "tok",
            channel: Channel::Sms,
            address: "+14155550199",
            granted: true,
            kind: Some("implied"),
            source: None,
            notes: None,
        };
        assert!(db.record_agent_consent(&record, morning()).await.unwrap());
        assert_eq!(kind().await.as_deref(), Some("implied"));
        // The word of the person has no kind.
        db.record_consent(&agent.org_id, Channel::Sms, "+14155550199", true, "keyword", morning() + seconds(1)).await.unwrap();
        assert_eq!(kind().await, None);
    }
}
