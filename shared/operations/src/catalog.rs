//! The list of all operations.

use std::sync::LazyLock;

use super::{
    accounts, ack_events, alerts, anomalies, audit, billing, calls, cancel_scheduled, compliance, consent,
    conversations, create_agent_token, create_team_token, dead_letters, definition::Definition, get_agent,
    get_channel_status, get_me, get_message_status, get_usage_dashboard, get_waiting_messages, list_agent_tokens,
    list_agents, list_events, list_scheduled, list_team_tokens, manage_inbound_filter, number_registrations,
    organization, people, ping, regenerate_agent_token, register_agent, replay_callback, revoke_agent_token,
    revoke_team_token, rotate_callback_secret, rotate_team_token, send_message, senders, set_agent_limits,
    set_agent_status, set_callback_url, set_channel_block, set_transcription, subjects, subscribe_inbound, trust,
    wait_events, whatsapp,
};

/// Tools in the order in which an agent needs them, then operations that only REST offers.
static ALL: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    vec![
        Definition::of::<ping::Ping>(),
        Definition::of::<get_me::GetMe>(),
        Definition::of::<send_message::SendMessage>(),
        Definition::of::<whatsapp::whatsapp_action::WhatsappAction>(),
        Definition::of::<whatsapp::get_group_members::GetGroupMembers>(),
        Definition::of::<compliance::preflight::Preflight>(),
        Definition::of::<compliance::list_refusals::ListRefusals>(),
        Definition::of::<get_message_status::GetMessageStatus>(),
        Definition::of::<list_scheduled::ListScheduled>(),
        Definition::of::<cancel_scheduled::CancelScheduled>(),
        Definition::of::<get_channel_status::GetChannelStatus>(),
        Definition::of::<calls::make_call::MakeCall>(),
        Definition::of::<calls::attend_call::AttendCall>(),
        Definition::of::<calls::call_reply::CallReply>(),
        Definition::of::<calls::say::Say>(),
        Definition::of::<calls::end_call::EndCall>(),
        Definition::of::<calls::transfer_call::TransferCall>(),
        Definition::of::<calls::call_on_behalf::CallOnBehalf>(),
        Definition::of::<calls::send_digits::SendDigits>(),
        Definition::of::<calls::send_voice_message::SendVoiceMessage>(),
        Definition::of::<calls::generate_tts::GenerateTts>(),
        Definition::of::<calls::get_call::GetCall>(),
        Definition::of::<calls::list_calls::ListCalls>(),
        Definition::of::<calls::bridge_call::BridgeCall>(),
        Definition::of::<wait_events::WaitEvents>(),
        Definition::of::<list_events::ListEvents>(),
        Definition::of::<ack_events::AckEvents>(),
        Definition::of::<get_waiting_messages::GetWaitingMessages>(),
        Definition::of::<subscribe_inbound::SubscribeInbound>(),
        Definition::of::<manage_inbound_filter::ManageInboundFilter>(),
        Definition::of::<set_channel_block::SetChannelBlock>(),
        Definition::of::<people::find_agent::FindAgent>(),
        Definition::of::<people::message_agent::MessageAgent>(),
        Definition::of::<people::update_profile::UpdateProfile>(),
        Definition::of::<people::get_contact_profile::GetContactProfile>(),
        Definition::of::<conversations::create_session::CreateSession>(),
        Definition::of::<conversations::get_session::GetSession>(),
        Definition::of::<conversations::list_sessions::ListSessions>(),
        Definition::of::<conversations::close_session::CloseSession>(),
        Definition::of::<consent::check_consent::CheckConsent>(),
        Definition::of::<consent::record_consent::RecordConsent>(),
        Definition::of::<consent::revoke_consent::RevokeConsent>(),
        Definition::of::<trust::send_otp::SendOtp>(),
        Definition::of::<trust::verify_otp::VerifyOtp>(),
        Definition::of::<trust::check_trust::CheckTrust>(),
        Definition::of::<trust::grant_trust::GrantTrust>(),
        Definition::of::<trust::revoke_trust::RevokeTrust>(),
        Definition::of::<trust::validate_number::ValidateNumber>(),
        Definition::of::<get_usage_dashboard::GetUsageDashboard>(),
        Definition::of::<billing::get_billing_summary::GetBillingSummary>(),
        Definition::of::<billing::get_income::GetIncome>(),
        Definition::of::<billing::set_client_limits::SetClientLimits>(),
        Definition::of::<set_agent_limits::SetAgentLimits>(),
        Definition::of::<set_agent_status::SetAgentStatus>(),
        Definition::of::<compliance::decide_approval::DecideApproval>(),
        Definition::of::<set_transcription::SetTranscription>(),
        Definition::of::<set_callback_url::SetCallbackUrl>(),
        Definition::of::<rotate_callback_secret::RotateCallbackSecret>(),
        Definition::of::<calls::set_voice_callback::SetVoiceCallback>(),
        Definition::of::<calls::set_voice_settings::SetVoiceSettings>(),
        Definition::of::<replay_callback::ReplayCallback>(),
        Definition::of::<senders::list_available_numbers::ListAvailableNumbers>(),
        Definition::of::<senders::manage_channel::ManageChannel>(),
        Definition::of::<senders::deprovision_channels::DeprovisionChannels>(),
        Definition::of::<senders::onboard_customer::OnboardCustomer>(),
        Definition::of::<senders::expand_client_pool::ExpandClientPool>(),
        Definition::of::<senders::register_provider::RegisterProvider>(),
        Definition::of::<number_registrations::register_number::RegisterNumber>(),
        Definition::of::<number_registrations::list_registrations::ListRegistrations>(),
        Definition::of::<accounts::rotate_token::RotateToken>(),
        Definition::of::<audit::verify_audit::VerifyAudit>(),
        Definition::of::<accounts::create_team::CreateTeam>(),
        Definition::of::<accounts::list_teams::ListTeams>(),
        Definition::of::<accounts::set_client_status::SetClientStatus>(),
        Definition::of::<billing::set_billing_config::SetBillingConfig>(),
        Definition::of::<billing::list_voices::ListVoices>(),
        Definition::of::<register_agent::RegisterAgent>(),
        Definition::of::<organization::get_overview::GetOverview>(),
        Definition::of::<organization::get_overview::ExportOverview>(),
        Definition::of::<organization::list_messages::ListMessages>(),
        Definition::of::<organization::get_message_timeline::GetMessageTimeline>(),
        Definition::of::<organization::list_inbox::ListInbox>(),
        Definition::of::<organization::get_inbox_thread::GetInboxThread>(),
        Definition::of::<organization::takeovers::ListTakeovers>(),
        Definition::of::<organization::takeovers::TakeOverConversation>(),
        Definition::of::<organization::takeovers::ReturnConversation>(),
        Definition::of::<organization::text_retention::GetTextRetention>(),
        Definition::of::<organization::text_retention::SetTextRetention>(),
        Definition::of::<organization::list_callback_attempts::ListCallbackAttempts>(),
        Definition::of::<organization::list_organization_calls::ListOrganizationCalls>(),
        Definition::of::<organization::get_organization_call::GetOrganizationCall>(),
        Definition::of::<list_agents::ListAgents>(),
        Definition::of::<get_agent::GetAgent>(),
        Definition::of::<list_agent_tokens::ListAgentTokens>(),
        Definition::of::<regenerate_agent_token::RegenerateAgentToken>(),
        Definition::of::<create_agent_token::CreateAgentToken>(),
        Definition::of::<revoke_agent_token::RevokeAgentToken>(),
        Definition::of::<senders::list_comm_channels::ListCommChannels>(),
        Definition::of::<senders::add_comm_channel::AddCommChannel>(),
        Definition::of::<senders::update_comm_channel::UpdateCommChannel>(),
        Definition::of::<senders::delete_comm_channel::DeleteCommChannel>(),
        Definition::of::<senders::check_comm_channel::CheckCommChannel>(),
        Definition::of::<senders::manage_agent_channels::ManageAgentChannels>(),
        Definition::of::<senders::provision::Provision>(),
        Definition::of::<senders::onboard::Onboard>(),
        Definition::of::<senders::deprovision::Deprovision>(),
        Definition::of::<senders::release_number::ReleaseNumber>(),
        Definition::of::<senders::pool::ListPool>(),
        Definition::of::<senders::pool::AddToPool>(),
        Definition::of::<senders::set_sender_modes::SetSenderModes>(),
        Definition::of::<senders::list_providers::ListProviders>(),
        Definition::of::<senders::remove_provider::RemoveProvider>(),
        Definition::of::<number_registrations::get_requirements::GetRequirements>(),
        Definition::of::<number_registrations::get_registration::GetRegistration>(),
        Definition::of::<number_registrations::update_registration::UpdateRegistration>(),
        Definition::of::<number_registrations::delete_registration::DeleteRegistration>(),
        Definition::of::<billing::set_task_limit::SetTaskLimit>(),
        Definition::of::<billing::get_task::GetTask>(),
        Definition::of::<billing::list_tasks::ListTasks>(),
        Definition::of::<billing::export_billing::ExportBilling>(),
        Definition::of::<compliance::do_not_contact::ListSuppressions>(),
        Definition::of::<compliance::do_not_contact::AddSuppressions>(),
        Definition::of::<compliance::do_not_contact::RemoveSuppression>(),
        Definition::of::<compliance::do_not_contact::ExportSuppressions>(),
        Definition::of::<compliance::choices::GetChoices>(),
        Definition::of::<compliance::choices::SetChoices>(),
        Definition::of::<compliance::consent_ledger::ListConsents>(),
        Definition::of::<compliance::consent_ledger::AddConsents>(),
        Definition::of::<compliance::consent_ledger::ExportConsents>(),
        Definition::of::<compliance::consent_ledger::ExportConsentTable>(),
        Definition::of::<subjects::jobs::StartAccess>(),
        Definition::of::<subjects::jobs::StartSubjectErasure>(),
        Definition::of::<subjects::jobs::GetSubjectJob>(),
        Definition::of::<subjects::jobs::GetSubjectArchive>(),
        Definition::of::<subjects::holds::ListHolds>(),
        Definition::of::<subjects::holds::PutHold>(),
        Definition::of::<subjects::holds::ReleaseHold>(),
        Definition::of::<compliance::list_approvals::ListApprovals>(),
        Definition::of::<compliance::list_rules::ListRules>(),
        Definition::of::<compliance::replay_rules::ReplayRules>(),
        Definition::of::<alerts::list_alerts::ListAlerts>(),
        Definition::of::<alerts::acknowledge_alert::AcknowledgeAlert>(),
        Definition::of::<alerts::resolve_alert::ResolveAlert>(),
        Definition::of::<alerts::list_alert_routes::ListAlertRoutes>(),
        Definition::of::<alerts::create_alert_route::CreateAlertRoute>(),
        Definition::of::<alerts::update_alert_route::UpdateAlertRoute>(),
        Definition::of::<alerts::delete_alert_route::DeleteAlertRoute>(),
        Definition::of::<alerts::test_alert_route::TestAlertRoute>(),
        Definition::of::<anomalies::list_anomalies::ListAnomalies>(),
        Definition::of::<anomalies::dismiss_anomaly::DismissAnomaly>(),
        Definition::of::<anomalies::list_detectors::ListDetectors>(),
        Definition::of::<anomalies::announce_campaign::AnnounceCampaign>(),
        Definition::of::<anomalies::list_campaigns::ListCampaigns>(),
        Definition::of::<anomalies::end_campaign::EndCampaign>(),
        Definition::of::<anomalies::list_contact_pauses::ListContactPauses>(),
        Definition::of::<anomalies::end_contact_pause::EndContactPause>(),
        Definition::of::<audit::list_audit::ListAudit>(),
        Definition::of::<audit::export_audit::ExportAudit>(),
        Definition::of::<audit::get_audit_checkpoint::GetAuditCheckpoint>(),
        Definition::of::<audit::get_audit_key::GetAuditKey>(),
        Definition::of::<audit::get_receipt::GetReceipt>(),
        Definition::of::<list_team_tokens::ListTeamTokens>(),
        Definition::of::<create_team_token::CreateTeamToken>(),
        Definition::of::<rotate_team_token::RotateTeamToken>(),
        Definition::of::<revoke_team_token::RevokeTeamToken>(),
        Definition::of::<accounts::register::Register>(),
        Definition::of::<accounts::verify::Verify>(),
        Definition::of::<accounts::accept_onboarding::AcceptOnboarding>(),
        Definition::of::<accounts::branding_by_token::BrandingByToken>(),
        Definition::of::<accounts::verification_status::VerificationStatus>(),
        Definition::of::<accounts::resend_verification::ResendVerification>(),
        Definition::of::<accounts::abandon::Abandon>(),
        Definition::of::<accounts::reveal_team_token::RevealTeamToken>(),
        Definition::of::<accounts::get_account::GetAccount>(),
        Definition::of::<accounts::set_phone::SetPhone>(),
        Definition::of::<accounts::confirm_phone::ConfirmPhone>(),
        Definition::of::<accounts::request_rotation::RequestRotation>(),
        Definition::of::<accounts::confirm_rotation::ConfirmRotation>(),
        Definition::of::<accounts::revoke_tokens::RevokeTokens>(),
        Definition::of::<accounts::start_erasure::StartErasure>(),
        Definition::of::<accounts::confirm_erasure::ConfirmErasure>(),
        Definition::of::<accounts::list_memberships::ListMemberships>(),
        Definition::of::<accounts::list_members::ListMembers>(),
        Definition::of::<accounts::add_member::AddMember>(),
        Definition::of::<accounts::remove_member::RemoveMember>(),
        Definition::of::<accounts::list_console_sessions::ListConsoleSessions>(),
        Definition::of::<accounts::end_console_session::EndConsoleSession>(),
        Definition::of::<accounts::end_member_sessions::EndMemberSessions>(),
        Definition::of::<accounts::list_member_passkeys::ListMemberPasskeys>(),
        Definition::of::<accounts::remove_member_passkey::RemoveMemberPasskey>(),
        Definition::of::<accounts::create_invite::CreateInvite>(),
        Definition::of::<accounts::set_team_status::SetTeamStatus>(),
        Definition::of::<accounts::list_account_notices::ListAccountNotices>(),
        Definition::of::<senders::stuck_orders::ListStuckOrders>(),
        Definition::of::<senders::stuck_orders::RetryStuckOrder>(),
        Definition::of::<dead_letters::list_dead_letters::ListDeadLetters>(),
        Definition::of::<dead_letters::get_dead_letter::GetDeadLetter>(),
        Definition::of::<dead_letters::replay_dead_letter::ReplayDeadLetter>(),
        Definition::of::<dead_letters::drop_dead_letter::DropDeadLetter>(),
    ]
});

pub fn all() -> &'static [Definition] {
    &ALL
}

/// Finds the tool with this name.
pub fn find_tool(name: &str) -> Option<&'static Definition> {
    ALL.iter()
        .find(|definition| definition.name == name && definition.hints.is_some())
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::Scope;

    use super::*;

    #[test]
    fn tool_descriptions_state_their_scope() {
        for tool in all().iter().filter(|definition| definition.hints.is_some()) {
            assert!(tool.description.contains("[scope: "), "{}", tool.name);
        }
    }

    #[test]
    fn operations_declare_each_error_once() {
        for definition in all() {
            let mut codes: Vec<&str> = definition.errors().map(|code| code.as_str()).collect();
            codes.sort_unstable();
            let count = codes.len();
            codes.dedup();
            assert_eq!(codes.len(), count, "{}", definition.name);
        }
    }

    #[test]
    fn administrators_operations_need_their_scope() {
        let register = all().iter().find(|definition| definition.name == "register_agent");
        assert!(register.is_some_and(|definition| definition.scope == Scope::OrgAdmin));
    }
}
