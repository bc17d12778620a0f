-- version 83
CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    created_at TIMESTAMPTZ NOT NULL
, transcribes BOOLEAN NOT NULL DEFAULT TRUE, identity_mode TEXT CHECK (identity_mode IN ('dedicated', 'shared', 'hybrid')), isolation_mode TEXT
    CHECK (isolation_mode IN ('single-account', 'subaccount-per-customer', 'subaccount-per-agent')), default_agent_id TEXT, max_agents BIGINT, status TEXT NOT NULL DEFAULT 'active', mode TEXT NOT NULL DEFAULT 'live', owner_email TEXT, owner_key TEXT, admin_phone TEXT, terms_version TEXT, return_url TEXT, webhook_url TEXT, webhook_salt TEXT, branding TEXT, settings TEXT, verified_at TIMESTAMPTZ, expires_at TIMESTAMPTZ, erase_at TIMESTAMPTZ, refuses_waiting BOOLEAN NOT NULL DEFAULT FALSE, postal_address TEXT, keep_texts_days BIGINT, discloses BOOLEAN, disclosure_text TEXT, confirms_tainted BOOLEAN NOT NULL DEFAULT FALSE);
CREATE TABLE agents (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    display_name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'inactive', 'suspended')),
    event_seq BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL
, callback_url TEXT, event_cursor BIGINT NOT NULL DEFAULT 0, voice_callback_url TEXT, callback_key_generation BIGINT NOT NULL DEFAULT 0, callback_key_overlap_until TIMESTAMPTZ, voice_settings TEXT, identity_mode TEXT CHECK (identity_mode IN ('dedicated', 'shared', 'hybrid')), status_by TEXT, status_reason TEXT, keeps_texts BOOLEAN NOT NULL DEFAULT FALSE, tainted_until TIMESTAMPTZ);
CREATE INDEX agents_by_org ON agents (org_id, created_at);
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    last_four TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('agent', 'org-admin', 'super-admin')),
    org_id TEXT REFERENCES organizations (id),
    agent_id TEXT REFERENCES agents (id),
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ
, label TEXT, created_by TEXT, last_used_from TEXT, grants TEXT, budget_id TEXT);
CREATE INDEX tokens_by_agent ON tokens (agent_id);
CREATE INDEX tokens_by_org ON tokens (org_id);
CREATE TABLE suppressions (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, address, channel)
);
CREATE TABLE consents (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('granted', 'revoked')),
    source TEXT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL, consent_kind TEXT,
    PRIMARY KEY (org_id, address, channel)
);
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    content BYTEA,
    status TEXT NOT NULL,
    verdict TEXT NOT NULL,
    rule TEXT,
    carrier TEXT NOT NULL,
    carrier_id TEXT,
    carrier_status TEXT,
    failure TEXT,
    failure_detail TEXT,
    segments BIGINT,
    estimate BIGINT NOT NULL,
    cost BIGINT,
    day TEXT NOT NULL,
    thread_id TEXT,
    entity_id TEXT,
    reply_msg_id TEXT,
    attempts BIGINT NOT NULL,
    checks BIGINT NOT NULL DEFAULT 0,
    check_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL, stage TEXT, stage_rank BIGINT NOT NULL DEFAULT -1, stage_at TIMESTAMPTZ, stage_error TEXT, price BIGINT, fallback BYTEA, extended BIGINT NOT NULL DEFAULT 0, legs BIGINT NOT NULL DEFAULT 0, budget_id TEXT, budget_cap BIGINT, budget_day_cap BIGINT, task_id TEXT, send_purpose TEXT, ruling TEXT, receipt_seq BIGINT, replica TEXT, outcome TEXT, settled_at TIMESTAMPTZ, complained_at TIMESTAMPTZ, kept BYTEA, trace TEXT,
    UNIQUE (agent_id, idempotency_key)
);
CREATE INDEX messages_unsettled ON messages (check_at) WHERE check_at IS NOT NULL;
CREATE TABLE attempts (
    message_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    replica TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    outcome TEXT,
    detail TEXT,
    PRIMARY KEY (message_id, number)
);
CREATE TABLE limits (
    scope TEXT PRIMARY KEY,
    max_actions_per_minute BIGINT,
    max_actions_per_hour BIGINT,
    max_actions_per_day BIGINT,
    max_spend_per_day BIGINT,
    max_spend_per_month BIGINT,
    updated_at TIMESTAMPTZ NOT NULL
, max_spend BIGINT);
CREATE TABLE spend (
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    held BIGINT NOT NULL,
    settled BIGINT NOT NULL,
    cap BIGINT, task_org_id TEXT,
    PRIMARY KEY (scope, period),
    CONSTRAINT spend_within_cap CHECK (cap IS NULL OR held + settled <= cap)
);
CREATE TABLE usage (
    agent_id TEXT NOT NULL,
    day TEXT NOT NULL,
    channel TEXT NOT NULL,
    org_id TEXT NOT NULL,
    messages BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    PRIMARY KEY (agent_id, day, channel)
);
CREATE INDEX usage_by_org ON usage (org_id, day);
CREATE TABLE events (
    agent_id TEXT NOT NULL REFERENCES agents (id),
    seq BIGINT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    channel TEXT,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered')),
    reason TEXT NOT NULL,
    data JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    delivered_at TIMESTAMPTZ, contact TEXT, content BYTEA, ready_at TIMESTAMPTZ, tries BIGINT NOT NULL DEFAULT 0, retry_at TIMESTAMPTZ, held_until TIMESTAMPTZ, is_quiet BOOLEAN NOT NULL DEFAULT FALSE, refetch_at TIMESTAMPTZ, kept BYTEA,
    PRIMARY KEY (agent_id, seq)
);
CREATE INDEX events_waiting ON events (agent_id, seq) WHERE state = 'waiting';
CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    org_id TEXT,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail JSONB NOT NULL,
    at TIMESTAMPTZ NOT NULL
