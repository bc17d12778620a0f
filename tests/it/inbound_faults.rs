//! Servers go away and programs are killed while people write. What a carrier was told that we have, the agent gets: once,
//! and each person's messages in their order.

use std::time::{Duration, Instant};

use butt_dial_comms::delivery::callback;
use butt_dial_providers::Manner;

use crate::support::{
    Account, Crowd, Dice, Fleet, Heard, Host, Letter, Replying as _, Service, Stage, Webhook, World, bodies,
    eventually, expect_once_and_in_order, first_times, is_all_there, listen,
};

const ANN: &str = "+14155550123";
const ALLOWED: (&str, &str) = ("ALLOW_PRIVATE_CALLBACKS", "true");
/// A dispatcher that died keeps its right to deliver for half a minute.
const UNTIL_TAKEN_OVER: Duration = Duration::from_secs(110);

/// Reads until so many messages have come, from gateways that may not have a database yet.
async fn hear(stage: &Stage, count: usize) -> Vec<serde_json::Value> {
    let mut heard = Vec::new();
    eventually("all is heard", async || {
        heard.extend(listen(&stage.gateways, &stage.account.token).await.unwrap_or_default());
        (heard.len() >= count).then_some(())
    })
    .await;
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgres_carriers_are_served_in_milliseconds_and_agents_afterwards_servers() {
    let mut world = World::breakable(&[]).await;
    world.texts(ANN, "Before").await;
    assert_eq!(bodies(&world.rest().await.take(1).await), ["Before"]);
    eventually("it is marked", async || {
        let waiting = world.store.count_waiting_events(&world.account.agent).await;
        (waiting.unwrap() == 0).then_some(())
    })
    .await;
    world.backends().postgres().stop().await;
    let mut took = Vec::new();
    for number in 0..50 {
        let begun = Instant::now();
        world.texts(ANN, &number.to_string()).await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    println!("without Postgres: median {:?}, longest {:?}", took[25], took[49]);
    assert!(
        took[25] < Duration::from_millis(50) && took[49] < Duration::from_secs(1),
        "{took:?}"
    );
    // What can't be looked up is neither taken nor called unknown.
    let unknown = Webhook::text(&world, "/webhooks/twilio/sms", ANN, "+14155550177", "Hello?");
    assert_eq!(unknown.post(&world).await.status, 503);
    world.backends().postgres().start_again().await;
    let heard = hear(&world, 50).await;
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(bodies(&heard), expected);
    world.texts(ANN, "Last").await;
    assert_eq!(bodies(&hear(&world, 1).await), ["Last"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_carriers_are_asked_to_come_again_and_nothing_comes_twice_servers() {
    let mut world = World::servers(&[]).await;
    world.texts(ANN, "Before").await;
    let agent = world.rest().await;
    assert_eq!(bodies(&agent.take(1).await), ["Before"]);
    world.backends().nats.stop().await;
    let webhook = Webhook::text(&world, "/webhooks/twilio/sms", ANN, &world.account.phone, "Meanwhile");
    for _ in 0..3 {
        let begun = Instant::now();
        let reply = webhook.post(&world).await;
        assert_eq!(reply.status, 503, "{}", reply.text);
        assert!(reply.header("retry-after").is_some());
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "before the carrier gives up: {:?}",
            begun.elapsed()
        );
    }
    let ready = world.ingest().get("/health/ready").reply().await;
    assert_eq!((ready.status, &ready.body["checks"]["bus"]), (503, &"failed".into()));
    world.backends().nats.start_again().await;
    eventually("the carrier's retry is taken", async || {
        (webhook.post(&world).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(webhook.post(&world).await.status, 200, "and one more, for good measure");
    world.texts(ANN, "Last").await;
    assert_eq!(bodies(&agent.take_until("Last").await), ["Meanwhile"]);
    eventually("readiness is back", async || {
        (world.ingest().get("/health/ready").reply().await.status == 200).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_messages_still_arrive_servers() {
    let mut world = World::servers(&[ALLOWED]).await;
    let host = Host::start().await;
    let account = &world.account;
    let set = callback::set_url(world.comms(), &account.agent, &account.org, Some(&host.url("/"))).await;
    assert!(set.is_ok());
    world.texts(ANN, "Before").await;
    host.expect_calls(1).await;
    world.backends().redis.stop().await;
    for number in 0..10 {
        world.texts(ANN, &number.to_string()).await;
    }
    let calls = host.expect_calls(11).await;
    world.backends().redis.start_again().await;
    world.texts(ANN, "After").await;
    let texts: Vec<_> = host.calls_until("After").await.iter().map(|call| call.text()).collect();
    assert_eq!(texts.len(), calls.len());
    let expected: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(texts[1..], expected);
    world.end().await;
}

fn heard_by(host: &Host) -> Vec<Heard> {
    let calls = host.calls().into_iter().filter(|call| call.status == 200);
    calls.map(|call| Heard::from(&call.json())).collect()
}

/// Both read when nobody can say whose turn it is; the database lets one of them write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_dispatchers_tell_a_host_everything_once_and_in_order_servers() {
    let mut world = World::servers(&[ALLOWED]).await;
    world.carriers.set_manner(
        "twilio",
        Manner {
            copies: 2,
            reversed: false,
        },
    );
    let host = Host::start().await;
    let account = &world.account;
    let set = callback::set_url(world.comms(), &account.agent, &account.org, Some(&host.url("/"))).await;
    assert!(set.is_ok());
    let crowd = Crowd::new(10, 30);
    let stage = Stage::clone(&world);
    crowd.allow(crowd.total() / 2);
    let (letters, ()) = tokio::join!(crowd.write(&stage), async {
        crowd.reached(crowd.total() / 3).await;
        world.backends().redis.stop().await;
        crowd.allow(crowd.total());
    });
    assert!(letters.iter().all(|letter| letter.is_taken));
    eventually("all is heard", async || {
        is_all_there(&letters, &heard_by(&host)).then_some(())
    })
    .await;
    world.backends().redis.start_again().await;
    world.texts(ANN, "999: 0").await;
    host.calls_until("999: 0").await;
    let mut heard = heard_by(&host);
    assert_eq!(heard.pop().map(|last| last.text), Some("999: 0".into()));
    expect_once_and_in_order(&letters, &heard);
    world.end().await;
}

/// Kills one program after the other, each at a moment in the middle of the crowd's writing, which goes on meanwhile, and
/// starts another for it.
async fn kill_in_turn(fleet: &mut Fleet, crowd: &Crowd, dice: &mut Dice, mut doomed: Vec<Service>) {
    dice.shuffle(&mut doomed);
    let share = crowd.total() / doomed.len();
    for (turn, service) in doomed.into_iter().enumerate() {
        let moment = turn * share + 1 + dice.below(share / 2);
        let index = dice.below(fleet.of(service).len());
        crowd.allow(share * 2 / 3);
        crowd.reached(moment).await;
        println!("after {} messages: kill -9 of {service:?} {index}", crowd.written());
        fleet.kill_one(service, index).await;
        crowd.allow(share - share * 2 / 3);
        fleet.start(service).await;
    }
    crowd.allow(crowd.total());
}

/// An agent that asks all the time, until everything that was taken is there.
async fn always_ask(stage: &Stage, letters: &tokio::sync::OnceCell<Vec<Letter>>) -> Vec<Heard> {
    let (mut heard, begun) = (Vec::<Heard>::new(), Instant::now());
    loop {
        let page = listen(&stage.gateways, &stage.account.token).await;
        let is_silent = page.as_ref().is_some_and(Vec::is_empty);
        heard.extend(page.unwrap_or_default().iter().map(Heard::from));
        if let Some(letters) = letters.get() {
            if is_silent && is_all_there(letters, &heard) {
                return heard;
            }
            if begun.elapsed() > UNTIL_TAKEN_OVER {
                println!("gave up: {} of {} heard", heard.len(), letters.len());
                return heard;
            }
        }
        if is_silent {
            tokio::time::sleep(Duration::from_millis(5)).await; // not a synchronisation: the pause between two questions
        }
    }
}

/// Kills programs while a crowd writes; what the agent has heard in the end, and what was written.
async fn ask_amid_kills(doomed: &[Service]) -> (Vec<Letter>, Vec<Heard>) {
    let mut dice = Dice::new();
    let mut fleet = Fleet::replicas(&[]).await;
    let stage = fleet.stage();
    let other = Account::found(&stage.store, &stage.gateways, "Other", "+14155550190").await;
    let (crowd, done) = (Crowd::new(10, 50), tokio::sync::OnceCell::new());
    let (heard, (), ()) = tokio::join!(
        always_ask(&stage, &done),
        async {
            let letters = crowd.write(&stage).await;
            assert!(done.set(letters).is_ok());
        },
        kill_in_turn(&mut fleet, &crowd, &mut dice, doomed.to_vec()),
    );
    let nothing = eventually("an answer", async || listen(&stage.gateways, &other.token).await).await;
    assert!(nothing.is_empty(), "not for them: {nothing:?}");
    let letters = done.into_inner().expect("letters");
    let taken = letters.iter().filter(|letter| letter.is_taken).count();
    println!(
        "{taken} of {} messages were taken, {} heard",
        letters.len(),
        heard.len()
    );
    assert!(
        taken * 10 > letters.len() * 9,
        "carriers find somebody who listens: {taken}"
    );
    (letters, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_dispatchers_and_ingests_lose_nothing_and_repeat_nothing_chaos_servers() {
    let doomed = [
        Service::Dispatcher,
        Service::Dispatcher,
        Service::Ingest,
        Service::Ingest,
        Service::Ingest,
    ];
    let (letters, heard) = ask_amid_kills(&doomed).await;
    expect_once_and_in_order(&letters, &heard);
}

/// What was in the answer of a gateway that died comes again, under its id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_gateways_lose_nothing_either_chaos_servers() {
    let doomed = [
        Service::Gateway,
        Service::Gateway,
        Service::Gateway,
        Service::Dispatcher,
        Service::Ingest,
    ];
    let (letters, heard) = ask_amid_kills(&doomed).await;
    let (first, again) = first_times(&heard);
    println!("{again} heard again");
    assert!(again <= 3 * 50, "no more than a page for each gateway: {again}");
    expect_once_and_in_order(&letters, &first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_told_everything_although_dispatchers_are_killed_chaos_servers() {
    let mut dice = Dice::new();
    let mut fleet = Fleet::replicas(&[ALLOWED]).await;
    let stage = fleet.stage();
    let host = Host::start().await;
    let url = host.url("/");
    stage
        .store
        .set_callback_url(&stage.account.agent, Some(&url))
        .await
        .unwrap();
    let crowd = Crowd::new(10, 40);
    let doomed = vec![Service::Dispatcher, Service::Dispatcher, Service::Ingest];
    let (letters, ()) = tokio::join!(crowd.write(&stage), kill_in_turn(&mut fleet, &crowd, &mut dice, doomed));
    let begun = Instant::now();
    while !is_all_there(&letters, &heard_by(&host)) && begun.elapsed() < UNTIL_TAKEN_OVER {
        tokio::time::sleep(Duration::from_millis(100)).await; // not a synchronisation: the pause between two looks
    }
    let heard = heard_by(&host);
    let (first, again) = first_times(&heard);
    println!(
        "{} calls, {again} again, {:?} after the last was written",
        heard.len(),
        begun.elapsed()
    );
    assert!(
        again <= 2,
        "a dispatcher that dies between answer and mark repeats one call: {again}"
    );
    expect_once_and_in_order(&letters, &first);
    assert!(
        listen(&stage.gateways, &stage.account.token)
            .await
            .is_some_and(|waiting| waiting.is_empty())
    );
}
