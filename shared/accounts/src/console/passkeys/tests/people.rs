//! People with passkeys: claim, invitation, sign-in, proof, and what admits only once.

use butt_dial_store::Role;
use chrono::TimeDelta;
use serde_json::Value;

use super::{
    super::super::{
        InvitedAs, MAX_OF_PAIR, WayIn,
        tests::{EMAIL, PASSWORD, World, client, code_of, password},
    },
    authenticator::Authenticator,
    *,
};

fn own() -> RelyingParty {
    site("https://console.example")
}

impl World {
    /// Claims the installation with a passkey.
    async fn passkey_owner(&self, device: &mut Authenticator) -> OpenSession {
        let (key, here) = (self.console.setup_key(), client("203.0.113.7"));
        let options = self.console.begin_claim(&key, EMAIL, &own(), &here).await.unwrap();
        let (answer, site) = (device.make(&options), own());
        let way = WayIn::Passkey {
            answer: &answer,
            site: &site,
        };
        self.open(&self.console.claim(&key, EMAIL, way, &here).await.ok().unwrap())
            .await
    }

    async fn sign_in_options(&self) -> Value {
        self.console
            .begin_sign_in(&own(), &client("203.0.113.7"))
            .await
            .unwrap()
    }

    async fn use_passkey(&self, device: &mut Authenticator) -> Result<Session, Failure> {
        let answer = device.answer(&self.sign_in_options().await);
        self.console
            .sign_in_with_passkey(&answer, &own(), &client("203.0.113.7"))
            .await
    }

    async fn add(&self, session: &OpenSession, device: &mut Authenticator) -> Result<(), Failure> {
        let options = self
            .console
            .begin_passkey(session, &own(), &client("203.0.113.7"))
            .await?;
        self.console
            .add_passkey(session, "Phone", &device.make(&options), &own())
            .await
    }
}

#[tokio::test]
async fn passkey_replaces_password_and_code() {
    let world = World::new().await;
    let mut device = Authenticator::new(1);
    let owner = world.passkey_owner(&mut device).await;
    assert!(Console::is_complete(&owner) && !owner.has_otp && !owner.has_password);
    let again = world.open(&world.use_passkey(&mut device).await.ok().unwrap()).await;
    assert_eq!(
        (again.user_id.as_str(), again.email.as_str()),
        (owner.user_id.as_str(), EMAIL)
    );
    assert!(
        world.sign_in("", "", "203.0.113.7").await.is_err(),
        "no password is no empty one"
    );
    let listed = world.console.list_passkeys(&owner).await.unwrap();
    assert_eq!(
        (listed[0].name.as_str(), listed[0].host.as_str()),
        ("Passkey", "console.example")
    );
    assert_eq!(listed[0].last_used_at, Some(world.clock.now()));
}