, actor_kind TEXT, state_before JSONB, state_after JSONB, source TEXT, request_id TEXT, seq BIGINT);
CREATE INDEX audit_by_org ON audit (org_id, at);
CREATE TABLE log_positions (
    stream TEXT PRIMARY KEY,
    position BIGINT NOT NULL
, entry_id TEXT, applied_at TIMESTAMPTZ);
CREATE INDEX events_unready ON events (ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX events_unready_of_contact ON events (agent_id, contact) WHERE ready_at IS NOT NULL;
CREATE INDEX events_held_of_contact ON events (agent_id, contact) WHERE held_until IS NOT NULL;
CREATE INDEX events_put_off_of_contact ON events (agent_id, contact) WHERE retry_at IS NOT NULL;
CREATE INDEX events_lingering ON events (delivered_at) WHERE content IS NOT NULL AND state = 'delivered';
CREATE INDEX events_undelivered_content ON events (created_at) WHERE content IS NOT NULL;
CREATE TABLE deliveries (
    agent_id TEXT PRIMARY KEY REFERENCES agents (id),
    due_at TIMESTAMPTZ,
    holder TEXT,
    held_until TIMESTAMPTZ,
    generation BIGINT NOT NULL,
    failures BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE inbound_subscriptions (
    agent_id TEXT PRIMARY KEY REFERENCES agents (id),
    channels JSONB NOT NULL,
    contacts JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE inbound_filters (
    id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agents (id),
    kind TEXT NOT NULL,
    pattern TEXT NOT NULL,
    action TEXT NOT NULL,
    tag TEXT,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX inbound_filters_by_agent ON inbound_filters (agent_id, created_at);
CREATE TABLE scheduled_sends (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    agent_id TEXT NOT NULL REFERENCES agents (id),
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    request BYTEA,
    state TEXT NOT NULL CHECK (state IN ('scheduled', 'sent', 'failed', 'cancelled')),
    failure TEXT,
    due_at TIMESTAMPTZ NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL, is_quiet BOOLEAN NOT NULL DEFAULT FALSE, contact TEXT, bytes BIGINT, claimed_until TIMESTAMPTZ, is_counted BOOLEAN NOT NULL DEFAULT FALSE, approval TEXT, approval_rule TEXT, send_at TIMESTAMPTZ,
    UNIQUE (agent_id, idempotency_key)
);
CREATE INDEX scheduled_sends_due ON scheduled_sends (due_at) WHERE state IN ('scheduled', 'cancelled');
CREATE INDEX scheduled_sends_by_contact ON scheduled_sends (org_id, recipient) WHERE state = 'scheduled';
CREATE INDEX messages_with_fallback ON messages (created_at) WHERE fallback IS NOT NULL;
CREATE INDEX events_without_text ON events (refetch_at) WHERE refetch_at IS NOT NULL;
CREATE TABLE calls (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    carrier TEXT NOT NULL,
    carrier_id TEXT,
    local_number TEXT NOT NULL,
    remote_number TEXT NOT NULL,
    status TEXT NOT NULL,
    rank BIGINT NOT NULL,
    answered_by TEXT,
    handled_by TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    answered_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    duration_seconds BIGINT,
    turns BIGINT NOT NULL DEFAULT 0,
    latency JSONB,
    cost BIGINT,
    error_code TEXT,
    end_reason TEXT,
    recording_id TEXT,
    recording_url TEXT,
    recording_seconds BIGINT,
    content BYTEA,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX calls_by_carrier_id ON calls (carrier_id, carrier) WHERE carrier_id IS NOT NULL;
CREATE INDEX calls_by_agent ON calls (agent_id, created_at, id);
CREATE INDEX calls_live ON calls (agent_id, created_at, id) WHERE ended_at IS NULL;
CREATE INDEX calls_content ON calls (created_at) WHERE content IS NOT NULL;
CREATE TABLE encryption_key (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    fingerprint TEXT NOT NULL,
    noted_at TIMESTAMPTZ NOT NULL
, root BYTEA, has_content_keys BOOLEAN NOT NULL DEFAULT FALSE);
CREATE INDEX events_unready_of_agent ON events (agent_id, seq) WHERE ready_at IS NOT NULL;
CREATE INDEX tokens_by_revocation ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX tokens_by_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE call_legs (
    call_id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    carrier TEXT NOT NULL,
    carrier_id TEXT NOT NULL,
    leg_price BIGINT NOT NULL,
    call_price BIGINT NOT NULL,
    paid_until TIMESTAMPTZ NOT NULL
);
CREATE INDEX call_legs_due ON call_legs (paid_until);
CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    payload BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    replay_requested_at TIMESTAMPTZ
);
CREATE INDEX dead_letters_by_time ON dead_letters (created_at, id);
CREATE INDEX dead_letters_to_replay ON dead_letters (id) WHERE replay_requested_at IS NOT NULL;
CREATE INDEX scheduled_sends_of_contact ON scheduled_sends (org_id, contact) WHERE state = 'scheduled';
CREATE INDEX scheduled_sends_of_agent ON scheduled_sends (agent_id, due_at, id, bytes) WHERE state = 'scheduled';
CREATE UNIQUE INDEX messages_one_carrier_id ON messages (carrier_id, carrier) WHERE carrier_id IS NOT NULL;
CREATE TABLE inbound_partitions (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    partitions BIGINT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX scheduled_sends_of_org ON scheduled_sends (org_id, bytes) WHERE state = 'scheduled';
CREATE TABLE contact_identities (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    contact TEXT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, value)
);
CREATE INDEX contact_identities_of_contact ON contact_identities (org_id, contact);
CREATE TABLE provider_accounts (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT REFERENCES agents (id),
    vendor TEXT NOT NULL,
    external_id TEXT NOT NULL,
    label TEXT NOT NULL,
    credentials BYTEA NOT NULL,
    version BIGINT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('unverified', 'active', 'failing', 'suspended', 'closed')),
    failure TEXT,
    is_subaccount BOOLEAN NOT NULL,
    checked_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (org_id, vendor, external_id)
);
CREATE INDEX provider_accounts_by_external_id ON provider_accounts (vendor, external_id);
CREATE INDEX provider_accounts_failing ON provider_accounts (checked_at) WHERE status = 'failing';
CREATE INDEX provider_accounts_by_creation ON provider_accounts (created_at, id);
CREATE TABLE "channels" (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT REFERENCES agents (id),
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'paused')),
    created_at TIMESTAMPTZ NOT NULL,
    blocks_inbound BOOLEAN NOT NULL DEFAULT FALSE,
    blocks_outbound BOOLEAN NOT NULL DEFAULT FALSE,
    account_id TEXT REFERENCES provider_accounts (id),
    label TEXT,
    is_primary BOOLEAN NOT NULL DEFAULT TRUE,
    number_id TEXT,
    country TEXT,
    monthly_price BIGINT,
    registration_id TEXT,
    registration TEXT CHECK (registration IN ('pending', 'done', 'failed')),
    released_at TIMESTAMPTZ, rent_paid_until TIMESTAMPTZ, us_registration TEXT CHECK (us_registration IN ('needed', 'done')), webhooks_checked_at TIMESTAMPTZ,
    UNIQUE (channel, address)
);
CREATE TABLE inbound_windows (
    channel_id TEXT NOT NULL REFERENCES channels (id),
    address TEXT NOT NULL,
    last_inbound_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (channel_id, address)
);
CREATE UNIQUE INDEX channels_primary ON channels (agent_id, channel) WHERE is_primary;
CREATE INDEX channels_by_agent ON channels (agent_id);
CREATE INDEX channels_by_org ON channels (org_id);
CREATE INDEX channels_registering ON channels (created_at) WHERE registration = 'pending';
CREATE INDEX channels_released ON channels (released_at) WHERE released_at IS NOT NULL;
CREATE TABLE sender_bindings (
    channel_id TEXT NOT NULL REFERENCES channels (id),
    contact TEXT NOT NULL,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT NOT NULL REFERENCES agents (id),
    used_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (channel_id, contact)
);
CREATE INDEX sender_bindings_by_agent ON sender_bindings (agent_id);
CREATE INDEX sender_bindings_by_use ON sender_bindings (used_at);
CREATE TABLE sender_orders (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT REFERENCES agents (id),
    account_id TEXT REFERENCES provider_accounts (id),
    request TEXT NOT NULL,
    step TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'undoing', 'done', 'failed', 'stuck')),
    address TEXT,
    number_id TEXT,
    failure TEXT,
    lease_until TIMESTAMPTZ NOT NULL,
    attempts BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX sender_orders_due ON sender_orders (lease_until) WHERE state IN ('running', 'undoing');
