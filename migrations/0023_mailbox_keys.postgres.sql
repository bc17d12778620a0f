-- The key of a mail address is its mailbox, without the subaddress after `+`. An opt-out of one holds for the mailbox.
INSERT INTO consents (org_id, channel, address, status, source, updated_at)
SELECT org_id, channel, lower(split_part(address, '+', 1) || '@' || split_part(address, '@', 2)), status, source, updated_at FROM consents
WHERE channel = 'email' AND status = 'revoked' AND address LIKE '_%+%@%'
ON CONFLICT DO NOTHING;

INSERT INTO suppressions (org_id, channel, address, reason, created_at)
SELECT org_id, channel, lower(split_part(address, '+', 1) || '@' || split_part(address, '@', 2)), reason, created_at FROM suppressions
WHERE address LIKE '_%+%@%'
ON CONFLICT DO NOTHING;

-- An opt-out finds scheduled sends by the key.
UPDATE scheduled_sends SET contact = lower(split_part(contact, '+', 1) || '@' || split_part(contact, '@', 2))
WHERE state = 'scheduled' AND contact LIKE '_%+%@%';

-- Côte d'Ivoire and Benin put two digits before their numbers in 2021 and 2024.
INSERT INTO consents (org_id, channel, address, status, source, updated_at)
SELECT org_id, channel, '+225' || CASE
        WHEN substr(address, 5, 1) IN ('2', '3') THEN
            CASE substr(address, 7, 1) WHEN '0' THEN '25' WHEN '8' THEN '21' ELSE '27' END
        WHEN substr(address, 6, 1) IN ('7', '8', '9') THEN '07'
        WHEN substr(address, 6, 1) IN ('4', '5', '6') THEN '05'
        ELSE '01'
    END || substr(address, 5), status, source, updated_at FROM consents
WHERE status = 'revoked' AND address LIKE '+225%' AND length(address) = 12
ON CONFLICT DO NOTHING;

INSERT INTO consents (org_id, channel, address, status, source, updated_at)
SELECT org_id, channel, '+22901' || substr(address, 5), status, source, updated_at FROM consents
WHERE status = 'revoked' AND address LIKE '+229%' AND length(address) = 12
ON CONFLICT DO NOTHING;
