//! Routes while addresses change.

use std::{sync::atomic::Ordering, time::Duration};

use butt_dial_domain::{Channel, ports::bus::Bus};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{inbound::routes::Routes, testing::setup};

const OTHER: &str = "+14155550101";

async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await; // not a synchronisation: between two looks
    }
    panic!("{what}: not in time");
}

async fn publish_change(bench: &Bench, address: &str) {
    let payload = Bytes::from(format!("sms {address}"));
    let (subject, bus) = (subjects::ROUTE_CHANGED, &bench.bus);
    bus.publish(subject, Headers::new(), payload).await.unwrap();
}

async fn is_blocked(routes: &Routes) -> bool {
    let route = routes.find(Channel::Sms, PHONE).await.unwrap().unwrap();
    route.agent().unwrap().blocked
}

#[tokio::test]
async fn receives_route_changes_after_bus_outage() {
    let bench = Bench::new().await;
    let routes = bench.inbound.load_routes().await.unwrap();
    bench.bus.refuses_subscriptions.store(1, Ordering::SeqCst);
    let end = CancellationToken::new();
    let story = async {
        for is_blocked_now in [true, false] {
            wait_until("subscribed", async || bench.bus.has_subscriber()).await;
            bench.block(is_blocked_now).await;
            publish_change(&bench, PHONE).await;
            wait_until("the change is known", async || {
                is_blocked(&routes).await == is_blocked_now
            })
            .await;
            bench.bus.hang_up();
        }
        end.cancel();
    };
    tokio::join!(routes.follow(&end), story);
}

#[tokio::test]
async fn finds_unknown_address_once_assigned() {
    let bench = Bench::new().await;
    let routes = bench.inbound.load_routes().await.unwrap();
    assert!(routes.find(Channel::Sms, OTHER).await.unwrap().is_none());
    let (store, agent) = (&bench.store, &bench.agent);
    let now = bench.clock.now();
    let assigned = store
        .change(setup())
        .assign_channel(&agent.org_id, &agent.id, Channel::Sms, OTHER, now)
        .await;
    assigned.unwrap();
    let end = CancellationToken::new();
    let story = async {
        wait_until("subscribed", async || bench.bus.has_subscriber()).await;
        for address in [OTHER, PHONE] {
            publish_change(&bench, address).await;
        }
        wait_until("the new one", async || {
            routes.find(Channel::Sms, OTHER).await.unwrap().is_some()
        })
        .await;
        wait_until("the old one is gone", async || {
            routes.find(Channel::Sms, PHONE).await.unwrap().is_none()
        })
        .await;
        end.cancel();
    };
    tokio::join!(routes.follow(&end), story);
    routes.refresh().await.unwrap();
    assert!(routes.find(Channel::Sms, OTHER).await.unwrap().is_some());
    assert!(routes.find(Channel::Sms, PHONE).await.unwrap().is_none());
}
