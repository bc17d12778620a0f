//! The command line, as operators use it.

use std::process::Output;

use butt_dial_testkit::servers::Redis;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Backends, run_program};

struct Shell {
    directory: TempDir,
    settings: Vec<(String, String)>,
}

impl Shell {
    fn new(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let defaults = [
            ("DATA_DIR", directory.path().to_str().unwrap()),
            ("PORT", "0"),
            ("SIMULATOR_PORT", "0"),
        ];
        let settings = defaults
            .iter()
            .chain(settings)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            settings: settings.collect(),
            directory,
        }
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        run_program(arguments, &self.settings).await
    }

    async fn bootstrap(&self, extra: &[&str]) -> Value {
        let output = self.run(&[&["bootstrap", "--json"], extra].concat()).await;
        assert!(output.status.success(), "{}", output_text(&output));
        serde_json::from_slice(&output.stdout).expect("exactly one JSON object")
    }

    /// Runs a command that must fail, and returns its output.
    async fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(!output.status.success(), "{}", output_text(&output));
        output_text(&output)
    }
}

fn output_text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn repeated_bootstrap_returns_same_ids_and_tokens() {
    let shell = Shell::new(&[]);
    let first = shell.bootstrap(&[]).await;
    for name in [
        "orgId",
        "teamToken",
        "agentId",
        "agentToken",
        "phoneNumber",
        "whatsappNumber",
        "emailAddress",
    ] {
        assert!(first[name].is_string(), "{name}: {first}");
    }
    assert_eq!(shell.bootstrap(&[]).await, first);
    let key = std::fs::metadata(shell.directory.path().join("encryption.key")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777,
        0o600
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_bootstraps_return_same_account_servers() {
    let backends = Backends::start().await;
    let mut shell = Shell::new(&[]);
    shell.settings.extend(backends.settings());
    let (one, other) = tokio::join!(shell.bootstrap(&[]), shell.bootstrap(&[]));
    assert_eq!(one, other);
}

#[tokio::test]
async fn rejects_other_encryption_key_for_existing_database() {
    const NAME: &str = "CREDENTIALS_ENCRYPTION_KEY";
    let mut shell = Shell::new(&[]);
    let first = shell.bootstrap(&[]).await;
    let own = std::fs::read_to_string(shell.directory.path().join("encryption.key")).unwrap();
    let other = "0123456789abcdef0123456789abcdef";
    shell.settings.push((NAME.into(), other.into()));
    for command in ["serve", "bootstrap", "doctor"] {
        let wrong = shell.fail(&[command]).await;
        assert!(wrong.contains(NAME) && wrong.contains("encryption.key"), "{wrong}");
        assert!(!wrong.contains(other) && !wrong.contains(&own), "{wrong}");
    }
    // The source of the key does not matter.
    shell.settings.pop();
    shell.settings.push((NAME.into(), own));
    assert_eq!(shell.bootstrap(&[]).await, first);
}

#[tokio::test]
async fn former_key_can_go_after_rewrap() {
    const NAME: &str = "CREDENTIALS_ENCRYPTION_KEYS";
    let mut shell = Shell::new(&[]);
    let first = shell.bootstrap(&[]).await;
    let former = std::fs::read_to_string(shell.directory.path().join("encryption.key")).unwrap();
    let newest = "0123456789abcdef0123456789abcdef";
    let use_keys = |shell: &mut Shell, keys: String| {
        shell.settings.retain(|(name, _)| name != NAME);
        shell.settings.push((NAME.into(), keys));
    };
    use_keys(&mut shell, newest.into());
    assert!(shell.fail(&["bootstrap"]).await.contains("rewrap-keys"));
    use_keys(&mut shell, format!("{newest},{former}"));
    assert_eq!(shell.bootstrap(&[]).await, first);
    let rewrapped = shell.run(&["rewrap-keys"]).await;
    let text = output_text(&rewrapped);
    assert!(rewrapped.status.success() && text.contains("0 unreadable"), "{text}");
    use_keys(&mut shell, newest.into());
    assert_eq!(shell.bootstrap(&[]).await, first, "derived tokens stay");
    use_keys(&mut shell, former);
    assert!(shell.fail(&["bootstrap"]).await.contains(NAME));
}

#[tokio::test]
async fn bootstrap_with_real_carrier_invents_no_addresses() {
    let shell = Shell::new(&[("RESEND_API_KEY", "re_something")]);
    let bare = shell.bootstrap(&[]).await;
    assert!(
        bare["phoneNumber"].is_null() && bare["emailAddress"].is_null(),
        "{bare}"
    );
    let given = shell
        .bootstrap(&[
            "--email-address",
            "Agent@Example.com",
            "--phone-number",
            "+1 415 555 0177",
        ])
        .await;
    assert_eq!(given["emailAddress"], "Agent@example.com");
    assert_eq!(given["phoneNumber"], "+14155550177");
    assert_eq!(given["agentToken"], bare["agentToken"]);
    let wrong = shell.fail(&["bootstrap", "--json", "--phone-number", "0177"]).await;
    assert!(wrong.contains("E.164"), "{wrong}");
}

#[tokio::test]
async fn gateway_command_names_missing_backend_settings() {
    let wrong = Shell::new(&[]).fail(&["gateway"]).await;
    for name in ["DATABASE_URL", "NATS_URL", "REDIS_URL", "butt-dial serve"] {
        assert!(wrong.contains(name), "{wrong}");
    }
    let some = [("NATS_URL", "nats://127.0.0.1:1"), ("REDIS_URL", "redis://127.0.0.1:1")];
    let wrong = Shell::new(&some).fail(&["gateway"]).await;
    assert!(
        wrong.contains("DATABASE_URL") && !wrong.contains("REDIS_URL"),
        "{wrong}"
    );
}

#[tokio::test]
async fn rejects_invalid_settings_before_start() {
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[("DEFAULT_MAX_FOO", "1")], "DEFAULT_MAX_FOO"),
        (&[("BUTT_DIAL_PORT", "1")], "BUTT_DIAL_PORT"),
        (&[("TWILIO_ACOUNT_SID", "x")], "twilio_account_sid"),
        (&[("DATABASE_URL", "mysql://x")], "DATABASE_URL"),
        (&[("CREDENTIALS_ENCRYPTION_KEY", "short")], "CREDENTIALS_ENCRYPTION_KEY"),
        (&[("DEMO_MODE", "true"), ("RESEND_API_KEY", "re_x")], "DEMO_MODE"),
        (&[("LOG_LEVEL", "loud,=")], "LOG_LEVEL"),
    ];
    for (settings, named) in cases {
        let shell = Shell::new(settings);
        let wrong = shell.fail(&["serve"]).await;
        assert!(wrong.contains(named), "{wrong}");
        assert!(!wrong.contains("serving") && !wrong.contains("short"), "{wrong}");
        assert_eq!(
            std::fs::read_dir(shell.directory.path()).unwrap().count(),
            0,
            "no file was written"
        );
    }
}

