//! Accounts of organizations at vendors.

use butt_dial_domain::ProviderAccountId;

use super::*;
use crate::{AccountStatus, NewProviderAccount, NewSender};

async fn create(db: &Database, agent: &Agent, external_id: &str) -> Result<ProviderAccountId, StoreError> {
    create_account(db, agent, external_id, false).await
}

async fn create_account(
    db: &Database,
    agent: &Agent,
    external_id: &str,
    is_subaccount: bool,
) -> Result<ProviderAccountId, StoreError> {
    let id = ProviderAccountId::generate();
    let account = NewProviderAccount {
        id: &id,
        org: &agent.org_id,
        agent: None,
        vendor: "twilio",
        external_id,
        label: "Twilio",
        credentials: b"sealed",
        status: AccountStatus::Active,
        is_subaccount,
    };
    db.change(setup())
        .create_provider_account(&account, morning())
        .await
        .map(|()| id)
}

both_engines! {
    async fn account_is_registered_once_per_organization(db: &Database) {
        let (ada, bob) = (new_agent(db).await, new_agent(db).await);
        let id = create(db, &ada, "AC1").await.unwrap();
        assert!(matches!(create(db, &ada, "AC1").await, Err(StoreError::Conflict)));
        create(db, &bob, "AC1").await.unwrap();
        assert_eq!(db.list_accounts_by_external_id("twilio", "AC1").await.unwrap().len(), 2);
        assert_eq!(db.list_provider_accounts(&ada.org_id).await.unwrap().len(), 1);

        let account = db.find_provider_account(&id).await.unwrap().unwrap();
        assert!(db.change(setup()).replace_credentials(&id, account.version, b"new", morning()).await.unwrap());
        assert!(!db.change(setup()).replace_credentials(&id, account.version, b"late", morning()).await.unwrap(), "the first one wins");
        let account = db.find_provider_account(&id).await.unwrap().unwrap();
        assert_eq!((account.version, account.credentials.as_slice()), (2, b"new".as_slice()));
    }

    async fn failing_account_recovers_and_closed_one_stays_closed(db: &Database) {
        let agent = new_agent(db).await;
        let id = create(db, &agent, "AC1").await.unwrap();
        assert!(!db.note_working_account(&id, morning()).await.unwrap());
        assert!(db.change(setup()).set_account_status(&id, AccountStatus::Failing, Some("401"), morning()).await.unwrap());
        assert!(is_due(db, DueKind::AlertCauses, morning()).await);
        let failing = db.list_failing_accounts(9).await.unwrap();
        assert_eq!((failing.len(), failing[0].failure.as_deref()), (1, Some("401")));
        assert!(db.note_working_account(&id, morning()).await.unwrap());
        assert!(db.list_failing_accounts(9).await.unwrap().is_empty());
        assert!(!is_due(db, DueKind::AlertCauses, morning()).await);
        assert!(db.change(setup()).set_account_status(&id, AccountStatus::Closed, None, morning()).await.unwrap());
        assert!(!db.change(setup()).set_account_status(&id, AccountStatus::Active, None, morning()).await.unwrap());
        assert!(db.list_accounts_by_external_id("twilio", "AC1").await.unwrap().is_empty());
    }

    async fn account_with_senders_is_not_deleted(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let id = create(db, &agent, "AC1").await.unwrap();
        let sender = NewSender {
            org: &agent.org_id,
            agent: Some(&agent.id),
            channel: Channel::Line,
            address: "U1",
            label: None,
            account: Some(&id),
            number_id: None,
            country: None,
            monthly_price: None,
            registration: None,
        };
        let sender = db.change(setup()).create_senders(&[sender], morning()).await.unwrap().remove(0);
        assert_eq!(db.find_sender_account(Channel::Line, "U1").await.unwrap().as_ref(), Some(&id));
        assert!(!db.change(setup()).delete_provider_account(&agent.org_id, &id).await.unwrap());
        db.change(setup()).release_senders(&agent.org_id, std::slice::from_ref(&sender), morning()).await.unwrap();
        db.delete_released_sender(&sender).await.unwrap();
        assert!(!db.change(setup()).delete_provider_account(&other.org_id, &id).await.unwrap());
        assert!(db.change(setup()).delete_provider_account(&agent.org_id, &id).await.unwrap());
    }

    async fn subaccounts_follow_status_of_their_organization(db: &Database) {
        let (ada, bob) = (new_agent(db).await, new_agent(db).await);
        create(db, &ada, "AC1").await.unwrap();
        let sub = create_account(db, &ada, "AC2", true).await.unwrap();
        create_account(db, &bob, "AC3", true).await.unwrap();
        let unaligned = async || {
            let accounts = db.list_unaligned_subaccounts("", 9).await.unwrap();
            accounts.into_iter().map(|account| (account.id, account.status)).collect::<Vec<_>>()
        };
        assert_eq!(unaligned().await, []);
        db.change(setup()).set_organization_status(&ada.org_id, false).await.unwrap();
        assert_eq!(unaligned().await, [(sub.clone(), AccountStatus::Active)]);
        db.change(setup()).set_account_status(&sub, AccountStatus::Suspended, None, morning()).await.unwrap();
        assert_eq!(unaligned().await, []);
        db.change(setup()).set_organization_status(&ada.org_id, true).await.unwrap();
        assert_eq!(unaligned().await, [(sub.clone(), AccountStatus::Suspended)]);
        db.change(setup()).set_account_status(&sub, AccountStatus::Active, None, morning()).await.unwrap();
        assert_eq!(unaligned().await, []);
    }
}