CREATE INDEX sender_orders_by_org ON sender_orders (org_id, created_at);
CREATE TABLE call_bridges (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT NOT NULL REFERENCES agents (id),
    local_number TEXT NOT NULL,
    from_number TEXT,
    destination TEXT NOT NULL,
    label TEXT,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX call_bridges_by_number ON call_bridges (org_id, local_number, from_number);
CREATE INDEX call_bridges_by_agent ON call_bridges (agent_id);
CREATE UNIQUE INDEX organizations_by_owner ON organizations (owner_key) WHERE owner_key IS NOT NULL;
CREATE INDEX organizations_to_expire ON organizations (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX organizations_to_erase ON organizations (erase_at) WHERE erase_at IS NOT NULL;
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE memberships (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'billing', 'viewer')),
    added_by TEXT NOT NULL,
    reason TEXT,
    added_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX memberships_of_user ON memberships (user_id);
CREATE TABLE one_time_tokens (
    hash TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('verification', 'poll', 'onboarding', 'erasure', 'invite')),
    org_id TEXT,
    detail TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ
);
CREATE INDEX one_time_tokens_of_org ON one_time_tokens (org_id, kind) WHERE org_id IS NOT NULL;
CREATE INDEX one_time_tokens_by_expiry ON one_time_tokens (expires_at);
CREATE TABLE account_notices (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    token BYTEA,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead')),
    tries BIGINT NOT NULL DEFAULT 0,
    failure TEXT,
    due_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    delivered_at TIMESTAMPTZ
);
CREATE INDEX account_notices_due ON account_notices (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX account_notices_of_org ON account_notices (org_id);
CREATE INDEX account_notices_by_state ON account_notices (state, created_at);
CREATE TABLE challenges (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT REFERENCES agents (id),
    purpose TEXT NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    contact TEXT NOT NULL,
    code_hash TEXT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'replaced')),
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX challenges_of_owner ON challenges (org_id, agent_id, id) WHERE state = 'pending';
CREATE TABLE trust_sessions (
    agent_id TEXT NOT NULL REFERENCES agents (id),
    contact TEXT NOT NULL,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    method TEXT NOT NULL,
    granted_by TEXT NOT NULL,
    granted_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ,
    PRIMARY KEY (agent_id, contact)
);
CREATE TABLE consent_records (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    channel TEXT NOT NULL,
    contact TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('granted', 'revoked')),
    kind TEXT,
    source TEXT,
    notes TEXT,
    at TIMESTAMPTZ NOT NULL
);
CREATE INDEX consent_records_of_contact ON consent_records (org_id, contact, id);
CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT NOT NULL REFERENCES agents (id),
    status TEXT NOT NULL CHECK (status IN ('active', 'paused', 'closed')),
    channel TEXT,
    details BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ
);
CREATE INDEX conversations_of_agent ON conversations (agent_id, status, id);
CREATE INDEX conversations_by_time ON conversations (created_at, id);
CREATE TABLE conversation_contacts (
    agent_id TEXT NOT NULL REFERENCES agents (id),
    contact TEXT NOT NULL,
    conversation_id TEXT NOT NULL REFERENCES conversations (id),
    PRIMARY KEY (agent_id, contact, conversation_id)
);
CREATE INDEX conversation_contacts_of_conversation ON conversation_contacts (conversation_id);
CREATE INDEX messages_of_thread ON messages (thread_id, id) WHERE thread_id IS NOT NULL;
CREATE TABLE billing_configs (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    agent_id TEXT NOT NULL,
    tier TEXT,
    markup BIGINT,
    billing_email TEXT,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, agent_id)
);
CREATE TABLE budget_alerts (
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    threshold BIGINT NOT NULL,
    org_id TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (scope, period, threshold)
);
CREATE INDEX budget_alerts_of_org ON budget_alerts (org_id);
CREATE INDEX spend_by_period ON spend (period);
CREATE INDEX channels_rent ON channels (coalesce(rent_paid_until, created_at))
    WHERE monthly_price > 0 AND released_at IS NULL;
