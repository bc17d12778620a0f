//! Tokens: found by their hash, listed and revoked within their organization only.

use butt_dial_domain::{Grants, OrgId, Principal, Restriction, Scope, TokenId, grants::Recipients};

use super::*;
use crate::{NewToken, OrgStatus, Token};

async fn create(store: &Store, hash: &str, scope: Scope, org: Option<&OrgId>, agent: Option<&AgentId>) -> TokenId {
    let id = TokenId::generate();
    let token = NewToken {
        id: &id,
        hash,
        last_four: "wxyz",
        scope,
        org,
        agent,
        expires_at: None,
        label: None,
        created_by: None,
        restriction: None,
    };
    store.change(setup()).create_token(&token, morning()).await.unwrap();
    id
}

async fn of_agent(store: &Store, agent: &Agent, hash: &str) -> TokenId {
    create(store, hash, Scope::Agent, Some(&agent.org_id), Some(&agent.id)).await
}

async fn listed(store: &Store, agent: &Agent) -> Vec<TokenId> {
    let tokens = store.list_agent_tokens(&agent.org_id, &agent.id).await.unwrap();
    tokens.into_iter().map(|token| token.principal.token).collect()
}

async fn revoked_at(store: &Store, hash: &str) -> Option<Timestamp> {
    store.find_token(hash).await.unwrap().unwrap().revoked_at
}

