//! `console-key`: the set-up key of the console, and links for members who can't sign in any more. Access to the machine is the
//! proof.

use butt_dial_runtime::{Config, Lifecycle, Platform, platform::StartError};

#[derive(clap::Args)]
pub struct Options {
    /// Print a link with which this member sets a new password and a new authenticator. It is valid for an hour.
    #[arg(long, value_name = "EMAIL")]
    recover: Option<String>,
}

pub async fn run(config: Config, options: Options) -> Result<bool, StartError> {
    let (base, port) = (config.base_url(config.port), config.port);
    let platform = Platform::assemble(config, Lifecycle::new(), port).await?;
    let console = &platform.product.console;
    let text = match options.recover {
        Some(email) => {
            let secret = console.recover(&email).await?;
            let path = format!("/console/invitation/{secret}");
            let page = platform.product.accounts.page(&path);
            page.unwrap_or_else(|| format!("{base}{path}"))
        }
        None if console.is_claimed().await? => "The console has an owner, so there is no set-up key. Sign in, or run \
            `butt-dial console-key --recover EMAIL` for a member who can't."
            .to_owned(),
        None => console.setup_key(),
    };
    platform.backends().store.close().await;
    println!("{text}");
    Ok(true)
}