CREATE TABLE number_registrations (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    account_id TEXT REFERENCES provider_accounts (id),
    kind TEXT NOT NULL CHECK (kind IN ('brand', 'campaign', 'tollfree')),
    subject TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('submitting', 'pending', 'in_review', 'approved', 'failed')),
    external_id TEXT,
    service_id TEXT,
    failure TEXT,
    data BYTEA NOT NULL,
    attempts BIGINT NOT NULL,
    check_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (org_id, kind, subject)
);
CREATE INDEX number_registrations_due ON number_registrations (check_at) WHERE check_at IS NOT NULL;
CREATE INDEX number_registrations_by_creation ON number_registrations (created_at, id);
CREATE INDEX number_registrations_of_account ON number_registrations (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX channels_webhooks ON channels (coalesce(webhooks_checked_at, created_at))
    WHERE channel = 'sms' AND (number_id IS NOT NULL OR account_id IS NOT NULL) AND released_at IS NULL;
CREATE INDEX organizations_suspended ON organizations (id) WHERE status = 'suspended';
CREATE INDEX provider_accounts_suspended ON provider_accounts (org_id) WHERE status = 'suspended';
CREATE INDEX sender_orders_stuck ON sender_orders (updated_at) WHERE state = 'stuck';
CREATE INDEX spend_of_tasks ON spend (task_org_id, scope) WHERE task_org_id IS NOT NULL;
CREATE INDEX messages_of_tasks ON messages (org_id, day) WHERE task_id IS NOT NULL;
CREATE TABLE refusals (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    contact_hash TEXT NOT NULL,
    send_purpose TEXT NOT NULL,
    rule TEXT NOT NULL,
    code TEXT NOT NULL,
    ruling TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX refusals_of_org ON refusals (org_id, id);
CREATE INDEX messages_of_marketing ON messages (org_id, recipient, created_at) WHERE send_purpose = 'marketing';
CREATE TABLE audit_logs (
    log TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    chain BYTEA NOT NULL,
    sealer TEXT,
    lease_until TIMESTAMPTZ,
    signed_size BIGINT NOT NULL DEFAULT 0,
    signed_root BYTEA,
    signed_at TIMESTAMPTZ
);
CREATE TABLE audit_leaves (
    log TEXT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('change', 'send')),
    ref TEXT NOT NULL,
    leaf BYTEA NOT NULL,
    chain BYTEA NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    entry TEXT,
    PRIMARY KEY (log, seq)
);
CREATE UNIQUE INDEX audit_leaves_by_ref ON audit_leaves (ref);
CREATE TABLE audit_nodes (
    log TEXT NOT NULL,
    level BIGINT NOT NULL,
    n BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (log, level, n)
);
CREATE TABLE audit_checkpoints (
    log TEXT NOT NULL,
    size BIGINT NOT NULL,
    note TEXT NOT NULL,
    signed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (log, size)
);
CREATE TABLE audit_keys (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    public_key BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX audit_unsealed ON audit (at, id) WHERE seq IS NULL;
CREATE UNIQUE INDEX audit_sealed ON audit (coalesce(org_id, 'installation'), seq) WHERE seq IS NOT NULL;
CREATE INDEX messages_unsealed ON messages (id)
    WHERE receipt_seq IS NULL AND status IN ('accepted', 'failed', 'unconfirmed');
CREATE INDEX scheduled_sends_pending_approval ON scheduled_sends (org_id, id) WHERE approval = 'pending' AND state = 'scheduled';
CREATE TABLE console_users (
    user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    password_hash TEXT NOT NULL,
    otp_generation BIGINT NOT NULL DEFAULT 0,
    otp_step BIGINT,
    is_operator BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE console_recovery_codes (
    user_id TEXT NOT NULL REFERENCES console_users (user_id) ON DELETE CASCADE,
    code_hash TEXT NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);
CREATE TABLE console_sessions (
    id_hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES console_users (user_id) ON DELETE CASCADE,
    org_id TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    confirmed_at TIMESTAMPTZ NOT NULL,
    address TEXT NOT NULL,
    browser TEXT NOT NULL
);
CREATE INDEX console_sessions_of_user ON console_sessions (user_id);
CREATE INDEX console_sessions_by_expiry ON console_sessions (expires_at);
CREATE TABLE console_invitations (
    token_hash TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'billing', 'viewer')),
    invited_by TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ
);
CREATE INDEX console_invitations_of_org ON console_invitations (org_id, created_at);
CREATE TABLE console_claims (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    user_id TEXT NOT NULL,
    claimed_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE console_marks (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    mark TEXT NOT NULL,
    marked_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, mark)
);
CREATE INDEX messages_of_org ON messages (org_id, created_at, id);
CREATE INDEX calls_of_org ON calls (org_id, created_at, id);
CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    org_id TEXT,
    kind TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('critical', 'high', 'medium', 'low')),
    title TEXT NOT NULL,
    evidence JSONB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
    occurrences BIGINT NOT NULL,
    first_at TIMESTAMPTZ NOT NULL,
    last_at TIMESTAMPTZ NOT NULL,
    changed_by TEXT,
    changed_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX alerts_open ON alerts (coalesce(org_id, 'installation'), kind, fingerprint) WHERE state <> 'resolved';
