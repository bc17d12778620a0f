-- Dialled legs of live calls (bridges, transfers). No relay serves them, so the dispatcher charges them by the minute.
CREATE TABLE call_legs (
    call_id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    carrier TEXT NOT NULL,
    carrier_id TEXT NOT NULL,
    -- Micro-units per minute: of the leg, and of the call itself.
    leg_price BIGINT NOT NULL,
    call_price BIGINT NOT NULL,
    paid_until TIMESTAMPTZ NOT NULL
);

CREATE INDEX call_legs_due ON call_legs (paid_until);

-- Micro-units: the part of a call's cost that its dialled legs took. The carrier's price of the call does not include it.
ALTER TABLE messages ADD COLUMN legs BIGINT NOT NULL DEFAULT 0;
