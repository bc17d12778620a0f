//! Validation of settings before a socket opens.

use butt_dial_bus::{NatsIdentity, Replicas};
use butt_dial_compliance::Disclosure;
use butt_dial_domain::Micros;

use super::*;

fn load(pairs: &[(&str, &str)], deployment: Deployment) -> Result<Config, String> {
    let env = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_parts(None, env, deployment).map_err(|error| error.0)
}

fn load_single(pairs: &[(&str, &str)]) -> Result<Config, String> {
    load(pairs, Deployment::SingleProcess)
}

fn error(pairs: &[(&str, &str)]) -> String {
    load_single(pairs).err().expect("an error")
}

#[test]
fn wrong_parameters_of_anomalies_are_an_error_with_the_line() {
    assert!(error(&[("ANOMALIES_FILE", "/nowhere.toml")]).starts_with("ANOMALIES_FILE: /nowhere.toml can't be read"));
    assert!(error(&[("ANOMALY_INTERVAL_SECONDS", "0")]).contains("must be 1 to 300"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("anomalies.toml");
    std::fs::write(&file, "[volume_spike]\nratio = 5\n").unwrap();
    let problem = error(&[("ANOMALIES_FILE", file.to_str().unwrap())]);
    assert!(problem.contains("anomalies.toml, line "), "{problem}");
}

#[test]
fn defaults_are_valid() {
    let config = load_single(&[]).unwrap();
    assert_eq!(config.port, 3100);
    assert_eq!(config.database_url, "sqlite:./data/butt-dial.db");
    assert!(matches!(config.carriers, CarrierSetup::Simulated));
    assert_eq!(config.default_limits.max_actions_per_minute, Some(10));
    assert_eq!(config.default_limits.max_spend_per_month, Some(Micros(100_000_000)));
}

#[test]
fn environment_overrides_file() {
    let env = [("PORT".to_owned(), "4000".to_owned())];
    let config = Config::from_parts(Some("port = 3999\nsimulator_port = 1"), env, Deployment::SingleProcess)
        .ok()
        .unwrap();
    assert_eq!((config.port, config.simulator_port), (4000, 1));
}

#[test]
fn rejects_unknown_settings() {
    let file = Config::from_parts(Some("prot = 1"), [], Deployment::SingleProcess)
        .err()
        .unwrap();
    assert!(
        file.0.contains("\"prot\"") && file.0.contains("did you mean port"),
        "{file}"
    );
    assert!(error(&[("DEFAULT_MAX_ACTION_PER_DAY", "1")]).contains("default_max_actions_per_day"));
    assert!(error(&[("BUTT_DIAL_PORT", "1")]).contains("unknown setting BUTT_DIAL_PORT"));
    assert!(error(&[("TWILIO_ACOUNT_SID", "AC1")]).contains("twilio_account_sid"));
    assert!(
        load_single(&[("TWILIO_PHONE_NUMBER", "+1"), ("HOME", "/x"), ("PATH", "y")]).is_ok(),
        "other programs' settings"
    );
}

#[test]
fn variables_that_resemble_settings_are_noted() {
    let noted = |pairs: &[(&str, &str)]| load_single(pairs).unwrap().resembling_variables;
    let named = |name: &str, known: &str| vec![(name.to_owned(), known.to_owned())];
    for (name, known) in [
        ("WEBHOK_BASE_URL", "WEBHOOK_BASE_URL"),
        ("WEBHOOK_BASEURL", "WEBHOOK_BASE_URL"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("NATS_URLS", "NATS_URL"),
        ("METRICS_TOKNE_FILE", "METRICS_TOKEN"),
    ] {
        assert_eq!(noted(&[(name, "x")]), named(name, known));
    }
    for name in [
        "PROT",
        "HOST_URL",
        "WEBHOOK_SECRET",
        "DATABASE_HOST",
        "WEBHOOK_BASE_URL_FILE_MODE",
        "PGHOST",
    ] {
        assert_eq!(noted(&[(name, "x")]), [], "{name}");
    }
    assert_eq!(noted(&[("WEBHOOK_BASE_URL", "https://a.example")]), []);
}

#[test]
fn rejects_invalid_values() {
    assert!(error(&[("PORT", "70000")]).contains("PORT"));
    assert!(error(&[("PORT", "x")]).contains("whole number"));
    assert!(error(&[("DEFAULT_MAX_SPEND_PER_DAY", "-1")]).contains("at least 0"));
    assert!(error(&[("TRUSTED_PROXIES", "10.0.0.0/99")]).contains("TRUSTED_PROXIES"));
    assert!(error(&[("WEBHOOK_BASE_URL", "example.com")]).contains("http"));
    assert!(error(&[("ORCHESTRATOR_SECURITY_TOKEN", "short")]).contains("32 characters"));
    assert!(
        !error(&[("ORCHESTRATOR_SECURITY_TOKEN", "hunter2")]).contains("hunter2"),
        "errors never contain a secret"
    );
    assert!(
        load_single(&[("DEFAULT_MAX_ACTIONS_PER_DAY", "none")])
            .unwrap()
            .default_limits
            .max_actions_per_day
            .is_none()
    );
}

#[test]
fn rejects_contradictions() {
    assert!(error(&[("TWILIO_ACCOUNT_SID", "AC1")]).contains("TWILIO_AUTH_TOKEN"));
    let both = [("DEMO_MODE", "true"), ("RESEND_API_KEY", "re_1")];
    assert!(error(&both).contains("DEMO_MODE"));
    assert!(error(&[("DATABASE_URL", "mysql://x")]).contains("sqlite: or postgres://"));
    assert!(error(&[("DATABASE_URL", "postgres://x/y")]).contains("NATS_URL"));
    let no_key = [("DATABASE_URL", "postgres://x/y"), ("NATS_URL", "nats://x")];
    assert!(error(&no_key).contains("CREDENTIALS_ENCRYPTION_KEY"));
}

#[test]
fn reads_phrases_from_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phrases.toml");
    let path = path.display().to_string();
    let setting = [("CALL_PHRASES_FILE", path.as_str())];
    assert!(error(&setting).contains("CALL_PHRASES_FILE"), "the file does not exist");
    std::fs::write(&path, "[en]\ngoodbye = \"So long.\"").unwrap();
    assert_eq!(
        load_single(&setting).unwrap().calls.phrases.get("en-US").goodbye,
        "So long."
    );
    std::fs::write(&path, "[en]\ngoodby = \"So long.\"").unwrap();
    assert!(error(&setting).contains("goodby"));
}

#[test]
fn distributed_service_requires_shared_backends() {
    let text = load(&[], Deployment::Distributed).err().unwrap();
    for name in ["DATABASE_URL", "NATS_URL", "REDIS_URL"] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn allows_only_local_and_named_hosts() {
    let config = load_single(&[("WEBHOOK_BASE_URL", "https://bd.example.com")]).unwrap();
    assert!(config.allowed_hosts.unwrap().contains(&"bd.example.com".to_owned()));
    assert!(load_single(&[("ALLOWED_HOSTS", "*")]).unwrap().allowed_hosts.is_none());
}

fn ai_vendors(pairs: &[(&str, &str)]) -> (bool, Vec<&'static str>) {
    let config = load_single(pairs).unwrap();
    let simulated = matches!(config.carriers, CarrierSetup::Simulated);
    let configured = config.ai_vendors.configured.iter();
    (simulated, configured.map(|(vendor, _)| vendor.manifest.id).collect())
}

#[test]
fn model_key_keeps_carriers_simulated() {
    assert_eq!(ai_vendors(&[]), (true, vec![]));
    let key = ("ANTHROPIC_API_KEY", "sk-1");
    assert_eq!(ai_vendors(&[key]), (true, vec!["anthropic"]));
    assert_eq!(ai_vendors(&[key, ("DEMO_MODE", "true")]), (true, vec!["anthropic"]));
    let carrier = ("RESEND_API_KEY", "re_1");
    assert_eq!(ai_vendors(&[carrier]), (false, vec![]));
    assert_eq!(ai_vendors(&[key, carrier]), (false, vec!["anthropic"]));
}

#[test]
fn ignores_model_settings_of_other_programs() {
    let foreign = [
        ("ANTHROPIC_MODEL", "claude-opus-5"),
        ("ANTHROPIC_BASE_URL", "https://x"),
    ];
    assert_eq!(ai_vendors(&foreign), (true, vec![]));
    assert!(error(&[("ANTHROPIC_API_KEYS", "sk-1")]).contains("anthropic_api_key"));
    assert!(error(&[("ANSWERING_MODEL", "eliza")]).contains("anthropic, openai"));
}

#[test]
fn ignores_service_links_of_kubernetes() {
    for service in [
        "BUTT_DIAL",
        "BUTT_DIAL_GATEWAY",
        "REDIS",
        "NATS",
        "POSTGRES",
        "SIMULATOR",
    ] {
        let links = [
            ("SERVICE_HOST", "10.0.0.7"),
            ("SERVICE_PORT", "3100"),
            ("SERVICE_PORT_HTTP", "3100"),
            ("PORT", "tcp://10.0.0.7:3100"),
            ("PORT_3100_TCP", "tcp://10.0.0.7:3100"),
            ("PORT_3100_TCP_PROTO", "tcp"),
            ("PORT_3100_TCP_PORT", "3100"),
            ("PORT_3100_TCP_ADDR", "10.0.0.7"),
        ];
        let names = links.map(|(suffix, value)| (format!("{service}_{suffix}"), value));
        let pairs: Vec<(&str, &str)> = names.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(load_single(&pairs).err(), None, "{service}");
    }
    assert!(error(&[("BUTT_DIAL_PORT_X", "1")]).contains("BUTT_DIAL_PORT_X"));
}

#[test]
fn reads_setting_from_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    let file = path.display().to_string();
    let setting = [("CREDENTIALS_ENCRYPTION_KEY_FILE", file.as_str())];
    assert!(
        error(&setting).contains("CREDENTIALS_ENCRYPTION_KEY_FILE"),
        "no such file"
    );
    std::fs::write(&path, format!("{}\r\n", "k".repeat(32))).unwrap();
    assert_eq!(load_single(&setting).unwrap().encryption_keys, ["k".repeat(32)]);
    std::fs::write(&path, "short\n").unwrap();
    let short = error(&setting);
    assert!(
        short.contains("CREDENTIALS_ENCRYPTION_KEY") && !short.contains("short"),
        "{short}"
    );
    let both = error(&[setting[0], ("CREDENTIALS_ENCRYPTION_KEY", "hunter2")]);
    assert!(both.contains("both") && !both.contains("hunter2"), "{both}");
    let twilio = [("TWILIO_ACCOUNT_SID", "AC1"), ("TWILIO_AUTH_TOKEN_FILE", file.as_str())];
    assert!(matches!(load_single(&twilio).unwrap().carriers, CarrierSetup::Real(_)));
    let phrases = [("CALL_PHRASES_FILE", file.as_str())];
    assert!(error(&phrases).contains("CALL_PHRASES_FILE"), "is a setting of its own");
}

#[test]
fn simulates_carriers_only_on_loopback_or_on_request() {
    let everywhere = ("HOST", "0.0.0.0");
    assert!(error(&[everywhere]).contains("DEMO_MODE=true"));
    for allowed in [
        ("DEMO_MODE", "true"),
        ("DEMO_MODE", "false"),
        ("RESEND_API_KEY", "re_1"),
    ] {
        assert_eq!(load_single(&[everywhere, allowed]).err(), None, "{allowed:?}");
    }
    assert!(ai_vendors(&[("HOST", "::1")]).0);
}

#[test]
fn reads_encryption_keys_newest_first() {
    let (new, old) = ("n".repeat(32), "o".repeat(32));
    let keys = |pairs: &[(&str, &str)]| load_single(pairs).unwrap().encryption_keys;
    let listed = format!("{new}, {old}");
    assert_eq!(keys(&[]), [""; 0]);
    assert_eq!(
        keys(&[("CREDENTIALS_ENCRYPTION_KEYS", &listed)]),
        [new.clone(), old.clone()]
    );
    let single = ("CREDENTIALS_ENCRYPTION_KEY", old.as_str());
    assert_eq!(
        keys(&[("CREDENTIALS_ENCRYPTION_KEYS", &new), single]),
        [new.clone(), old.clone()]
    );
    assert_eq!(
        keys(&[("CREDENTIALS_ENCRYPTION_KEYS", &listed), single]),
        [new.clone(), old.clone()]
    );
    let short = error(&[("CREDENTIALS_ENCRYPTION_KEYS", &format!("{new},hunter2"))]);
    assert!(
        short.contains("CREDENTIALS_ENCRYPTION_KEYS") && !short.contains("hunter2"),
        "{short}"
    );
}

#[test]
fn reads_times_of_retention_in_days() {
    let times = |pairs: &[(&str, &str)]| load_single(pairs).unwrap().keep_times;
    let day = Duration::from_secs(86_400);
    assert_eq!(times(&[("KEEP_EVENTS_DAYS", "2")]).events, Some(2 * day));
    assert_eq!(times(&[("KEEP_EVENTS_DAYS", "none")]).events, None);
    assert!(error(&[("KEEP_AUDIT_DAYS", "0")]).contains("KEEP_AUDIT_DAYS"));
}

#[test]
fn reads_binding_of_pool_senders_in_days() {
    let binding = |pairs: &[(&str, &str)]| load_single(pairs).unwrap().senders.pool_binding;
    assert_eq!(binding(&[]), chrono::TimeDelta::days(30));
    assert_eq!(binding(&[("POOL_BINDING_DAYS", "7")]), chrono::TimeDelta::days(7));
    assert!(error(&[("POOL_BINDING_DAYS", "0")]).contains("POOL_BINDING_DAYS"));
}

#[test]
fn single_role_simulates_carriers_only_on_request() {
    let backends = [
        ("DATABASE_URL", "postgres://x/y"),
        ("NATS_URL", "nats://x"),
        ("REDIS_URL", "redis://x"),
        ("CREDENTIALS_ENCRYPTION_KEY", "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"),
    ];
    let is_simulated = |more: &[(&str, &str)]| {
        let config = load(&[&backends, more].concat(), Deployment::Distributed).unwrap();
        matches!(config.carriers, CarrierSetup::Simulated)
    };
    assert!(!is_simulated(&[]));
    assert!(is_simulated(&[("DEMO_MODE", "true")]));
}

#[test]
fn discloses_unless_carriers_are_simulated() {
    let twilio = [
        ("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000001"),
        ("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef"),
    ];
    let discloses = |more: &[(&str, &str)]| {
        let config = load_single(&[&twilio, more].concat()).unwrap();
        config.compliance.disclosure == Disclosure::Default(true)
    };
    assert!(discloses(&[]));
    assert!(discloses(&[("TWILIO_API_URL", "https://api.sydney.au1.twilio.com")]));
    assert!(!discloses(&[("TWILIO_API_URL", "http://simulator:8080/twilio")]));
    assert!(!discloses(&[("AI_DISCLOSURE", "off")]));
    assert_eq!(
        load_single(&[]).unwrap().compliance.disclosure,
        Disclosure::Default(false)
    );
    let on = load_single(&[("AI_DISCLOSURE", "on")]).unwrap();
    assert_eq!(on.compliance.disclosure, Disclosure::Always);
    assert!(error(&[("AI_DISCLOSURE", "maybe")]).contains("auto, on, off"));
    assert!(error(&[("AI_DISCLOSURE_TEXT", "a\nb")]).contains("AI_DISCLOSURE_TEXT"));
}

#[test]
fn reads_settings_of_streams() {
    let streams = |pairs: &[(&str, &str)]| load_single(pairs).unwrap().streams;
    assert_eq!(streams(&[]).replicas, Replicas::Auto);
    assert_eq!(streams(&[("NATS_REPLICAS", "3")]).replicas, Replicas::Exactly(3));
    assert_eq!(
        streams(&[("NATS_STREAM_MAX_BYTES", "2000000")]).max_bytes,
        Some(2_000_000)
    );
    assert!(error(&[("NATS_REPLICAS", "2")]).contains("auto, 1, 3, 5"));
}

#[test]
fn reads_log_levels_and_rejects_other_words() {
    for level in ["info", "WARN", "info,butt_dial_messaging=debug", "off"] {
        assert!(load_single(&[("LOG_LEVEL", level)]).is_ok(), "{level}");
    }
    for level in ["loud", "info,butt_dial_messaging", "butt_dial_messaging=loud", ""] {
        assert!(error(&[("LOG_LEVEL", level)]).contains("LOG_LEVEL"), "{level}");
    }
}

#[test]
fn reads_identity_and_certificates_of_nats() {
    let seed = load_single(&[("NATS_NKEY_SEED", "SUA")]).ok().unwrap();
    assert!(matches!(seed.nats_access.identity, NatsIdentity::NkeySeed(seed) if seed == "SUA"));
    let both = [("NATS_NKEY_SEED", "SUA"), ("NATS_CREDENTIALS", "x")];
    assert!(error(&both).contains("NATS_CREDENTIALS and NATS_NKEY_SEED"));
    assert!(error(&[("NATS_CLIENT_KEY_PATH", "/x")]).contains("NATS_CLIENT_CERTIFICATE_PATH"));
    assert!(error(&[("NATS_CA_PATH", "/nowhere/ca.pem")]).contains("/nowhere/ca.pem"));
}

#[test]
fn signals_go_to_the_collector_that_is_set() {
    let paths = |pairs: &[(&str, &str)]| {
        let otlp = load_single(pairs).unwrap().otlp;
        [otlp.traces, otlp.metrics, otlp.logs].map(|url| url.map_or_else(String::new, String::from))
    };
    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/x/");
    assert_eq!(paths(&[]), ["", "", ""]);
    assert_eq!(paths(&[ENDPOINT]), ["http://c:4318/x/v1/traces", "", ""]);
    let all = [
        ENDPOINT,
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs/in"),
    ];
    assert_eq!(paths(&all), ["", "http://c:4318/x/v1/metrics", "https://logs/in"]);
    for signal in ["METRICS", "LOGS"] {
        let name = format!("OTEL_{signal}_EXPORTER");
        let problem = error(&[(name.as_str(), "otlp")]);
        assert!(problem.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{problem}");
        assert!(error(&[ENDPOINT, (name.as_str(), "console")]).contains("none"));
    }
}
