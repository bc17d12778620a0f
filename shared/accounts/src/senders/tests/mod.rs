//! Orders on the simulator of the vendor, over real HTTP.

mod registrations;
mod rents;
mod stuck_orders;

use std::{collections::BTreeMap, time::Duration};

use butt_dial_domain::{
    Clock, SenderOrderId,
    ports::numbers::NumberKind,
    senders::{IdentityMode, IsolationMode},
};
use butt_dial_identity::on_behalf_of;
use butt_dial_messaging::{
    PublicUrls,
    testing::{Bench, setup},
};
use butt_dial_providers::{
    Simulator, resend,
    simulator::{InjectedFault, SimulatedAccount, SimulatedDomain},
    twilio,
    vendor::Vendor,
};
use butt_dial_store::{OrderState, OrderStep, SenderOrder};

use super::*;
use crate::{NewAccount, OwnVendor};

const MAIN: &str = "AC00000000000000000000000000000000";
const DEADLINE: Duration = Duration::from_millis(500);

struct World {
    bench: Bench,
    simulator: Simulator,
    clock: Clock,
    senders: Senders,
    accounts: ProviderAccounts,
    caller: Arc<Caller>,
}

impl World {
    async fn new() -> Self {
        Self::isolated(IsolationMode::SingleAccount).await
    }

    async fn isolated(isolation: IsolationMode) -> Self {
        let bench = Bench::new().await;
        let simulator = Simulator::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let clock = Clock::manual(bench.clock.now());
        let http = butt_dial_providers::http::loopback_client().unwrap();
        let own = |vendor: &Vendor| {
            let credentials = vendor.credentials_for(&simulator);
            let connected = (vendor.connect)(&credentials, &http, DEADLINE).unwrap();
            let own = OwnVendor {
                endpoint: credentials.endpoint,
                numbers: connected.numbers,
                subaccounts: connected.subaccounts,
                whatsapp_senders: connected.whatsapp_senders,
                registrations: connected.registrations,
                mail_domains: connected.mail_domains,
            };
            (vendor.manifest.id, own)
        };
        let own = BTreeMap::from([own(&twilio::VENDOR), own(&resend::VENDOR)]);
        let accounts = ProviderAccounts::new(
            bench.store.clone(),
            bench.vault.clone(),
            clock.clone(),
            http,
            DEADLINE,
            own,
        );
        let settings = SenderSettings {
            identity: IdentityMode::Dedicated,
            isolation,
            pool_binding: TimeDelta::days(30),
            hold: Duration::from_secs(3_600),
            countries: Vec::new(),
            mail_domain: Some("agents.example".to_owned()),
        };
        let senders = Senders::new(
            bench.store.clone(),
            accounts.clone(),
            bench.billing.clone(),
            bench.bus.clone(),
            clock.clone(),
            PublicUrls::new(Some("https://bd.example".to_owned())),
            settings,
        );
        let caller = administrator(&bench).await;
        Self {
            senders,
            accounts,
            caller,
            clock,
            simulator,
            bench,
        }
    }

    fn order(&self) -> NumberOrder {
        NumberOrder {
            agent: Some(self.bench.agent.id.clone()),
            country: "GB".to_owned(),
            kind: NumberKind::Mobile,
            area_code: None,
            number: None,
            label: None,
        }
    }

    /// The numbers that the account has at the vendor.
    fn bought(&self, account: &str) -> Vec<String> {
        let numbers = self.simulator.state().account_book().numbers_of(account);
        numbers.into_iter().map(|number| number.number).collect()
    }

    async fn owned(&self) -> Vec<(Channel, String)> {
        let agent = &self.bench.agent;
        let senders = self.senders.list(&agent.org_id, &agent.id).await.unwrap();
        let new = senders.into_iter().filter(|sender| sender.address.starts_with("+44"));
        new.map(|sender| (sender.channel, sender.address)).collect()
    }

    async fn spent(&self) -> i64 {
        let (now, scope) = (self.bench.clock.now(), format!("agt:{}", self.bench.agent.id));
        let day = now.format("%Y-%m-%d").to_string();
        let spend = self.bench.store.list_spend(&scope, &day, &day[..7]).await.unwrap();
        spend.iter().map(|spend| spend.settled).max().unwrap_or(0)
    }