#[tokio::test]
async fn names_port_already_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let wrong = Shell::new(&[("PORT", &port)]).fail(&["serve"]).await;
    assert!(wrong.contains(&port) && wrong.contains("PORT"), "{wrong}");
}

#[tokio::test]
async fn demo_succeeds_without_servers() {
    let output = Shell::new(&[]).run(&["demo"]).await;
    let text = output_text(&output);
    assert!(output.status.success(), "{text}");
    for name in [
        "+14155550123 has received",
        "+14155550124 has received",
        "ann@example.com has received",
    ] {
        assert!(text.contains(name), "{text}");
    }
}

#[tokio::test]
async fn migrate_is_repeatable() {
    let shell = Shell::new(&[]);
    for _ in 0..2 {
        let output = shell.run(&["migrate"]).await;
        assert!(output.status.success(), "{}", output_text(&output));
    }
}

#[tokio::test]
async fn doctor_reports_success_or_failing_check() {
    let well = Shell::new(&[]).run(&["doctor"]).await;
    assert!(well.status.success(), "{}", output_text(&well));
    assert!(
        output_text(&well).contains("TWILIO_AUTH_TOKEN"),
        "doctor explains how to send for real: {}",
        output_text(&well)
    );

    let simulator = crate::support::start_simulator().await;
    let endpoint = format!("{}/twilio", simulator.base_url());
    let wrong_token = [
        ("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000000"),
        ("TWILIO_AUTH_TOKEN", "not-the-token"),
        ("TWILIO_API_URL", &endpoint),
    ];
    let wrong = Shell::new(&wrong_token).fail(&["doctor"]).await;
    assert!(
        wrong.contains("TWILIO_AUTH_TOKEN") && wrong.contains("FAILED"),
        "{wrong}"
    );
    assert!(!wrong.contains("not-the-token"), "{wrong}");
    simulator.stop().await;

    let no_storage = [
        ("BLOB_URL", "s3://attachments"),
        ("S3_ENDPOINT", "http://127.0.0.1:9"),
        ("S3_ACCESS_KEY_ID", "unknown"),
        ("S3_SECRET_ACCESS_KEY", "not-the-key"),
    ];
    let wrong = Shell::new(&no_storage).fail(&["doctor"]).await;
    let line = wrong
        .lines()
        .find(|line| line.starts_with("blobs"))
        .expect("a line for the blob storage");
    assert!(line.contains("FAILED") && line.contains("BLOB_URL"), "{wrong}");
    assert!(!wrong.contains("not-the-key"), "{wrong}");
}

