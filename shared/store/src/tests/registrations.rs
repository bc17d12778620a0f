//! Registrations, one-time tokens, members and notices.

use butt_dial_domain::{OrgId, Scope, TokenId};

use super::*;
use crate::{
    Activation, DueKind, MemberChange, NewNotice, NewOneTimeToken, NewRegistration, NewTeam, NewToken, NextStep,
    NoticeState, OneTimeKind, OrgMode, OrgStatus, RegistrationDetails, RegistrationStep, ReplacedTokens, Role,
};

const OWNER: &str = "ann@example.com";

fn one_time<'a>(hash: &'a str, kind: OneTimeKind, org: Option<&'a OrgId>) -> NewOneTimeToken<'a> {
    NewOneTimeToken {
        hash,
        kind,
        org,
        detail: Some("{}"),
        expires_at: morning() + seconds(60),
    }
}

fn registration(org: &OrgId) -> NewRegistration<'_> {
    NewRegistration {
        id: org,
        name: "Acme",
        owner_email: "Ann@example.com",
        owner_key: OWNER,
        mode: OrgMode::Live,
        expires_at: morning() + seconds(3_600),
    }
}

/// Registers a pending organization with the tokens `poll` and `link`.
async fn register(db: &Database) -> OrgId {
    let org = OrgId::generate();
    let tokens = [
        one_time("poll", OneTimeKind::Poll, Some(&org)),
        one_time("link", OneTimeKind::Verification, Some(&org)),
    ];
    db.register_organization(&org, Some(&registration(&org)), &tokens, morning())
        .await
        .unwrap();
    org
}

fn team_token<'a>(id: &'a TokenId, hash: &'a str, org: &'a OrgId) -> NewToken<'a> {
    NewToken {
        id,
        hash,
        last_four: "wxyz",
        scope: Scope::OrgAdmin,
        org: Some(org),
        agent: None,
        expires_at: None,
        label: None,
        created_by: None,
        restriction: None,
    }
}

/// Takes the step of the token `link` to an active organization with the token `team`.
async fn activate(db: &Database, org: &OrgId) -> bool {
    let id = TokenId::generate();
    let step = RegistrationStep {
        hash: "link",
        kind: OneTimeKind::Verification,
        org,
        details: Some(RegistrationDetails {
            name: "Acme Inc.",
            return_url: Some("https://a.example/"),
            webhook_url: Some("https://a.example/hook"),
            webhook_salt: "salt",
            branding: Some("{}"),
        }),
        then: NextStep::Activate(Activation {
            token: team_token(&id, "team", org),
            owner_email: "Ann@example.com",
            owner_key: OWNER,
            terms_version: Some("1"),
            notice: Some(NewNotice {
                id: "notice",
                org,
                kind: "account.verified",
                url: "https://a.example/hook",
                body: "{}",
                token: Some(b"sealed"),
            }),
        }),
    };
    db.change(setup())
        .take_registration_step(&step, morning())
        .await
        .unwrap()
}

