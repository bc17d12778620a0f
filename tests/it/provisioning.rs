//! Numbers of organizations on several replicas: own accounts, subaccounts and pools. Each webhook is signed with the token of the
//! account that owns the number, and speaks for that account only.

use butt_dial_domain::{Channel, Clock};
use butt_dial_providers::{PersonMessage, Secret, simulator::SimulatedAccount, twilio::webhook};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::support::{
    Account, Agent, Cluster, RequestExt as _, Transport, Webhook, bodies, eventually, message_sid, says, sms,
};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
const INSTALLATION: &str = "AC00000000000000000000000000000000";

async fn post(cluster: &Cluster, account: &Account, path: &str, body: Value) -> Value {
    let request = cluster.gateways.post(path, &body).bearer_auth(&account.team_token);
    let reply = request.reply().await;
    assert!((200..300).contains(&reply.status), "{path}: {}", reply.text);
    reply.body
}

/// Buys a British number for the agent of the account.
async fn buy(cluster: &Cluster, account: &Account) -> String {
    let path = format!("/api/v1/agents/{}/comm-channels", account.agent);
    let body = json!({ "channel_type": "phone", "country": "GB" });
    let added = post(cluster, account, &path, body).await;
    added["identifier"].as_str().expect("a number").to_owned()
}

/// Creates an organization with its own account at the vendor, and buys a number of that account for its agent.
async fn tenant_with_account(cluster: &Cluster, name: &str, digit: char) -> (Account, SimulatedAccount, String) {
    let tenant = Account::create(&cluster.store, &cluster.gateways, name, &format!("+1415555019{digit}")).await;
    let own = SimulatedAccount {
        id: format!("AC{}", digit.to_string().repeat(32)),
        token: format!("token-of-{name}"),
        label: name.to_owned(),
        status: "active".to_owned(),
        created_at: Clock::System.now(),
    };
    cluster.carriers.account_book().add_account(own.clone());
    let credentials = json!({ "accountSid": own.id, "authToken": own.token });
    let body = json!({ "provider": "twilio", "credentials": credentials });
    post(cluster, &tenant, "/api/v1/providers", body).await;
    let number = buy(cluster, &tenant).await;
    (tenant, own, number)
}

fn rest(cluster: &Cluster, account: &Account) -> Agent {
    Agent::connect_rest(&cluster.gateways, &account.token)
}

fn numbers_of(cluster: &Cluster, account: &str) -> Vec<String> {
    let numbers = cluster.carriers.account_book().numbers_of(account);
    numbers.into_iter().map(|number| number.number).collect()
}

/// A person writes to a number, through the account that has it.
async fn writes(cluster: &Cluster, from: &str, to: &str, body: &str) {
    cluster
        .deliver_accepted(PersonMessage::new(Channel::Sms, from, to, body))
        .await;
}

