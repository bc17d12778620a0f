//! The do-not-contact list.

use super::*;

both_engines! {
    async fn lists_and_changes_do_not_contact_list(db: &Database) {
        let (mine, other) = (new_agent(db).await.org_id, new_agent(db).await.org_id);
        let entry = |address: &str, channel: &'static str, reason: &str| (address.to_owned(), channel, reason.to_owned());
        let entries = [entry("+14155550102", "*", "a"), entry("+14155550101", "sms", "b"), entry("+14155550101", "*", "c")];
        db.change(setup()).add_suppressions(&mine, &entries, morning()).await.unwrap();
        db.change(setup()).add_suppressions(&other, &entries[..1], morning()).await.unwrap();
        db.change(setup()).add_suppressions(&mine, &[entry("+14155550102", "*", "changed")], morning()).await.unwrap();
        let list = async |after: (&str, &str)| -> Vec<(String, String, String)> {
            let found = db.list_suppressions(&mine, after, 2).await.unwrap();
            found.into_iter().map(|entry| (entry.address, entry.channel, entry.reason)).collect()
        };
        let row = |address: &str, channel: &str, reason: &str| (address.to_owned(), channel.to_owned(), reason.to_owned());
        assert_eq!(list(("", "")).await, [row("+14155550101", "*", "c"), row("+14155550101", "sms", "b")]);
        assert_eq!(list(("+14155550101", "sms")).await, [row("+14155550102", "*", "changed")]);
        assert!(db.change(setup()).remove_suppression(&mine, "+14155550102", "*").await.unwrap());
        assert!(!db.change(setup()).remove_suppression(&mine, "+14155550102", "*").await.unwrap());
        assert_eq!(db.list_suppressions(&other, ("", ""), 9).await.unwrap().len(), 1);
    }
}
