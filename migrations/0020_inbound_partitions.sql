-- The number of partitions of the inbound stream, fixed at the first start: processes with another number would look for entries
-- where there are none. Each partition has its own position, `INBOUND.0` and so on; `INBOUND` is the position in the entries without
-- a partition.

CREATE TABLE inbound_partitions (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    partitions BIGINT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL
);