    /// An order as a process leaves it that dies at this step. Its lease has ended.
    async fn abandoned(&self, step: OrderStep, address: &str, number_id: Option<String>) -> SenderOrder {
        let order = SenderOrder {
            id: SenderOrderId::generate(),
            org_id: self.bench.agent.org_id.clone(),
            agent_id: Some(self.bench.agent.id.as_str().to_owned()),
            account_id: None,
            request: r#"{"country":"GB","label":null,"price":0,"adopted":false}"#.to_owned(),
            step,
            state: OrderState::Running,
            address: Some(address.to_owned()),
            number_id: None,
            failure: None,
            attempts: 0,
            created_at: self.clock.now() - TimeDelta::minutes(5),
        };
        let store = &self.bench.store;
        let ended = self.clock.now() - TimeDelta::minutes(4);
        store.create_sender_order(&order, ended, None).await.unwrap();
        let kept = SenderOrder { number_id, ..order };
        assert!(store.update_sender_order(&kept, ended, ended, None).await.unwrap());
        kept
    }

    async fn state(&self, order: &SenderOrderId) -> OrderState {
        let found = self
            .bench
            .store
            .find_sender_order(&self.bench.agent.org_id, order)
            .await;
        found.unwrap().unwrap().state
    }

    async fn buy_as(&self, order: &SenderOrder) -> String {
        let numbers = self.accounts.numbers("twilio", None).await.unwrap().unwrap();
        let urls = self.senders.number_urls("twilio").unwrap();
        let address = order.address.as_deref().unwrap();
        let bought = numbers.buy(address, &format!("bd:{}", order.id), &urls).await;
        bought.unwrap().id
    }
}

/// An agent with the rights of an administrator.
async fn administrator(bench: &Bench) -> Arc<Caller> {
    let caller = on_behalf_of(&bench.store, &bench.agent.id).await.unwrap().unwrap();
    let mut caller = Caller::clone(&caller);
    caller.principal.scope = Scope::OrgAdmin;
    Arc::new(caller)
}

#[tokio::test]
async fn order_buys_and_configures_a_number() {
    let world = World::new().await;
    let ordered = world.senders.order_number(&world.caller, world.order()).await.unwrap();
    assert_eq!(world.bought(MAIN), std::slice::from_ref(&ordered.number));
    let number = world
        .simulator
        .state()
        .account_book()
        .find_number(&ordered.number)
        .unwrap();
    assert_eq!(number.field("VoiceUrl"), "https://bd.example/webhooks/twilio/voice");
    assert!(
        number
            .field("SmsUrl")
            .starts_with("https://bd.example/webhooks/twilio/sms#")
    );
    let both = [(Channel::Sms, ordered.number.clone()), (Channel::Voice, ordered.number)];
    assert_eq!(world.owned().await, both);
    assert_eq!(world.spent().await, 1_150_000, "the first month is charged");
}

#[tokio::test]
async fn purchase_without_answer_is_found_again() {
    for fault in [InjectedFault::TimeoutAfterAccept, InjectedFault::ServerErrorAfterAccept] {
        let world = World::new().await;
        world.simulator.state().inject_fault("twilio", fault, 1);
        let ordered = world.senders.order_number(&world.caller, world.order()).await.unwrap();
        assert_eq!(world.bought(MAIN), [ordered.number]);
    }
}

#[tokio::test]
async fn purchase_that_never_arrived_is_repeated_by_the_sweep() {
    let world = World::new().await;
    world
        .simulator
        .state()
        .inject_fault("twilio", InjectedFault::ServerError, 1);
    let failure = world
        .senders
        .order_number(&world.caller, world.order())
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::ServiceUnavailable);
    let order = SenderOrderId::from(failure.details["orderId"].as_str().unwrap());
    assert!(world.bought(MAIN).is_empty());
    world.clock.advance(TimeDelta::minutes(2));
    assert_eq!(world.senders.resume_orders().await.unwrap(), 1);
    assert_eq!(world.state(&order).await, OrderState::Done);
    assert_eq!((world.bought(MAIN).len(), world.owned().await.len()), (1, 2));
    assert_eq!(world.senders.resume_orders().await.unwrap(), 0);
}

#[tokio::test]
async fn order_left_at_any_step_is_finished_once() {
    for step in [OrderStep::Buy, OrderStep::Configure, OrderStep::Activate] {
        for was_bought in [false, true] {
            if !was_bought && step != OrderStep::Buy {
                continue;
            }
            let world = World::new().await;
            let order = world.abandoned(step, "+447700900001", None).await;
            if was_bought {
                let id = world.buy_as(&order).await;
                if step != OrderStep::Buy {
                    let kept = SenderOrder {
                        number_id: Some(id),
                        ..order.clone()
                    };
                    let ended = world.clock.now() - TimeDelta::minutes(4);
                    assert!(
                        world
                            .bench
                            .store
                            .update_sender_order(&kept, ended, ended, None)
                            .await
                            .unwrap()
                    );
                }
            }
            assert_eq!(world.senders.resume_orders().await.unwrap(), 1, "{step}");
            assert_eq!(world.state(&order.id).await, OrderState::Done, "{step} {was_bought}");
            assert_eq!(world.bought(MAIN), ["+447700900001"]);
            assert_eq!(world.owned().await.len(), 2);
        }
    }
}

