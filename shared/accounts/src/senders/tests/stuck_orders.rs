//! Orders that the vendor does not undo.

use super::*;

#[tokio::test]
async fn stuck_order_is_undone_once_the_vendor_agrees() {
    let world = World::new().await;
    let refuse = |code: &str| InjectedFault::Refuse {
        status: 400,
        code: code.to_owned(),
    };
    // The purchase, the refused webhooks, and the refused return of the number.
    let state = world.simulator.state();
    for fault in [InjectedFault::Slow { delay_ms: 0 }, refuse("21502"), refuse("21610")] {
        state.inject_fault("twilio", fault, 1);
    }
    let failure = world.senders.order_number(&world.caller, world.order()).await;
    assert_eq!(failure.err().unwrap().code, Code::ProviderWebhookWireFailed);
    let mut operator = Caller::clone(&world.caller);
    operator.principal.scope = Scope::SuperAdmin;
    let stuck = world.senders.list_stuck_orders(&operator).await.unwrap();
    assert_eq!((stuck.len(), world.bought(MAIN).len()), (1, 1));
    assert!(world.senders.list_stuck_orders(&world.caller).await.is_err());
    assert!(world.spent().await > 0);

    let id = stuck[0].id.as_str();
    world.senders.retry_stuck_order(&operator, id).await.unwrap();
    let again = world.senders.retry_stuck_order(&operator, id).await.unwrap_err();
    assert_eq!(again.code, Code::NotFound);
    assert_eq!(world.senders.resume_orders().await.unwrap(), 1);
    assert!(world.bought(MAIN).is_empty());
    assert_eq!(world.spent().await, 0);
}
