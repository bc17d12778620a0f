//! `consents`: imports and exports the consent ledger of an organization.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use butt_dial_compliance::{LedgerFormat, MAX_EXPORT};
use butt_dial_domain::OrgId;
use butt_dial_runtime::{Config, Lifecycle, Platform, config::ConfigError, platform::StartError};

const ACTOR: &str = "operator";

#[derive(clap::Subcommand)]
pub enum Command {
    /// Record the rows of a table (CSV). Its first line names the columns: address, status (granted or revoked) and at, and
    /// optionally channel, purpose, kind, source, evidence. May be repeated.
    Import {
        /// The id of the organization.
        #[arg(long)]
        org: String,
        /// The table. `-` is the standard input.
        file: PathBuf,
    },
    /// Print the ledger, oldest entry first.
    Export {
        /// The id of the organization.
        #[arg(long)]
        org: String,
        /// Print a table (CSV) instead of JSON lines.
        #[arg(long)]
        csv: bool,
    },
}

pub async fn run(config: Config, command: Command) -> Result<bool, StartError> {
    let platform = Platform::assemble(config, Lifecycle::new(), 0).await?;
    let ledger = &platform.product.consent_ledger;
    let is_complete = match command {
        Command::Import { org, file } => {
            let (org, table) = (OrgId::from(org.as_str()), open(&file)?);
            let report = |import: &butt_dial_compliance::ConsentImport| {
                println!(
                    "{} rows read, {} entries recorded, {} invalid",
                    import.read, import.recorded, import.invalid
                );
            };
            let import = ledger.import(&org, ACTOR, table, report).await?;
            for error in &import.errors {
                eprintln!("line {}, {}: {}", error.line, error.column, error.reason);
            }
            report(&import);
            import.invalid == 0
        }
        Command::Export { org, csv } => {
            let org = OrgId::from(org.as_str());
            let format = if csv {
                LedgerFormat::Csv
            } else {
                LedgerFormat::JsonLines
            };
            let mut after = None;
            loop {
                let page = ledger.export(&org, ACTOR, format, after.as_deref(), MAX_EXPORT).await?;
                let written = std::io::stdout().write_all(page.text.as_bytes());
                written.map_err(|error| ConfigError(format!("the export can't be written: {error}")))?;
                after = page.next;
                if after.is_none() {
                    break true;
                }
            }
        }
    };
    platform.backends().store.close().await;
    Ok(is_complete)
}

fn open(file: &Path) -> Result<Box<dyn Read + Send>, StartError> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    let opened =
        std::fs::File::open(file).map_err(|error| ConfigError(format!("{} can't be read: {error}", file.display())))?;
    Ok(Box::new(std::io::BufReader::new(opened)))
}
