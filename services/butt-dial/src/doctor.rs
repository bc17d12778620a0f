//! `doctor`: asks every backend and every carrier, and says how to mend what fails.

use butt_dial_providers::VENDORS;
use butt_dial_runtime::{
    Config, Lifecycle, Platform,
    config::{CarrierSetup, Engines},
    health,
    platform::StartError,
};

pub async fn run(config: Config) -> Result<bool, StartError> {
    println!("Settings    ok");
    let (carriers, engines) = (config.carriers.clone(), config.engines.clone());
    let remedies = [
        (
            "database",
            "check DATABASE_URL and that the server runs; `butt-dial migrate` brings its schema up to date",
        ),
        (
            "bus",
            "check NATS_URL, and that the server was started with JetStream (nats-server -js)",
        ),
        ("kv", "check REDIS_URL and that the server runs"),
    ];
    let platform = match Platform::assemble(config, Lifecycle::new(), 0).await {
        Ok(platform) => platform,
        Err(error) => {
            println!("Start       FAILED  {error}");
            return Ok(false);
        }
    };
    let mut all_well = true;
    for (name, ok) in health::check(&platform).await {
        let remedy = remedies
            .iter()
            .find(|(backend, _)| *backend == name)
            .map_or("", |(_, remedy)| remedy);
        report(name, if ok { Ok(()) } else { Err(remedy.to_owned()) }, &mut all_well);
    }
    match &platform.comms.blobs {
        Some(blobs) => {
            let remedy = |error| format!("{error}; check BLOB_URL, and what it may be written with");
            report("blobs", blobs.check().await.map_err(remedy), &mut all_well);
        }
        None => println!("blobs       none: attachments are not kept (BLOB_URL)"),
    }
    for carrier in platform.comms.carriers.all() {
        report(carrier.id, carrier.messaging.check().await, &mut all_well);
    }
    if platform.comms.carriers.all().is_empty() {
        let remedy = "none is set up, so no channel can be used: set the credentials of one (below)";
        report("carriers", Err(remedy.to_owned()), &mut all_well);
    }
    match &platform.comms.model {
        Some(model) => report("model", model.check().await, &mut all_well),
        None => println!("model       none: nobody answers where no agent does"),
    }
    match &platform.comms.speech {
        Some(speech) => report("speech", speech.check().await, &mut all_well),
        None => println!("speech      none: texts are not read into sound files"),
    }
    explain_vendors(&carriers, &engines);
    platform.comms.store.close().await;
    println!(
        "{}",
        if all_well {
            "All is well."
        } else {
            "Something has to be mended; see above."
        }
    );
    Ok(all_well)
}

fn report(name: &str, result: Result<(), String>, all_well: &mut bool) {
    match result {
        Ok(()) => println!("{name:<11} ok"),
        Err(remedy) => {
            *all_well = false;
            println!("{name:<11} FAILED  {remedy}");
        }
    }
}

/// Which settings each vendor takes, for those that are not set up.
fn explain_vendors(carriers: &CarrierSetup, engines: &Engines) {
    let real = match carriers {
        CarrierSetup::Simulated => {
            println!("The carriers are simulated. To send for real, set:");
            &[][..]
        }
        CarrierSetup::Real(real) => real,
    };
    for vendor in VENDORS {
        let manifest = &vendor.manifest;
        let mut set_up = real.iter().chain(&engines.set_up);
        if set_up.any(|(known, _)| known.manifest.id == manifest.id) {
            continue;
        }
        let channels = manifest.channels.iter().map(|channel| channel.as_str());
        let known: Vec<&str> = channels.chain([manifest.docs]).collect();
        println!("  {} ({})", manifest.title, known.join(", "));
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
