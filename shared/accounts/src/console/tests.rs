//! People of the console, on a real database: claims, sign-in, limits of guesses, invitations.

use butt_dial_kv::MemoryKv;
use butt_dial_messaging::testing::Bench;
use butt_dial_store::Role;
use chrono::TimeDelta;

use super::{one_time_passwords::code_at, *};

pub(super) const EMAIL: &str = "ada@example.com";
pub(super) const PASSWORD: &str = "correct horse battery";

pub(super) struct World {
    pub bench: Bench,
    pub console: Console,
    pub clock: Clock,
}

impl World {
    pub async fn new() -> Self {
        let bench = Bench::new().await;
        let clock = Clock::manual(bench.clock.now());
        let kv = Arc::new(MemoryKv::new(clock.clone()));
        let console = Console::new(bench.store.clone(), kv, bench.vault.clone(), clock.clone());
        Self { bench, console, clock }
    }

    pub async fn claim(&self, email: &str) -> Result<Session, Failure> {
        let key = self.console.setup_key();
        self.console
            .claim(&key, email, password(PASSWORD), &client("203.0.113.7"))
            .await
    }

    pub async fn open(&self, session: &Session) -> butt_dial_store::OpenSession {
        self.console.find_session(&session.secret).await.unwrap().unwrap()
    }

    /// Returns a code that was not used.
    pub fn code(&self, session: &butt_dial_store::OpenSession) -> String {
        self.clock.advance(TimeDelta::seconds(30));
        code_at(
            &self.bench.vault,
            &session.user_id,
            session.otp_generation,
            self.clock.now(),
        )
    }

    /// Claims the installation and sets the authenticator up.
    pub async fn owner(&self) -> (butt_dial_store::OpenSession, Vec<String>) {
        let session = self.open(&self.claim(EMAIL).await.ok().unwrap()).await;
        let code = self.code(&session);
        let codes = self
            .console
            .confirm_otp(&session, &code, &client("203.0.113.7"))
            .await
            .unwrap();
        (session, codes)
    }

    pub async fn sign_in(&self, password: &str, code: &str, address: &str) -> Result<Session, Failure> {
        let credentials = Credentials {
            email: EMAIL.into(),
            password: password.into(),
            code: code.into(),
        };
        self.console.sign_in(credentials, &client(address)).await
    }
}

pub(super) fn password(text: &str) -> WayIn<'static> {
    WayIn::Password(text.into())
}

pub(super) fn client(address: &str) -> Client {
    Client {
        address: address.parse().ok(),
        browser: "Chrome".into(),
    }
}

pub(super) fn code_of<T>(result: Result<T, Failure>) -> Option<Code> {
    result.err().map(|failure| failure.code)
}

#[tokio::test]
async fn claim_needs_the_key_and_is_done_once() {
    let world = World::new().await;
    let key = world.console.setup_key();
    assert_eq!((key.len(), key.matches('-').count()), (29, 5));
    let wrong = world
        .console
        .claim("AAAA", EMAIL, password(PASSWORD), &client("203.0.113.7"))
        .await;
    assert_eq!(code_of(wrong), Some(Code::AuthForbidden));
    let weak = world
        .console
        .claim(&key, EMAIL, password("short"), &client("203.0.113.7"))
        .await;
    assert_eq!(code_of(weak), Some(Code::InvalidArgument));
    assert!(!world.console.is_claimed().await.unwrap());
    let lower = key.to_lowercase().replace('-', " ");
    assert!(
        world
            .console
            .claim(&lower, EMAIL, password(PASSWORD), &client("203.0.113.7"))
            .await
            .is_ok()
    );
    assert_eq!(code_of(world.claim("eve@example.com").await), Some(Code::Conflict));
}

#[tokio::test]
async fn parallel_claims_make_one_owner() {
    let world = World::new().await;
    let emails = ["a@example.com", "b@example.com", "c@example.com"];
    let claims = futures::future::join_all(emails.map(|email| world.claim(email))).await;
    assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1);
}

