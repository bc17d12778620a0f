//! The console: one claim wins, sessions end with their person, codes and links admit once.

use butt_dial_domain::OrgId;
use futures::future::join_all;

use super::*;
use crate::{
    Access, Claim, ConsoleMembership, Invitation, NewConsoleSession, NewInvitation, NewOwner, NewPasskey, OpenSession,
    PasskeyRemoval, Role, StoreError,
};

const ADA: (&str, &str) = ("Ada@example.com", "ada@example.com");
const PASSWORD: Option<Access<'static>> = Some(Access::Password("hash"));
const EVE: (&str, &str) = ("eve@example.com", "eve@example.com");

async fn new_org(db: &Database) -> OrgId {
    let slug = butt_dial_domain::ids::unique();
    db.change(setup())
        .create_organization("Acme", &slug, morning())
        .await
        .unwrap()
        .id
}

async fn claim(db: &Database, org: &OrgId, email: (&str, &str)) -> Claim {
    let owner = NewOwner {
        email,
        access: Access::Password("hash"),
        org,
    };
    db.claim_installation(&owner, morning()).await.unwrap()
}

async fn owner(db: &Database, org: &OrgId) -> String {
    match claim(db, org, ADA).await {
        Claim::Claimed(user) => user,
        Claim::Taken => panic!("the installation has an owner"),
    }
}

async fn sign_in(db: &Database, user: &str, org: &OrgId, hash: &str) {
    let new = NewConsoleSession {
        hash,
        user,
        org,
        expires_at: morning() + TimeDelta::days(7),
        address: "203.0.113.x",
        browser: "Chrome",
    };
    db.create_console_session(&new, morning()).await.unwrap();
}

async fn find(db: &Database, hash: &str, now: Timestamp) -> Option<OpenSession> {
    let seen_since = now - TimeDelta::hours(12);
    db.find_console_session(hash, seen_since, now).await.unwrap()
}

async fn is_open(db: &Database, org: &OrgId, now: Timestamp) -> bool {
    let open = db
        .find_open_console_sessions(&["s1", "s9"], now - seconds(60), now)
        .await
        .unwrap();
    open.contains(&("s1".to_owned(), org.clone()))
}

fn passkey(id: &str) -> NewPasskey {
    NewPasskey {
        credential_id: id.into(),
        user_handle: "handle".into(),
        rp_id: "console.example".into(),
        name: "Laptop".into(),
        public_key: "key".into(),
        sign_count: 0,
        is_backup_eligible: true,
        is_backed_up: false,
        transports: "internal,hybrid".into(),
    }
}

async fn invite(db: &Database, org: &OrgId, hash: &str, role: Role) -> Invitation {
    let new = NewInvitation {
        hash,
        org,
        email: EVE,
        role,
        invited_by: "ada@example.com",
        expires_at: morning() + TimeDelta::days(3),
    };
    db.create_invitation(&new, morning()).await.unwrap();
    db.find_invitation(hash, morning()).await.unwrap().unwrap()
}

