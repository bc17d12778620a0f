//! The steps of a registration at the vendor, the sweep that continues them, and their effect on senders. A step that has no answer is
//! looked up before it is repeated.

use butt_dial_domain::{
    Channel, Code, Failure,
    clock::Timestamp,
    ports::{
        numbers::NumberError,
        registrations::{
            NumberRegistrations, RegistrationKey, RegistrationKind, RegistrationRequest, ReviewState,
            VendorRegistration,
        },
    },
    senders::is_tollfree,
};
use butt_dial_store::{NumberRegistration, ReviewStatus, Sender};
use chrono::TimeDelta;

use super::{RegistrationData, Registrations};
use crate::senders::failure_of;

/// How long a process works on a registration before another one takes it over. Longer than its requests to the vendor.
pub(super) const LEASE: TimeDelta = TimeDelta::seconds(60);
const BATCH: u32 = 20;
/// Between two looks at a registration: a tenth of its age within these limits. A vendor takes days.
const FIRST_CHECK: TimeDelta = TimeDelta::seconds(15);
const LAST_CHECK: TimeDelta = TimeDelta::hours(1);
/// A vendor can withdraw an approval.
const APPROVED_CHECK: TimeDelta = TimeDelta::days(1);

/// Until the next try of a sender that has not joined its messaging service.
const JOIN_AGAIN: TimeDelta = TimeDelta::hours(1);

/// Why a registration does not proceed.
pub(super) enum Stop {
    /// The vendor refuses it.
    Failed(Failure),
    /// No request has reached the vendor.
    NotMade(Failure),
    /// For now: the sweep continues.
    Later(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Later(failure)
    }
}

impl Registrations {
    /// Submits a registration, or finds that it was submitted, and stores what the vendor says.
    pub(super) async fn submit(&self, stored: &mut NumberRegistration, data: &RegistrationData) -> Result<(), Stop> {
        let vendor = self.vendor(stored.account().as_ref()).await?;
        let mut brand = String::new();
        if stored.kind == RegistrationKind::Campaign {
            brand = self
                .approved_brand(&stored.org_id, &stored.subject)
                .await
                .map_err(Stop::Failed)?;
            if stored.service_id.is_none() {
                let service = vendor.service(&format!("bd:{}", stored.org_id)).await;
                stored.service_id = Some(service.map_err(|error| stop(&error))?);
                self.keep(stored).await?;
            }
        }
        let service = stored.service_id.clone().unwrap_or_default();
        let request = match data {
            RegistrationData::Brand { data } => RegistrationRequest::Brand(data),
            RegistrationData::Campaign { data } => RegistrationRequest::Campaign {
                service: &service,
                brand: &brand,
                data,
            },
            RegistrationData::Tollfree { data, .. } => RegistrationRequest::Tollfree {
                number: &stored.subject,
                data,
            },
        };
        let found = match &stored.external_id {
            Some(id) => {
                self.submit_again(vendor.as_ref(), id, request, stored.attempts > 0)
                    .await
            }
            None => create(vendor.as_ref(), request, stored.attempts > 0).await,
        };
        self.take(stored, found.map_err(|error| stop(&error))?).await
    }

    /// Submits a failed registration again. After a lost answer, the vendor shows it as one that has not failed.
    async fn submit_again(
        &self,
        vendor: &dyn NumberRegistrations,
        id: &str,
        request: RegistrationRequest<'_>,
        is_repeated: bool,
    ) -> Result<VendorRegistration, NumberError> {
        if is_repeated {
            let kind = match request {
                RegistrationRequest::Brand(_) => RegistrationKind::Brand,
                RegistrationRequest::Campaign { .. } => RegistrationKind::Campaign,
                RegistrationRequest::Tollfree { .. } => RegistrationKind::Tollfree,
            };
            let key = RegistrationKey {
                kind,
                id,
                service: None,
            };
            let known = vendor.fetch(key).await?;
            if known.state != ReviewState::Failed {
                return Ok(known);
            }
        }
        vendor.resubmit(id, request).await
    }

