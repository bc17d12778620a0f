//! Organizations that register themselves: registration, verification, terms, and what they do not show.

use butt_dial_domain::{Clock, OrgId};
use butt_dial_identity::token;
use butt_dial_store::{NewOneTimeToken, OneTimeKind};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{CallbackHost, Cluster, RequestExt as _, eventually, expect_butt_dial_signature, sms};

pub const OPEN: [(&str, &str); 5] = [
    ("REGISTRATION", "open"),
    ("INSTALLATION_EMAIL", "installation@butt-dial.example"),
    ("INSTALLATION_PHONE", "+14155550199"),
    ("ALLOW_PRIVATE_CALLBACKS", "true"),
    ("ACCOUNT_WEBHOOK_RETRY_AFTER_SECONDS", "1,1,1,1,1"),
];
pub const ORCHESTRATOR: &str = "an-orchestrator-token-of-32-chars-or-more";

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}

pub async fn post(cluster: &Cluster, path: &str, body: Value) -> crate::support::Reply {
    cluster.gateways.post(path, &body).reply().await
}

/// Posts with a bearer token.
pub async fn post_as(cluster: &Cluster, token: &str, path: &str, body: Value) -> crate::support::Reply {
    cluster.gateways.post(path, &body).bearer_auth(token).reply().await
}

pub async fn get_as(cluster: &Cluster, token: &str, path: &str) -> crate::support::Reply {
    cluster.gateways.get(path).bearer_auth(token).reply().await
}

/// Returns the token of the newest link that was mailed to an owner.
pub async fn mailed_token(cluster: &Cluster, owner: &str) -> String {
    eventually("the mail arrives", async || {
        let mails = cluster.carriers.messages_to(owner);
        let (_, token) = mails.last()?.body.split_once("/verify#token=")?;
        Some(token.chars().take_while(char::is_ascii_hexdigit).collect())
    })
    .await
}

async fn register(cluster: &Cluster, owner: &str, more: Value) -> Value {
    let mut body = json!({ "orgName": "Acme", "ownerEmail": owner });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(cluster, "/api/orgs/register", body).await.expect(200)
}

