-- The numbers that vendors send webhooks for, by their last check.
CREATE INDEX channels_webhooks ON channels (coalesce(webhooks_checked_at, created_at))
    WHERE channel = 'sms' AND (number_id IS NOT NULL OR account_id IS NOT NULL) AND released_at IS NULL;