CREATE INDEX alerts_of_org ON alerts (coalesce(org_id, 'installation'), id);
CREATE TABLE alert_routes (
    id TEXT PRIMARY KEY,
    org_id TEXT,
    kind TEXT NOT NULL,
    target BYTEA NOT NULL,
    hint TEXT NOT NULL,
    severity TEXT NOT NULL,
    is_escalation BOOLEAN NOT NULL,
    quiet_from BIGINT,
    quiet_until BIGINT,
    created_at TIMESTAMPTZ NOT NULL,
    window_at TIMESTAMPTZ,
    window_count BIGINT NOT NULL DEFAULT 0,
    free_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX alert_routes_of_org ON alert_routes (coalesce(org_id, 'installation'), id);
CREATE TABLE alert_notifications (
    route_id TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (route_id, alert_id, reason)
);
CREATE INDEX alert_notifications_due ON alert_notifications (due_at, route_id);
CREATE INDEX alert_notifications_of_alert ON alert_notifications (alert_id);
CREATE TABLE ai_disclosures (
    org_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    contact TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, channel, contact)
);
CREATE TABLE consent_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    contact TEXT NOT NULL,
    channel TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('all', 'marketing')),
    action TEXT NOT NULL CHECK (action IN ('granted', 'revoked', 'expired')),
    method TEXT NOT NULL,
    kind TEXT,
    actor TEXT NOT NULL,
    event_id TEXT,
    message_id TEXT,
    words BYTEA,
    evidence JSONB NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX consent_events_of_contact ON consent_events (org_id, contact, seq);
