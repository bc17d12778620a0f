-- The addresses of one person that carriers have named together: on WhatsApp the number and the user ids. `value` is the key of
-- an address (`contact_key`), `contact` names the person: the key that was known first. Consent, suppressions and windows are
-- written for all addresses of a person, so that reads need no other row.
CREATE TABLE contact_identities (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    contact TEXT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, value)
);

CREATE INDEX contact_identities_of_contact ON contact_identities (org_id, contact);