#[tokio::test]
async fn sign_in_needs_password_and_fresh_code() {
    let world = World::new().await;
    let (session, recovery) = world.owner().await;
    let code = world.code(&session);
    assert!(world.sign_in(PASSWORD, "", "203.0.113.7").await.is_err());
    assert!(world.sign_in("wrong wrong wrong", &code, "203.0.113.7").await.is_err());
    let second = world.sign_in(PASSWORD, &code, "203.0.113.7").await.ok().unwrap();
    assert_ne!(world.open(&second).await.id_hash, session.id_hash);
    assert!(
        world.sign_in(PASSWORD, &code, "203.0.113.7").await.is_err(),
        "a code admits once"
    );
    assert!(
        world
            .sign_in(PASSWORD, &recovery[0].to_uppercase(), "203.0.113.7")
            .await
            .is_ok()
    );
    assert!(world.sign_in(PASSWORD, &recovery[0], "203.0.113.7").await.is_err());
}

#[tokio::test]
async fn guesses_lock_account_for_one_address_only() {
    let world = World::new().await;
    let (session, _) = world.owner().await;
    for _ in 0..MAX_OF_PAIR {
        assert_eq!(
            code_of(world.sign_in("wrong", "", "198.51.100.9").await),
            Some(Code::AuthForbidden)
        );
    }
    let locked = world
        .sign_in(PASSWORD, &world.code(&session), "198.51.100.9")
        .await
        .err()
        .unwrap();
    assert_eq!(locked.code, Code::RateLimited);
    assert!(locked.retry_after_seconds.is_some());
    assert!(
        world
            .sign_in(PASSWORD, &world.code(&session), "203.0.113.7")
            .await
            .is_ok()
    );
    world.clock.advance(TimeDelta::minutes(16));
    assert!(
        world
            .sign_in(PASSWORD, &world.code(&session), "198.51.100.9")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn unknown_account_is_refused_in_same_words() {
    let world = World::new().await;
    world.owner().await;
    let known = world.sign_in("wrong", "", "203.0.113.7").await.err().unwrap();
    let unknown = Credentials {
        email: "nobody@example.com".into(),
        password: PASSWORD.into(),
        code: String::new(),
    };
    let unknown = world
        .console
        .sign_in(unknown, &client("203.0.113.7"))
        .await
        .err()
        .unwrap();
    assert_eq!(known, unknown);
}

#[tokio::test]
async fn sessions_end_when_idle_and_by_their_person() {
    let world = World::new().await;
    let (session, _) = world.owner().await;
    let other = world
        .sign_in(PASSWORD, &world.code(&session), "203.0.113.7")
        .await
        .ok()
        .unwrap();
    let listed = world.console.list_sessions(&session).await.unwrap();
    assert_eq!(listed.iter().filter(|one| one.is_this).count(), 1);
    assert_eq!(world.console.end_other_sessions(&session).await.unwrap(), 1);
    assert!(world.console.find_session(&other.secret).await.unwrap().is_none());
    assert!(world.console.is_open(&session, &session.org).await.unwrap());
    assert!(!world.console.is_open(&session, &"org_other".into()).await.unwrap());
    world.clock.advance(TimeDelta::hours(13));
    assert!(!world.console.is_open(&session, &session.org).await.unwrap());
}

#[tokio::test]
async fn proof_counts_for_a_quarter_of_an_hour() {
    let world = World::new().await;
    let (session, _) = world.owner().await;
    assert!(world.console.is_confirmed(&session), "the sign-in is a proof");
    world.clock.advance(TimeDelta::minutes(16));
    let secret_session = world
        .sign_in(PASSWORD, &world.code(&session), "203.0.113.7")
        .await
        .ok()
        .unwrap();
    world.clock.advance(TimeDelta::minutes(16));
    let open = world.open(&secret_session).await;
    assert!(!world.console.is_confirmed(&open));
    let proof = |password: &str| Proof {
        password: password.into(),
        code: String::new(),
    };
    let wrong = world
        .console
        .confirm(&open, proof("wrong"), &client("203.0.113.7"))
        .await;
    assert_eq!(code_of(wrong), Some(Code::AuthForbidden));
    world
        .console
        .confirm(&open, proof(PASSWORD), &client("203.0.113.7"))
        .await
        .unwrap();
    assert!(world.console.is_confirmed(&world.open(&secret_session).await));
}

#[tokio::test]
async fn person_changes_password_and_recovery_codes() {
    let world = World::new().await;
    let (owner, former) = world.owner().await;
    let weak = world.console.change_password(&owner, "short".into()).await;
    assert_eq!(code_of(weak), Some(Code::InvalidArgument));
    world
        .console
        .change_password(&owner, "a new pass phrase".into())
        .await
        .unwrap();
    assert!(world.console.is_open(&owner, &owner.org).await.unwrap());
    let codes = world.console.new_recovery_codes(&owner).await.unwrap();
    assert!(world.sign_in(PASSWORD, &codes[0], "203.0.113.7").await.is_err());
    assert!(
        world
            .sign_in("a new pass phrase", &former[0], "203.0.113.7")
            .await
            .is_err()
    );
    assert!(
        world
            .sign_in("a new pass phrase", &codes[0], "203.0.113.7")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn invitation_of_admin_makes_no_owner() {
    let world = World::new().await;
    let (owner, _) = world.owner().await;
    let org = owner.org.clone();
    let secret = world
        .console
        .invite(&owner, &org, "bob@example.com", Role::Admin)
        .await
        .unwrap();
    let accepted = world
        .console
        .accept_invitation(&secret, password(PASSWORD), &client("203.0.113.7"))
        .await;
    let admin = world.open(&accepted.unwrap().unwrap()).await;
    let refused = world.console.invite(&admin, &org, "eve@example.com", Role::Owner).await;
    assert_eq!(code_of(refused), Some(Code::AuthForbidden));
    assert!(
        world
            .console
            .invite(&admin, &org, "eve@example.com", Role::Viewer)
            .await
            .is_ok()
    );
    let again = world
        .console
        .accept_invitation(&secret, password(PASSWORD), &client("203.0.113.7"))
        .await;
    assert_eq!(code_of(again), Some(Code::LinkExpired));
}

#[tokio::test]
async fn invitation_of_known_person_sets_no_password() {
    let world = World::new().await;
    let (owner, _) = world.owner().await;
    let secret = world
        .console
        .invite(&owner, &owner.org, EMAIL, Role::Owner)
        .await
        .unwrap();
    let (_, invited) = world.console.find_invitation(&secret).await.unwrap().unwrap();
    assert_eq!(invited, InvitedAs::Known);
    let here = client("203.0.113.7");
    let accepted = world
        .console
        .accept_invitation(&secret, password("stolen account pass"), &here);
    assert!(accepted.await.unwrap().is_none());
    assert!(world.sign_in("stolen account pass", "", "203.0.113.7").await.is_err());
    assert!(
        world
            .sign_in(PASSWORD, &world.code(&owner), "203.0.113.7")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn link_of_operator_replaces_password_and_secret() {
    let world = World::new().await;
    let (owner, _) = world.owner().await;
    assert_eq!(
        code_of(world.console.recover("eve@example.com").await),
        Some(Code::NotFound)
    );
    let secret = world.console.recover(EMAIL).await.unwrap();
    let here = client("203.0.113.7");
    let accepted = world
        .console
        .accept_invitation(&secret, password("a new pass phrase"), &here);
    let session = world.open(&accepted.await.unwrap().unwrap()).await;
    assert!(!session.has_otp && session.is_operator);
    assert_ne!(session.otp_generation, owner.otp_generation);
    assert!(!world.console.is_open(&owner, &owner.org).await.unwrap());
    assert!(world.sign_in(PASSWORD, "", "203.0.113.7").await.is_err());
}
