//! Registrations of US numbers, and checks of webhooks, on the simulator of the vendor.

use butt_dial_domain::ports::registrations::RegistrationKind;
use butt_dial_store::ReviewStatus;

use super::*;
use crate::{RegistrationView, Registrations};

fn profile() -> String {
    format!("BU{}", "a".repeat(32))
}

fn brand() -> serde_json::Value {
    json!({ "customer_profile_id": profile(), "a2pProfileId": profile() })
}

fn campaign() -> serde_json::Value {
    json!({
        "description": "Answers questions of our customers about their orders.",
        "messageFlow": "Customers write first, or agree in our web shop at the check-out.",
        "messageSamples": ["Your order 17 has left our shop today.", "We open at 9 tomorrow. Can we help you?"],
        "useCase": "CUSTOMER_CARE",
    })
}

fn tollfree(number: &str) -> serde_json::Value {
    json!({
        "number": number, "businessName": "Shop", "businessWebsite": "https://shop.example",
        "notificationEmail": "ada@shop.example", "useCaseCategories": ["CUSTOMER_CARE"],
        "useCaseSummary": "Answers to customers.", "messageSample": "Your order 17 has left our shop today.",
        "optInImageUrls": ["https://shop.example/consent.png"], "optInType": "web_form", "messageVolume": "1,000",
    })
}

impl World {
    fn registrations(&self) -> Registrations {
        Registrations::new(
            self.bench.store.clone(),
            self.bench.vault.clone(),
            self.clock.clone(),
            self.accounts.clone(),
            self.senders.clone(),
        )
    }

    async fn register(&self, kind: RegistrationKind, data: serde_json::Value) -> Result<RegistrationView, Failure> {
        self.registrations().register(&self.caller, kind, None, data).await
    }

    /// Lets the sweep look until nothing changes any more: days pass.
    async fn review(&self) {
        for _ in 0..4 {
            self.clock.advance(TimeDelta::days(2));
            self.registrations().continue_due().await.unwrap();
        }
    }

    async fn states(&self) -> Vec<(RegistrationKind, ReviewStatus)> {
        let all = self.registrations().list(&self.caller).await.unwrap();
        all.into_iter()
            .map(|view| (view.stored.kind, view.stored.state))
            .collect()
    }

    async fn buy_in_us(&self, kind: NumberKind) -> String {
        let order = NumberOrder {
            country: "US".to_owned(),
            kind,
            ..self.order()
        };
        self.senders.order_number(&self.caller, order).await.unwrap().number
    }

    async fn is_us_registered(&self, number: &str) -> bool {
        let found = self
            .bench
            .store
            .list_senders_by_address(&self.bench.agent.org_id, number)
            .await;
        let sender = found
            .unwrap()
            .into_iter()
            .find(|sender| sender.channel == Channel::Sms)
            .unwrap();
        sender.is_us_registered.unwrap()
    }

    fn resources(&self, kind: &str) -> usize {
        self.simulator.state().account_book().resources(kind).len()
    }
}

#[tokio::test]
async fn long_code_joins_campaign_once_it_is_approved() {
    let world = World::new().await;
    let first = world.buy_in_us(NumberKind::Local).await;
    let early = world.register(RegistrationKind::Campaign, campaign()).await;
    assert_eq!(
        early.err().map(|failure| failure.code),
        Some(Code::Conflict),
        "no brand"
    );
    let created = world.register(RegistrationKind::Brand, brand()).await.unwrap();
    assert_eq!(created.stored.state, ReviewStatus::Pending);
    world.review().await;
    world.register(RegistrationKind::Campaign, campaign()).await.unwrap();
    assert!(!world.is_us_registered(&first).await);
    world.review().await;
    let approved = [RegistrationKind::Brand, RegistrationKind::Campaign].map(|kind| (kind, ReviewStatus::Approved));
    assert_eq!(world.states().await, approved);
    assert!(world.is_us_registered(&first).await);
    let second = world.buy_in_us(NumberKind::Local).await;
    assert!(!world.is_us_registered(&second).await);
    world.registrations().continue_due().await.unwrap();
    assert!(
        world.is_us_registered(&second).await,
        "a number that is bought later joins too"
    );

    let all = world.registrations().list(&world.caller).await.unwrap();
    let campaign = &all[1].stored;
    let service = campaign.service_id.clone().unwrap();
    let vendor = world.accounts.registrations("twilio", None).await.unwrap().unwrap();
    assert_eq!(vendor.numbers_of(&service).await.unwrap().len(), 2);
    world
        .registrations()
        .remove(&world.caller, campaign.id.as_str())
        .await
        .unwrap();
    assert!(!world.is_us_registered(&first).await && world.resources("QE") == 0);
    let kept = world
        .registrations()
        .remove(&world.caller, all[0].stored.id.as_str())
        .await;
    assert_eq!(
        kept.unwrap_err().code,
        Code::Conflict,
        "the vendor keeps an approved brand"
    );
}

