//! Checks of operators before production: one program for a directory, and the doctor.

use std::{
    io::Read as _,
    process::{Output, Stdio},
};

use butt_dial_testkit::servers::Nats;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    Backends, Program, RequestExt as _, eventually, program_command, run_program, start_simulator, with_setting,
};

fn settings(directory: &TempDir) -> Vec<(String, String)> {
    [
        ("DATA_DIR", directory.path().to_str().unwrap()),
        ("PORT", "0"),
        ("SIMULATOR_PORT", "0"),
        ("SHUTDOWN_DELAY_SECONDS", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

async fn doctor(settings: &[(String, String)], arguments: &[&str]) -> (bool, String) {
    let output = run_program(&[&["doctor"], arguments].concat(), settings).await;
    (output.status.success(), text(&output))
}

/// Returns the line of a check.
fn line(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
    line.unwrap_or_else(|| panic!("no line {name}: {text}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_program_on_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    let mut first = Program::serve(&["serve"], &settings).await;
    // The program may be ready before its lines are read.
    let locked = eventually("the lock is logged", async || first.log_event("data directory locked")).await;
    let path = std::fs::canonicalize(directory.path()).unwrap();
    assert_eq!(locked["directory"], path.to_str().unwrap());
    let second = run_program(&["serve"], &settings).await;
    let reason = text(&second);
    assert!(!second.status.success(), "{reason}");
    assert!(
        reason.contains(path.to_str().unwrap()) && reason.contains("DATA_DIR"),
        "{reason}"
    );
    // Commands work beside it.
    assert!(run_program(&["bootstrap"], &settings).await.status.success());
    // The lock does not outlive a killed program.
    first.kill().await;
    Program::serve(&["serve"], &settings).await;
}

#[tokio::test]
async fn doctor_says_that_carriers_are_simulated() {
    let directory = tempfile::tempdir().unwrap();
    let (ok, report) = doctor(&settings(&directory), &[]).await;
    assert!(ok && !report.contains("All checks passed"), "{report}");
    assert!(line(&report, "carriers").contains("WARNING"), "{report}");
    let conclusion = report.lines().find(|line| line.contains("Warnings:")).unwrap();
    assert!(conclusion.ends_with("no message reaches a person."), "{report}");

    // Those of another process are simulators as well.
    let simulator = start_simulator().await;
    let endpoint = format!("{}/resend", simulator.base_url());
    let settings = with_setting(&settings(&directory), "RESEND_API_URL", &endpoint);
    let settings = with_setting(&settings, "RESEND_API_KEY", simulator.state().setting("RESEND_API_KEY"));
    let (_, report) = doctor(&settings, &[]).await;
    assert!(line(&report, "carriers").contains("simulated"), "{report}");
    assert!(
        line(&report, "public").contains("WEBHOOK_BASE_URL is not set"),
        "{report}"
    );
    let program = Program::serve(&["serve"], &settings).await;
    let metrics = program.client().get("/metrics").reply().await.text;
    assert!(metrics.contains("\nbd_simulated 1\n"), "{metrics}");
    simulator.stop().await;
}

/// Passes requests on to a program, with the header of a proxy.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no lifecycle; the task ends with the test's runtime"
)]
async fn start_proxy(target: std::net::SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = vec![0; 8_192];
            let length = client.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]);
            let (first, rest) = request.split_once("\r\n").unwrap();
            let mut server = TcpStream::connect(target).await.unwrap();
            let forwarded = format!("{first}\r\nX-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n{rest}");
            server.write_all(forwarded.as_bytes()).await.unwrap();
            let _ = tokio::io::copy(&mut server, &mut client).await;
        }
    });
    base_url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_proves_that_public_address_is_own() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let program = Program::serve(&["serve"], &settings(&one)).await;
    let public = |directory: &TempDir, url: &str| with_setting(&settings(directory), "WEBHOOK_BASE_URL", url);
    let (ok, report) = doctor(&public(&one, &program.base_url), &[]).await;
    assert!(ok && line(&report, "public").contains("ok"), "{report}");
    assert!(line(&report, "proxies").contains("none"), "{report}");

    let (ok, report) = doctor(&public(&other, &program.base_url), &[]).await;
    assert!(
        !ok && line(&report, "public").contains("another installation"),
        "{report}"
    );

    let proxy = start_proxy(program.address).await;
    let (ok, report) = doctor(&public(&one, &proxy), &[]).await;
    assert!(ok && line(&report, "public").contains("ok"), "{report}");
    assert!(line(&report, "proxies").contains("WARNING"), "{report}");
    drop(program);

    let (ok, report) = doctor(&public(&one, "http://127.0.0.1:9"), &[]).await;
    assert!(!ok && line(&report, "public").contains("can't be reached"), "{report}");

    let trusting = with_setting(&settings(&one), "TRUSTED_PROXIES", "127.0.0.1");
    let program = Program::serve(&["serve"], &trusting).await;
    let proxy = start_proxy(program.address).await;
    let (_, report) = doctor(&with_setting(&trusting, "WEBHOOK_BASE_URL", &proxy), &[]).await;
    assert!(line(&report, "proxies").contains("ok"), "{report}");
}