/// Posts the text of a person that names this account and is signed with this token. Returns the status.
async fn post_signed(cluster: &Cluster, account: &str, token: &str, to: &str) -> u16 {
    let sid = message_sid();
    let fields: Vec<(String, String)> = [
        ("MessageSid", sid.as_str()),
        ("AccountSid", account),
        ("From", ANN),
        ("To", to),
        ("Body", "Forged"),
        ("NumMedia", "0"),
        ("SmsStatus", "received"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let path = "/webhooks/twilio/sms";
    let url = format!("{}{path}", cluster.public_url);
    let signature = webhook::sign(&Secret::new(token), &url, webhook::Payload::Form(&fields));
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&fields)
        .finish();
    let forged = Webhook {
        path: path.to_owned(),
        headers: vec![
            (webhook::HEADER, signature),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ],
        body: body.into_bytes(),
    };
    forged.post(cluster).await.status
}

profiles! {
    async fn own_account_sends_and_receives_for_itself_only(cluster: &Cluster) {
        let (ada, account, number) = tenant_with_account(cluster, "Ada", '1').await;
        let (bob, other, others_number) = tenant_with_account(cluster, "Bob", '2').await;
        assert_eq!(numbers_of(cluster, &account.id), std::slice::from_ref(&number));
        assert_eq!(numbers_of(cluster, &other.id), std::slice::from_ref(&others_number));

        let message = |from: &str| json!({ "channel": "sms", "to": ANN, "body": "Hello", "from": from });
        let agent = rest(cluster, &ada);
        let sent = agent.send(message(&number)).await.unwrap();
        assert_eq!(cluster.expect_arrival(&sent).await.from, number);
        let foreign = agent.send(message(&others_number)).await.unwrap_err();
        assert_eq!(foreign["code"], "CHANNEL_UNAVAILABLE", "{foreign}");

        writes(cluster, ANN, &number, "To Ada").await;
        assert_eq!(bodies(&agent.expect_events(1).await), ["To Ada"]);
        // A valid signature of one account says nothing about a number of another one.
        let installation = &cluster.carriers.setting("TWILIO_AUTH_TOKEN");
        for (named, token, to) in [
            (account.id.as_str(), other.token.as_str(), &number),
            (&other.id, &other.token, &number),
            (&account.id, installation, &number),
            (INSTALLATION, installation, &number),
            (INSTALLATION, &account.token, &cluster.account.phone),
            (&account.id, &account.token, &cluster.account.phone),
        ] {
            let status = post_signed(cluster, named, token, to).await;
            assert!((400..500).contains(&status), "{named} {to}: {status}");
        }
        assert_eq!(post_signed(cluster, &account.id, &account.token, &number).await, 200);
        assert_eq!(bodies(&agent.expect_events(1).await), ["Forged"]);
        assert!(rest(cluster, &bob).poll_messages().await.is_empty());
        assert!(cluster.rest().await.poll_messages().await.is_empty());
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none")];
    async fn revoked_credentials_stop_only_their_account(cluster: &Cluster) {
        let (ada, account, number) = tenant_with_account(cluster, "Ada", '1').await;
        let agent = rest(cluster, &ada);
        let message = || json!({ "channel": "sms", "to": ANN, "body": "Hello", "from": number });
        agent.send(message()).await.unwrap();
        cluster.carriers.account_book().set_token(&account.id, "changed");
        let refused = agent.send(message()).await.unwrap_err();
        assert_eq!(refused["code"], "PROVIDER_MISCONFIGURED", "{refused}");
        cluster.rest().await.send(sms(ANN, "Unaffected")).await.unwrap();
        // The new credentials are used on every replica.
        let credentials = json!({ "accountSid": account.id, "authToken": "changed" });
        let body = json!({ "provider": "twilio", "credentials": credentials });
        post(cluster, &ada, "/api/v1/providers", body).await;
        let mut accepted = 0;
        eventually("both gateways use them", async || {
            accepted = if agent.send(message()).await.is_ok() { accepted + 1 } else { 0 };
            (accepted == 4).then_some(())
        })
        .await;
        writes(cluster, ANN, &number, "Still here").await;
        assert_eq!(bodies(&agent.expect_events(1).await), ["Still here"]);
    }
}

profiles! {
    with [("ISOLATION_MODE", "subaccount-per-agent")];
    async fn each_agent_has_its_subaccount(cluster: &Cluster) {
        let second = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550191")
            .await;
        let mut numbers = Vec::new();
        for account in [&cluster.account, &second] {
            let number = buy(cluster, account).await;
            let agent = rest(cluster, account);
            writes(cluster, ANN, &number, "Hello").await;
            assert_eq!(agent.expect_events(1).await[0]["to"], json!(number));
            let message = json!({ "channel": "sms", "to": BOB, "body": "Hi", "from": number });
            let sent = agent.send(message).await.unwrap();
            assert_eq!(cluster.expect_arrival(&sent).await.from, number);
            numbers.push(number);
        }
        let mut accounts = cluster.carriers.account_book().accounts();
        accounts.sort_by_key(|account| numbers_of(cluster, &account.id));
        let owned: Vec<Vec<String>> = accounts.iter().map(|account| numbers_of(cluster, &account.id)).collect();
        assert_eq!(owned, [vec![numbers[0].clone()], vec![numbers[1].clone()]]);
        assert!(numbers_of(cluster, INSTALLATION).is_empty());
        let forged = post_signed(cluster, &accounts[1].id, &accounts[1].token, &numbers[0]).await;
        assert!((400..500).contains(&forged), "{forged}");

        // A call goes through the agent's subaccount, and its webhooks are signed by it.
        let agent = cluster.agent_of(&second, Transport::Sse).await;
        let call = agent.make_call(BOB, json!({ "greeting": "Good morning" })).await;
        let person = cluster.expect_greeted_call(BOB, "Good morning").await;
        says(&person, "Who is there?").await;
        assert_eq!(agent.attend(&call).await["text"], "Who is there?");
        person.hang_up().await;
        assert_eq!(agent.wait_for_call_end(&call).await["from"], json!(numbers[1]));
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none")];
    async fn pool_serves_one_agent_for_each_contact(cluster: &Cluster) {
        let ada = Account::create(&cluster.store, &cluster.gateways, "Ada", "+14155550191").await;
        let bob = ada.add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550192").await;
        let request = cluster.gateways.request(reqwest::Method::PUT, "/api/v1/sender-modes");
        let modes = request.json(&json!({ "identityMode": "shared" })).bearer_auth(&ada.team_token);
        modes.reply().await.expect(200);
        let pooled = post(cluster, &ada, "/api/v1/pool", json!({ "country": "GB" })).await;
        let pool = pooled["record"]["identifier"].as_str().expect("a number");
        let (first, second) = (rest(cluster, &ada), rest(cluster, &bob));
        for _ in 0..2 {
            let sent = first.send(sms(ANN, "From Ada")).await.unwrap();
            assert_eq!(sent["from"], pool);
        }
        let sent = second.send(sms(BOB, "From Bob")).await.unwrap();
        assert_eq!(sent["from"], pool);
        let taken = second.send(json!({ "channel": "sms", "to": ANN, "body": "Hi", "from": pool })).await;
        assert_eq!(taken.unwrap_err()["code"], "POOL_EXHAUSTED_FOR_CONTACT");

        writes(cluster, ANN, pool, "To Ada").await;
        writes(cluster, BOB, pool, "To Bob").await;
        assert_eq!(bodies(&first.expect_events(1).await), ["To Ada"]);
        assert_eq!(bodies(&second.expect_events(1).await), ["To Bob"]);

        // An upgrade in mid-conversation: replies to the pool still reach the agent.
        let request = cluster.gateways.request(reqwest::Method::PUT, "/api/v1/sender-modes");
        let modes = request.json(&json!({ "identityMode": "hybrid" })).bearer_auth(&ada.team_token);
        modes.reply().await.expect(200);
        let own = buy(cluster, &ada).await;
        writes(cluster, ANN, pool, "Still to Ada").await;
        assert_eq!(bodies(&first.expect_events(1).await), ["Still to Ada"]);
        eventually("the agent uses its own number", async || {
            let sent = first.send(sms("+447700900555", "Hi")).await.ok()?;
            (sent["from"] == json!(own)).then_some(())
        })
        .await;
    }
}
