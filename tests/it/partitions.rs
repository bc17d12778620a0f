//! The partitions of the inbound stream: dispatchers share them, and each agent gets its messages once and in order, whatever
//! happens to the dispatchers, the stream or the number of partitions.

use std::time::{Duration, Instant};

use butt_dial_domain::{Clock, ports::bus::Headers, subjects};
use butt_dial_messaging::inbound::{Partitions, STREAM, discard_read};
use butt_dial_store::Store;
use chrono::TimeDelta;
use futures::future::join_all;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio_util::task::TaskTracker;

use crate::support::{
    Account, Agent, CallbackHost, Cluster, LoadGenerator, ProcessCluster, ReceivedMessage, RequestExt as _,
    SentMessage, Service, TestContext, Webhook, bodies, eventually, expect_exactly_once_in_order, poll_messages,
    received_all, run_program,
};

const ANN: &str = "+14155550123";
/// The longest time until the partitions of a dead dispatcher are read again.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(6);

/// Returns the number of partitions that each dispatcher reads.
async fn held(cluster: &mut ProcessCluster) -> Vec<usize> {
    let programs = cluster.programs_of(Service::Dispatcher).iter();
    let metrics = programs.map(|program| async {
        let text = program.client().get("/metrics").reply().await.text;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix("bd_inbound_partitions_held "));
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    });
    join_all(metrics).await
}

/// Waits until the dispatchers read all partitions, and each has an equal share.
async fn expect_shares(cluster: &mut ProcessCluster, largest: usize) {
    let started = Instant::now();
    loop {
        let held = held(cluster).await;
        if held.iter().sum::<usize>() == 16 && held.iter().all(|count| *count <= largest) {
            return;
        }
        assert!(
            started.elapsed() < 4 * TAKEOVER_LIMIT,
            "{held:?}, at most {largest} each"
        );
        tokio::time::sleep(Duration::from_millis(50)).await; // not a synchronisation: the pause between two polls
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dispatchers_share_partitions_equally_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    expect_shares(&mut cluster, 16).await;
    cluster.start(Service::Dispatcher).await;
    expect_shares(&mut cluster, 8).await;
    cluster.start(Service::Dispatcher).await;
    cluster.start(Service::Dispatcher).await;
    expect_shares(&mut cluster, 4).await;
    cluster.texts(ANN, "Before").await;
    let agent = cluster.rest().await;
    assert_eq!(bodies(&agent.expect_events(1).await), ["Before"]);

    let killed = Instant::now();
    cluster.kill_service(Service::Dispatcher, 0).await;
    expect_shares(&mut cluster, 6).await;
    println!(
        "partitions of a killed dispatcher are read after {:?}",
        killed.elapsed()
    );
    assert!(killed.elapsed() < TAKEOVER_LIMIT, "{:?}", killed.elapsed());

    let stopped = Instant::now();
    let mut retired = cluster.retire(Service::Dispatcher, 0).await;
    expect_shares(&mut cluster, 8).await;
    println!(
        "partitions of a stopped dispatcher are read after {:?}",
        stopped.elapsed()
    );
    assert!(stopped.elapsed() < TAKEOVER_LIMIT / 2, "{:?}", stopped.elapsed());
    assert!(retired.wait_for_exit().await.success());
    cluster.texts(ANN, "After").await;
    assert_eq!(bodies(&agent.expect_events(1).await), ["After"]);
}

/// The events that a dead dispatcher was delivering are delivered by another one, as soon as its partitions are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_of_dead_dispatcher_go_on_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[("ALLOW_PRIVATE_CALLBACKS", "true")]).await;
    let host = CallbackHost::start().await;
    let (agent, store) = (cluster.account.agent.clone(), cluster.store.clone());
    store.set_callback_url(&agent, Some(&host.url("/"))).await.unwrap();
    host.delay_responses(Duration::from_secs(60));
    cluster.texts(ANN, "Hello").await;
    let mut connection = PgConnection::connect(&cluster.database_url).await.unwrap();
    eventually("the dispatcher delivers", async || {
        let sql = "SELECT COUNT(*) FROM events WHERE agent_id = $1 AND held_until IS NOT NULL";
        let held = sqlx::query_scalar(sql)
            .bind(agent.as_str())
            .fetch_one(&mut connection)
            .await;
        (held.unwrap_or(0_i64) > 0).then_some(())
    })
    .await;
    cluster.start(Service::Dispatcher).await;
    host.delay_responses(Duration::ZERO);
    cluster.kill_service(Service::Dispatcher, 0).await;
    let killed = Instant::now();
    host.expect_callbacks(1).await;
    println!("a delivery of a killed dispatcher goes on after {:?}", killed.elapsed());
    assert!(killed.elapsed() < TAKEOVER_LIMIT, "{:?}", killed.elapsed());
}