    /// Stores what the vendor says, and lets the senders send or not.
    async fn take(&self, stored: &mut NumberRegistration, found: VendorRegistration) -> Result<(), Stop> {
        let now = self.clock.now();
        let state = match found.state {
            ReviewState::Pending => ReviewStatus::Pending,
            ReviewState::InReview => ReviewStatus::InReview,
            ReviewState::Approved => ReviewStatus::Approved,
            ReviewState::Failed => ReviewStatus::Failed,
        };
        let is_news = stored.state != state;
        stored.external_id = Some(found.id);
        stored.failure = found.failure;
        stored.state = state;
        stored.check_at = match state {
            ReviewStatus::Failed => None,
            ReviewStatus::Approved => Some(now + APPROVED_CHECK),
            _ => Some(now + ((now - stored.created_at) / 10).clamp(FIRST_CHECK, LAST_CHECK)),
        };
        let are_set = match state {
            ReviewStatus::Approved => self.set_senders(stored, true).await?,
            ReviewStatus::Failed => self.set_senders(stored, false).await?,
            _ => true,
        };
        if !are_set {
            stored.check_at = Some(now + JOIN_AGAIN);
        }
        // After the senders: if this process dies between both, the next one repeats it.
        self.keep(stored).await?;
        if is_news {
            tracing::info!(registration = %stored.id, org = %stored.org_id, kind = %stored.kind, %state, "registration of numbers changed");
        }
        Ok(())
    }

    pub(super) async fn fail(&self, stored: &mut NumberRegistration, failure: &Failure) -> Result<(), Failure> {
        stored.state = ReviewStatus::Failed;
        stored.failure = Some(failure.message.to_string());
        stored.check_at = None;
        self.store.update_number_registration(stored, self.clock.now()).await?;
        Ok(())
    }

    /// Lets the senders that a registration is for send texts in the US, or no longer. Long codes join the messaging service of their
    /// campaign. Returns false if one can't join now.
    pub(super) async fn set_senders(&self, stored: &NumberRegistration, is_approved: bool) -> Result<bool, Failure> {
        let org = &stored.org_id;
        let mut have_joined = true;
        match stored.kind {
            RegistrationKind::Brand => {}
            RegistrationKind::Tollfree => {
                let senders = self.senders_of(stored).await?;
                for sender in senders
                    .iter()
                    .filter(|sender| sender.number_id.as_ref() == Some(&stored.subject))
                {
                    self.store.set_us_registration(&sender.id, is_approved).await?;
                }
            }
            RegistrationKind::Campaign if is_approved => {
                let waiting = self
                    .store
                    .list_unregistered_senders(org, stored.account().as_ref())
                    .await?;
                for sender in waiting.iter().filter(|sender| !is_tollfree(&sender.address)) {
                    have_joined &= self.join(stored, sender).await?;
                }
            }
            RegistrationKind::Campaign => {
                let senders = self.senders_of(stored).await?;
                for sender in senders.iter().filter(|sender| !is_tollfree(&sender.address)) {
                    self.store.set_us_registration(&sender.id, false).await?;
                }
            }
        }
        Ok(have_joined)
    }

    /// Lists the senders of texts in the account of a registration.
    async fn senders_of(&self, stored: &NumberRegistration) -> Result<Vec<Sender>, Failure> {
        let all = self.store.list_bought_senders(&stored.org_id).await?;
        let account = stored.account();
        Ok(all
            .into_iter()
            .filter(|sender| sender.channel == Channel::Sms && sender.account == account)
            .collect())
    }