#[tokio::test]
async fn order_left_after_activation_is_marked_done() {
    let world = World::new().await;
    let ordered = world.senders.order_number(&world.caller, world.order()).await.unwrap();
    let number = world
        .simulator
        .state()
        .account_book()
        .find_number(&ordered.number)
        .unwrap();
    let order = world
        .abandoned(OrderStep::Activate, &ordered.number, Some(number.id))
        .await;
    world.senders.resume_orders().await.unwrap();
    assert_eq!(world.state(&order.id).await, OrderState::Done);
    assert_eq!((world.bought(MAIN).len(), world.owned().await.len()), (1, 2));
}

#[tokio::test]
async fn refused_configuration_leaves_nothing() {
    let world = World::new().await;
    // The purchase passes; the configuration is refused.
    let state = world.simulator.state();
    state.inject_fault("twilio", InjectedFault::Slow { delay_ms: 1 }, 1);
    let refusal = InjectedFault::Refuse {
        status: 400,
        code: "21502".into(),
    };
    state.inject_fault("twilio", refusal, 1);
    let failure = world
        .senders
        .order_number(&world.caller, world.order())
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code, failure.code.http_status()),
        (Code::ProviderWebhookWireFailed, 502)
    );
    assert!(world.bought(MAIN).is_empty() && world.owned().await.is_empty());
    assert_eq!(world.spent().await, 0, "the rent is refunded");
}

#[tokio::test]
async fn number_sold_meanwhile_is_refused() {
    let world = World::new().await;
    let taken = world.senders.order_number(&world.caller, world.order()).await.unwrap();
    let again = NumberOrder {
        number: Some(taken.number),
        ..world.order()
    };
    let failure = world.senders.order_number(&world.caller, again).await.unwrap_err();
    assert_eq!(failure.code, Code::NumberUnavailable);
    assert_eq!(world.spent().await, 1_150_000, "only the first one is charged");
}

#[tokio::test]
async fn country_requirements_are_reported_before_a_purchase() {
    let world = World::new().await;
    let order = |country: &str| NumberOrder {
        country: country.to_owned(),
        kind: NumberKind::Local,
        ..world.order()
    };
    let failure = world
        .senders
        .order_number(&world.caller, order("DE"))
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::NumberUnavailable);
    let failure = world
        .senders
        .order_number(&world.caller, order("ZZ"))
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::NotSupported);
    assert!(world.bought(MAIN).is_empty());
}

#[tokio::test]
async fn released_number_is_held_and_then_returned() {
    let world = World::new().await;
    let ordered = world.senders.order_number(&world.caller, world.order()).await.unwrap();
    let id = ordered.senders[0].as_str();
    assert_eq!(world.senders.release(&world.caller, id).await.unwrap().len(), 2);
    assert!(world.owned().await.is_empty());
    world.senders.return_released().await.unwrap();
    assert_eq!(world.bought(MAIN).len(), 1, "it is held");

    let agent = &world.bench.agent;
    let taken = world
        .senders
        .take_back((&agent.org_id, "tok_1"), Some(&agent.id), &ordered.number)
        .await
        .unwrap();
    assert_eq!((taken.len(), world.owned().await.len()), (2, 2));

    world.senders.release(&world.caller, id).await.unwrap();
    world.clock.advance(TimeDelta::hours(2));
    let late = world
        .senders
        .take_back((&agent.org_id, "tok_1"), Some(&agent.id), &ordered.number);
    assert!(late.await.unwrap().is_empty(), "it may be returned at any moment");
    world.senders.return_released().await.unwrap();
    assert!(world.bought(MAIN).is_empty(), "the hold has ended");
    let gone = world
        .bench
        .store
        .find_sender(&agent.org_id, &ordered.senders[0])
        .await
        .unwrap();
    assert_eq!(gone, None);
}