#[tokio::test]
async fn doctor_compares_backup_of_key() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    let (_, report) = doctor(&settings, &[]).await;
    let warning = line(&report, "key");
    assert!(
        warning.contains("WARNING") && warning.contains("encryption.key"),
        "{report}"
    );
    let own = directory.path().join("encryption.key");
    let key = std::fs::read_to_string(&own).unwrap();
    let copy = directory.path().join("copy");
    let compare = async |content: &str| {
        std::fs::write(&copy, content).unwrap();
        doctor(&settings, &["--key-backup", copy.to_str().unwrap()]).await
    };
    let (ok, report) = compare(&format!("{key}\n")).await;
    assert!(ok && line(&report, "key").contains("ok"), "{report}");
    let (ok, report) = compare(&"0".repeat(64)).await;
    assert!(!ok && line(&report, "key").contains("FAILED"), "{report}");
    assert!(!report.contains(&key), "no key is printed: {report}");
    let (ok, report) = doctor(&settings, &["--key-backup", own.to_str().unwrap()]).await;
    assert!(!ok && report.contains("no copy"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_streams_are_checked_and_measured_servers() {
    let mut backends = Backends::start().await;
    let (_, report) = doctor(&backends.settings(), &[]).await;
    assert!(line(&report, "streams").contains("one copy"), "{report}");
    let mut servers = Nats::start_cluster(3).await;
    let url = servers.iter().map(Nats::url).collect::<Vec<_>>().join(",");
    let settings = with_setting(&backends.settings(), "NATS_URL", &url);
    let settings = with_setting(&settings, "PORT", "0");
    let dispatcher = Program::serve(&["dispatcher"], &settings).await;
    let copies = async |current: u32| {
        // A probe updates the metrics.
        dispatcher.client().get("/health/ready").reply().await;
        let metrics = dispatcher.client().get("/metrics").reply().await.text;
        metrics.contains(&format!("bd_stream_replicas{{stream=\"INBOUND\"}} {current}\n"))
            && metrics.contains("bd_stream_replicas_wanted{stream=\"INBOUND\"} 3\n")
    };
    eventually("the stream has three copies", async || copies(3).await.then_some(())).await;
    let metrics = dispatcher.client().get("/metrics").reply().await.text;
    assert!(metrics.contains("\nbd_anomalies_open{detector="), "{metrics}");
    assert!(metrics.contains("\nbd_audit_sealer_lag_seconds "), "{metrics}");
    servers[2].kill();
    eventually("a copy is missing", async || copies(2).await.then_some(())).await;
    backends.redis.stop().await;
}

#[tokio::test]
async fn simulator_keeps_secrets_out_of_its_output() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("simulator.env");
    let arguments = ["simulator", "--port", "0", "--settings-file", file.to_str().unwrap()];
    let mut child = program_command(&arguments, &[]).stdout(Stdio::piped()).spawn().unwrap();
    let content = eventually("the file is complete", async || {
        let content = std::fs::read_to_string(&file).ok()?;
        content.contains("TWILIO_AUTH_TOKEN=").then_some(content)
    })
    .await;
    child.kill().await.unwrap();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).await.unwrap();
    assert!(output.contains("TWILIO_API_URL=http://"), "{output}");
    let mut secrets = 0;
    for line in content.lines().filter(|line| !line.contains("=http://")) {
        let (name, value) = line.split_once('=').unwrap();
        assert!(!output.contains(value), "{name} is printed");
        secrets += 1;
    }
    assert!(secrets > 5);
    let mut opened = std::fs::File::open(&file).unwrap();
    opened.read_to_string(&mut output).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&opened.metadata().unwrap().permissions());
    assert_eq!(mode & 0o077, 0);
}
