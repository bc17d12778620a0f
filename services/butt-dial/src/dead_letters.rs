//! `dead-letters`: lists, shows, replays and drops webhook events that could not be applied.

use butt_dial_messaging::inbound::DeadLetterView;
use butt_dial_runtime::{Config, Lifecycle, Platform, platform::StartError};

const PAGE: u32 = 100;

#[derive(clap::Subcommand)]
pub enum Command {
    /// List dead letters, the oldest first.
    List,
    /// Show one dead letter, without message text and addresses.
    Show { id: String },
    /// Append a dead letter to the stream again; a running dispatcher does it within seconds.
    Replay {
        /// The dead letter; required without --all.
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// Replay every dead letter.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Delete a dead letter for good.
    Drop { id: String },
}

pub async fn run(config: Config, command: Command) -> Result<bool, StartError> {
    let platform = Platform::assemble(config, Lifecycle::new(), 0).await?;
    let inbound = &platform.product.inbound;
    match command {
        Command::List => {
            let mut after: Option<String> = None;
            loop {
                let page = inbound.list_dead_letters(after.as_deref(), PAGE).await?;
                for letter in &page {
                    println!("{}", line(letter));
                }
                match page.last() {
                    Some(last) if page.len() == PAGE as usize => after = Some(last.id.clone()),
                    _ => break,
                }
            }
        }
        Command::Show { id } => show(&inbound.get_dead_letter(&id).await?),
        Command::Replay { id, .. } => {
            let count = inbound.request_replay(id.as_deref()).await?;
            println!("{count} dead letters will be replayed");
        }
        Command::Drop { id } => {
            inbound.drop_dead_letter(&id).await?;
            println!("dead letter {id} is deleted");
        }
    }
    platform.backends().store.close().await;
    Ok(true)
}

fn line(letter: &DeadLetterView) -> String {
    let kind = letter.event.as_ref().map_or("unreadable entry", |event| event.kind);
    let carrier = letter.event.as_ref().map_or("-", |event| event.carrier.as_str());
    let at = letter.created_at.to_rfc3339();
    format!("{}  {at}  {}  {kind}  {carrier}", letter.id, letter.reason)
}

fn show(letter: &DeadLetterView) {
    println!("id          {}", letter.id);
    println!("created     {}", letter.created_at.to_rfc3339());
    println!("reason      {}", letter.reason);
    println!("size        {} bytes", letter.size);
    println!(
        "replay      {}",
        if letter.is_replay_requested { "requested" } else { "no" }
    );
    let Some(event) = &letter.event else { return };
    println!("event       {} ({})", event.id, event.kind);
    println!("carrier     {}", event.carrier);
    println!("org         {}", event.org.as_deref().unwrap_or("-"));
    println!("agent       {}", event.agent.as_deref().unwrap_or("-"));
}