/// Polls an agent's messages until all that were accepted have arrived.
async fn receive_all(context: &TestContext, sent: &[SentMessage]) -> Vec<ReceivedMessage> {
    let mut received: Vec<ReceivedMessage> = Vec::new();
    eventually("all messages are received", async || {
        let page = poll_messages(&context.gateways, &context.account.token).await;
        received.extend(page.unwrap_or_default().iter().map(ReceivedMessage::from));
        received_all(sent, &received).then_some(())
    })
    .await;
    received
}

/// The partitions of several agents move while people write to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_stays_while_partitions_move_chaos_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    let mut contexts = vec![cluster.context()];
    for number in 1..6 {
        let phone = format!("+1415555019{number}");
        let account = Account::create(&cluster.store, &cluster.gateways, &format!("Org{number}"), &phone).await;
        contexts.push(TestContext {
            account,
            ..cluster.context()
        });
    }
    let loads: Vec<LoadGenerator> = contexts.iter().map(|_| LoadGenerator::new(4, 24)).collect();
    let runs = contexts.iter().zip(&loads).map(|(context, load)| load.run(context));
    let part = async |from: usize, to: usize| {
        for load in &loads {
            load.release(to - from);
        }
        for load in &loads {
            load.wait_for_sent(to - 4).await;
        }
    };
    let (sent, ()) = tokio::join!(join_all(runs), async {
        part(0, 24).await;
        cluster.start(Service::Dispatcher).await;
        part(24, 48).await;
        cluster.start(Service::Dispatcher).await;
        part(48, 72).await;
        cluster.kill_service(Service::Dispatcher, 0).await;
        part(72, 96).await;
    });
    for (context, sent) in contexts.iter().zip(&sent) {
        assert!(sent.iter().all(|message| message.is_accepted));
        let received = receive_all(context, sent).await;
        expect_exactly_once_in_order(sent, &received);
    }
}

fn with_partitions(cluster: &ProcessCluster, count: &str) -> Vec<(String, String)> {
    let others = cluster.settings.iter().filter(|(name, _)| name != "INBOUND_PARTITIONS");
    let count = ("INBOUND_PARTITIONS".to_owned(), count.to_owned());
    others.cloned().chain([count]).collect()
}