both_engines! {
    async fn finds_token_only_by_hash(db: &Database) {
        let agent = new_agent(db).await;
        let (id, expires) = (TokenId::generate(), morning() + TimeDelta::microseconds(1));
        let token = NewToken {
            id: &id,
            hash: "h1",
            last_four: "wxyz",
            scope: Scope::Agent,
            org: Some(&agent.org_id),
            agent: Some(&agent.id),
            expires_at: Some(expires),
            label: Some("deploy"),
            created_by: None,
            restriction: None,
        };
        db.change(setup()).create_token(&token, morning()).await.unwrap();
        let principal = Principal {
            token: id.clone(),
            scope: Scope::Agent,
            org: Some(agent.org_id.clone()),
            agent: Some(agent.id.clone()),
            restriction: None,
        };
        let expected = Token {
            principal,
            last_four: "wxyz".into(),
            label: Some("deploy".into()),
            created_by: None,
            created_at: morning(),
            expires_at: Some(expires),
            revoked_at: None,
            last_used_at: None,
            last_used_from: None,
            org_status: Some(OrgStatus::Active),
        };
        assert_eq!(db.find_token("h1").await.unwrap(), Some(expected));
        assert_eq!(db.find_token("H1").await.unwrap(), None);
        assert_eq!(db.find_token(id.as_str()).await.unwrap(), None);
    }

    async fn token_keeps_its_grants_and_unreadable_ones_grant_nothing(db: &Database) {
        let agent = new_agent(db).await;
        let grants = Grants {
            channels: Some([Channel::Sms].into()),
            recipients: Some(Recipients::parse(&["+14155550123".to_owned()]).unwrap()),
            max_spend: Some(Micros(7)),
            ..Grants::default()
        };
        let restriction = Restriction { budget: "tok_first".into(), grants };
        let id = TokenId::generate();
        let token = NewToken {
            id: &id,
            hash: "h1",
            last_four: "wxyz",
            scope: Scope::Agent,
            org: Some(&agent.org_id),
            agent: Some(&agent.id),
            expires_at: None,
            label: None,
            created_by: None,
            restriction: Some(&restriction),
        };
        db.change(setup()).create_token(&token, morning()).await.unwrap();
        let found = async || db.find_token("h1").await.unwrap().unwrap().principal.restriction.unwrap();
        assert_eq!(*found().await, restriction);
        let listed = db.list_agent_tokens(&agent.org_id, &agent.id).await.unwrap();
        assert_eq!(listed[0].principal.restriction.as_deref(), Some(&restriction));
        for unreadable in ["{", "[]", "", r#"{"hours":[9]}"#, r#"{"recipients":["x"]}"#] {
            db.execute(&format!("UPDATE tokens SET grants = '{unreadable}'")).await;
            assert_eq!(found().await.grants, Grants::nothing(), "{unreadable}");
        }
        db.execute("UPDATE tokens SET scope = 'super-admin'").await;
        assert_eq!(db.find_token("h1").await.unwrap().unwrap().principal.scope, Scope::Agent);
        db.execute("UPDATE tokens SET grants = '{}', budget_id = NULL").await;
        assert_eq!(found().await.budget, id.as_str());
    }

    async fn revokes_one_token_of_its_agent_only(db: &Database) {
        let (ours, theirs) = (new_agent(db).await, new_agent(db).await);
        let (first, second) = (of_agent(db, &ours, "h1").await, of_agent(db, &ours, "h2").await);
        assert_eq!(db.count_agent_tokens(&ours.id, morning()).await.unwrap(), 2);
        assert_eq!(db.find_agent_token(&theirs.id, &first).await.unwrap(), None);
        let found = db.find_agent_token(&ours.id, &first).await.unwrap().unwrap();
        assert_eq!((found.principal.token, found.revoked_at), (first.clone(), None));
        assert!(!db.change(setup()).revoke_agent_token(&theirs.id, &first, morning()).await.unwrap());
        assert!(db.change(setup()).revoke_agent_token(&ours.id, &first, morning()).await.unwrap());
        assert!(!db.change(setup()).revoke_agent_token(&ours.id, &first, morning()).await.unwrap(), "revoked already");
        assert_eq!(listed(db, &ours).await, [second]);
        assert_eq!(db.count_agent_tokens(&ours.id, morning()).await.unwrap(), 1);
    }

    async fn rejects_duplicate_token_hash(db: &Database) {
        let agent = new_agent(db).await;
        of_agent(db, &agent, "h1").await;
        let again = NewToken {
            id: &TokenId::generate(),
            hash: "h1",
            last_four: "wxyz",
            scope: Scope::SuperAdmin,
            org: None,
            agent: None,
            expires_at: None,
            label: None,
            created_by: None,
            restriction: None,
        };
        assert!(matches!(db.change(setup()).create_token(&again, morning()).await, Err(StoreError::Conflict)));
        assert_eq!(db.find_token("h1").await.unwrap().unwrap().principal.scope, Scope::Agent);
    }

    async fn orchestrator_token_has_no_organization(db: &Database) {
        create(db, "root", Scope::SuperAdmin, None, None).await;
        let principal = db.find_token("root").await.unwrap().unwrap().principal;
        assert_eq!((principal.scope, principal.org, principal.agent), (Scope::SuperAdmin, None, None));
    }

    async fn lists_tokens_of_organization_newest_first(db: &Database) {
        let (ours, theirs) = (new_agent(db).await, new_agent(db).await);
        let first = of_agent(db, &ours, "h1").await;
        let second = of_agent(db, &ours, "h2").await;
        let foreign = of_agent(db, &theirs, "h3").await;
        create(db, "team", Scope::OrgAdmin, Some(&ours.org_id), None).await;

        assert_eq!(listed(db, &ours).await, [second, first]);
        assert_eq!(listed(db, &theirs).await, [foreign]);
        assert_eq!(db.list_agent_tokens(&theirs.org_id, &ours.id).await.unwrap(), []);
        assert_eq!(db.list_agent_tokens(&ours.org_id, &theirs.id).await.unwrap(), []);
    }

    async fn revoking_agent_tokens_leaves_others(db: &Database) {
        let ours = new_agent(db).await;
        let (neighbour, theirs) = (new_agent_in(db, &ours.org_id).await, new_agent(db).await);
        of_agent(db, &ours, "h1").await;
        of_agent(db, &ours, "h2").await;
        of_agent(db, &neighbour, "neighbour").await;
        create(db, "team", Scope::OrgAdmin, Some(&ours.org_id), None).await;
        create(db, "root", Scope::SuperAdmin, None, None).await;

        assert_eq!(db.change(setup()).revoke_tokens(&theirs.org_id, Some(&ours.id), None, morning()).await.unwrap(), 0);
        let noon = morning() + TimeDelta::hours(3);
        assert_eq!(db.change(setup()).revoke_tokens(&ours.org_id, Some(&ours.id), None, noon).await.unwrap(), 2);
        assert_eq!(revoked_at(db, "h1").await, Some(noon));
        assert_eq!(listed(db, &ours).await, []);
        for hash in ["neighbour", "team", "root"] {
            assert_eq!(revoked_at(db, hash).await, None, "{hash}");
        }

        // A repeated revocation keeps the first time.
        assert_eq!(db.change(setup()).revoke_tokens(&ours.org_id, Some(&ours.id), None, noon + seconds(1)).await.unwrap(), 0);
        assert_eq!(revoked_at(db, "h1").await, Some(noon));
    }

    async fn revocation_keeps_the_excepted_token(db: &Database) {
        let ours = new_agent(db).await;
        of_agent(db, &ours, "old").await;
        let new = of_agent(db, &ours, "new").await;
        assert_eq!(db.change(setup()).revoke_tokens(&ours.org_id, Some(&ours.id), Some(&new), morning()).await.unwrap(), 1);
        assert_eq!(revoked_at(db, "old").await, Some(morning()));
        assert_eq!(listed(db, &ours).await, [new]);
    }

    async fn revoking_team_tokens_leaves_agent_tokens(db: &Database) {
        let (ours, theirs) = (new_agent(db).await, new_agent(db).await);
        of_agent(db, &ours, "h1").await;
        create(db, "team", Scope::OrgAdmin, Some(&ours.org_id), None).await;
        create(db, "their team", Scope::OrgAdmin, Some(&theirs.org_id), None).await;
        create(db, "root", Scope::SuperAdmin, None, None).await;

        assert_eq!(db.change(setup()).revoke_tokens(&ours.org_id, None, None, morning()).await.unwrap(), 1);
        assert_eq!(revoked_at(db, "team").await, Some(morning()));
        for hash in ["h1", "their team", "root"] {
            assert_eq!(revoked_at(db, hash).await, None, "{hash}");
        }
    }

    async fn records_many_token_uses_at_once(db: &Database) {
        let agent = new_agent(db).await;
        let (first, second) = (of_agent(db, &agent, "h1").await, of_agent(db, &agent, "h2").await);
        of_agent(db, &agent, "h3").await;
        let (early, late) = (morning() + TimeDelta::microseconds(123_456), morning() + seconds(2));
        db.touch_tokens(&[]).await.unwrap();
        let from = |text: &str| Some(text.to_owned());
        db.touch_tokens(&[(first, early, from("a1")), (second, late, None), (TokenId::generate(), late, from("b2"))])
            .await
            .unwrap();
        for (hash, used) in [("h1", Some(early)), ("h2", Some(late)), ("h3", None)] {
            assert_eq!(db.find_token(hash).await.unwrap().unwrap().last_used_at, used, "{hash}");
        }
    }

    async fn reports_corrupt_scope(db: &Database) {
        let agent = new_agent(db).await;
        let id = of_agent(db, &agent, "h1").await;
        db.drop_checks().await;
        db.execute("UPDATE tokens SET scope = 'root'").await;
        let place = ("tokens", "scope", id.as_str());
        assert_corrupt(db.find_token("h1").await, place);
        assert_corrupt(db.list_agent_tokens(&agent.org_id, &agent.id).await, place);
    }

    async fn team_tokens_are_revoked_one_by_one(db: &Database) {
        let (ours, theirs) = (new_agent(db).await, new_agent(db).await);
        let first = create(db, "t1", Scope::OrgAdmin, Some(&ours.org_id), None).await;
        let second = create(db, "t2", Scope::OrgAdmin, Some(&ours.org_id), None).await;
        let of_agent = of_agent(db, &ours, "h1").await;
        let listed = async || -> Vec<TokenId> {
            let tokens = db.list_team_tokens(&ours.org_id).await.unwrap();
            tokens.into_iter().map(|token| token.principal.token).collect()
        };
        assert_eq!(listed().await, [second.clone(), first.clone()]);

        assert!(!db.change(setup()).revoke_team_token(&theirs.org_id, &first, morning()).await.unwrap());
        assert!(!db.change(setup()).revoke_team_token(&ours.org_id, &of_agent, morning()).await.unwrap());
        assert!(db.change(setup()).revoke_team_token(&ours.org_id, &first, morning()).await.unwrap());
        assert!(!db.change(setup()).revoke_team_token(&ours.org_id, &first, morning()).await.unwrap());
        assert_eq!(listed().await, std::slice::from_ref(&second));
        assert_eq!(revoked_at(db, "t1").await, Some(morning()));
        let found = db.find_team_token(&ours.org_id, &first).await.unwrap().unwrap();
        assert_eq!(found.revoked_at, Some(morning()));
        assert_eq!(db.find_team_token(&theirs.org_id, &second).await.unwrap(), None);
        assert_eq!(db.find_team_token(&ours.org_id, &of_agent).await.unwrap(), None);
    }

    async fn expiry_of_team_token_only_moves_forward(db: &Database) {
        let agent = new_agent(db).await;
        let id = create(db, "t1", Scope::OrgAdmin, Some(&agent.org_id), None).await;
        for (at, expected) in [(60, 60), (90, 60), (30, 30)] {
            let at = morning() + seconds(at);
            db.change(setup()).expire_team_token(&agent.org_id, &id, at).await.unwrap();
            let token = db.find_token("t1").await.unwrap().unwrap();
            assert_eq!(token.expires_at, Some(morning() + seconds(expected)));
        }
    }

    async fn lists_agents_with_tokens_that_ended_recently(db: &Database) {
        let agent = new_agent(db).await;
        let (org, id) = (&agent.org_id, &agent.id);
        of_agent(db, &agent, "h1").await;
        let (since, until) = (morning() - seconds(5), morning() + seconds(5));
        assert_eq!(db.list_ended_tokens(since, until).await.unwrap(), []);
        db.change(setup()).revoke_tokens(org, Some(id), None, morning()).await.unwrap();
        assert_eq!(db.list_ended_tokens(since, until).await.unwrap(), [(id.clone(), morning())]);
        assert_eq!(db.list_ended_tokens(until, until + seconds(5)).await.unwrap(), []);

        let token = NewToken {
            id: &TokenId::generate(),
            hash: "h2",
            last_four: "wxyz",
            scope: Scope::Agent,
            org: Some(org),
            agent: Some(id),
            expires_at: Some(until + seconds(1)),
            label: None,
            created_by: None,
            restriction: None,
        };
        db.change(setup()).create_token(&token, morning()).await.unwrap();
        let ended = db.list_ended_tokens(until, until + seconds(5)).await.unwrap();
        assert_eq!(ended, [(id.clone(), until + seconds(1))]);
    }
}