#[tokio::test]
async fn connects_to_redis_over_tls_with_trusted_certificate() {
    let redis = Redis::start_encrypted().await;
    let (url, certificate) = (redis.url(), redis.certificate().display().to_string());
    let trusting = Shell::new(&[("REDIS_URL", &url), ("SSL_CERT_FILE", &certificate)]);
    let well = trusting.run(&["doctor"]).await;
    assert!(well.status.success(), "{}", output_text(&well));
    let wrong = Shell::new(&[("REDIS_URL", &url)]).fail(&["doctor"]).await;
    assert!(wrong.contains("certificate"), "{wrong}");
}

#[tokio::test]
async fn doctor_warns_of_misspelt_variable() {
    let shell = Shell::new(&[("WEBHOK_BASE_URL", "https://comms.example")]);
    let text = output_text(&shell.run(&["doctor"]).await);
    let line = text.lines().find(|line| line.contains("WEBHOK_BASE_URL")).unwrap();
    assert!(
        line.contains("WARNING") && line.contains(" WEBHOOK_BASE_URL "),
        "{text}"
    );
    assert!(!text.contains("All checks passed"), "{text}");
}

#[tokio::test]
async fn help_lists_commands() {
    let output = Shell::new(&[]).run(&["--help"]).await;
    for command in ["serve", "gateway", "demo", "migrate", "doctor", "bootstrap"] {
        assert!(output_text(&output).contains(command), "{}", output_text(&output));
    }
    let wrong = Shell::new(&[]).fail(&["serv"]).await;
    assert!(wrong.contains("serve"), "the error suggests the right command: {wrong}");
}

#[tokio::test]
async fn rules_are_checked_and_history_is_replayed() {
    let shell = Shell::new(&[]);
    shell.bootstrap(&[]).await;
    let built_in = output_text(&shell.run(&["rules", "check"]).await);
    let version = built_in
        .lines()
        .find_map(|line| line.split_once("rules, version "))
        .unwrap()
        .1;
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/rules");
    let same = output_text(&shell.run(&["rules", "check", directory]).await);
    assert!(same.contains(version), "the same text has one version: {same}");
    let replayed = shell.run(&["rules", "replay", "--rules", directory]).await;
    let text = output_text(&replayed);
    assert!(
        replayed.status.success() && text.contains("0 of 0 decisions would change"),
        "{text}"
    );
    assert!(shell.fail(&["rules", "check", "/no/such"]).await.contains("/no/such"));
}

#[tokio::test]
async fn do_not_contact_list_is_imported_and_exported() {
    let shell = Shell::new(&[]);
    let account = shell.bootstrap(&[]).await;
    let org = account["orgId"].as_str().unwrap();
    let table = shell.directory.path().join("list.csv");
    std::fs::write(&table, "address,channel,reason\n+12125550188,sms,by letter\nnobody\n").unwrap();
    let table = table.to_str().unwrap();
    // The valid rows are added, and the exit code shows that others are left.
    let imported = shell.fail(&["do-not-contact", "import", "--org", org, table]).await;
    assert!(
        imported.contains("1 added, 1 invalid") && imported.contains("row 2:"),
        "{imported}"
    );
    let exported = output_text(&shell.run(&["do-not-contact", "export", "--org", org]).await);
    assert!(exported.contains("+12125550188,sms,by letter,"), "{exported}");
    let unknown = shell
        .fail(&["do-not-contact", "import", "--org", "org_none", table])
        .await;
    assert!(unknown.contains("no organization with this id"), "{unknown}");
}

#[tokio::test]
async fn consents_are_imported_and_exported() {
    let shell = Shell::new(&[]);
    let account = shell.bootstrap(&[]).await;
    let org = account["orgId"].as_str().unwrap();
    let table = shell.directory.path().join("consents.csv");
    // A quoted field may have several lines.
    let rows = "address,status,at,source\n+12125550188,granted,2026-01-02T03:04:05Z,\"paper\nform\"\n12,granted,2026-01-02T03:04:05Z,x\n";
    std::fs::write(&table, rows).unwrap();
    let table = table.to_str().unwrap();
    let imported = shell.fail(&["consents", "import", "--org", org, table]).await;
    assert!(
        imported.contains("1 entries recorded, 1 invalid") && imported.contains("line 4, address:"),
        "{imported}"
    );
    let lines = output_text(&shell.run(&["consents", "export", "--org", org]).await);
    assert!(lines.contains(r#""method":"import""#), "{lines}");
    let csv = output_text(&shell.run(&["consents", "export", "--csv", "--org", org]).await);
    assert!(csv.contains("+12125550188,sms,all,granted,"), "{csv}");
}
