//! The console: web pages for the people who run agents. Any replica serves any request, sessions are in the database. Pages are
//! HTML that needs no script; scripts only add what is live. A page shows what an operation returns, which REST returns too.

mod app;
mod assets;
mod chart;
mod format;
mod live;
mod member;
mod open_sessions;
mod page;
mod pages;
mod parts;
mod recent;
mod rights;
mod security;
mod session;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    response::Redirect,
    routing::{get, post},
};
use butt_dial_operations::{OF_CONSOLE, Product};
use butt_dial_runtime::{Backend, Platform, Role, platform::StartError};
use futures::FutureExt;
use tower_http::compression::CompressionLayer;

use app::App;
use pages::{
    account, agent, agents, alerts, anomalies, approvals, audit, call, callbacks, calls, causes, check, confirm,
    connect, dead_letters, do_not_contact, find, inbox, invitation, keys, members, message, messages, numbers,
    overview, passkeys, playground, providers, scenarios, setup, sign_in, simulator, spend, system,
};

/// The largest form.
const MAX_FORM: usize = 64 * 1024;

pub const ROLE: Role = Role {
    name: "console",
    needs: Backend::ALL,
    build: |platform| build(platform).boxed(),
};

async fn build(platform: Platform) -> Result<Router, StartError> {
    let product = Product::new(&platform, Vec::new(), OF_CONSOLE);
    let product = product.map_err(|error| StartError::Other(error.to_string()))?;
    let path = platform.config.base_path.clone();
    let app = App::new(platform, product);
    let console = router(&app);
    // Some proxies remove the base path, others forward it.
    Ok(match path.as_str() {
        "" => console,
        path => Router::new().nest(path, console.clone()).merge(console),
    })
}

fn router(app: &App) -> Router {
    let pages = Router::new()
        .route("/console", get(overview::show))
        .route("/console/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/console/claim", get(sign_in::claim_form).post(sign_in::claim))
        .route(
            "/console/authenticator",
            get(sign_in::authenticator_form).post(sign_in::authenticator),
        )
        .route("/console/sign-out", post(sign_in::sign_out))
        .route("/console/organization", post(sign_in::choose_organization))
        .route(
            "/console/invitation/{secret}",
            get(invitation::show).post(invitation::accept),
        )
        .route("/console/passkey", post(passkeys::begin))
        .route("/console/confirm", post(confirm::confirm))
        .route("/console/setup", get(setup::show))
        .route("/console/setup/{step}", post(setup::act))
        .route("/console/messages", get(messages::show).post(messages::send))
        .route("/console/causes", get(causes::show))
        .route("/console/messages/{id}", get(message::show).post(message::reveal))
        .route("/console/overview.csv", get(overview::table))
        .route("/console/inbox", get(inbox::show).post(inbox::act))
        .route("/console/calls", get(calls::show))
        .route("/console/calls/{id}", get(call::show).post(call::act))
        .route("/console/agents", get(agents::show).post(agents::create))
        .route("/console/agents/{id}", get(agent::show).post(agent::act))
        .route("/console/keys", get(keys::show).post(keys::act))
        .route("/console/members", get(members::show).post(members::act))
        .route("/console/numbers", get(numbers::show).post(numbers::act))
        .route("/console/providers", get(providers::show).post(providers::act))
        .route("/console/callbacks", get(callbacks::show).post(callbacks::act))
        .route("/console/connect", get(connect::show))
        .route("/console/find", get(find::show))
        .route("/console/check", get(check::show).post(check::check))
        .route("/console/alerts", get(alerts::show).post(alerts::act))
        .route("/console/anomalies", get(anomalies::show).post(anomalies::act))
        .route("/console/approvals", get(approvals::show).post(approvals::act))
        .route(
            "/console/do-not-contact",
            get(do_not_contact::show).post(do_not_contact::act),
        )
        .route("/console/audit", get(audit::show).post(audit::verify))
        .route("/console/spend", get(spend::show).post(spend::act))
        .route("/console/dead-letters", get(dead_letters::show).post(dead_letters::act))
        .route("/console/simulator", get(simulator::show).post(simulator::act))
        .route("/console/scenarios", get(scenarios::show).post(scenarios::run))
        .route("/console/playground", get(playground::show).post(playground::run))
        .route("/console/system", get(system::show))
        .route("/console/account", get(account::show).post(account::act))
        .route("/console/live/overview", get(live::overview))
        .route("/console/live/messages", get(live::messages))
        .route("/console/live/messages/{id}", get(live::message))
        .route("/console/live/arrival/{id}", get(live::arrival))
        .route("/console/live/calls/{id}", get(live::call))
        .route("/console/live/inbox", get(live::inbox))
        .route("/console/live/phone", get(live::phone))
        .route("/console/live/phones", get(live::phones))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(from_fn_with_state(app.clone(), security::guard))
        .with_state(app.clone());
    let base = app.base().to_owned();
    Router::new()
        .route("/console/assets/{file}", get(assets::serve))
        .route(
            "/console/",
            get(move || {
                let base = base.clone();
                async move { Redirect::permanent(&base) }
            }),
        )
        .merge(pages)
        // Streams stay as they are.
        .layer(CompressionLayer::new())
}