#[tokio::test]
async fn customer_gets_one_subaccount_for_all_numbers() {
    let world = World::isolated(IsolationMode::SubaccountPerCustomer).await;
    for _ in 0..2 {
        world.senders.order_number(&world.caller, world.order()).await.unwrap();
    }
    let accounts = world.simulator.state().account_book().accounts();
    assert_eq!(accounts.len(), 1);
    assert_eq!(world.bought(&accounts[0].id).len(), 2);
    assert!(world.bought(MAIN).is_empty());
}

#[tokio::test]
async fn subaccount_is_suspended_with_its_organization() {
    let world = World::isolated(IsolationMode::SubaccountPerCustomer).await;
    world.senders.order_number(&world.caller, world.order()).await.unwrap();
    let status = || world.simulator.state().account_book().accounts()[0].status.clone();
    let org = &world.bench.agent.org_id;
    world
        .bench
        .store
        .change(setup())
        .set_organization_status(org, false)
        .await
        .unwrap();
    assert_eq!(world.accounts.align_subaccounts().await.unwrap(), 1);
    assert_eq!(status(), "suspended");
    assert_eq!(world.accounts.align_subaccounts().await.unwrap(), 0);
    world
        .bench
        .store
        .change(setup())
        .set_organization_status(org, true)
        .await
        .unwrap();
    assert_eq!(world.accounts.align_subaccounts().await.unwrap(), 1);
    assert_eq!(status(), "active");
}

#[tokio::test]
async fn own_account_is_verified_masked_and_used_first() {
    let world = World::new().await;
    let own = SimulatedAccount {
        id: "AC11111111111111111111111111111111".into(),
        token: "own-token".into(),
        label: "theirs".into(),
        status: "active".into(),
        created_at: world.clock.now(),
    };
    world.simulator.state().account_book().add_account(own.clone());
    let given = |token: &str| {
        BTreeMap::from([
            ("accountSid".to_owned(), own.id.clone()),
            ("auth_token".to_owned(), token.to_owned()),
        ])
    };
    let register = async |token: &str| {
        let credentials = given(token);
        let new = NewAccount {
            vendor: "twilio",
            credentials: &credentials,
            label: None,
            verify: true,
        };
        world.accounts.register(&world.caller, new).await
    };
    let refused = register("wrong").await.err().unwrap();
    assert_eq!(refused.code, Code::ProviderMisconfigured);
    assert!(world.accounts.list(&world.caller).await.unwrap().is_empty());

    let account = register("own-token").await.unwrap();
    assert_eq!(account.fields["TWILIO_AUTH_TOKEN"], "***");
    assert_eq!(account.fields["TWILIO_ACCOUNT_SID"], own.id);
    let ordered = world.senders.order_number(&world.caller, world.order()).await.unwrap();
    assert_eq!(world.bought(&own.id), [ordered.number]);
    assert_eq!(world.spent().await, 0, "the organization pays its own vendor");

    let busy = world
        .accounts
        .remove(&world.caller, account.id.as_str())
        .await
        .unwrap_err();
    assert_eq!(busy.code, Code::Conflict);
}

#[tokio::test]
async fn failing_account_is_marked_and_recovers() {
    let world = World::isolated(IsolationMode::SubaccountPerCustomer).await;
    world.senders.order_number(&world.caller, world.order()).await.unwrap();
    let account = world.accounts.list(&world.caller).await.unwrap().remove(0);
    let book = world.simulator.state().account_book();
    let token = book.find_account(&account.external_id).unwrap().token;
    book.set_token(&account.external_id, "changed at the vendor");
    butt_dial_messaging::AccountCarriers::check_credentials(&world.accounts, &account.id).await;
    let shown = world.accounts.list(&world.caller).await.unwrap().remove(0);
    assert_eq!(shown.status, butt_dial_store::AccountStatus::Failing);
    assert!(shown.failure.unwrap().contains("rejects the credentials"));

    book.set_token(&account.external_id, &token);
    assert_eq!(world.accounts.recheck_failing().await.unwrap(), 1);
    let shown = world.accounts.list(&world.caller).await.unwrap().remove(0);
    assert_eq!(
        (shown.status, shown.failure),
        (butt_dial_store::AccountStatus::Active, None)
    );
}

#[tokio::test]
async fn whatsapp_sender_is_resumed_once_registered() {
    let world = World::new().await;
    let agent = &world.bench.agent;
    world.senders.order_number(&world.caller, world.order()).await.unwrap();
    let profile = world.bench.store.find_profile(&agent.id).await.unwrap().unwrap();
    let add = AddChannel::default();
    // The agent's first number was not bought here, so the vendor does not know it as a number of the account.
    let failure = world
        .senders
        .add_channel(&world.caller, &profile, ChannelKind::Whatsapp, &add)
        .await;
    assert_eq!(failure.unwrap_err().code, Code::ProviderWebhookWireFailed);
}