CREATE INDEX consent_events_of_org ON consent_events (org_id, seq);
CREATE INDEX consent_events_with_words ON consent_events (recorded_at, event_id) WHERE words IS NOT NULL;
CREATE TABLE subject_jobs (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('access', 'erase')),
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    contact_hash TEXT NOT NULL,
    subject BYTEA,
    actor TEXT NOT NULL,
    step TEXT NOT NULL,
    place TEXT NOT NULL,
    progress TEXT NOT NULL,
    failure TEXT,
    fence BIGINT NOT NULL,
    lease_until TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ
);
CREATE INDEX subject_jobs_due ON subject_jobs (lease_until) WHERE state = 'running';
CREATE INDEX subject_jobs_of_contact ON subject_jobs (org_id, contact_hash);
CREATE TABLE subject_archives (
    job_id TEXT NOT NULL,
    part BIGINT NOT NULL,
    org_id TEXT NOT NULL,
    lines BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (job_id, part)
);
CREATE INDEX subject_archives_of_org ON subject_archives (org_id);
CREATE INDEX subject_archives_by_time ON subject_archives (created_at);
CREATE TABLE subject_receipts (
    job_id TEXT NOT NULL,
    vendor TEXT NOT NULL,
    resource TEXT NOT NULL,
    org_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    channel TEXT NOT NULL,
    own_address TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'deleted', 'missing', 'unsupported', 'failed')),
    tries BIGINT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (job_id, vendor, resource)
);
CREATE INDEX subject_receipts_of_org ON subject_receipts (org_id);
CREATE TABLE legal_holds (
    org_id TEXT NOT NULL,
    contact_hash TEXT NOT NULL,
    id TEXT NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, contact_hash)
);
CREATE TABLE anomalies (
    id TEXT PRIMARY KEY,
    org_id TEXT,
    agent_id TEXT,
    detector TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('critical', 'high', 'medium', 'low')),
    reaction TEXT NOT NULL CHECK (reaction IN ('alert', 'throttle', 'confirm', 'suspend')),
    explanation TEXT NOT NULL,
    numbers JSONB NOT NULL,
    first_at TIMESTAMPTZ NOT NULL,
    last_at TIMESTAMPTZ NOT NULL,
    alerted_at TIMESTAMPTZ,
    reacted_at TIMESTAMPTZ,
    dismissed_at TIMESTAMPTZ,
    dismissed_by TEXT,
    ended_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX anomalies_open ON anomalies (coalesce(org_id, 'installation'), detector, subject) WHERE ended_at IS NULL;