#[tokio::test]
async fn registration_without_answer_is_found_again() {
    for fault in [InjectedFault::TimeoutAfterAccept, InjectedFault::ServerErrorAfterAccept] {
        let world = World::new().await;
        world.simulator.state().inject_fault("twilio", fault.clone(), 1);
        let created = world.register(RegistrationKind::Brand, brand()).await.unwrap();
        assert_eq!(created.stored.state, ReviewStatus::Pending);
        assert_eq!(world.resources("BN"), 1, "{fault:?}");
    }
    let world = World::new().await;
    world
        .simulator
        .state()
        .inject_fault("twilio", InjectedFault::ServerError, 1);
    let created = world.register(RegistrationKind::Brand, brand()).await.unwrap();
    assert_eq!(
        (created.stored.state, world.resources("BN")),
        (ReviewStatus::Submitting, 0)
    );
    let id = created.stored.id;
    let busy = world.registrations().remove(&world.caller, id.as_str()).await;
    assert!(busy.is_err());
    world.clock.advance(TimeDelta::minutes(2));
    assert_eq!(world.registrations().continue_due().await.unwrap(), 1);
    assert_eq!(
        (world.states().await[0].1, world.resources("BN")),
        (ReviewStatus::Pending, 1)
    );
}

#[tokio::test]
async fn process_that_died_leaves_one_campaign_and_service() {
    let world = World::new().await;
    world.register(RegistrationKind::Brand, brand()).await.unwrap();
    world.review().await;
    // The service is created, and the process dies before it stores its id; then it dies after the creation of the campaign.
    let vendor = world.accounts.registrations("twilio", None).await.unwrap().unwrap();
    vendor
        .service(&format!("bd:{}", world.bench.agent.org_id))
        .await
        .unwrap();
    let created = world.register(RegistrationKind::Campaign, campaign()).await.unwrap();
    let forgotten = butt_dial_store::NumberRegistration {
        state: ReviewStatus::Submitting,
        external_id: None,
        check_at: Some(world.clock.now()),
        ..created.stored
    };
    assert!(
        world
            .bench
            .store
            .update_number_registration(&forgotten, world.clock.now())
            .await
            .unwrap()
    );
    world.registrations().continue_due().await.unwrap();
    assert_eq!((world.resources("MG"), world.resources("QE")), (1, 1));
    world.review().await;
    assert_eq!(world.states().await[1].1, ReviewStatus::Approved);
}

#[tokio::test]
async fn refused_registration_keeps_nothing() {
    let world = World::new().await;
    let number = world.buy_in_us(NumberKind::TollFree).await;
    let local = world.buy_in_us(NumberKind::Local).await;
    for number in ["+18005550199", &local] {
        let refused = world.register(RegistrationKind::Tollfree, tollfree(number)).await;
        assert_eq!(
            refused.err().map(|failure| failure.code),
            Some(Code::NotFound),
            "{number}"
        );
    }
    world.simulator.state().inject_fault(
        "twilio",
        InjectedFault::Refuse {
            code: "20001".to_owned(),
            status: 400,
        },
        1,
    );
    let refused = world.register(RegistrationKind::Tollfree, tollfree(&number)).await;
    assert_eq!(refused.err().map(|failure| failure.code), Some(Code::ProviderRefused));
    assert!(world.states().await.is_empty());
}

#[tokio::test]
async fn rejected_tollfree_verification_is_submitted_again() {
    let world = World::new().await;
    let number = world.buy_in_us(NumberKind::TollFree).await;
    let mut data = tollfree(&number);
    data["useCaseSummary"] = json!("REJECT: no consent is shown.");
    let created = world.register(RegistrationKind::Tollfree, data).await.unwrap();
    let twin = world.register(RegistrationKind::Tollfree, tollfree(&number)).await;
    assert_eq!(twin.err().map(|failure| failure.code), Some(Code::AlreadyExists));
    world.review().await;
    let id = created.stored.id.as_str();
    let failed = world.registrations().get(&world.caller, id).await.unwrap();
    assert_eq!(failed.stored.state, ReviewStatus::Failed);
    assert!(failed.stored.failure.unwrap().contains("Consent"));
    assert!(!world.is_us_registered(&number).await);
    let again = world
        .registrations()
        .resubmit(&world.caller, id, Some(tollfree(&number)))
        .await
        .unwrap();
    assert_eq!(again.stored.state, ReviewStatus::Pending);
    world.review().await;
    assert_eq!(world.states().await[0].1, ReviewStatus::Approved);
    assert!(world.is_us_registered(&number).await && world.resources("HH") == 1);
}

