//! Two sends of the same words to the same person: one is lost on its way, the other one is sent while the carrier is asked for
//! the first.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use butt_dial_domain::Clock;
use serde_json::json;
use tokio::{net::TcpListener, sync::Semaphore};

use crate::support::{Cluster, sms, within_timeout};

const ANN: &str = "+14155550123";
const WORDS: &str = "Same words";

/// A carrier that loses the first message, and takes the second one while it lists the messages.
#[derive(Clone)]
struct Carrier(Arc<Steps>);

struct Steps {
    sends: AtomicU32,
    /// The list is being made.
    is_listing: Semaphore,
    /// The second message has been taken.
    is_taken: Semaphore,
    /// The second message may be answered.
    may_answer: Semaphore,
}

async fn wait(step: &Semaphore) {
    within_timeout("the next step", step.acquire()).await.unwrap().forget();
}

fn twin() -> serde_json::Value {
    let at = Clock::System.now().to_rfc2822();
    json!({ "sid": format!("SM{}", "a".repeat(32)), "status": "queued", "body": WORDS, "date_created": at, "price": null })
}

async fn answer(State(Carrier(steps)): State<Carrier>, method: Method) -> Response {
    if method == Method::GET {
        if steps.sends.load(Ordering::Relaxed) == 1 {
            steps.is_listing.add_permits(1);
            wait(&steps.is_taken).await;
        }
        return Json(json!({ "messages": [twin()], "next_page_uri": null })).into_response();
    }
    if steps.sends.fetch_add(1, Ordering::Relaxed) == 0 {
        // Not an answer of the carrier's API, so the outcome is not known.
        return StatusCode::BAD_GATEWAY.into_response();
    }
    steps.is_taken.add_permits(1);
    wait(&steps.may_answer).await;
    (StatusCode::CREATED, Json(twin())).into_response()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no lifecycle; the server ends with the test's runtime"
)]
async fn open() -> (String, Arc<Steps>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let steps = Arc::new(Steps {
        sends: AtomicU32::new(0),
        is_listing: Semaphore::new(0),
        is_taken: Semaphore::new(0),
        may_answer: Semaphore::new(0),
    });
    let router = Router::new().fallback(answer).with_state(Carrier(steps.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (base_url, steps)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_send_does_not_claim_its_twin_servers() {
    let (url, steps) = open().await;
    let cluster = Cluster::servers(&[("TWILIO_API_URL", &url), ("RECONCILE_AFTER_SECONDS", "1,1")]).await;
    let agent = cluster.rest().await;
    let lost = agent.send(sms(ANN, WORDS)).await.unwrap();
    assert_eq!(lost["status"], "pending");
    let lost = lost["messageId"].as_str().unwrap();
    let check = async {
        wait(&steps.is_listing).await;
        let checked = async {
            cluster.wait_for_check(lost).await;
            steps.may_answer.add_permits(1);
        };
        let (taken, ()) = tokio::join!(agent.send(sms(ANN, WORDS)), checked);
        taken.unwrap()
    };
    let taken = check.await;
    assert_eq!(taken["status"], "accepted");
    assert_eq!(cluster.wait_for_outcome(&agent, lost).await["status"], "unconfirmed");
    cluster.shut_down().await;
}
