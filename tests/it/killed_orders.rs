//! Gateways that are killed between any two steps of the order of a number. Another process finishes the order or undoes it: the
//! number is bought once or not at all, and its price is charged once or not at all.

use butt_dial_providers::simulator::{InjectedFault, SimulatedNumber};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::support::{ProcessCluster, RequestExt as _, WriteBarrier, eventually, sms, with};

const ACCOUNT: &str = "AC00000000000000000000000000000000";
/// The stories order and send more than agents may by default.
const NO_LIMITS: [(&str, &str); 2] = [
    ("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"),
    ("DEFAULT_MAX_SPEND_PER_DAY", "none"),
];
/// Micro-units for a month.
const PRICE: i64 = 1_150_000;
const PROMPT: InjectedFault = InjectedFault::Slow { delay_ms: 0 };

/// The vendor refuses a webhook's URL.
fn refused_url() -> InjectedFault {
    InjectedFault::Refuse {
        status: 400,
        code: "21502".to_owned(),
    }
}

/// The moment at which the gateway dies.
enum Moment {
    /// The simulator applies these faults to the first requests, and the gateway dies at the last one.
    AtVendor(Vec<InjectedFault>),
    /// A write is blocked, and finished after the death.
    AfterWrite(Write),
    /// A write is blocked, and aborted after the death.
    BeforeWrite(Write),
}

/// Writes to rows of a table that are blocked, and the faults at the simulator before it.
struct Write {
    writes: &'static str,
    table: &'static str,
    rows: &'static str,
    faults: Vec<InjectedFault>,
}

fn write(writes: &'static str, table: &'static str, rows: &'static str) -> Write {
    Write {
        writes,
        table,
        rows,
        faults: Vec::new(),
    }
}

/// Starts the order of a number, and kills its gateway at the moment.
async fn kill_in_mid_order(cluster: &mut ProcessCluster, number: &str, moment: Moment) {
    let carriers = cluster.carriers.clone();
    let before = carriers.requests_total("twilio");
    let order = order(cluster, number);
    match moment {
        Moment::AtVendor(faults) => {
            let last = before + faults.len() as u64;
            for fault in faults {
                carriers.inject_fault("twilio", fault, 1);
            }
            let reached = eventually("the vendor gets the request", async || {
                (carriers.requests_total("twilio") == last).then_some(())
            });
            tokio::select! {
                answer = order => panic!("answered before the kill: {answer:?}"),
                () = reached => {}
            }
            cluster.kill_entry(0).await;
        }
        Moment::AfterWrite(write) => kill_at(cluster, order, write).await.release().await,
        Moment::BeforeWrite(write) => kill_at(cluster, order, write).await.abort_blocked().await,
    }
    carriers.clear_faults("twilio");
}

async fn kill_at(cluster: &mut ProcessCluster, order: impl Future<Output = Value>, write: Write) -> WriteBarrier {
    for fault in write.faults {
        cluster.carriers.inject_fault("twilio", fault, 1);
    }
    let database = cluster.database_url.clone();
    let mut barrier = WriteBarrier::install_for(&database, write.writes, write.table, write.rows).await;
    tokio::select! {
        answer = order => panic!("answered before the kill: {answer:?}: {}", cluster.programs[0].log()),
        () = barrier.wait_until_reached() => {}
    }
    cluster.kill_entry(0).await;
    barrier
}

/// Orders this number for the agent.
fn order(cluster: &ProcessCluster, number: &str) -> impl Future<Output = Value> + use<> {
    let gateway = cluster.gateways.only(0);
    let path = format!("/api/v1/agents/{}/comm-channels", cluster.account.agent);
    let body = json!({ "channel_type": "phone", "identifier": number });
    let request = gateway.post(&path, &body).bearer_auth(&cluster.account.team_token);
    async move { request.reply().await.body }
}

struct Database(PgConnection);

impl Database {
    async fn connect(cluster: &ProcessCluster) -> Self {
        Self(PgConnection::connect(&cluster.database_url).await.unwrap())
    }

