-- Where an agent's log ends for now: before its first event that is not complete.

CREATE INDEX events_unready_of_agent ON events (agent_id, seq) WHERE ready_at IS NOT NULL;
