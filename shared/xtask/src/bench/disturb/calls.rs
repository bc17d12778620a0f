//! Calls that last as long as the load, with an agent that answers them.

use std::fmt;

use super::{
    super::{
        calls::{
            agent::Agent,
            caller::{self, CallResult, Callers},
            phone_simulator::PhoneSimulator,
        },
        process::Backends,
    },
    replicas::Replicas,
};

/// A caller without a reply gives up after so many questions, of ten seconds each: longer than an outage of a server.
const MAX_ATTEMPTS: usize = 6;

pub struct Calls {
    callers: Callers,
    /// Answers as long as it is not dropped.
    _agent: Agent,
}

/// The results of the calls.
pub struct Spoken(Vec<CallResult>);

pub async fn start(replicas: &Replicas, backends: &Backends, count: usize) -> anyhow::Result<Calls> {
    let simulator = backends.simulator.address;
    let mut phones = PhoneSimulator::open(simulator).await?;
    phones.set_callback_url(&backends.public_url).await?;
    let agent = Agent::open_persistent(&replicas.agent()?, caller::answer).await?;
    let callers = Callers::start(simulator, count, MAX_ATTEMPTS).await?;
    Ok(Calls { callers, _agent: agent })
}

impl Calls {
    pub async fn finish(self) -> anyhow::Result<Spoken> {
        Ok(Spoken(self.callers.finish().await?))
    }
}

impl Spoken {
    /// Returns whether all callers got a reply to their last question.
    pub fn is_unbroken(&self) -> bool {
        self.0.iter().all(|call| call.is_connected)
    }
}

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |of: fn(&CallResult) -> usize| self.0.iter().map(of).sum::<usize>();
        write!(
            f,
            "{} of {} calls still in conversation; {} questions, {} of them asked again; {} sockets",
            sum(|call| usize::from(call.is_connected)),
            self.0.len(),
            sum(|call| call.questions),
            sum(|call| call.repeated_questions),
            sum(|call| call.sessions)
        )
    }
}
