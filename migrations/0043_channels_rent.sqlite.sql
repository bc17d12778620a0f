-- The numbers with rent that is due.
CREATE INDEX channels_rent ON channels (coalesce(rent_paid_until, created_at))
    WHERE monthly_price > 0 AND released_at IS NULL;
