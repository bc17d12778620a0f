//! What a person sees at the start: where it is, and what to do next. On stdout; the log goes to stderr.

use butt_dial_comms::provisioning::bootstrap::Bootstrapped;
use butt_dial_runtime::start::Running;

pub fn first_run(running: &Running, made: &Bootstrapped) {
    let (base, token) = (running.base_url(), &made.agent_token);
    let or_none = |address: &Option<String>| address.clone().unwrap_or_else(|| "none".into());
    println!(
        "
Butt-Dial is running at {base}.

An organization and an agent were made for you:
  agent          {agent}
  phone, SMS     {phone}
  WhatsApp       {whatsapp}
  e-mail         {email}
  agent token    {token}
  team token     {team}
(`butt-dial bootstrap --json` prints these again.)

MCP  Streamable HTTP  {base}/mcp
     legacy SSE       {base}/sse
REST and its page     {base}/docs

Claude Code:
  claude mcp add --transport http butt-dial {base}/mcp --header \"Authorization: Bearer {token}\"

Cursor (.cursor/mcp.json):
  {{ \"mcpServers\": {{ \"butt-dial\": {{ \"url\": \"{base}/mcp\", \"headers\": {{ \"Authorization\": \"Bearer {token}\" }} }} }} }}
",
        agent = made.agent_id,
        phone = or_none(&made.phone_number),
        whatsapp = or_none(&made.whatsapp_number),
        email = or_none(&made.email_address),
        team = made.team_token,
    );
    phones(running, Some(token));
}

/// `unmade`: there is no agent yet, and none is made without being told its addresses.
pub fn again(running: &Running, unmade: bool) {
    let base = running.base_url();
    println!("\nButt-Dial is running at {base} (MCP: {base}/mcp and {base}/sse, REST: {base}/docs).");
    if unmade {
        println!(
            "There is no agent yet. Make one with the addresses that you own at your carriers:\n  \
             butt-dial bootstrap --json --phone-number +1... --whatsapp-number +1... --email-address agent@your.domain"
        );
    } else {
        println!("`butt-dial bootstrap --json` prints the agent's token and addresses.");
    }
    phones(running, None);
}

fn phones(running: &Running, token: Option<&str>) {
    let Some(simulator) = &running.platform.simulator else {
        return;
    };
    println!(
        "The carriers are simulated: see messages arrive at {}/",
        simulator.base_url()
    );
    if let Some(token) = token {
        println!(
            "Try it without an agent:\n  curl -s {}/api/v1/send-message -H 'Authorization: Bearer {token}' \\\n    \
             -H 'Content-Type: application/json' -d '{{\"to\": \"+14155550123\", \"channel\": \"sms\", \"body\": \"Hello!\"}}'",
            running.base_url()
        );
    }
    println!("Set a carrier's credentials (`butt-dial doctor` lists them) to send for real.\n");
}