both_engines! {
    async fn of_parallel_claims_one_wins(db: &Database) {
        let org = new_org(db).await;
        assert!(!db.is_claimed().await.unwrap());
        let claims = join_all([ADA, EVE].map(|email| claim(db, &org, email))).await;
        let won = claims.iter().filter(|claim| matches!(claim, Claim::Claimed(_))).count();
        assert_eq!(won, 1);
        assert!(db.is_claimed().await.unwrap());
        assert_eq!(claim(db, &org, EVE).await, Claim::Taken);
        assert_eq!(db.list_members(&org).await.unwrap().len(), 1, "the loser is no member");
    }

    async fn session_shows_person_and_organizations(db: &Database) {
        let org = new_org(db).await;
        let user = owner(db, &org).await;
        sign_in(db, &user, &org, "s1").await;
        let session = find(db, "s1", morning()).await.unwrap();
        let membership = ConsoleMembership { org_id: org.clone(), org_name: "Acme".into(), role: Role::Owner };
        assert_eq!(session.memberships, [membership]);
        assert_eq!((session.email.as_str(), session.is_operator, session.has_otp), (ADA.0, true, false));
        assert_eq!(find(db, "s2", morning()).await, None);
        assert_eq!(find(db, "s1", morning() + TimeDelta::days(7)).await, None, "expired");
        assert_eq!(find(db, "s1", morning() + TimeDelta::hours(13)).await, None, "idle");

        let later = morning() + TimeDelta::hours(2);
        db.touch_console_session("s1", later).await.unwrap();
        db.confirm_console_session("s1", later).await.unwrap();
        let other = new_org(db).await;
        db.choose_console_org("s1", &other).await.unwrap();
        let session = find(db, "s1", later).await.unwrap();
        assert_eq!((session.seen_at, session.confirmed_at, session.org), (later, later, other));
    }

    async fn sessions_end_one_by_one_or_together(db: &Database) {
        let org = new_org(db).await;
        let user = owner(db, &org).await;
        for hash in ["s1", "s2", "s3", "s4"] {
            sign_in(db, &user, &org, hash).await;
        }
        let listed = db.list_console_sessions(&user, morning()).await.unwrap();
        assert_eq!(listed.len(), 4);
        assert_eq!((listed[0].address.as_str(), listed[0].browser.as_str()), ("203.0.113.x", "Chrome"));
        assert!(!db.end_console_session("usr_other", "s1").await.unwrap());
        assert!(db.end_console_session(&user, "s1").await.unwrap());
        assert!(!db.end_console_session(&user, "s1").await.unwrap());
        assert_eq!(db.end_other_console_sessions(&user, "s2").await.unwrap(), 2);
        assert!(find(db, "s2", morning()).await.is_some() && find(db, "s3", morning()).await.is_none());
    }

    async fn expired_sessions_are_deleted_with_new_ones(db: &Database) {
        let org = new_org(db).await;
        let user = owner(db, &org).await;
        sign_in(db, &user, &org, "s1").await;
        let late = morning() + TimeDelta::days(8);
        let new = NewConsoleSession {
            hash: "s2", user: &user, org: &org, expires_at: late + TimeDelta::days(7), address: "x", browser: "x",
        };
        db.create_console_session(&new, late).await.unwrap();
        assert_eq!(db.list_console_sessions(&user, morning()).await.unwrap().len(), 1);
    }

    async fn removed_member_has_no_session(db: &Database) {
        let org = new_org(db).await;
        owner(db, &org).await;
        let invitation = invite(db, &org, "i1", Role::Operator).await;
        let user = db.accept_invitation(&invitation, PASSWORD, morning()).await.unwrap().unwrap();
        sign_in(db, &user, &org, "s1").await;
        assert_eq!(find(db, "s1", morning()).await.unwrap().memberships[0].role, Role::Operator);
        assert!(is_open(db, &org, morning()).await);
        assert!(!is_open(db, &new_org(db).await, morning()).await, "no member of it");
        assert!(!is_open(db, &org, morning() + seconds(61)).await, "idle");
        db.change(setup()).remove_member(&org, EVE.1).await.unwrap();
        assert_eq!(find(db, "s1", morning()).await, None);
        assert!(!is_open(db, &org, morning()).await);
        assert!(db.find_console_user(EVE.1).await.unwrap().is_none());
    }

    async fn each_code_admits_once(db: &Database) {
        let org = new_org(db).await;
        let user = owner(db, &org).await;
        assert!(db.use_otp_step(&user, 10, morning()).await.unwrap());
        assert!(!db.use_otp_step(&user, 10, morning()).await.unwrap());
        assert!(!db.use_otp_step(&user, 9, morning()).await.unwrap(), "an earlier code");
        assert!(db.use_otp_step(&user, 11, morning()).await.unwrap());
        assert_eq!(db.find_console_user(ADA.1).await.unwrap().unwrap().otp_step, Some(11));

        db.set_recovery_codes(&user, &["c1".into(), "c2".into()]).await.unwrap();
        assert!(db.use_recovery_code(&user, "c1").await.unwrap());
        assert!(!db.use_recovery_code(&user, "c1").await.unwrap());
        db.set_recovery_codes(&user, &["c3".into()]).await.unwrap();
        assert!(!db.use_recovery_code(&user, "c2").await.unwrap(), "replaced");
        assert!(!db.use_recovery_code("usr_other", "c3").await.unwrap());
    }

    async fn invitation_is_accepted_once(db: &Database) {
        let org = new_org(db).await;
        owner(db, &org).await;
        let invitation = invite(db, &org, "i1", Role::Viewer).await;
        assert_eq!((invitation.org_name.as_str(), invitation.role), ("Acme", Role::Viewer));
        let accept = |_| db.accept_invitation(&invitation, PASSWORD, morning());
        let accepted = join_all([1, 2].map(accept)).await;
        assert_eq!(accepted.iter().filter(|user| user.as_ref().unwrap().is_some()).count(), 1);
        assert_eq!(db.find_invitation("i1", morning()).await.unwrap(), None);
        let members = db.list_members(&org).await.unwrap();
        assert_eq!((members.len(), members[1].role), (2, Role::Viewer));
    }

    async fn invitation_ends_by_time_or_withdrawal(db: &Database) {
        let org = new_org(db).await;
        let invitation = invite(db, &org, "i1", Role::Admin).await;
        let late = invitation.expires_at;
        assert_eq!(db.find_invitation("i1", late).await.unwrap(), None);
        assert_eq!(db.accept_invitation(&invitation, None, late).await.unwrap(), None);
        assert_eq!(db.list_invitations(&org, morning()).await.unwrap(), [invitation]);
        assert!(!db.delete_invitation(&new_org(db).await, "i1").await.unwrap());
        assert!(db.delete_invitation(&org, "i1").await.unwrap());
        assert_eq!(db.list_invitations(&org, morning()).await.unwrap(), []);
    }

    async fn new_password_ends_sessions_and_secret(db: &Database) {
        let org = new_org(db).await;
        let user = owner(db, &org).await;
        sign_in(db, &user, &org, "s1").await;
        db.use_otp_step(&user, 10, morning()).await.unwrap();
        db.set_recovery_codes(&user, &["c1".into()]).await.unwrap();
        assert!(db.add_passkey(&user, &passkey("k1"), 9, morning()).await.unwrap());
        let new = NewInvitation {
            hash: "i1", org: &org, email: ADA, role: Role::Owner, invited_by: "operator", expires_at: morning() + seconds(60),
        };
        db.create_invitation(&new, morning()).await.unwrap();
        let invitation = db.find_invitation("i1", morning()).await.unwrap().unwrap();
        db.accept_invitation(&invitation, Some(Access::Password("other")), morning()).await.unwrap();
        let known = db.find_console_user(ADA.1).await.unwrap().unwrap();
        assert_eq!((known.password_hash.as_str(), known.otp_generation, known.otp_step), ("other", 1, None));
        assert!(known.is_operator, "a new password takes no rights");
        assert_eq!(find(db, "s1", morning()).await, None);
        assert!(!db.use_recovery_code(&user, "c1").await.unwrap());
        assert!(db.list_passkeys(&user).await.unwrap().is_empty(), "a lost device has no way in any more");
    }

    async fn changed_password_ends_other_sessions(db: &Database) {
        let org = new_org(db).await;
        let user = owner(db, &org).await;
        for hash in ["s1", "s2"] {
            sign_in(db, &user, &org, hash).await;
        }
        assert!(!db.change_console_password(&user, "early", "s1", morning()).await.unwrap(), "no second factor");
        assert!(find(db, "s2", morning()).await.is_some());
        db.use_otp_step(&user, 10, morning()).await.unwrap();
        assert!(db.change_console_password(&user, "other", "s1", morning()).await.unwrap());
        let known = db.find_console_user(ADA.1).await.unwrap().unwrap();
        assert_eq!((known.password_hash.as_str(), known.otp_step), ("other", Some(10)));
        assert!(find(db, "s1", morning()).await.is_some() && find(db, "s2", morning()).await.is_none());
    }

    async fn claim_with_passkey_needs_no_password(db: &Database) {
        let org = new_org(db).await;
        let key = passkey("k1");
        let new = NewOwner { email: ADA, access: Access::Passkey(&key), org: &org };
        let Claim::Claimed(user) = db.claim_installation(&new, morning()).await.unwrap() else {
            panic!("the installation has an owner");
        };
        sign_in(db, &user, &org, "s1").await;
        let session = find(db, "s1", morning()).await.unwrap();
        assert_eq!((session.has_passkey, session.has_password, session.has_otp), (true, false, false));
        let known = db.find_console_user(ADA.1).await.unwrap().unwrap();
        assert_eq!((known.has_passkey, known.password()), (true, None));
        assert_eq!(db.find_console_address(&user).await.unwrap().as_deref(), Some(ADA.1));
        assert_eq!(db.find_console_address("usr_other").await.unwrap(), None);

        let invitation = invite(db, &org, "i1", Role::Viewer).await;
        let taken = db.accept_invitation(&invitation, Some(Access::Passkey(&key)), morning()).await;
        assert!(matches!(taken, Err(StoreError::Conflict)), "two people have no passkey in common");
        let other = passkey("k2");
        assert!(db.accept_invitation(&invitation, Some(Access::Passkey(&other)), morning()).await.unwrap().is_some());
    }

    async fn passkeys_are_added_up_to_a_limit(db: &Database) {
        let org = new_org(db).await;
        let user = owner(db, &org).await;
        assert!(db.add_passkey(&user, &passkey("k1"), 2, morning()).await.unwrap());
        let twice = db.add_passkey(&user, &passkey("k1"), 2, morning()).await;
        assert!(matches!(twice, Err(StoreError::Conflict)));
        assert!(db.add_passkey(&user, &passkey("k2"), 2, morning() + seconds(1)).await.unwrap());
        assert!(!db.add_passkey(&user, &passkey("k3"), 2, morning()).await.unwrap());
        let listed = db.list_passkeys(&user).await.unwrap();
        let ids: Vec<&str> = listed.iter().map(|key| key.credential_id.as_str()).collect();
        assert_eq!(ids, ["k1", "k2"]);
        let found = db.find_passkey("k2").await.unwrap().unwrap();
        assert_eq!((&found, found.user_id.as_str(), found.last_used_at), (&listed[1], user.as_str(), None));
        assert_eq!(db.find_passkey("k3").await.unwrap(), None);
    }

    async fn counter_of_a_passkey_only_grows(db: &Database) {
        let org = new_org(db).await;
        let user = owner(db, &org).await;
        db.add_passkey(&user, &passkey("k1"), 9, morning()).await.unwrap();
        let later = morning() + seconds(60);
        let use_it = |count| db.use_passkey("k1", count, true, later);
        assert!(use_it(0).await.unwrap() && use_it(0).await.unwrap(), "without a counter");
        let parallel = join_all([5, 5].map(use_it)).await;
        assert_eq!(parallel.into_iter().filter(|used| *used.as_ref().unwrap()).count(), 1);
        assert!(!use_it(4).await.unwrap() && !use_it(0).await.unwrap());
        assert!(use_it(6).await.unwrap());
        let found = db.find_passkey("k1").await.unwrap().unwrap();
        assert_eq!((found.sign_count, found.is_backed_up, found.last_used_at), (6, true, Some(later)));
        assert!(!db.use_passkey("k2", 1, true, later).await.unwrap(), "removed meanwhile");
    }

    async fn last_way_in_stays(db: &Database) {
        let org = new_org(db).await;
        let key = passkey("k1");
        let new = NewOwner { email: ADA, access: Access::Passkey(&key), org: &org };
        let Claim::Claimed(user) = db.claim_installation(&new, morning()).await.unwrap() else {
            panic!("the installation has an owner");
        };
        let remove = |id| db.remove_passkey(&user, id, "console.example");
        assert_eq!(remove("k1").await.unwrap(), PasskeyRemoval::LastWayIn);
        let elsewhere = NewPasskey { rp_id: "former.example".into(), ..passkey("k0") };
        db.add_passkey(&user, &elsewhere, 9, morning()).await.unwrap();
        assert_eq!(remove("k1").await.unwrap(), PasskeyRemoval::LastWayIn, "the other one is of another host");
        db.add_passkey(&user, &passkey("k2"), 9, morning()).await.unwrap();
        let parallel = join_all(["k1", "k2"].map(remove)).await;
        let removed = parallel.into_iter().filter(|one| *one.as_ref().unwrap() == PasskeyRemoval::Removed).count();
        assert_eq!(removed, 1);
        assert_eq!(remove("k9").await.unwrap(), PasskeyRemoval::Unknown);
        assert_eq!(db.remove_passkey("usr_other", "k1", "console.example").await.unwrap(), PasskeyRemoval::Unknown);

        db.use_otp_step(&user, 10, morning()).await.unwrap();
        db.change_console_password(&user, "hash", "s1", morning()).await.unwrap();
        for left in db.list_passkeys(&user).await.unwrap() {
            let removed = db.remove_passkey(&user, &left.credential_id, "console.example").await.unwrap();
            assert_eq!(removed, PasskeyRemoval::Removed);
        }
    }

    async fn administrators_see_and_end_sessions_of_members(db: &Database) {
        let (org, other) = (new_org(db).await, new_org(db).await);
        let user = owner(db, &org).await;
        for hash in ["s1", "s2", "s3"] {
            sign_in(db, &user, &org, hash).await;
        }
        let list = |org, now: Timestamp| db.list_member_sessions(org, now - TimeDelta::hours(12), now);
        let listed = list(&org, morning()).await.unwrap();
        assert_eq!((listed.len(), listed[0].email.as_str(), listed[0].browser.as_str()), (3, ADA.0, "Chrome"));
        assert!(list(&other, morning()).await.unwrap().is_empty());
        assert!(list(&org, morning() + TimeDelta::hours(13)).await.unwrap().is_empty(), "idle");
        assert!(!db.change(setup()).end_member_session(&other, "s1").await.unwrap(), "of another organization");
        assert!(db.change(setup()).end_member_session(&org, "s1").await.unwrap());
        assert!(!db.change(setup()).end_member_session(&org, "s1").await.unwrap());
        assert_eq!(db.change(setup()).end_member_sessions(&other, ADA.1).await.unwrap(), 0);
        assert_eq!(db.change(setup()).end_member_sessions(&org, ADA.1).await.unwrap(), 2);
        assert!(find(db, "s2", morning()).await.is_none());
    }

    async fn administrators_remove_passkeys_of_own_members_only(db: &Database) {
        let (org, other) = (new_org(db).await, new_org(db).await);
        let user = owner(db, &org).await;
        db.add_passkey(&user, &passkey("k1"), 9, morning()).await.unwrap();
        let listed = db.list_member_passkeys(&org, ADA.1).await.unwrap();
        assert_eq!((listed.len(), listed[0].name.as_str()), (1, "Laptop"));
        assert!(db.list_member_passkeys(&other, ADA.1).await.unwrap().is_empty());
        let remove = async |org: &OrgId| {
            db.change(setup()).remove_member_passkey(org, &listed[0], "console.example").await.unwrap()
        };
        assert_eq!(remove(&other).await, PasskeyRemoval::Unknown);
        db.change(setup()).add_member(&other, ADA, Role::Viewer, "system", None, morning()).await.unwrap();
        assert_eq!(remove(&org).await, PasskeyRemoval::OfOthersToo);
        db.change(setup()).remove_member(&other, ADA.1).await.unwrap();
        assert_eq!(remove(&org).await, PasskeyRemoval::Removed);
        assert_eq!(remove(&org).await, PasskeyRemoval::Unknown);
    }

    async fn filters_belong_to_a_person_in_an_organization(db: &Database) {
        let (org, other) = (new_org(db).await, new_org(db).await);
        let user = owner(db, &org).await;
        let filter = |name: &str, query: &str| crate::ConsoleFilter { name: name.into(), query: query.into() };
        let save = async |org: &OrgId, filter: &crate::ConsoleFilter| {
            db.save_console_filter(org, &user, filter, 2, morning()).await.unwrap()
        };
        assert!(save(&org, &filter("b", "status=failed")).await && save(&org, &filter("a", "x=1")).await);
        assert!(!save(&org, &filter("c", "x=2")).await, "two are enough");
        assert!(save(&org, &filter("a", "x=3")).await, "the name is known");
        assert!(save(&other, &filter("c", "x=4")).await);
        let list = async |org: &OrgId| db.list_console_filters(org, &user).await.unwrap();
        assert_eq!(list(&org).await, [filter("a", "x=3"), filter("b", "status=failed")]);
        assert!(db.delete_console_filter(&org, &user, "a").await.unwrap());
        assert!(!db.delete_console_filter(&org, &user, "a").await.unwrap());
        assert!(!db.delete_console_filter(&org, "usr_other", "b").await.unwrap());
        assert_eq!((list(&org).await.len(), list(&other).await), (1, vec![filter("c", "x=4")]));
    }

    async fn marks_are_kept_by_organization(db: &Database) {
        let (org, other) = (new_org(db).await, new_org(db).await);
        for _ in 0..2 {
            db.add_mark(&org, "carriers", morning()).await.unwrap();
        }
        assert_eq!(db.list_marks(&org).await.unwrap(), ["carriers"]);
        assert!(db.list_marks(&other).await.unwrap().is_empty());
    }
}