#[tokio::test]
async fn withdrawn_approval_is_noticed() {
    let world = World::new().await;
    let number = world.buy_in_us(NumberKind::TollFree).await;
    world
        .register(RegistrationKind::Tollfree, tollfree(&number))
        .await
        .unwrap();
    world.review().await;
    let book = world.simulator.state().account_book();
    let verification = book.resources("HH").remove(0);
    book.remove_resource(&verification.id);
    world.review().await;
    assert_eq!(world.states().await[0].1, ReviewStatus::Failed);
    assert!(!world.is_us_registered(&number).await);
}

#[tokio::test]
async fn returned_number_loses_its_verification() {
    let world = World::new().await;
    let number = world.buy_in_us(NumberKind::TollFree).await;
    world
        .register(RegistrationKind::Tollfree, tollfree(&number))
        .await
        .unwrap();
    world
        .senders
        .release_address(&world.caller, &number, None)
        .await
        .unwrap();
    assert_eq!(world.states().await.len(), 1, "it can be taken back");
    world.clock.advance(TimeDelta::hours(2));
    world.senders.return_released().await.unwrap();
    assert!(world.states().await.is_empty());
}

#[tokio::test]
async fn each_account_has_its_own_brand() {
    let world = World::isolated(IsolationMode::SubaccountPerAgent).await;
    let agent = world.bench.agent.id.clone();
    let number = world.buy_in_us(NumberKind::Local).await;
    let registrations = world.registrations();
    for kind in [RegistrationKind::Brand, RegistrationKind::Campaign] {
        let data = match kind {
            RegistrationKind::Brand => brand(),
            _ => campaign(),
        };
        registrations
            .register(&world.caller, kind, Some(&agent), data)
            .await
            .unwrap();
        world.review().await;
    }
    assert!(world.is_us_registered(&number).await);
    let all = registrations.list(&world.caller).await.unwrap();
    assert!(all.iter().all(|view| view.stored.account_id.is_some()));
    world.register(RegistrationKind::Brand, brand()).await.unwrap();
    assert_eq!(world.states().await.len(), 3, "of the organization, in another account");
}

#[tokio::test]
async fn changed_webhooks_are_repaired_and_audited() {
    let world = World::new().await;
    let ordered = world.senders.order_number(&world.caller, world.order()).await.unwrap();
    let book = world.simulator.state().account_book();
    let number = book.find_number(&ordered.number).unwrap();
    let right = number.field("SmsUrl").to_owned();
    let change = || {
        let fields = [("SmsUrl".to_owned(), "https://evil.example/sms".to_owned())];
        book.change_number(MAIN, &number.id, &fields).unwrap();
    };
    let id = ordered.senders[0].as_str();
    let unchanged = world.senders.check_number(&world.caller, id).await.unwrap();
    assert_eq!(
        (unchanged.number, unchanged.repaired.len()),
        (ordered.number.clone(), 0)
    );
    change();
    assert_eq!(world.senders.check_numbers().await.unwrap(), 0, "not due");
    let repaired = world.senders.check_number(&world.caller, id).await.unwrap();
    assert_eq!(repaired.repaired, ["sms"]);
    change();
    world.clock.advance(TimeDelta::days(2));
    assert_eq!(world.senders.check_numbers().await.unwrap(), 1);
    assert_eq!(book.find_number(&ordered.number).unwrap().field("SmsUrl"), right);
    assert_eq!(world.senders.check_numbers().await.unwrap(), 0);
    let audit = world
        .bench
        .store
        .list_audit(
            Some(&world.bench.agent.org_id),
            butt_dial_store::AuditFilter::default(),
            100,
        )
        .await
        .unwrap();
    let repairs: Vec<&str> = audit
        .iter()
        .filter(|row| row.entry.action == "number.repair")
        .map(|row| row.entry.actor.as_str())
        .collect();
    assert_eq!(repairs.len(), 2);
    assert!(repairs.contains(&"system"), "{repairs:?}");
    book.remove_number(MAIN, &number.id);
    let gone = world.senders.check_number(&world.caller, id).await;
    assert_eq!(gone.unwrap_err().code, Code::NotFound);
}