    /// Returns the states of the orders of a number.
    async fn states(&mut self, number: &str) -> Vec<String> {
        let rows = sqlx::query("SELECT state FROM sender_orders WHERE address = $1").bind(number);
        let rows = rows.fetch_all(&mut self.0).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Ends the lease of the dead gateway, and the time in which its purchase may still reach the vendor.
    async fn make_orders_due(&mut self) {
        let due = "UPDATE sender_orders SET created_at = created_at - interval '2 minutes',
            lease_until = now() - interval '1 second' WHERE state IN ('running', 'undoing')";
        sqlx::query(due).execute(&mut self.0).await.unwrap();
    }

    /// Returns what all numbers have cost, in micro-units.
    async fn cost(&mut self) -> i64 {
        let sum = "SELECT CAST(coalesce(sum(cost), 0) AS BIGINT) FROM usage";
        sqlx::query(sum).fetch_one(&mut self.0).await.unwrap().get(0)
    }
}

/// Returns the number as the vendor has it.
fn bought(cluster: &ProcessCluster, number: &str) -> Vec<SimulatedNumber> {
    let numbers = cluster.carriers.account_book().numbers_of(ACCOUNT);
    numbers.into_iter().filter(|known| known.number == number).collect()
}

/// Kills a gateway at each moment, and checks that the order ends in this state.
async fn check(moments: Vec<(&str, Moment)>, expected: &str) {
    let mut cluster = ProcessCluster::with_gateways(2, &NO_LIMITS).await;
    let mut database = Database::connect(&cluster).await;
    let mut cost = 0;
    for (n, (name, moment)) in moments.into_iter().enumerate() {
        let number = format!("+4477009003{n:02}");
        kill_in_mid_order(&mut cluster, &number, moment).await;
        database.make_orders_due().await;
        eventually(&format!("the order has ended: {name}"), async || {
            let states = database.states(&number).await;
            (states == [expected]).then_some(())
        })
        .await;
        let owned = bought(&cluster, &number);
        match expected {
            "done" => {
                cost += PRICE;
                assert_eq!(owned.len(), 1, "{name}");
                assert!(owned[0].field("SmsUrl").starts_with(&cluster.public_url), "{name}");
                let message = with(sms("+447700900999", name), json!({ "from": number }));
                let sent = cluster.rest().await.send(message).await.unwrap();
                assert_eq!(cluster.expect_arrival(&sent).await.from, number, "{name}");
                cost += sent["cost"].as_f64().map_or(0, |units| (units * 1e6).round() as i64);
            }
            _ => assert!(owned.is_empty(), "{name}"),
        }
        assert_eq!(database.cost().await, cost, "{name}");
        cluster.start_entry().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_order_is_finished_once_servers() {
    let order = |rows| write("INSERT OR UPDATE", "sender_orders", rows);
    let moments = vec![
        ("not bought", Moment::AtVendor(vec![InjectedFault::StallBeforeAccept])),
        ("bought", Moment::AtVendor(vec![InjectedFault::TimeoutAfterAccept])),
        (
            "purchase not stored",
            Moment::BeforeWrite(order("NEW.step = 'configure'")),
        ),
        ("purchase stored", Moment::AfterWrite(order("NEW.step = 'configure'"))),
        (
            "not configured",
            Moment::AtVendor(vec![PROMPT, InjectedFault::StallBeforeAccept]),
        ),
        (
            "configured",
            Moment::AtVendor(vec![PROMPT, InjectedFault::TimeoutAfterAccept]),
        ),
        ("no sender", Moment::BeforeWrite(write("INSERT", "channels", "TRUE"))),
        ("sender", Moment::AfterWrite(write("INSERT", "channels", "TRUE"))),
        ("end not stored", Moment::BeforeWrite(order("NEW.state = 'done'"))),
    ];
    check(moments, "done").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_undoing_is_finished_and_refunded_once_servers() {
    let refused = |last: Option<InjectedFault>| [PROMPT, refused_url()].into_iter().chain(last).collect();
    let ending = || Write {
        faults: refused(None),
        ..write("UPDATE", "sender_orders", "NEW.state = 'failed'")
    };
    let moments = vec![
        (
            "not returned",
            Moment::AtVendor(refused(Some(InjectedFault::StallBeforeAccept))),
        ),
        (
            "returned",
            Moment::AtVendor(refused(Some(InjectedFault::TimeoutAfterAccept))),
        ),
        ("end not stored", Moment::BeforeWrite(ending())),
        ("end stored", Moment::AfterWrite(ending())),
    ];
    check(moments, "failed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_killed_before_it_is_stored_costs_nothing_servers() {
    const NUMBER: &str = "+447700900399";
    let mut cluster = ProcessCluster::with_gateways(2, &NO_LIMITS).await;
    let mut database = Database::connect(&cluster).await;
    let insert = || write("INSERT", "sender_orders", "TRUE");
    // The order and its price are one transaction, which the death ends.
    for moment in [Moment::BeforeWrite(insert()), Moment::AfterWrite(insert())] {
        kill_in_mid_order(&mut cluster, NUMBER, moment).await;
        assert_eq!((database.states(NUMBER).await.len(), database.cost().await), (0, 0));
        assert!(bought(&cluster, NUMBER).is_empty());
        cluster.start_entry().await;
    }
    let added = order(&cluster, NUMBER).await;
    assert_eq!(added["identifier"], NUMBER, "{added}");
    assert_eq!(database.cost().await, PRICE);
}