/// Registers and verifies an organization. Returns the id and the team token.
pub async fn new_team(cluster: &Cluster, owner: &str) -> (String, String) {
    register(cluster, owner, json!({})).await;
    let token = mailed_token(cluster, owner).await;
    let verified = post(cluster, "/api/orgs/verify", json!({ "token": token }))
        .await
        .expect(200);
    (
        text(&verified["orgId"]).to_owned(),
        text(&verified["team_token"]).to_owned(),
    )
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2], OPEN[3], OPEN[4]];
    async fn owner_registers_and_host_gets_its_token(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        host.respond_with(&[500]);
        let hook = json!({ "webhookUrl": host.url("/bd"), "returnUrl": "https://app.example/done" });
        let registered = register(cluster, "ann@example.com", hook).await;
        assert_eq!(registered["verificationSent"], true, "{registered}");
        let (org, poll) = (text(&registered["orgId"]), text(&registered["pollToken"]));
        assert_eq!((poll.len(), text(&registered["webhookSecret"]).len()), (48, 64));
        let status = format!("/api/orgs/{org}/verification-status");
        let pending = cluster.gateways.get(&format!("{status}?poll_token={poll}")).reply().await.expect(200);
        assert_eq!((&pending["verified"], &pending["status"]), (&json!(false), &json!("pending")));

        let token = mailed_token(cluster, "ann@example.com").await;
        let verified = post(cluster, "/api/orgs/verify", json!({ "token": token })).await.expect(200);
        for name in ["team_token", "teamToken", "owner_token", "ownerToken"] {
            assert_eq!(verified[name], verified["team_token"], "{name}");
        }
        assert_eq!((&verified["scopes"], &verified["org_id"]), (&json!("org-admin"), &json!(org)));
        assert_eq!(verified["fragmentRedirectUrl"], "https://app.example/done");
        let again = post(cluster, "/api/orgs/verify", json!({ "token": token })).await.expect(400);
        assert_eq!(again["code"], "VERIFICATION_TOKEN_INVALID");

        let callbacks = host.expect_callbacks(2).await;
        assert_eq!(callbacks[0].header("x-bd-delivery-id"), callbacks[1].header("x-bd-delivery-id"));
        for callback in &callbacks {
            expect_butt_dial_signature(callback, text(&registered["webhookSecret"]));
            let body = callback.json();
            assert_eq!((&body["event"], &body["orgId"]), (&json!("account.verified"), &json!(org)));
            assert_eq!((&body["teamToken"], &body["ownerEmail"]), (&verified["team_token"], &json!("ann@example.com")));
        }
        let team = text(&verified["team_token"]);
        let account = get_as(cluster, team, "/api/orgs/me").await.expect(200);
        assert_eq!((&account["org_id"], &account["owner_email"]), (&json!(org), &json!("ann@example.com")));
        assert_eq!((&account["orgId"], &account["status"]), (&json!(org), &json!("active")));
        post_as(cluster, team, "/api/v1/agents", json!({ "agent_id": "ada", "display_name": "Ada" })).await.expect(201);

        let done = cluster.gateways.get(&format!("{status}?poll_token={poll}")).reply().await.expect(200);
        assert_eq!((&done["verified"], &done["state"]), (&json!(true), &json!("verified")));
        let abandoned = post_as(cluster, poll, "/api/orgs/abandon", json!({ "orgId": org })).await.expect(409);
        assert_eq!(abandoned["code"], "ORG_ALREADY_VERIFIED");
        let resent = post(cluster, &format!("/api/orgs/{org}/resend-verification"), json!({})).await.expect(409);
        assert_eq!(resent["code"], "ALREADY_VERIFIED");
    }
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2]];
    async fn registration_of_known_owner_looks_like_any_other(cluster: &Cluster) {
        let (org, team) = new_team(cluster, "ann@example.com").await;
        let fresh = register(cluster, "bob@example.com", json!({})).await;
        let known = register(cluster, "Ann@Example.com", json!({})).await;
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&fresh), names(&known));
        assert_ne!(known["orgId"], json!(org));
        assert_eq!(register(cluster, "ann@example.com", json!({})).await["orgId"], known["orgId"]);
        let again = register(cluster, "ann@example.com", json!({})).await;
        let decoy = text(&again["orgId"]);
        let status = format!("/api/orgs/{decoy}/verification-status?poll_token={}", text(&again["pollToken"]));
        assert_eq!(cluster.gateways.get(&status).reply().await.expect(200)["status"], "pending");
        post(cluster, &format!("/api/orgs/{decoy}/resend-verification"), json!({})).await.expect(200);
        let abandon = json!({ "orgId": decoy });
        post_as(cluster, text(&again["pollToken"]), "/api/orgs/abandon", abandon).await.expect(200);
        assert_eq!(cluster.gateways.get(&status).reply().await.status, 401, "as after any abandoned one");
        assert_ne!(register(cluster, "ann@example.com", json!({})).await["orgId"], json!(decoy));
        get_as(cluster, &team, "/api/orgs/me").await.expect(200);
    }
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2]];
    async fn repeated_registration_keeps_organization(cluster: &Cluster) {
        let first = register(cluster, "ann@example.com", json!({})).await;
        let second = register(cluster, "ann@example.com", json!({})).await;
        assert_eq!((&first["orgId"], &first["webhookSecret"]), (&second["orgId"], &second["webhookSecret"]));
        assert_ne!(first["pollToken"], second["pollToken"]);
        let org = text(&first["orgId"]);
        let status = async |poll: &Value| {
            let path = format!("/api/orgs/{org}/verification-status?poll_token={}", text(poll));
            cluster.gateways.get(&path).reply().await
        };
        assert_eq!(status(&first["pollToken"]).await.expect(401)["code"], "AUTH_REQUIRED");
        status(&second["pollToken"]).await.expect(200);
        let other = register(cluster, "ann@example.com", json!({ "returnUrl": "https://b.example/" })).await;
        assert_eq!(other["webhookSecret"], first["webhookSecret"], "the same webhook, the same network");

        let with_key = async |body: Value| {
            let request = cluster.gateways.post("/api/orgs/register", &body).header("Idempotency-Key", "k-1");
            request.reply().await
        };
        let body = json!({ "orgName": "Acme", "ownerEmail": "bob@example.com" });
        let (one, two) = (with_key(body.clone()).await.expect(200), with_key(body).await.expect(200));
        assert_eq!(one, two);
        let changed = with_key(json!({ "orgName": "Other", "ownerEmail": "bob@example.com" })).await;
        assert_eq!(changed.expect(409)["code"], "CONFLICT");
    }
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2]];
    async fn pending_registration_is_abandoned_by_its_host(cluster: &Cluster) {
        let registered = register(cluster, "ann@example.com", json!({})).await;
        let (org, poll) = (text(&registered["orgId"]), text(&registered["pollToken"]));
        let other = register(cluster, "bob@example.com", json!({})).await;
        let foreign = post_as(cluster, text(&other["pollToken"]), "/api/orgs/abandon", json!({ "orgId": org })).await;
        let unknown = post_as(cluster, "x", "/api/orgs/abandon", json!({ "orgId": "org_unknown" })).await;
        assert_eq!(foreign.expect(401), unknown.expect(401));
        let token = mailed_token(cluster, "ann@example.com").await;
        let done = post_as(cluster, poll, "/api/orgs/abandon", json!({ "orgId": org })).await.expect(200);
        assert_eq!((&done["deleted"], &done["orgId"]), (&json!(true), &json!(org)));
        let link = post(cluster, "/api/orgs/verify", json!({ "token": token })).await.expect(400);
        assert_eq!(link["code"], "VERIFICATION_TOKEN_INVALID");
        assert_ne!(register(cluster, "ann@example.com", json!({})).await["orgId"], json!(org));
    }
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2]];
    async fn expired_link_says_so_and_mail_can_be_repeated(cluster: &Cluster) {
        let registered = register(cluster, "ann@example.com", json!({ "branding": { "productName": "Zap" } })).await;
        let org = text(&registered["orgId"]);
        let now = Clock::System.now();
        let expired = NewOneTimeToken {
            hash: &hex::encode(token::hash("expired")),
            kind: OneTimeKind::Verification,
            org: Some(&OrgId::from(org)),
            detail: Some("{}"),
            expires_at: now - TimeDelta::seconds(1),
        };
        cluster.store.create_one_time_token(&expired, now - TimeDelta::minutes(20)).await.unwrap();
        let refused = post(cluster, "/api/orgs/verify", json!({ "token": "expired" })).await.expect(400);
        assert_eq!(refused["code"], "VERIFICATION_TOKEN_EXPIRED");
        let first = mailed_token(cluster, "ann@example.com").await;
        let sent = post(cluster, &format!("/api/orgs/{org}/resend-verification"), json!({})).await.expect(200);
        assert_eq!(sent["verificationSent"], true);
        let second = eventually("another mail arrives", async || {
            Some(mailed_token(cluster, "ann@example.com").await).filter(|token| *token != first)
        })
        .await;
        let path = |token: &str| format!("/api/orgs/branding-by-token?token={token}");
        let branding = cluster.gateways.get(&path(&second)).reply().await.expect(200);
        assert_eq!((&branding["productName"], &branding["orgName"]), (&json!("Zap"), &json!("Acme")));
        assert_eq!(cluster.gateways.get(&path("unknown")).reply().await.expect(200), json!({}));
        post(cluster, "/api/orgs/verify", json!({ "token": second })).await.expect(200);
        let other = post(cluster, "/api/orgs/verify", json!({ "token": first })).await.expect(400);
        assert_eq!(other["code"], "VERIFICATION_TOKEN_INVALID", "one link of a registration is used");
    }
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2]];
    async fn invalid_registrations_name_their_fields(cluster: &Cluster) {
        let refused = async |body: Value| post(cluster, "/api/orgs/register", body).await.expect(400);
        let missing = refused(json!({ "orgName": " " })).await;
        assert_eq!((&missing["code"], &missing["fields"]), (&json!("MISSING_FIELDS"), &json!(["orgName", "ownerEmail"])));
        let with = |name: &str, value: Value| {
            let mut body = json!({ "orgName": "Acme", "ownerEmail": "ann@example.com" });
            body[name] = value;
            body
        };
        let no_link = refused(with("verificationEmail", json!({ "subject": "Hi", "html": "<p>Hi</p>" }))).await;
        assert_eq!(no_link["code"], "TEMPLATE_MISSING_VERIFY_URL");
        let large = "x".repeat(201 * 1024);
        let large = refused(with("verificationEmail", json!({ "html": large }))).await;
        assert_eq!(large["code"], "TEMPLATE_TOO_LARGE");
        for (name, value) in [
            ("ownerEmail", json!("ann")),
            ("returnUrl", json!("javascript:alert(1)")),
            ("webhookUrl", json!("https://127.0.0.1/")),
            ("branding", json!({ "primaryColor": "red;" })),
            ("branding", json!({ "logoUrl": "http://a.example/" })),
        ] {
            assert_eq!(refused(with(name, value.clone())).await["code"], "INVALID_ARGUMENT", "{name} {value}");
        }
        let own = json!({ "subject": "Welcome", "html": "<a href=\"{{verify_url}}\">x</a>", "text": "Go: {{verify_url}}" });
        post(cluster, "/api/orgs/register", with("verificationEmail", own)).await.expect(200);
        mailed_token(cluster, "ann@example.com").await;
        let mail = cluster.carriers.messages_to("ann@example.com").pop().unwrap();
        assert_eq!(mail.subject.as_deref(), Some("Welcome"));
        assert!(mail.body.starts_with("Go: http") && mail.html.unwrap().contains("/verify#token="));
    }
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2], ("TERMS_VERSION", "2026-11"), ("TERMS_URL", "https://a.example/terms")];
    async fn owner_accepts_terms_before_activation(cluster: &Cluster) {
        register(cluster, "ann@example.com", json!({ "orgName": "A <b>" })).await;
        let token = mailed_token(cluster, "ann@example.com").await;
        let verified = post(cluster, "/api/orgs/verify", json!({ "token": token })).await.expect(200);
        assert_eq!((&verified["requiresOnboarding"], &verified["teamToken"]), (&json!(true), &Value::Null));
        let session = text(&verified["onboardingSessionId"]);
        assert!(text(&verified["onboardingUrl"]).ends_with(&format!("/onboarding?s={session}")));
        let page = cluster.gateways.get(&format!("/onboarding?s={session}")).reply().await;
        assert!(page.text.contains("A &lt;b&gt;") && page.text.contains("https://a.example/terms"), "{}", page.text);
        let accept = async |session: &str, version: &str| {
            let body = json!({ "sessionId": session, "version": version });
            post(cluster, "/api/orgs/onboarding/accept", body).await
        };
        assert_eq!(accept(session, "2020").await.expect(409)["code"], "TOS_VERSION_MISMATCH");
        assert_eq!(accept("x", "2026-11").await.expect(400)["code"], "ONBOARDING_SESSION_INVALID");
        let accepted = accept(session, "2026-11").await.expect(200);
        let account = get_as(cluster, text(&accepted["team_token"]), "/api/orgs/me").await.expect(200);
        assert_eq!(account["termsVersion"], "2026-11");
        assert_eq!(accept(session, "2026-11").await.expect(400)["code"], "ONBOARDING_SESSION_INVALID");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_installation_registers_nothing_without_invite() {
    let closed = Cluster::embedded_with(&["twilio", "resend"], &[]).await;
    let body = json!({ "orgName": "Acme", "ownerEmail": "ann@example.com" });
    let refused = post(&closed, "/api/orgs/register", body.clone()).await.expect(403);
    assert_eq!(refused["code"], "REGISTRATION_CLOSED");
    closed.shut_down().await;

    let settings = [
        ("REGISTRATION", "invite"),
        OPEN[1],
        ("ORCHESTRATOR_SECURITY_TOKEN", ORCHESTRATOR),
    ];
    let invites = Cluster::embedded_with(&["twilio", "resend"], &settings).await;
    let with = |code: &str| {
        let mut body = body.clone();
        body["inviteCode"] = json!(code);
        body
    };
    assert_eq!(post(&invites, "/api/orgs/register", with("x")).await.status, 403);
    let invite = post_as(&invites, ORCHESTRATOR, "/api/v1/invites", json!({}))
        .await
        .expect(201);
    let code = text(&invite["inviteCode"]);
    let registered = post(&invites, "/api/orgs/register", with(code)).await.expect(200);
    assert_eq!(
        registered["devVerificationToken"],
        Value::Null,
        "never with real carriers"
    );
    assert_eq!(
        post(&invites, "/api/orgs/register", with(code)).await.status,
        403,
        "used"
    );
    let by_team = post_as(&invites, &invites.account.team_token, "/api/v1/invites", json!({})).await;
    assert_eq!(by_team.expect(403)["code"], "AUTH_FORBIDDEN");
    invites.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_of_one_owner_are_limited() {
    let cluster = Cluster::embedded_with(&["twilio", "resend"], &[OPEN[0], OPEN[1]]).await;
    let body = json!({ "orgName": "Acme", "ownerEmail": "ann@example.com" });
    for _ in 0..5 {
        post(&cluster, "/api/orgs/register", body.clone()).await.expect(200);
    }
    let limited = post(&cluster, "/api/orgs/register", body).await;
    assert!(limited.header("retry-after").is_some());
    let limited = limited.expect(429);
    assert_eq!((&limited["scope"], &limited["code"]), (&json!("email"), &Value::Null));
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registration_without_sender_says_that_no_mail_left() {
    let cluster = Cluster::embedded_with(&["twilio", "resend"], &[OPEN[0]]).await;
    let registered = register(&cluster, "ann@example.com", json!({})).await;
    assert_eq!(registered["verificationSent"], false);
    assert!(text(&registered["reason"]).contains("INSTALLATION_EMAIL"));
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simulated_installation_returns_secrets_of_mails() {
    let cluster = Cluster::embedded(&[("BASE_PATH", "/bd")]).await;
    let registered = register(&cluster, "ann@example.com", json!({})).await;
    let token = text(&registered["devVerificationToken"]);
    assert_eq!(token, mailed_token(&cluster, "ann@example.com").await);
    let mail = cluster.carriers.messages_to("ann@example.com").pop().unwrap();
    assert!(mail.body.contains("/bd/verify#token="));
    let verified = post(&cluster, "/bd/api/orgs/verify", json!({ "token": token }))
        .await
        .expect(200);
    let team = text(&verified["team_token"]).to_owned();
    let account = get_as(&cluster, &team, "/api/orgs/me").await.expect(200);
    assert_eq!(account["mode"], "sandbox");
    // The mailed link is a page: it runs only its own script, and a request for it uses nothing up.
    let page = cluster.gateways.get("/bd/verify").reply().await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("script-src 'sha256-") && policy.contains("default-src 'none'"),
        "{policy}"
    );
    let no_redirects = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    let old = no_redirects
        .build()
        .unwrap()
        .get(format!("{}/api/orgs/verify?token=abc", cluster.gateways.base(0)));
    let old = old.send().await.unwrap();
    assert_eq!(
        (old.status().as_u16(), old.headers().contains_key("sunset")),
        (302, true)
    );
    assert_eq!(old.headers()["location"], "../../verify#token=abc");
    cluster.shut_down().await;
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2], ("ORCHESTRATOR_SECURITY_TOKEN", ORCHESTRATOR)];
    async fn suspended_organization_is_refused_within_a_second(cluster: &Cluster) {
        let agent = cluster.rest().await;
        agent.send(sms("+14155550123", "Hi")).await.unwrap();
        let org = cluster.account.org.as_str();
        let set = async |status: &str| {
            let path = format!("/api/v1/teams/{org}/status");
            let request = cluster.gateways.request(reqwest::Method::PUT, &path).bearer_auth(ORCHESTRATOR);
            request.json(&json!({ "status": status })).reply().await.expect(200)
        };
        set("suspended").await;
        eventually("the team's token is refused", async || {
            let reply = get_as(cluster, &cluster.account.team_token, "/api/orgs/me").await;
            (reply.body["code"] == "AUTH_FORBIDDEN").then_some(())
        })
        .await;
        eventually("the agent's token is refused", async || {
            let refused = agent.send(sms("+14155550123", "Hi")).await.err()?;
            (refused["code"] == "AUTH_FORBIDDEN").then_some(())
        })
        .await;
        set("active").await;
        eventually("the agent sends again", async || agent.send(sms("+14155550123", "Hi")).await.ok()).await;

        let create = async |slug: &str| {
            let body = json!({ "name": "Team", "slug": slug });
            post_as(cluster, ORCHESTRATOR, "/api/v1/teams", body).await
        };
        let created = create("team-a").await.expect(201);
        get_as(cluster, text(&created["token"]), "/api/orgs/me").await.expect(200);
        assert_eq!(create("team-a").await.expect(409)["code"], "ALREADY_EXISTS");
        assert_eq!(create("Team").await.expect(400)["code"], "INVALID_ARGUMENT");
        let teams = get_as(cluster, ORCHESTRATOR, "/api/v1/teams").await.expect(200);
        let slugs: Vec<&str> = teams["teams"].as_array().unwrap().iter().map(|team| text(&team["slug"])).collect();
        assert!(slugs.contains(&"team-a") && !slugs.contains(&"installation"), "{slugs:?}");
        let by_team = get_as(cluster, &cluster.account.team_token, "/api/v1/teams").await;
        assert_eq!(by_team.expect(403)["code"], "AUTH_FORBIDDEN");
    }
}
