//! `doctor`: checks every backend, every carrier and what production needs, and prints a hint for each failure. It never says that
//! all is well of an installation that reaches no person.

mod key_backup;
mod public_address;
mod report;

use std::path::PathBuf;

use butt_dial_providers::VENDORS;
use butt_dial_runtime::{
    Config, Lifecycle, Platform,
    config::{AiVendors, CarrierSetup},
    health,
    platform::StartError,
};

use self::report::Report;

#[derive(clap::Args)]
pub struct Options {
    /// A file with the backup of the encryption key, to compare with the key in use.
    #[arg(long, value_name = "FILE")]
    key_backup: Option<PathBuf>,
}

pub async fn run(config: Config, options: Options) -> Result<bool, StartError> {
    println!("Settings    ok");
    let platform = match Platform::assemble(config, Lifecycle::new(), 0).await {
        Ok(platform) => platform,
        Err(error) => {
            println!("Start       FAILED  {error}");
            return Ok(false);
        }
    };
    let mut report = Report::default();
    for (variable, setting) in &platform.config.resembling_variables {
        report.warn(
            "settings",
            &format!("the variable {variable} is no setting; is {setting} meant?"),
        );
    }
    check_backends(&platform, &mut report).await;
    check_vendors(&platform, &mut report).await;
    public_address::check(&platform, &mut report).await;
    key_backup::check(&platform.config, options.key_backup.as_deref(), &mut report);
    print_vendors(&platform.config.carriers, &platform.config.ai_vendors);
    platform.backends().store.close().await;
    println!("{}", report.conclusion(platform.config.carriers.are_simulated()));
    Ok(report.is_ok())
}

async fn check_backends(platform: &Platform, report: &mut Report) {
    const HINTS: [(&str, &str); 3] = [
        (
            "database",
            "check DATABASE_URL and that the server is running; `butt-dial migrate` applies the schema",
        ),
        (
            "bus",
            "check NATS_URL and that the server is running with JetStream (nats-server -js)",
        ),
        ("kv", "check REDIS_URL and that the server is running"),
    ];
    for (backend, ok) in health::check(platform, health::WATCH_TIMEOUT).await {
        let name = backend.name();
        let mut hints = HINTS.iter().filter(|(backend, _)| *backend == name);
        let hint = hints.next().map_or("", |(_, hint)| hint);
        report.check(name, if ok { Ok(()) } else { Err(hint.to_owned()) });
    }
    for copies in platform.backends().bus.stream_copies() {
        let (stream, current, wanted) = (copies.stream, copies.current, copies.wanted);
        if current < wanted {
            report.warn(
                "streams",
                &format!(
                    "{stream} has {current} of {wanted} copies: check the servers of the NATS cluster (NATS_REPLICAS)"
                ),
            );
        } else if current == 1 {
            report.warn(
                "streams",
                &format!(
                    "{stream} has one copy: a power failure of its server loses accepted webhooks of up to two minutes. Use \
                     a NATS cluster of three servers"
                ),
            );
        } else {
            report.ok("streams", &format!("{stream} has {current} copies"));
        }
    }
    match &platform.product.blobs {
        Some(blobs) => {
            let hint = |error| format!("{error}; check BLOB_URL and the permissions of its credentials");
            report.check("blobs", blobs.check().await.map_err(hint));
        }
        None => println!("blobs       none: attachments are not stored (set BLOB_URL)"),
    }
}

async fn check_vendors(platform: &Platform, report: &mut Report) {
    let product = &platform.product;
    for carrier in product.carriers.all() {
        report.check(carrier.id, carrier.messaging.check().await);
    }
    if product.carriers.all().is_empty() {
        let hint = "none is configured, so no channel can be used: set the credentials of one (below)";
        report.check("carriers", Err(hint.to_owned()));
    }
    if platform.config.carriers.are_simulated() {
        report.warn("carriers", "simulated: no message reaches a person");
    }
    match &product.model {
        Some(model) => report.check("model", model.check().await),
        None => println!("model       none: calls without an agent are not answered by a model"),
    }
    match &product.speech {
        Some(speech) => report.check("speech", speech.check().await),
        None => println!("speech      none: texts are not synthesized to audio files"),
    }
    match &product.transcription {
        Some(transcription) => report.check("transcript", transcription.check().await),
        None => println!("transcript  none: voice notes and recordings are not transcribed"),
    }
}

/// Prints the settings of the vendors that are not configured.
fn print_vendors(carriers: &CarrierSetup, ai_vendors: &AiVendors) {
    let real = match carriers {
        CarrierSetup::Simulated => {
            println!("The carriers are simulated. To send real messages, set:");
            &[][..]
        }
        CarrierSetup::Real(real) => real,
    };
    for vendor in VENDORS {
        let manifest = &vendor.manifest;
        let mut configured = real.iter().chain(&ai_vendors.configured);
        if configured.any(|(setup, _)| setup.manifest.id == manifest.id) {
            continue;
        }
        let channels = manifest.channels.iter().map(|channel| channel.as_str());
        let facts: Vec<&str> = channels.chain([manifest.docs]).collect();
        println!("  {} ({})", manifest.title, facts.join(", "));
        for field in manifest.credentials {
            println!(
                "    {}{}  {}",
                field.env,
                if field.required { "" } else { " (optional)" },
                field.help
            );
        }
    }
}