#[tokio::test]
async fn mail_addresses_are_unique_and_in_the_domain() {
    let world = World::new().await;
    let agent = &world.bench.agent;
    let first = world
        .senders
        .add_mail(&world.caller, &agent.id, (None, None), "Ada Lee", None)
        .await
        .unwrap();
    assert_eq!(first.address, "ada-lee@agents.example");
    let second = world
        .senders
        .add_mail(&world.caller, &agent.id, (None, None), "Ada Lee", None)
        .await
        .unwrap();
    assert!(second.address.starts_with("ada-lee-") && second.address != first.address);
    let taken = world
        .senders
        .add_mail(&world.caller, &agent.id, (Some("ada-lee"), None), "x", None)
        .await;
    assert_eq!(taken.unwrap_err().code, Code::AlreadyExists);
}

#[tokio::test]
async fn mail_domain_of_organization_is_verified_first() {
    let world = World::new().await;
    let agent = &world.bench.agent;
    let add = async |caller: &Arc<Caller>, agent: &AgentId, local: &'static str| {
        let at = (Some(local), Some("Mail.Shop.example"));
        world.senders.add_mail(caller, agent, at, "x", None).await
    };
    let first = add(&world.caller, &agent.id, "ada").await.unwrap();
    assert_eq!(first.address, "ada@mail.shop.example");
    assert_eq!(first.registration, Some(Registration::Pending));
    let records = world.senders.dns_records(&first).await.unwrap();
    assert!(records.iter().any(|record| record.name == "resend._domainkey"));

    // The first check asks the vendor to verify the domain.
    world.senders.check_registrations().await.unwrap();
    world.senders.check_registrations().await.unwrap();
    let second = add(&world.caller, &agent.id, "bob").await.unwrap();
    assert_eq!(
        second.registration,
        Some(Registration::Done),
        "the domain is verified already"
    );
    let listed = world.senders.list(&agent.org_id, &agent.id).await.unwrap();
    let first = listed.iter().find(|sender| sender.id == first.id).unwrap();
    assert_eq!(first.registration, Some(Registration::Done));
    assert_eq!(world.simulator.state().account_book().domains().len(), 1);

    let mut stranger = Caller::clone(&world.caller);
    stranger.principal.org = Some(OrgId::generate());
    let refused = add(&Arc::new(stranger), &agent.id, "eve").await;
    assert_eq!(
        refused.unwrap_err().code,
        Code::AlreadyExists,
        "another organization's domain"
    );
}

#[tokio::test]
async fn mail_domain_is_removed_with_its_organization() {
    let world = World::new().await;
    let agent = &world.bench.agent;
    for local in ["ada", "bob"] {
        let at = (Some(local), Some("mail.shop.example"));
        world
            .senders
            .add_mail(&world.caller, &agent.id, at, "x", None)
            .await
            .unwrap();
    }
    let state = world.simulator.state();
    assert_eq!(state.account_book().domains().len(), 1);
    world.senders.close_organization(&agent.org_id).await.unwrap();
    assert!(state.account_book().domains().is_empty());
    assert!(world.senders.list(&agent.org_id, &agent.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn adopts_unverified_mail_domain_of_the_vendor() {
    let world = World::new().await;
    let agent = &world.bench.agent;
    for (name, is_verified) in [("lost.example", false), ("operator.example", true)] {
        let name = name.to_owned();
        let domain = SimulatedDomain {
            id: name.replace('.', "-"),
            name,
            is_verified,
        };
        assert!(world.simulator.state().account_book().add_domain(domain));
    }
    let add = async |domain| {
        let at = (Some("ada"), Some(domain));
        world.senders.add_mail(&world.caller, &agent.id, at, "x", None).await
    };
    let adopted = add("lost.example").await.unwrap();
    assert_eq!(adopted.registration_id.as_deref(), Some("lost-example"));
    let refused = add("operator.example").await;
    assert_eq!(refused.unwrap_err().code, Code::AlreadyExists);
}

#[test]
fn credentials_of_an_account_do_not_choose_the_endpoint() {
    let given = BTreeMap::from([
        ("accountSid".to_owned(), MAIN.to_owned()),
        ("authToken".to_owned(), "t".to_owned()),
        ("api_url".to_owned(), "https://evil.example".to_owned()),
    ]);
    assert!(twilio::VENDOR.read_account("https://api.twilio.com", &given).is_err());
}
