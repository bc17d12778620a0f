-- A carrier id belongs to one message. Former releases could match one message of the carrier with two stored messages.
UPDATE messages SET carrier_id = NULL WHERE carrier_id IS NOT NULL AND EXISTS (
    SELECT 1 FROM messages o WHERE o.carrier_id = messages.carrier_id AND o.carrier = messages.carrier
        AND (o.created_at > messages.created_at OR (o.created_at = messages.created_at AND o.id > messages.id)));

CREATE UNIQUE INDEX messages_one_carrier_id ON messages (carrier_id, carrier) WHERE carrier_id IS NOT NULL;
DROP INDEX messages_by_carrier_id;