/// Runs a command that is to fail, and returns its error.
async fn refused(command: &str, settings: &[(String, String)]) -> String {
    let output = run_program(&[command], settings).await;
    assert!(!output.status.success(), "{command}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Without partitions, as in former releases, entries are left unread. Then the installation gets partitions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_without_partition_are_read_first_servers() {
    let mut cluster = ProcessCluster::without_dispatcher(&[("INBOUND_PARTITIONS", "1")]).await;
    let texts = async |cluster: &ProcessCluster, numbers: std::ops::Range<u32>| {
        for number in numbers {
            cluster.texts(ANN, &number.to_string()).await;
        }
    };
    texts(&cluster, 0..3).await;
    let more = with_partitions(&cluster, "16");
    let text = refused("gateway", &more).await;
    assert!(
        text.contains("INBOUND_PARTITIONS=1") && text.contains("raise-partitions"),
        "{text}"
    );
    let text = refused("raise-partitions", &more).await;
    assert!(text.contains("unread entries in INBOUND"), "{text}");

    // A former release has registered no number.
    let mut connection = PgConnection::connect(&cluster.database_url).await.unwrap();
    connection.execute("DELETE FROM inbound_partitions").await.unwrap();
    cluster.settings = more;
    cluster.kill_service(Service::Ingest, 0).await;
    cluster.start(Service::Ingest).await;
    texts(&cluster, 3..6).await;
    cluster.start(Service::Dispatcher).await;
    let agent = cluster.rest().await;
    assert_eq!(bodies(&agent.expect_events(6).await), ["0", "1", "2", "3", "4", "5"]);
    assert!(
        cluster.dispatchers[0]
            .log_event("reading entries without a partition first")
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn number_of_partitions_is_fixed_until_raised_servers() {
    let mut cluster = ProcessCluster::without_dispatcher(&[("INBOUND_PARTITIONS", "2")]).await;
    cluster.texts(ANN, "1").await;
    for service in ["gateway", "webhook-ingest", "voice-relay", "dispatcher"] {
        let text = refused(service, &with_partitions(&cluster, "3")).await;
        assert!(
            text.contains("has 2 partitions") && text.contains("INBOUND_PARTITIONS is 3"),
            "{text}"
        );
    }
    let text = refused("raise-partitions", &with_partitions(&cluster, "1")).await;
    assert!(text.contains("can't be lowered"), "{text}");
    let text = refused("raise-partitions", &with_partitions(&cluster, "3")).await;
    assert!(text.contains("unread entries in INBOUND."), "{text}");

    cluster.start(Service::Dispatcher).await;
    let agent = cluster.rest().await;
    assert_eq!(bodies(&agent.expect_events(1).await), ["1"]);
    let mut dispatcher = cluster.retire(Service::Dispatcher, 0).await;
    assert!(dispatcher.wait_for_exit().await.success());
    let more = with_partitions(&cluster, "32");
    let raised = run_program(&["raise-partitions"], &more).await;
    assert!(raised.status.success(), "{}", String::from_utf8_lossy(&raised.stderr));
    let text = refused("dispatcher", &with_partitions(&cluster, "2")).await;
    assert!(text.contains("INBOUND_PARTITIONS=32"), "{text}");
    cluster.settings = more;
    for service in [Service::Ingest, Service::Gateway] {
        cluster.kill_service(service, 0).await;
        cluster.start(service).await;
    }
    cluster.start(Service::Dispatcher).await;
    cluster.texts(ANN, "2").await;
    let agent = Agent::connect_rest(&cluster.gateways, &cluster.account.token);
    assert_eq!(bodies(&agent.expect_events(1).await), ["2"]);
}

/// NATS acknowledges before it syncs. The agents are in different partitions; each has lost entries, and later ones have the
/// numbers of those that were read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_partition_notices_lost_entries_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    let mut contexts = vec![cluster.context()];
    for number in 1..5 {
        let phone = format!("+1415555019{number}");
        let account = Account::create(&cluster.store, &cluster.gateways, &format!("Org{number}"), &phone).await;
        contexts.push(TestContext {
            account,
            ..cluster.context()
        });
    }
    let write = async |body: &str| {
        for context in &contexts {
            // The first webhooks after a restart of NATS are repeated, as a carrier does.
            eventually("the webhook is accepted", async || {
                let written = context.texts_at(ANN, body).await;
                (written == Some(200)).then_some(())
            })
            .await;
        }
    };
    let read = async |body: &str| {
        for context in &contexts {
            context.rest().await.poll_until(body).await;
        }
    };
    write("1").await;
    read("1").await;
    cluster.backends().nats.stop().await;
    cluster.backends().nats.save();
    cluster.backends().nats.start_again().await;
    write("lost").await;
    read("lost").await;
    cluster.kill_service(Service::Dispatcher, 0).await;
    cluster.backends().nats.kill();
    cluster.backends().nats.restore();
    cluster.backends().nats.start_again().await;
    for body in ["a", "b", "c"] {
        write(body).await;
    }
    cluster.start(Service::Dispatcher).await;
    for context in &contexts {
        let before = context.rest().await.poll_until("c").await;
        let before: Vec<_> = bodies(&before).into_iter().filter(|body| *body != "lost").collect();
        assert_eq!(before, ["a", "b"], "each once");
    }
    let metrics = cluster.dispatchers[0].client().get("/metrics").reply().await.text;
    assert!(!metrics.contains("bd_inbound_step_backs_total 0"), "{metrics}");
}

/// A partition that cannot be applied is seen in the metrics, while the others are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_unread_entries_of_each_partition_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    cluster.texts(ANN, "0").await;
    let agent = cluster.rest().await;
    agent.poll_until("0").await;
    let url = cluster.database_url.clone();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut locked = connection.begin().await.unwrap();
    let lock = sqlx::query("SELECT id FROM agents WHERE id = $1 FOR UPDATE").bind(cluster.account.agent.as_str());
    lock.execute(&mut *locked).await.unwrap();
    let texts = 4;
    for number in 1..=texts {
        cluster.texts(ANN, &number.to_string()).await;
    }
    let dispatcher = cluster.programs_of(Service::Dispatcher)[0].client();
    let unread = async || {
        let text = dispatcher.get("/metrics").reply().await.text;
        let lines = text
            .lines()
            .filter(|line| line.starts_with("bd_inbound_unread{partition="));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u32>().ok());
        values.sum::<u32>()
    };
    eventually("the unread entries are counted", async || {
        (unread().await == texts).then_some(())
    })
    .await;
    locked.rollback().await.unwrap();
    agent.poll_until("4").await;
    eventually("none is unread", async || (unread().await == 0).then_some(())).await;
}

