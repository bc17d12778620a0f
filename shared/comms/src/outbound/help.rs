//! The answer to HELP: who writes, and how to stop it. Through the one pipeline, and once for each question.

use butt_dial_store::AgentStatus;

use super::SendRequest;
use crate::{Comms, identity, inbound::record::HelpWanted};

pub fn begin(comms: &Comms, wanted: HelpWanted) {
    let working = comms.clone();
    comms.tasks.spawn(async move {
        if let Err(failure) = answer(&working, &wanted).await {
            tracing::info!(%failure, event = wanted.event, "nobody was told how to get help");
        }
    });
}

async fn answer(comms: &Comms, wanted: &HelpWanted) -> Result<(), butt_dial_domain::Failure> {
    let Some(caller) = identity::on_behalf_of(comms, &wanted.agent).await? else {
        return Ok(());
    };
    let Some(profile) = caller
        .profile
        .as_ref()
        .filter(|profile| profile.agent.status == AgentStatus::Active)
    else {
        return Ok(());
    };
    let body = format!(
        "You are writing with {}, an automated assistant. Reply STOP to get no more messages.",
        profile.agent.display_name
    );
    let request = SendRequest {
        body: Some(body),
        // The same question is answered once, whoever comes upon it again.
        idempotency_key: Some(format!("help-{}", wanted.event)),
        // A person has a right to it: what a limit or a carrier refuses for now is written down, and leaves later.
        keeps_trying: true,
        ..SendRequest::new(caller, wanted.channel, &wanted.contact)
    };
    comms.send(request).await.map(drop)
}
