//! Codes are sent to the bench's own agent, which needs no carrier.

use butt_dial_domain::OrgId;
use butt_dial_identity::on_behalf_of;
use butt_dial_kv::MemoryKv;
use butt_dial_messaging::testing::{Bench, PHONE};

use super::*;

struct World {
    bench: Bench,
    challenges: Challenges,
    owner: ChallengeOwner,
    sender: Arc<Caller>,
}

impl World {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let clock = Clock::manual(bench.clock.now());
        let challenges = Challenges::new(
            bench.store.clone(),
            Arc::new(MemoryKv::new(clock.clone())),
            bench.vault.clone(),
            bench.outbound.clone(),
            clock,
            None,
            true,
        );
        Self {
            owner: ChallengeOwner {
                org: bench.agent.org_id.clone(),
                agent: Some(bench.agent.id.clone()),
            },
            sender: on_behalf_of(&bench.store, &bench.agent.id).await.unwrap().unwrap(),
            challenges,
            bench,
        }
    }

    fn request<'a>(&self, to: &'a str, channels: &'a [Channel]) -> CodeRequest<'a> {
        CodeRequest {
            owner: self.owner.clone(),
            purpose: "login",
            sender: self.sender.clone(),
            to,
            channels,
            language: None,
            template: None,
        }
    }

    async fn send(&self) -> SentCode {
        let request = self.request(PHONE, &[Channel::Sms]);
        self.challenges.send(request).await.unwrap()
    }

    async fn verify(&self, sent: &SentCode, code: &str) -> Result<Challenge, Code> {
        let verified = self
            .challenges
            .verify(&self.owner, &sent.challenge, "login", code)
            .await;
        verified.map_err(|failure| failure.code)
    }
}

fn wrong(sent: &SentCode) -> String {
    let code: u32 = sent.dev_otp.as_deref().unwrap().parse().unwrap();
    (code ^ 1).to_string()
}

#[tokio::test]
async fn right_code_confirms_once() {
    let world = World::new().await;
    let sent = world.send().await;
    assert_eq!(sent.channel, Channel::Sms);
    let code = sent.dev_otp.clone().unwrap();
    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    let challenge = world.verify(&sent, &spaced).await.unwrap();
    assert_eq!((challenge.address.as_str(), challenge.contact.as_str()), (PHONE, PHONE));
    assert_eq!(world.verify(&sent, &code).await.unwrap_err(), Code::ChallengeNotFound);
}

#[tokio::test]
async fn concurrent_confirmations_have_one_winner() {
    let world = World::new().await;
    let sent = world.send().await;
    let code = sent.dev_otp.clone().unwrap();
    let tries = (0..5).map(|_| world.verify(&sent, &code));
    let results = futures::future::join_all(tries).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
}

#[tokio::test]
async fn sixth_try_is_refused_even_with_right_code() {
    let world = World::new().await;
    let sent = world.send().await;
    for _ in 0..5 {
        assert_eq!(world.verify(&sent, &wrong(&sent)).await.unwrap_err(), Code::OtpInvalid);
    }
    let code = sent.dev_otp.clone().unwrap();
    assert_eq!(world.verify(&sent, &code).await.unwrap_err(), Code::OtpMaxAttempts);
}

#[tokio::test]
async fn code_expires_after_ten_minutes() {
    let world = World::new().await;
    let sent = world.send().await;
    let code = sent.dev_otp.clone().unwrap();
    world.challenges.clock.advance(TimeDelta::minutes(10));
    assert_eq!(world.verify(&sent, &code).await.unwrap_err(), Code::OtpExpired);
}

#[tokio::test]
async fn other_owners_and_purposes_do_not_find_the_code() {
    let world = World::new().await;
    let sent = world.send().await;
    let code = sent.dev_otp.clone().unwrap();
    let foreign = ChallengeOwner {
        org: OrgId::from("org_other"),
        agent: world.owner.agent.clone(),
    };
    let unknown = ChallengeId::generate();
    for (owner, id, purpose) in [
        (&foreign, &sent.challenge, "login"),
        (&world.owner, &unknown, "login"),
        (&world.owner, &sent.challenge, "other"),
    ] {
        let failure = world.challenges.verify(owner, id, purpose, &code).await.unwrap_err();
        assert_eq!(failure, not_found());
    }
    assert!(world.verify(&sent, &code).await.is_ok());
}

#[tokio::test]
async fn contact_gets_five_codes_in_ten_minutes() {
    let world = World::new().await;
    for _ in 0..5 {
        world.send().await;
    }
    let sixth = world.challenges.send(world.request(PHONE, &[Channel::Sms])).await;
    let failure = sixth.unwrap_err();
    assert_eq!(failure.code, Code::RateLimited);
    assert_eq!(failure.details["scope"], "contact");
    assert!(failure.retry_after_seconds.is_some());
    world.challenges.clock.advance(TimeDelta::minutes(2));
    world.send().await;
}

#[tokio::test]
async fn unsent_code_keeps_earlier_one_valid() {
    let world = World::new().await;
    let sent = world.send().await;
    // The agent has no sender on this channel.
    let failed = world.challenges.send(world.request(PHONE, &[Channel::Whatsapp])).await;
    assert_eq!(failed.unwrap_err().code, Code::NoChannelAssigned);
    let latest = world.challenges.find_latest(&world.owner, None, None).await.unwrap();
    assert_eq!(latest.id, sent.challenge);
    assert!(world.verify(&sent, &sent.dev_otp.clone().unwrap()).await.is_ok());
}

#[tokio::test]
async fn database_has_no_code() {
    let world = World::new().await;
    let sent = world.send().await;
    let code = sent.dev_otp.clone().unwrap();
    let found = world.challenges.find_latest(&world.owner, None, None).await.unwrap();
    assert!(!format!("{found:?}").contains(&code));
    // Keyed, and different for each challenge.
    assert_ne!(found.code_hash, world.challenges.hash(&ChallengeId::generate(), &code));
    let real = Challenges {
        simulated_world: false,
        ..world.challenges.clone()
    };
    let request = world.request(PHONE, &[Channel::Sms]);
    assert_eq!(real.send(request).await.unwrap().dev_otp, None);
    drop(world.bench);
}
