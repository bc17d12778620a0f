//! The text that `serve` prints at the start: addresses, tokens and the next steps. It goes to stdout, the log to stderr.

use butt_dial_accounts::Bootstrapped;
use butt_dial_runtime::{platform::StartError, start::Running};

use crate::data_lock::DataLock;

/// Prints the agent that this run created, and how to connect to it.
pub fn first_run(running: &Running, created: &Bootstrapped) {
    let (base, token) = (running.base_url(), &created.agent_token);
    let or_none = |address: &Option<String>| address.clone().unwrap_or_else(|| "none".into());
    println!(
        "
Butt-Dial is running at {base}.

An organization and an agent were created for you:
  agent          {agent}
  phone, SMS     {phone}
  WhatsApp       {whatsapp}
  e-mail         {email}
  agent token    {token}
  team token     {team}
(`butt-dial bootstrap --json` prints them again.)

MCP  Streamable HTTP  {base}/mcp
     legacy SSE       {base}/sse
REST documentation    {base}/docs

Claude Code:
  claude mcp add --transport http butt-dial {base}/mcp --header \"Authorization: Bearer {token}\"

Cursor (.cursor/mcp.json):
  {{ \"mcpServers\": {{ \"butt-dial\": {{ \"url\": \"{base}/mcp\", \"headers\": {{ \"Authorization\": \"Bearer {token}\" }} }} }} }}
",
        agent = created.agent_id,
        phone = or_none(&created.phone_number),
        whatsapp = or_none(&created.whatsapp_number),
        email = or_none(&created.email_address),
        team = created.team_token,
    );
    print_simulator(running, Some(token));
}

/// Prints the addresses. `has_no_agent`: real carriers need a `bootstrap` with the addresses of the agent first.
pub fn later_run(running: &Running, has_no_agent: bool) {
    let base = running.base_url();
    println!("\nButt-Dial is running at {base} (MCP: {base}/mcp and {base}/sse, REST: {base}/docs).");
    if has_no_agent {
        println!(
            "There is no agent yet. Create one with the addresses that you own at your carriers:\n  \
             butt-dial bootstrap --json --phone-number +1... --whatsapp-number +1... --email-address agent@your.domain"
        );
    } else {
        println!("`butt-dial bootstrap --json` prints the agent's token and addresses.");
    }
    print_simulator(running, None);
}

/// Prints the address of the console, and the set-up key until the installation has an owner.
pub async fn console(running: &Running) -> Result<(), StartError> {
    let (base, console) = (running.base_url(), &running.platform.product.console);
    match console.is_claimed().await? {
        true => println!("Console: {base}/console"),
        false => println!(
            "Console: {base}/console/claim\n  set-up key     {}\n  (The first person with this key becomes the owner. `butt-dial console-key` prints it again.)\n",
            console.setup_key()
        ),
    }
    Ok(())
}

/// Prints where the data is. It logs the directory as well: the log of a service has no standard output.
pub fn data(lock: &DataLock) {
    if let Some(directory) = lock.directories().next() {
        println!("Data: {}", directory.display());
        tracing::info!(directory = %directory.display(), "data directory locked");
    }
}

fn print_simulator(running: &Running, token: Option<&str>) {
    let Some(simulator) = &running.platform.simulator else {
        return;
    };
    println!(
        "The carriers are simulated: messages arrive at {}/",
        simulator.base_url()
    );
    if let Some(token) = token {
        println!(
            "Send a message without an agent:\n  curl -s {}/api/v1/send-message -H 'Authorization: Bearer {token}' \\\n    \
             -H 'Content-Type: application/json' -d '{{\"to\": \"+14155550123\", \"channel\": \"sms\", \"body\": \"Hello!\"}}'",
            running.base_url()
        );
    }
    println!("To send real messages, set the credentials of a carrier (`butt-dial doctor` lists them).\n");
}
