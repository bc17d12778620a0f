//! `rules`: checks rule sets of compliance, and replays decisions of the past by another one.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use butt_dial_compliance::{ReplayRange, RuleError, RuleSet};
use butt_dial_domain::Clock;
use butt_dial_runtime::{Config, Lifecycle, Platform, config::ConfigError, platform::StartError};
use chrono::TimeDelta;

/// Between two lines about the progress.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

#[derive(clap::Subcommand)]
pub enum Command {
    /// Check the rules of a directory, and list them. Without a directory: the rules in force.
    Check { directory: Option<PathBuf> },
    /// Make the decisions of the past again by the rules of a directory, and print what would change. Changes nothing.
    Replay {
        /// The directory with the rules (*.toml). It replaces all rules.
        #[arg(long)]
        rules: PathBuf,
        /// How many days back.
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
}

pub async fn run(config: Config, command: Command) -> Result<bool, StartError> {
    match command {
        Command::Check { directory: None } => print(&config.rules),
        Command::Check {
            directory: Some(directory),
        } => print(&read(&directory)?),
        Command::Replay { rules, days } => replay(config, &read(&rules)?, days).await?,
    }
    Ok(true)
}

fn read(directory: &Path) -> Result<RuleSet, StartError> {
    RuleSet::read(directory).map_err(|error: RuleError| ConfigError(error.to_string()).into())
}

fn print(rules: &RuleSet) {
    for rule in rules.rules() {
        let severity: &str = rule.severity.into();
        let place = match rule.jurisdictions.is_empty() {
            true => "everywhere".to_owned(),
            false => rule.jurisdictions.join(" "),
        };
        println!("{:<32} {severity:<7} {place:<12} {}", rule.id, rule.source);
    }
    println!("{} rules, version {}", rules.rules().len(), rules.version());
}

async fn replay(config: Config, rules: &RuleSet, days: u32) -> Result<(), StartError> {
    let platform = Platform::assemble(config, Lifecycle::new(), 0).await?;
    let range = ReplayRange {
        org: None,
        since: Clock::System.now() - TimeDelta::days(days.into()),
        max_rows: u64::MAX,
    };
    let printed_at = std::sync::Mutex::new(Instant::now());
    let progress = |examined: u64| {
        let mut printed_at = printed_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if printed_at.elapsed() >= LINE_INTERVAL {
            *printed_at = Instant::now();
            println!("{examined} decisions examined");
        }
    };
    let replay = platform.product.rule_history.replay(rules, range, progress).await?;
    platform.backends().store.close().await;
    for change in &replay.examples {
        let rule = change.rule.as_deref().unwrap_or("-");
        println!(
            "{} {}: {} -> {} ({rule})",
            change.at.format("%Y-%m-%d %H:%M"),
            change.id,
            change.was,
            change.becomes
        );
    }
    for ((was, becomes, rule), count) in &replay.counts {
        println!("{count:>8} {was} -> {becomes} ({})", rule.as_deref().unwrap_or("-"));
    }
    println!("{} of {} decisions would change", replay.changed, replay.examined);
    Ok(())
}