CREATE INDEX anomalies_of_org ON anomalies (coalesce(org_id, 'installation'), id);
CREATE INDEX anomalies_of_agent ON anomalies (agent_id) WHERE agent_id IS NOT NULL;
CREATE TABLE anomaly_baselines (
    org_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    metric TEXT NOT NULL,
    slot BIGINT NOT NULL,
    mean DOUBLE PRECISION NOT NULL,
    samples BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    PRIMARY KEY (org_id, agent_id, metric, slot)
);
CREATE TABLE anomaly_countries (
    org_id TEXT NOT NULL,
    country TEXT NOT NULL,
    first_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, country)
);
CREATE TABLE announced_campaigns (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    agent_id TEXT,
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL,
    volume BIGINT NOT NULL,
    note TEXT,
    announced_by TEXT NOT NULL,
    sent BIGINT NOT NULL,
    counted_until TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX announced_campaigns_of_org ON announced_campaigns (org_id, id);
CREATE INDEX announced_campaigns_by_end ON announced_campaigns (ends_at);
CREATE TABLE agent_restraints (
    agent_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('throttle', 'confirm')),
    org_id TEXT NOT NULL,
    anomaly_id TEXT NOT NULL,
    max_per_minute BIGINT,
    until_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (agent_id, kind)
);
CREATE INDEX agent_restraints_of_anomaly ON agent_restraints (anomaly_id);
CREATE INDEX consents_revoked ON consents (updated_at) WHERE status = 'revoked';
CREATE INDEX messages_complained ON messages (complained_at) WHERE complained_at IS NOT NULL;
CREATE INDEX challenges_by_time ON challenges (created_at);
CREATE TABLE callback_attempts (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('delivered', 'gone', 'failed')),
    http_status BIGINT,
    error TEXT,
    milliseconds BIGINT NOT NULL,
    retry_at TIMESTAMPTZ,
    at TIMESTAMPTZ NOT NULL
);
CREATE INDEX callback_attempts_of_org ON callback_attempts (org_id, id);
CREATE INDEX callback_attempts_of_event ON callback_attempts (event_id, id);
CREATE INDEX callback_attempts_of_agent ON callback_attempts (agent_id, id);
CREATE INDEX messages_kept ON messages (created_at, id) WHERE kept IS NOT NULL;
CREATE INDEX events_kept ON events (created_at, id) WHERE kept IS NOT NULL;
CREATE TABLE console_filters (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    user_id TEXT NOT NULL REFERENCES console_users (user_id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    saved_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (org_id, user_id, name)
);
CREATE TABLE contact_pauses (
    agent_id TEXT NOT NULL,
    contact TEXT NOT NULL,
    org_id TEXT NOT NULL,
    until_at TIMESTAMPTZ NOT NULL, id TEXT, subject TEXT, taken_by TEXT, taken_at TIMESTAMPTZ,
    PRIMARY KEY (agent_id, contact)
);
CREATE INDEX contact_pauses_of_org ON contact_pauses (org_id, contact);
CREATE INDEX budget_alerts_by_time ON budget_alerts (created_at);
CREATE TABLE console_passkeys (
    credential_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES console_users (user_id) ON DELETE CASCADE,
    user_handle TEXT NOT NULL,
    rp_id TEXT NOT NULL,
    name TEXT NOT NULL,
    public_key TEXT NOT NULL,
    sign_count BIGINT NOT NULL,
    is_backup_eligible BOOLEAN NOT NULL,
    is_backed_up BOOLEAN NOT NULL,
    transports TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    last_used_at TIMESTAMPTZ
);
CREATE INDEX console_passkeys_of_user ON console_passkeys (user_id);
INSERT INTO log_positions (stream, position, entry_id, applied_at) VALUES ('INBOUND', 0, NULL, NULL);
