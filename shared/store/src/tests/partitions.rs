//! The number of partitions of the inbound stream: registered once, and raised only.

use super::*;

fn names(count: u16) -> Vec<String> {
    (0..count).map(|number| format!("INBOUND.{number}")).collect()
}

both_engines! {
    async fn first_process_registers_partitions(db: &Database) {
        assert_eq!(db.find_partition_count().await.unwrap(), None);
        assert_eq!(db.register_partitions(4, &names(4), morning()).await.unwrap(), 4);
        assert_eq!(db.register_partitions(8, &names(8), morning()).await.unwrap(), 4, "the first one counts");
        for name in names(4) {
            assert_eq!(db.find_log_position(&name).await.unwrap(), 0, "{name}");
        }
        assert!(db.find_log_position("INBOUND.4").await.is_err());
    }

    async fn raising_partitions_keeps_positions(db: &Database) {
        db.register_partitions(2, &names(2), morning()).await.unwrap();
        assert!(db.skip_log_entry("INBOUND.1", 0, 7).await.unwrap());
        assert!(!db.raise_partitions(3, 4, &names(4), morning()).await.unwrap(), "another number");
        assert!(!db.raise_partitions(2, 1, &names(1), morning()).await.unwrap(), "lower");
        assert!(db.raise_partitions(2, 4, &names(4), morning()).await.unwrap());
        assert_eq!(db.find_partition_count().await.unwrap(), Some(4));
        let mut positions = Vec::new();
        for name in names(4) {
            positions.push(db.find_log_position(&name).await.unwrap());
        }
        assert_eq!(positions, [0, 7, 0, 0]);
    }
}
