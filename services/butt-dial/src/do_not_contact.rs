//! `do-not-contact`: imports and exports the do-not-contact list of an organization.

use std::{io::BufRead, path::PathBuf};

use butt_dial_domain::OrgId;
use butt_dial_runtime::{Config, Lifecycle, Platform, config::ConfigError, platform::StartError};

/// Lines of one batch.
const BATCH: usize = 5_000;
const ACTOR: &str = "system";

#[derive(clap::Subcommand)]
pub enum Command {
    /// Add the rows of a table (CSV: address, channel, reason; only the first is required). May be repeated.
    Import {
        /// The id of the organization.
        #[arg(long)]
        org: String,
        /// The table. `-` is the standard input.
        file: PathBuf,
    },
    /// Print the list as a table (CSV).
    Export {
        /// The id of the organization.
        #[arg(long)]
        org: String,
    },
}

pub async fn run(config: Config, command: Command) -> Result<bool, StartError> {
    let platform = Platform::assemble(config, Lifecycle::new(), 0).await?;
    let list = &platform.product.do_not_contact;
    let is_complete = match command {
        Command::Import { org, file } => {
            let (org, mut lines) = (OrgId::from(org.as_str()), open(&file)?.lines());
            let (mut added, mut invalid, mut read) = (0, 0, 0);
            loop {
                let batch: Vec<String> = lines
                    .by_ref()
                    .take(BATCH)
                    .collect::<Result<_, _>>()
                    .map_err(|error| unreadable(&file, &error))?;
                if batch.is_empty() {
                    break;
                }
                let import = list.import_csv(&org, ACTOR, &batch.join("\n")).await?;
                for error in &import.errors {
                    eprintln!("row {}: {}", read + error.row, error.reason);
                }
                read += batch.len();
                added += import.added;
                invalid += import.invalid;
                println!("{read} rows read, {added} added, {invalid} invalid");
            }
            invalid == 0
        }
        Command::Export { org } => {
            print!("{}", list.export_csv(&OrgId::from(org.as_str())).await?);
            true
        }
    };
    platform.backends().store.close().await;
    Ok(is_complete)
}

fn open(file: &PathBuf) -> Result<Box<dyn BufRead>, StartError> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let opened = std::fs::File::open(file).map_err(|error| unreadable(file, &error))?;
    Ok(Box::new(std::io::BufReader::new(opened)))
}

fn unreadable(file: &std::path::Path, error: &std::io::Error) -> StartError {
    ConfigError(format!("{} can't be read: {error}", file.display())).into()
}
