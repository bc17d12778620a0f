//! `doctor`: checks every backend and every carrier, and prints a hint for each failure.

use butt_dial_providers::VENDORS;
use butt_dial_runtime::{
    Config, Lifecycle, Platform,
    config::{AiVendors, CarrierSetup},
    health,
    platform::StartError,
};

pub async fn run(config: Config) -> Result<bool, StartError> {
    println!("Settings    ok");
    let (carriers, ai_vendors) = (config.carriers.clone(), config.ai_vendors.clone());
    let hints = [
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
    let platform = match Platform::assemble(config, Lifecycle::new(), 0).await {
        Ok(platform) => platform,
        Err(error) => {
            println!("Start       FAILED  {error}");
            return Ok(false);
        }
    };
    let mut all_ok = true;
    for (backend, ok) in health::check(&platform, health::WATCH_TIMEOUT).await {
        let name = backend.name();
        let hint = hints
            .iter()
            .find(|(backend, _)| *backend == name)
            .map_or("", |(_, hint)| hint);
        report(name, if ok { Ok(()) } else { Err(hint.to_owned()) }, &mut all_ok);
    }
    match &platform.product.blobs {
        Some(blobs) => {
            let hint = |error| format!("{error}; check BLOB_URL and the permissions of its credentials");
            report("blobs", blobs.check().await.map_err(hint), &mut all_ok);
        }
        None => println!("blobs       none: attachments are not stored (set BLOB_URL)"),
    }
    for carrier in platform.product.carriers.all() {
        report(carrier.id, carrier.messaging.check().await, &mut all_ok);
    }
    if platform.product.carriers.all().is_empty() {
        let hint = "none is configured, so no channel can be used: set the credentials of one (below)";
        report("carriers", Err(hint.to_owned()), &mut all_ok);
    }
    match &platform.product.model {
        Some(model) => report("model", model.check().await, &mut all_ok),
        None => println!("model       none: calls without an agent are not answered by a model"),
    }
    match &platform.product.speech {
        Some(speech) => report("speech", speech.check().await, &mut all_ok),
        None => println!("speech      none: texts are not synthesized to audio files"),
    }
    match &platform.product.transcription {
        Some(transcription) => report("transcript", transcription.check().await, &mut all_ok),
        None => println!("transcript  none: voice notes and recordings are not transcribed"),
    }
    print_vendors(&carriers, &ai_vendors);
    platform.backends().store.close().await;
    println!(
        "{}",
        if all_ok {
            "All checks passed."
        } else {
            "Some checks failed; see above."
        }
    );
    Ok(all_ok)
}

fn report(name: &str, result: Result<(), String>, all_ok: &mut bool) {
    match result {
        Ok(()) => println!("{name:<11} ok"),
        Err(hint) => {
            *all_ok = false;
            println!("{name:<11} FAILED  {hint}");
        }
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