    async fn join(&self, stored: &NumberRegistration, sender: &Sender) -> Result<bool, Failure> {
        let (Some(service), Some(number)) = (&stored.service_id, &sender.number_id) else {
            return Ok(true);
        };
        let vendor = self.vendor(stored.account().as_ref()).await?;
        match vendor.add_number(service, number).await {
            Ok(()) => {
                self.store.set_us_registration(&sender.id, true).await?;
                tracing::info!(sender = %sender.id, org = %sender.org, "sender joined the messaging service of its campaign");
            }
            Err(error) => {
                tracing::warn!(%error, sender = %sender.id, "sender has not joined the messaging service of its campaign");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Continues the registrations that are due. Returns how many were claimed.
    pub async fn continue_due(&self) -> Result<usize, Failure> {
        let mut total = 0;
        loop {
            let now = self.clock.now();
            let claimed = self.store.claim_number_registrations(BATCH, now, now + LEASE).await?;
            let count = claimed.len();
            total += count;
            for stored in claimed {
                self.continue_one(stored, now).await;
            }
            if count < BATCH as usize {
                return Ok(total);
            }
        }
    }

    async fn continue_one(&self, mut stored: NumberRegistration, now: Timestamp) {
        let done = match (stored.state, stored.external_id.clone()) {
            (ReviewStatus::Submitting, _) | (_, None) => self.submit_stored(&mut stored).await,
            (_, Some(id)) => self.look(&mut stored, &id).await,
        };
        match done {
            Ok(()) => {}
            Err(Stop::Later(failure) | Stop::NotMade(failure)) => {
                tracing::warn!(%failure, registration = %stored.id, "registration of numbers not continued; it stays due");
            }
            Err(Stop::Failed(failure)) => {
                tracing::warn!(%failure, registration = %stored.id, age = (now - stored.created_at).num_seconds(), "registration of numbers refused");
                if let Err(failure) = self.fail(&mut stored, &failure).await {
                    tracing::warn!(%failure, registration = %stored.id, "refusal of a registration not stored; it stays due");
                }
            }
        }
    }

    async fn submit_stored(&self, stored: &mut NumberRegistration) -> Result<(), Stop> {
        let data = self.open(stored)?;
        self.submit(stored, &data).await
    }

    async fn look(&self, stored: &mut NumberRegistration, id: &str) -> Result<(), Stop> {
        let vendor = self.vendor(stored.account().as_ref()).await?;
        let service = stored.service_id.clone();
        let key = RegistrationKey {
            kind: stored.kind,
            id,
            service: service.as_deref(),
        };
        let found = match vendor.fetch(key).await {
            Ok(found) => found,
            Err(NumberError::NotFound) => VendorRegistration {
                id: id.to_owned(),
                state: ReviewState::Failed,
                failure: Some("the provider does not have this registration any more".to_owned()),
            },
            Err(error) => return Err(Stop::Later(failure_of(&error, "show the registration"))),
        };
        self.take(stored, found).await
    }

    /// Stores the progress. Fails if another process has taken the registration over.
    async fn keep(&self, stored: &NumberRegistration) -> Result<(), Stop> {
        let kept = self.store.update_number_registration(stored, self.clock.now()).await;
        match kept.map_err(Failure::from)? {
            true => Ok(()),
            false => Err(Stop::Later(Failure::unavailable(
                "another process continues this registration",
            ))),
        }
    }
}

/// Creates a registration. One that may have been created before is looked for first.
async fn create(
    vendor: &dyn NumberRegistrations,
    request: RegistrationRequest<'_>,
    is_repeated: bool,
) -> Result<VendorRegistration, NumberError> {
    if is_repeated && let Some(found) = vendor.find(request).await? {
        return Ok(found);
    }
    match vendor.create(request).await {
        Err(NumberError::Unknown) => vendor.find(request).await.ok().flatten().ok_or(NumberError::Unknown),
        answer => answer,
    }
}

fn stop(error: &NumberError) -> Stop {
    let failure = failure_of(error, "register this");
    match error {
        NumberError::Unknown => Stop::Later(failure),
        NumberError::Unreachable | NumberError::Unauthorized => Stop::NotMade(failure),
        NumberError::NotFound => Stop::Failed(Failure::new(
            Code::NotFound,
            "the provider does not have what this registration refers to",
        )),
        NumberError::Unavailable | NumberError::Refused(_) => Stop::Failed(failure),
    }
}