#[tokio::test]
async fn answer_counts_once_and_for_five_minutes() {
    let world = World::new().await;
    let mut device = Authenticator::new(1);
    world.passkey_owner(&mut device).await;
    let (site, here) = (own(), client("203.0.113.7"));
    let answer = device.answer(&world.sign_in_options().await);
    let sign_in = || world.console.sign_in_with_passkey(&answer, &site, &here);
    let parallel = futures::future::join_all([sign_in(), sign_in(), sign_in()]).await;
    assert_eq!(parallel.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(code_of(sign_in().await), Some(Code::AuthForbidden));
    let late = device.answer(&world.sign_in_options().await);
    world.clock.advance(TimeDelta::minutes(6));
    assert!(world.console.sign_in_with_passkey(&late, &site, &here).await.is_err());
    let made_up = device.answer(&json!({ "challenge": generate_secret() }));
    assert!(
        world
            .console
            .sign_in_with_passkey(&made_up, &site, &here)
            .await
            .is_err()
    );
    assert!(world.use_passkey(&mut device).await.is_ok());
}

#[tokio::test]
async fn answer_of_another_purpose_does_not_count() {
    let world = World::new().await;
    let mut device = Authenticator::new(1);
    let owner = world.passkey_owner(&mut device).await;
    let (site, here) = (own(), client("203.0.113.7"));
    let of_sign_in = device.answer(&world.sign_in_options().await);
    assert!(
        world
            .console
            .confirm_with_passkey(&owner, &of_sign_in, &site, &here)
            .await
            .is_err()
    );
    let options = world.console.begin_proof(&owner, &site, &here).await.unwrap();
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
    let of_proof = device.answer(&options);
    assert!(
        world
            .console
            .sign_in_with_passkey(&of_proof, &site, &here)
            .await
            .is_err()
    );
    let other = world.open(&world.use_passkey(&mut device).await.ok().unwrap()).await;
    let of_proof = device.answer(&world.console.begin_proof(&owner, &site, &here).await.unwrap());
    assert!(
        world
            .console
            .confirm_with_passkey(&other, &of_proof, &site, &here)
            .await
            .is_err(),
        "another session"
    );
}

#[tokio::test]
async fn counter_that_does_not_grow_is_refused() {
    let world = World::new().await;
    let mut device = Authenticator::new(1);
    world.passkey_owner(&mut device).await;
    device.count = 5;
    assert!(world.use_passkey(&mut device).await.is_ok());
    assert!(world.use_passkey(&mut device).await.is_err(), "a copy of the key");
    device.count = 4;
    assert!(world.use_passkey(&mut device).await.is_err());
    device.count = 6;
    assert!(world.use_passkey(&mut device).await.is_ok());
}

#[tokio::test]
async fn wrong_host_person_and_key_are_refused() {
    let world = World::new().await;
    let mut device = Authenticator::new(1);
    world.passkey_owner(&mut device).await;
    device.origin = "https://evil.example".into();
    assert!(world.use_passkey(&mut device).await.is_err());
    device.origin = own().origin().into();
    let handle = std::mem::replace(&mut device.user_handle, generate_secret());
    assert!(world.use_passkey(&mut device).await.is_err());
    device.user_handle = handle.clone();
    let mut forged = Authenticator::new(1);
    forged.user_handle = handle;
    assert!(
        world.use_passkey(&mut forged).await.is_err(),
        "another key with the same id"
    );
    let former = site("https://former.example");
    let answer = device.answer(&world.sign_in_options().await);
    let moved = world
        .console
        .sign_in_with_passkey(&answer, &former, &client("203.0.113.7"))
        .await;
    assert!(moved.is_err(), "the host has changed");
    assert!(world.use_passkey(&mut device).await.is_ok());
}

#[tokio::test]
async fn guesses_with_passkeys_are_limited() {
    let world = World::new().await;
    let mut device = Authenticator::new(1);
    world.passkey_owner(&mut device).await;
    let mut stranger = Authenticator::new(9);
    for _ in 0..MAX_OF_PAIR {
        assert_eq!(
            code_of(world.use_passkey(&mut stranger).await),
            Some(Code::AuthForbidden)
        );
    }
    assert_eq!(code_of(world.use_passkey(&mut stranger).await), Some(Code::RateLimited));
    assert!(
        world.use_passkey(&mut device).await.is_ok(),
        "others are not locked out"
    );
    device.flags = 0x19;
    for _ in 0..MAX_OF_PAIR {
        assert_eq!(
            code_of(world.use_passkey(&mut device).await),
            Some(Code::AuthForbidden),
            "not verified"
        );
    }
    assert_eq!(code_of(world.use_passkey(&mut device).await), Some(Code::RateLimited));
    let by_password = world.sign_in("wrong", "", "203.0.113.7").await;
    assert_eq!(
        code_of(by_password),
        Some(Code::RateLimited),
        "both ways count together"
    );
}

#[tokio::test]
async fn invited_person_joins_with_a_passkey() {
    let world = World::new().await;
    let (owner, _) = world.owner().await;
    let (site, here) = (own(), client("203.0.113.7"));
    let secret = world
        .console
        .invite(&owner, &owner.org, "bob@example.com", Role::Viewer)
        .await
        .unwrap();
    let options = world.console.begin_invitation(&secret, &site, &here).await.unwrap();
    let mut device = Authenticator::new(2);
    let answer = device.make(&options);
    let way = WayIn::Passkey {
        answer: &answer,
        site: &site,
    };
    let joined = world
        .console
        .accept_invitation(&secret, way, &here)
        .await
        .unwrap()
        .unwrap();
    assert!(Console::is_complete(&world.open(&joined).await));
    assert!(world.use_passkey(&mut device).await.is_ok());
    let known = world
        .console
        .invite(&owner, &owner.org, "bob@example.com", Role::Admin)
        .await
        .unwrap();
    let (_, invited) = world.console.find_invitation(&known).await.unwrap().unwrap();
    assert_eq!(invited, InvitedAs::Known);
    let stolen = world.console.begin_invitation(&known, &site, &here).await;
    assert_eq!(code_of(stolen), Some(Code::LinkExpired), "a link takes over no account");
}

#[tokio::test]
async fn further_passkeys_need_a_fresh_proof() {
    let world = World::new().await;
    let (owner, _) = world.owner().await;
    let (mut phone, mut laptop) = (Authenticator::new(1), Authenticator::new(2));
    world.add(&owner, &mut phone).await.unwrap();
    world.add(&owner, &mut laptop).await.unwrap();
    assert_eq!(phone.user_handle, laptop.user_handle, "one person");
    assert_eq!(
        code_of(world.add(&owner, &mut Authenticator::new(1)).await),
        Some(Code::InvalidArgument),
        "known"
    );
    world.clock.advance(TimeDelta::minutes(16));
    assert_eq!(
        code_of(world.add(&owner, &mut Authenticator::new(3)).await),
        Some(Code::AuthForbidden)
    );
    let (site, here) = (own(), client("203.0.113.7"));
    let options = world.console.begin_proof(&owner, &site, &here).await.unwrap();
    world
        .console
        .confirm_with_passkey(&owner, &laptop.answer(&options), &site, &here)
        .await
        .unwrap();
    let session = world
        .bench
        .store
        .find_console_session(&owner.id_hash, owner.seen_at, world.clock.now())
        .await;
    let session = session.unwrap().unwrap();
    world.add(&session, &mut Authenticator::new(3)).await.unwrap();
    assert!(world.use_passkey(&mut phone).await.is_ok());
}

#[tokio::test]
async fn removed_passkey_admits_no_more() {
    let world = World::new().await;
    let mut device = Authenticator::new(1);
    let owner = world.passkey_owner(&mut device).await;
    let id = world.console.list_passkeys(&owner).await.unwrap()[0].id.clone();
    let last = world.console.remove_passkey(&owner, &id, &own()).await;
    assert_eq!(code_of(last), Some(Code::Conflict), "the last way in");
    let mut other = Authenticator::new(2);
    world.add(&owner, &mut other).await.unwrap();
    let begun = world.sign_in_options().await;
    world.console.remove_passkey(&owner, &id, &own()).await.unwrap();
    let answer = device.answer(&begun);
    assert!(
        world
            .console
            .sign_in_with_passkey(&answer, &own(), &client("203.0.113.7"))
            .await
            .is_err()
    );
    assert!(
        world.console.is_open(&owner, &owner.org).await.unwrap(),
        "sessions stay"
    );
    assert_eq!(
        code_of(world.console.remove_passkey(&owner, &id, &own()).await),
        Some(Code::NotFound)
    );
    assert!(world.use_passkey(&mut other).await.is_ok());
}

#[tokio::test]
async fn password_beside_a_passkey_needs_an_authenticator() {
    let world = World::new().await;
    let mut device = Authenticator::new(1);
    let owner = world.passkey_owner(&mut device).await;
    let early = world.console.change_password(&owner, PASSWORD.into()).await;
    assert_eq!(code_of(early), Some(Code::Conflict));
    world.clock.advance(TimeDelta::minutes(16));
    assert!(world.console.otp_setup(&owner).is_err(), "a code would be a proof");
    let code = world.code(&owner);
    assert!(
        world
            .console
            .confirm_otp(&owner, &code, &client("203.0.113.7"))
            .await
            .is_err()
    );
    let fresh = world.open(&world.use_passkey(&mut device).await.ok().unwrap()).await;
    let code = world.code(&fresh);
    world
        .console
        .confirm_otp(&fresh, &code, &client("203.0.113.7"))
        .await
        .unwrap();
    world.console.change_password(&fresh, PASSWORD.into()).await.unwrap();
    assert!(world.sign_in(PASSWORD, "", "203.0.113.7").await.is_err());
    assert!(
        world
            .sign_in(PASSWORD, &world.code(&fresh), "203.0.113.7")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn recovery_removes_passkeys() {
    let world = World::new().await;
    let mut device = Authenticator::new(1);
    let owner = world.passkey_owner(&mut device).await;
    let secret = world.console.recover(EMAIL).await.unwrap();
    let here = client("203.0.113.7");
    world
        .console
        .accept_invitation(&secret, password(PASSWORD), &here)
        .await
        .unwrap()
        .unwrap();
    assert!(world.use_passkey(&mut device).await.is_err());
    assert!(!world.console.is_open(&owner, &owner.org).await.unwrap());
}
