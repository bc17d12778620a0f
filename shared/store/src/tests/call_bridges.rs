//! Permanent bridges.

use super::*;
use crate::CallBridge;

both_engines! {
    async fn bridge_for_caller_comes_before_one_for_all(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let bridge = |id: &str, from: Option<&str>| CallBridge {
            id: id.to_owned(),
            org_id: agent.org_id.to_string(),
            agent_id: agent.id.to_string(),
            local_number: "+1".to_owned(),
            from_number: from.map(str::to_owned),
            destination: "+3".to_owned(),
            label: None,
            created_at: morning(),
        };
        db.create_bridge(&bridge("all", None), 9).await.unwrap();
        assert!(matches!(db.create_bridge(&bridge("again", None), 9).await, Err(StoreError::Conflict)));
        db.create_bridge(&bridge("one", Some("+2")), 9).await.unwrap();
        assert!(matches!(db.create_bridge(&bridge("more", Some("+4")), 2).await, Err(StoreError::Conflict)));
        assert_eq!(db.list_bridges(&agent.org_id).await.unwrap().len(), 2);
        let found = async |from: &str| db.find_bridge(&agent.id, "+1", from).await.unwrap().map(|bridge| bridge.id);
        assert_eq!(found("+2").await.as_deref(), Some("one"));
        assert_eq!(found("+9").await.as_deref(), Some("all"));
        assert_eq!(db.delete_bridge(&other.org_id, "all").await.unwrap(), None);
        assert!(db.delete_bridge(&agent.org_id, "all").await.unwrap().is_some());
        assert_eq!(found("+9").await, None);
    }
}