both_engines! {
    async fn registration_becomes_active_once(db: &Database) {
        let org = register(db).await;
        let pending = db.find_organization_of_owner(OWNER).await.unwrap().unwrap();
        assert_eq!((pending.status, &pending.id), (OrgStatus::Pending, &org));
        assert!(activate(db, &org).await);
        assert!(!activate(db, &org).await, "the link is used up");
        let active = db.find_organization(&org).await.unwrap().unwrap();
        assert_eq!((active.status, active.name.as_str()), (OrgStatus::Active, "Acme Inc."));
        assert_eq!((active.verified_at, active.expires_at), (Some(morning()), None));
        assert_eq!(active.webhook_salt.as_deref(), Some("salt"));
        let token = db.find_token("team").await.unwrap().unwrap();
        assert_eq!(token.org_status, Some(OrgStatus::Active));
        let members = db.list_members(&org).await.unwrap();
        assert_eq!((members[0].email.as_str(), members[0].role), ("Ann@example.com", Role::Owner));
        let memberships = db.list_memberships(OWNER).await.unwrap();
        assert_eq!((&memberships[0].org_id, memberships.len()), (&org, 1));
        assert!(!db.change(setup()).delete_pending_organization(&org).await.unwrap());
    }

    async fn registration_waits_for_terms(db: &Database) {
        let org = register(db).await;
        let step = RegistrationStep {
            hash: "link",
            kind: OneTimeKind::Verification,
            org: &org,
            details: Some(RegistrationDetails {
                name: "Acme",
                return_url: None,
                webhook_url: None,
                webhook_salt: "salt",
                branding: None,
            }),
            then: NextStep::AwaitTerms(one_time("session", OneTimeKind::Onboarding, Some(&org))),
        };
        assert!(db.change(setup()).take_registration_step(&step, morning()).await.unwrap());
        let found = db.find_organization(&org).await.unwrap().unwrap();
        assert_eq!((found.status, found.verified_at), (OrgStatus::Pending, Some(morning())));
        assert!(db.find_one_time_token("session", OneTimeKind::Onboarding).await.unwrap().is_some());
        assert!(db.find_token("team").await.unwrap().is_none());
    }

    async fn owner_registers_one_organization(db: &Database) {
        register(db).await;
        let other = OrgId::generate();
        let second = db.register_organization(&other, Some(&registration(&other)), &[], morning()).await;
        assert!(matches!(second, Err(StoreError::Conflict)));
    }

    async fn new_poll_token_ends_former_one(db: &Database) {
        let org = register(db).await;
        let tokens = [one_time("poll2", OneTimeKind::Poll, Some(&org))];
        db.register_organization(&org, None, &tokens, morning() + seconds(1)).await.unwrap();
        assert!(db.find_one_time_token("poll", OneTimeKind::Poll).await.unwrap().is_none());
        let newest = db.find_newest_one_time_token(&org, OneTimeKind::Poll).await.unwrap().unwrap();
        assert_eq!((newest.hash.as_str(), newest.org()), ("poll2", Some(org)));
    }

    async fn expired_registration_is_deleted(db: &Database) {
        let org = register(db).await;
        assert_eq!(db.list_expired_organizations(morning()).await.unwrap(), []);
        assert_eq!(db.list_expired_organizations(morning() + seconds(3_601)).await.unwrap(), std::slice::from_ref(&org));
        assert!(db.change(setup()).delete_pending_organization(&org).await.unwrap());
        assert!(db.find_organization(&org).await.unwrap().is_none());
        assert!(db.find_one_time_token("link", OneTimeKind::Verification).await.unwrap().is_none());
    }

    async fn one_time_token_is_used_once(db: &Database) {
        db.create_one_time_token(&one_time("a", OneTimeKind::Invite, None), morning()).await.unwrap();
        let consume = async |kind, at| db.consume_one_time_token("a", kind, at).await.unwrap();
        assert!(!consume(OneTimeKind::Poll, morning()).await, "another kind");
        assert!(!consume(OneTimeKind::Invite, morning() + seconds(60)).await, "expired");
        assert!(consume(OneTimeKind::Invite, morning()).await);
        assert!(!consume(OneTimeKind::Invite, morning()).await, "used");
        assert_eq!(db.delete_expired_tokens(morning()).await.unwrap(), 0);
        assert_eq!(db.delete_expired_tokens(morning() + seconds(61)).await.unwrap(), 1);
    }

    async fn last_owner_stays(db: &Database) {
        let org = register(db).await;
        activate(db, &org).await;
        let add = async |email: &str, role| db.change(setup()).add_member(&org, (email, email), role, "tok_1", None, morning()).await.unwrap();
        assert_eq!(add(OWNER, Role::Viewer).await, MemberChange::LastOwner);
        assert_eq!(db.change(setup()).remove_member(&org, OWNER).await.unwrap(), MemberChange::LastOwner);
        assert_eq!(add("bob@example.com", Role::Owner).await, MemberChange::Done);
        assert_eq!(add("bob@example.com", Role::Owner).await, MemberChange::Done);
        assert_eq!(db.list_members(&org).await.unwrap().len(), 2);
        assert_eq!(db.change(setup()).remove_member(&org, OWNER).await.unwrap(), MemberChange::Done);
        assert_eq!(db.change(setup()).remove_member(&org, OWNER).await.unwrap(), MemberChange::Unknown);
        assert_eq!(db.count("SELECT COUNT(*) FROM users").await, 1);
    }

    async fn notice_is_claimed_until_settled(db: &Database) {
        let org = register(db).await;
        let notice = NewNotice { id: "n", org: &org, kind: "k", url: "https://a.example/", body: "{}", token: Some(b"t") };
        db.create_notice(&notice, morning()).await.unwrap();
        let claim = async |at| {
            let is_due = is_due(db, DueKind::AccountNotices, at).await;
            let claimed = db.claim_notices(10, at, at + seconds(30)).await.unwrap();
            assert!(is_due || claimed.is_empty());
            claimed
        };
        let claimed = claim(morning()).await;
        assert_eq!((claimed[0].tries, claimed[0].token.as_deref()), (1, Some(&b"t"[..])));
        assert!(claim(morning() + seconds(29)).await.is_empty());
        db.fail_notice("n", "HTTP status 500", Some(morning() + seconds(5))).await.unwrap();
        assert_eq!(claim(morning() + seconds(5)).await[0].tries, 2);
        db.fail_notice("n", "HTTP status 500", None).await.unwrap();
        assert!(claim(morning() + seconds(100)).await.is_empty());
        let dead = db.list_notices(NoticeState::Dead, 10).await.unwrap();
        assert_eq!((dead[0].tries, dead[0].failure.as_deref()), (2, Some("HTTP status 500")));
        assert_eq!(db.count("SELECT COUNT(*) FROM account_notices WHERE token IS NOT NULL").await, 0);
    }

    async fn delivered_notice_loses_its_token(db: &Database) {
        let org = register(db).await;
        activate(db, &org).await;
        db.settle_notice("notice", morning()).await.unwrap();
        assert_eq!(db.count("SELECT COUNT(*) FROM account_notices WHERE token IS NOT NULL").await, 0);
        assert!(db.list_notices(NoticeState::Waiting, 10).await.unwrap().is_empty());
        assert_eq!(db.delete_delivered_notices(morning() + seconds(1)).await.unwrap(), 1);
    }

    async fn token_is_replaced_by_one_caller(db: &Database) {
        let org = register(db).await;
        activate(db, &org).await;
        let old = db.find_token("team").await.unwrap().unwrap().principal.token;
        let ids = [TokenId::generate(), TokenId::generate(), TokenId::generate()];
        let ends_at = morning() + seconds(30);
        let replace = async |n: usize, hash: &str, at| {
            let new = team_token(&ids[n], hash, &org);
            db.change(setup()).replace_tokens(&new, ReplacedTokens::One(&old), at, morning()).await.unwrap()
        };
        assert_eq!(replace(0, "t0", ends_at).await, 1);
        assert_eq!(replace(1, "t1", ends_at).await, 0, "replaced already");
        assert!(db.find_token("t1").await.unwrap().is_none());
        assert_eq!(db.find_token("team").await.unwrap().unwrap().expires_at, Some(ends_at));
        let all = team_token(&ids[2], "t2", &org);
        let replaced = db.change(setup()).replace_tokens(&all, ReplacedTokens::UnlabelledTeam, morning(), morning()).await.unwrap();
        assert_eq!(replaced, 2);
        assert!(db.find_token("t2").await.unwrap().unwrap().revoked_at.is_none());
    }

    async fn teams_are_listed_and_suspended(db: &Database) {
        let agent = new_agent(db).await;
        let team = NewTeam { name: "T", slug: "team-t", mode: OrgMode::Sandbox, owner_email: Some(OWNER), settings: None };
        let org = db.change(setup()).create_team(&team, morning()).await.unwrap();
        assert!(matches!(db.change(setup()).create_team(&team, morning()).await, Err(StoreError::Conflict)));
        let teams = db.list_teams(None, 10).await.unwrap();
        let of = |id: &OrgId| teams.iter().find(|entry| &entry.org.id == id).unwrap();
        assert_eq!((of(&agent.org_id).agents, of(&org).agents), (1, 0));
        assert_eq!(of(&org).org.mode, OrgMode::Sandbox);
        assert!(db.list_teams(Some(&teams[1].org.id), 10).await.unwrap().is_empty());
        assert!(db.change(setup()).set_organization_status(&agent.org_id, false).await.unwrap());
        assert_eq!(db.find_profile(&agent.id).await.unwrap().unwrap().org_status, OrgStatus::Suspended);
        assert!(db.change(setup()).set_organization_status(&agent.org_id, true).await.unwrap());
        assert!(!db.change(setup()).set_organization_status(&OrgId::generate(), true).await.unwrap());
        db.change(setup()).set_admin_phone(&org, "+14155550123").await.unwrap();
        let found = db.find_organization(&org).await.unwrap().unwrap();
        assert_eq!(found.admin_phone.as_deref(), Some("+14155550123"));
    }
}
