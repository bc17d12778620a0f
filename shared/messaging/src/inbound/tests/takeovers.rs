//! Messages of contacts that a person answers in place of the agent.

use butt_dial_domain::{Principal, Scope, TokenId};
use butt_dial_identity::Caller;

use super::{blocked::receive, *};
use crate::Inbox;

#[tokio::test]
async fn messages_are_marked_while_a_person_answers() {
    let bench = Bench::new().await;
    let inbox = Inbox::new(bench.store.clone(), bench.vault.clone(), bench.clock.clone());
    let caller = Caller {
        principal: Principal {
            token: TokenId::from("usr_1"),
            scope: Scope::OrgAdmin,
            org: Some(bench.agent.org_id.clone()),
            agent: None,
            restriction: None,
        },
        profile: None,
    };
    let taken = inbox
        .take_over(&caller, bench.agent.id.host_id(), CONTACT, 1)
        .await
        .unwrap();
    receive(&bench, vec![text_message(&bench, "SM1", "Is anyone there?")]).await;
    inbox.give_back(&caller, &taken.id).await.unwrap();
    receive(&bench, vec![text_message(&bench, "SM2", "And now?")]).await;
    let events = bench.store.list_events(&bench.agent.id, 0, 9).await.unwrap();
    let marks: Vec<_> = events
        .iter()
        .filter(|event| event.kind == crate::delivery::MESSAGE_RECEIVED)
        .map(|event| event.data["takenOver"]["takeoverId"].as_str())
        .collect();
    assert_eq!(marks, [Some(taken.id.as_str()), None]);
}