/// Returns the ids of the entries of all partitions.
async fn entries(cluster: &Cluster) -> Vec<String> {
    let mut reader = cluster.bus().read_log(STREAM.name, "comms.inbound.*", 0).await.unwrap();
    let mut ids = Vec::new();
    loop {
        let found = reader.next(100, Duration::from_millis(200)).await.unwrap();
        if found.is_empty() {
            return ids;
        }
        ids.extend(found.into_iter().map(|entry| entry.id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discards_applied_entries_and_no_unread_one_servers() {
    let cluster = Cluster::servers(&[("INBOUND_PARTITIONS", "2"), ("NATS_KEEP_READ_HOURS", "1")]).await;
    let agent = cluster.rest().await;
    let text = async |body: &str| {
        let webhook = Webhook::text(&cluster, "/webhooks/twilio/sms", ANN, &cluster.account.phone, body);
        assert_eq!(webhook.post(&cluster).await.status, 200);
        agent.poll_until(body).await;
    };
    for body in ["one", "two", "three"] {
        text(body).await;
    }
    // No dispatcher reads this partition.
    let unread = subjects::inbound_partition(7);
    for id in ["unread-1", "unread-2"] {
        cluster
            .bus()
            .append(&unread, id, Headers::new(), "x".into())
            .await
            .unwrap();
    }
    assert_eq!(entries(&cluster).await.len(), 5);
    let store = Store::connect(&cluster.database_url(), 2, &TaskTracker::new())
        .await
        .unwrap();
    // Its position is before its entries.
    let (all, now) = (Partitions::new(8), Clock::System.now());
    assert!(store.raise_partitions(2, 8, &all.names(), now).await.unwrap());
    let discard = async |hours: i64| {
        let before = Clock::System.now() + TimeDelta::hours(hours);
        discard_read(&**cluster.bus(), &store, all, before).await.unwrap()
    };
    assert_eq!(discard(-1).await, 0, "they are too young");
    assert_eq!(discard(1).await, 2);
    let left = entries(&cluster).await;
    assert_eq!(left.len(), 3, "the last applied entry and the unread ones: {left:?}");
    assert!(left.ends_with(&["unread-1".into(), "unread-2".into()]), "{left:?}");
    text("four").await;
    assert_eq!(discard(1).await, 1);
    text("five").await;
    cluster.shut_down().await;
}
