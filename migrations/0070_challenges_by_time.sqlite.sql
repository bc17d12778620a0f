-- One-time codes by time: guesses, and codes that are not confirmed.
CREATE INDEX challenges_by_time ON challenges (created_at);
