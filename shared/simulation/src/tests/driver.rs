//! The driver of a run: it lets time pass in short steps, in which one process after the other runs, begins the actions of the
//! scenario, plays the carrier's webhooks and the clients that repeat what was not answered, and restarts processes that crashed.
//! In the end there are no more faults, and it waits until all work is done.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use butt_dial_domain::{
    AgentId, Channel, Failure, OrgId,
    clock::Timestamp,
    inbound::{DeliveryStatus, InboundMessage, Receipt, WebhookEvent},
    ports::{bus::Headers, carrier::RefusalClass, webhook::WebhookRequest},
};
use butt_dial_identity::on_behalf_of;
use butt_dial_messaging::{
    SendReceipt, SendRequest,
    delivery::PageQuery,
    inbound::{RawWebhook, Via, WebhookRefusal},
};
use chrono::TimeDelta;
use http::{HeaderMap, Method};
use serde_json::{Map, Value};

use super::{
    carrier::{LISTING, Taken, WITH_KEYS},
    laboratory::{AGENTS, Laboratory},
    process::{Process, Product, Shape},
    scenario::{CONTACTS, Incoming, Kind, Scenario, Send},
    world::World,
};

const PROCESSES: usize = 2;
/// Rounds of the end. A run that needs more does not end.
const MAX_ROUNDS: u32 = 120;
const MAX_STEPS: u32 = 600;

/// The progress of a request that is repeated until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting(Timestamp),
    /// In the process with this life.
    Running(u32),
    Done,
}

/// A send with its repeats.
pub struct Request {
    pub send: Send,
    progress: Progress,
    tries: u32,
    /// When the first process got it.
    pub begun_at: Option<Timestamp>,
    pub results: Vec<Result<SendReceipt, Failure>>,
}

pub enum Content {
    Message(Incoming),
    Receipt,
}

/// A webhook with its repeats.
pub struct Webhook {
    number: usize,
    pub carrier: &'static str,
    pub content: Content,
    progress: Progress,
    repeats: u64,
    pub is_acknowledged: bool,
}

/// The result of a task of a process.
enum Done {
    Send(usize, Box<Result<SendReceipt, Failure>>),
    Webhook(usize, Result<(), WebhookRefusal>),
    Poll(usize, Vec<Map<String, Value>>),
    Sweep,
}

/// An event that an agent has read, and when.
pub struct Read {
    pub agent: usize,
    pub at: Timestamp,
    pub event: Map<String, Value>,
}

pub struct Driver<'a> {
    laboratory: &'a Laboratory,
    pub world: Arc<World>,
    shape: Shape,
    step: u64,
    processes: [Option<(u32, Process)>; PROCESSES],
    restart_at: [Timestamp; PROCESSES],
    lives: u32,
    pub requests: Vec<Request>,
    pub webhooks: Vec<Webhook>,
    pub reads: Vec<Read>,
    sweeps: usize,
    seen: usize,
    done: Arc<Mutex<Vec<(u32, Done)>>>,
}

impl<'a> Driver<'a> {
    pub fn new(laboratory: &'a Laboratory, world: Arc<World>) -> Self {
        let random = &world.random;
        let shape = Shape {
            partitions: *random.pick(&[1, 1, 2]),
            has_callbacks: random.chance(500),
        };
        Self {
            laboratory,
            shape,
            step: *random.pick(&[20, 40, 80]),
            processes: [None, None],
            restart_at: [world.now(); PROCESSES],
            lives: 0,
            requests: Vec::new(),
            webhooks: Vec::new(),
            reads: Vec::new(),
            sweeps: 0,
            seen: 0,
            done: Arc::default(),
            world,
        }
    }

    /// Runs the scenario with faults, then to its end without. Fails if work is left that never ends.
    pub fn run(&mut self, scenario: Scenario) -> Result<(), String> {
        let start = self.world.now();
        let last = scenario.actions.last().map_or(0, |action| action.at) + 1_000;
        let mut actions = scenario.actions.into_iter().peekable();
        loop {
            let elapsed = (self.world.now() - start).num_milliseconds().unsigned_abs();
            while let Some(action) = actions.next_if(|action| action.at <= elapsed) {
                self.begin(action.kind);
            }
            if elapsed > last {
                break;
            }
            self.step(self.step);
        }
        self.world.calm_down();
        self.end()
    }

    fn begin(&mut self, kind: Kind) {
        let now = self.world.now();
        match kind {
            Kind::Send(send) => {
                let count = 1 + u32::from(send.is_doubled);
                for _ in 0..count {
                    let send = send.clone();
                    self.requests.push(Request {
                        send,
                        progress: Progress::Waiting(now),
                        tries: 0,
                        begun_at: None,
                        results: Vec::new(),
                    });
                }
            }
            Kind::Receive(incoming) => self.receive(incoming),
            Kind::Poll { agent, limit } => self.poll(agent, limit),
            Kind::Sweep => self.sweep(),
            Kind::Freeze { milliseconds } => {
                let until = now + TimeDelta::milliseconds(i64::try_from(milliseconds).unwrap());
                if let Some((_, process)) = &mut self.processes[0] {
                    process.faults.note(|| format!("stands still for {milliseconds} ms"));
                    process.frozen_until = Some(until);
                }
            }
            Kind::EmptyKv => self.world.empty_kv(),
            Kind::FailPower { entries } => {
                let lost = self.world.log.fail_power(entries);
                self.world.note("world", || format!("the log loses {lost} entries"));
            }
        }
    }

    /// Lets all processes run for some milliseconds.
    fn step(&mut self, milliseconds: u64) {
        let time = Duration::from_millis(milliseconds);
        self.world.clock.advance(TimeDelta::from_std(time).unwrap());
        self.start_processes();
        for taken in self.world.carrier.arrive(self.world.now()) {
            self.world.note("carrier", || {
                format!("late request {} arrives as {}", taken.message, taken.carrier_id)
            });
        }
        self.begin_requests();
        self.begin_webhooks();
        let now = self.world.now();
        for index in 0..PROCESSES {
            let Some((_, process)) = &mut self.processes[index] else {
                continue;
            };
            if process.frozen_until.is_some_and(|until| now < until) && !self.world.is_calm() {
                process.behind += time;
                continue;
            }
            process.frozen_until = None;
            process.run(time);
            if process.faults.is_dead() {
                self.bury(index);
            }
        }
        self.collect();
        self.plan_receipts();
    }

    fn start_processes(&mut self) {
        let now = self.world.now();
        for index in 0..PROCESSES {
            if self.processes[index].is_none() && (self.restart_at[index] <= now || self.world.is_calm()) {
                self.lives += 1;
                let process = Process::start(self.laboratory, &self.world, self.lives, self.shape);
                self.processes[index] = Some((self.lives, process));
            }
        }
    }

    /// Removes a process that has crashed. Its clients and carriers repeat what it has not answered.
    fn bury(&mut self, index: usize) {
        self.collect();
        let Some((life, process)) = self.processes[index].take() else {
            return;
        };
        drop(process);
        let (world, now) = (self.world.clone(), self.world.now());
        let later = |from, to| now + TimeDelta::milliseconds(i64::try_from(world.random.between(from, to)).unwrap());
        self.restart_at[index] = later(0, 2_000);
        for request in &mut self.requests {
            if request.progress == Progress::Running(life) {
                request.progress = Progress::Waiting(later(200, 2_000));
            }
        }
        for webhook in &mut self.webhooks {
            if webhook.progress == Progress::Running(life) {
                webhook.progress = Progress::Waiting(later(200, 2_000));
            }
        }
        self.sweeps = 0;
    }

    /// Returns a process that runs.
    fn choose(&self) -> Option<(u32, &Process)> {
        let running = self
            .processes
            .iter()
            .flatten()
            .filter(|(_, process)| process.frozen_until.is_none());
        let running: Vec<_> = running.collect();
        (!running.is_empty()).then(|| {
            let (life, process) = self.world.random.pick(&running);
            (*life, process)
        })
    }

    fn spawn(&self, (life, process): (u32, &Process), work: impl Future<Output = Done> + std::marker::Send + 'static) {
        let done = self.done.clone();
        process.runtime.spawn(async move {
            let result = work.await;
            done.lock().unwrap().push((life, result));
        });
    }

    fn begin_requests(&mut self) {
        let now = self.world.now();
        for index in 0..self.requests.len() {
            if !matches!(self.requests[index].progress, Progress::Waiting(at) if at <= now) {
                continue;
            }
            let Some((life, process)) = self.choose() else {
                return;
            };
            let (product, send) = (process.product.clone(), self.requests[index].send.clone());
            process
                .faults
                .note(|| format!("gets {} for {}: {}", send.key, AGENTS[send.agent].0, send.text));
            let start = now - self.world.elapsed();
            self.spawn((life, process), async move {
                Done::Send(index, Box::new(request(&product, send, start).await))
            });
            let request = &mut self.requests[index];
            request.begun_at.get_or_insert(now);
            request.tries += 1;
            request.progress = Progress::Running(life);
        }
    }

    fn begin_webhooks(&mut self) {
        let now = self.world.now();
        for index in 0..self.webhooks.len() {
            if !matches!(self.webhooks[index].progress, Progress::Waiting(at) if at <= now) {
                continue;
            }
            let Some((life, process)) = self.choose() else {
                return;
            };
            let (product, webhook) = (process.product.clone(), &self.webhooks[index]);
            let raw = raw_webhook(webhook, now);
            process.faults.note(|| format!("gets webhook {}", webhook.number));
            self.spawn((life, process), async move {
                let received = product.inbound.receive(&product.routes, raw).await;
                Done::Webhook(index, received.map(drop))
            });
            self.webhooks[index].progress = Progress::Running(life);
        }
    }

    fn receive(&mut self, incoming: Incoming) {
        let address = |number: &str| butt_dial_domain::Address::parse(incoming.channel, number).unwrap();
        let (from, to) = (address(CONTACTS[incoming.contact]), address(AGENTS[incoming.agent].2));
        let mut message = InboundMessage::new(&incoming.id, incoming.channel, &from, &to);
        message.body = Some(incoming.text.into());
        message.sent_at = Some(self.world.now());
        let carrier = match incoming.channel {
            Channel::Sms => LISTING,
            _ => WITH_KEYS,
        };
        self.add_webhook(
            carrier,
            WebhookEvent::Message(Box::new(message)),
            Content::Message(incoming),
            0,
        );
    }

    fn add_webhook(&mut self, carrier: &'static str, event: WebhookEvent, content: Content, delay: u64) {
        let now = self.world.now();
        let number = self.world.carrier.add_webhook(event);
        self.webhooks.push(Webhook {
            number,
            carrier,
            content,
            progress: Progress::Waiting(now + TimeDelta::milliseconds(i64::try_from(delay).unwrap())),
            repeats: u64::from(self.world.random.chance(200)),
            is_acknowledged: false,
        });
    }

    /// Plans the receipts of messages that the carrier has taken since the last step, in any order.
    fn plan_receipts(&mut self) {
        let taken = self.world.carrier.taken();
        for taken in taken.iter().skip(self.seen) {
            let random = &self.world.random;
            let stages: &[DeliveryStatus] = match random.below(6) {
                0 => &[],
                1 | 2 => &[DeliveryStatus::Sent, DeliveryStatus::Delivered],
                3 => &[DeliveryStatus::Queued, DeliveryStatus::Delivered, DeliveryStatus::Read],
                4 => &[DeliveryStatus::Sent, DeliveryStatus::Failed],
                _ => &[DeliveryStatus::Failed],
            };
            for stage in stages {
                let delay = self.world.random.between(0, 1_500);
                let carrier = match taken.channel {
                    Channel::Sms => LISTING,
                    _ => WITH_KEYS,
                };
                if *stage == DeliveryStatus::Failed {
                    self.world.carrier.mark_failed(&taken.carrier_id);
                }
                let receipt = receipt(taken, *stage, self.shape.has_callbacks);
                self.world
                    .note("carrier", || format!("{} will be {}", taken.carrier_id, stage.as_str()));
                self.add_webhook(carrier, WebhookEvent::Receipt(receipt), Content::Receipt, delay);
            }
        }
        self.seen = taken.len();
    }

    fn poll(&self, agent: usize, limit: u32) {
        let Some((life, process)) = self.choose() else {
            return;
        };
        let product = process.product.clone();
        self.spawn((life, process), async move {
            Done::Poll(agent, poll(&product, agent, limit).await.unwrap_or_default())
        });
    }

    /// Starts the sweeps of all processes.
    fn sweep(&mut self) {
        for (life, process) in self.processes.iter().flatten() {
            self.spawn_sweep(*life, process);
        }
        self.sweeps += self.processes.iter().flatten().count();
    }

    /// Starts the sweeps of one process.
    fn sweep_one(&mut self) {
        if let Some((life, process)) = self.choose() {
            self.spawn_sweep(life, process);
            self.sweeps += 1;
        }
    }

    fn spawn_sweep(&self, life: u32, process: &Process) {
        let (product, faults) = (process.product.clone(), process.faults.clone());
        self.spawn((life, process), async move {
            if let Err(failure) = product.sweep().await {
                faults.note(|| format!("sweep failed: {failure}"));
            }
            Done::Sweep
        });
    }

    /// Takes what the tasks have brought, and decides what their clients do next.
    fn collect(&mut self) {
        let done = std::mem::take(&mut *self.done.lock().unwrap());
        let (world, now) = (self.world.clone(), self.world.now());
        let later = |from, to| now + TimeDelta::milliseconds(i64::try_from(world.random.between(from, to)).unwrap());
        for (life, result) in done {
            match result {
                Done::Send(index, result) => {
                    let request = &mut self.requests[index];
                    world.note(&format!("life {life}"), || match &*result {
                        Ok(receipt) => {
                            format!("answers {}: {} {:?}", request.send.key, receipt.message, receipt.status)
                        }
                        Err(failure) => format!("answers {}: {failure}", request.send.key),
                    });
                    let repeats = match &*result {
                        Ok(_) => world.random.chance(150),
                        Err(failure) => failure.is_retryable() && world.random.chance(600),
                    };
                    request.results.push(*result);
                    let is_last = request.tries >= 4 || world.is_calm();
                    request.progress = match repeats && !is_last {
                        true => Progress::Waiting(later(0, 2_000)),
                        false => Progress::Done,
                    };
                }
                Done::Webhook(index, result) => {
                    let webhook = &mut self.webhooks[index];
                    world.note(&format!("life {life}"), || {
                        format!("answers webhook {}: {result:?}", webhook.number)
                    });
                    webhook.progress = match result {
                        Ok(()) if webhook.repeats == 0 => Progress::Done,
                        Ok(()) => {
                            webhook.repeats -= 1;
                            Progress::Waiting(later(0, 2_000))
                        }
                        Err(_) => Progress::Waiting(later(300, 2_000)),
                    };
                    webhook.is_acknowledged |= result.is_ok();
                }
                Done::Poll(agent, events) => {
                    self.reads
                        .extend(events.into_iter().map(|event| Read { agent, at: now, event }));
                }
                Done::Sweep => self.sweeps = self.sweeps.saturating_sub(1),
            }
        }
    }

    /// Waits until no work is left. Skips the time in which there is none.
    fn end(&mut self) -> Result<(), String> {
        for _ in 0..MAX_ROUNDS {
            self.settle_down()?;
            let Some(next) = self.next_due() else {
                return Ok(());
            };
            if next <= self.world.now() {
                self.sweep_one();
                continue;
            }
            // Some more time, so that what is due soon after begins as well.
            let wait = next - self.world.now() + TimeDelta::milliseconds(200);
            self.world.note("world", || format!("skips {wait}"));
            self.world.clock.advance(wait);
            for (_, process) in self.processes.iter_mut().flatten() {
                process.skip(wait.to_std().unwrap());
            }
        }
        Err("work is left that does not end".into())
    }

    /// Lets the processes run until all requests are answered and the log is applied.
    fn settle_down(&mut self) -> Result<(), String> {
        for _ in 0..MAX_STEPS {
            self.step(100);
            if self.is_answered() && self.is_log_applied() {
                return Ok(());
            }
        }
        // A process that has read entries before the log lost them applies them later. Without a further entry, no reader notices that
        // the position is past the end. The invariants find out whether an event is missing.
        match self.is_answered() && self.is_log_passed() {
            true => Ok(()),
            false => Err("a request is not answered, or the log is not applied".into()),
        }
    }

    /// Returns whether the last entry of each partition is applied: the entry itself, and not a lost one with its number.
    /// Returns whether no request, webhook or sweep is in progress.
    fn is_answered(&self) -> bool {
        let is_running = |progress: &Progress| matches!(progress, Progress::Running(_));
        let requests = self.requests.iter().any(|request| is_running(&request.progress));
        let webhooks = self.webhooks.iter().any(|webhook| is_running(&webhook.progress));
        !requests && !webhooks && self.sweeps == 0
    }

    fn is_log_applied(&self) -> bool {
        let (ends, positions) = (self.ends(), self.laboratory.positions());
        ends.iter()
            .all(|(partition, end)| positions.get(partition) == Some(end))
    }

    /// Returns whether no position is before the end of its partition.
    fn is_log_passed(&self) -> bool {
        let (ends, positions) = (self.ends(), self.laboratory.positions());
        let has_passed = |(partition, end): (&String, &(u64, String))| {
            let position = positions.get(partition);
            position.is_some_and(|position| position.0 >= end.0)
        };
        ends.iter().all(has_passed)
    }

    /// Returns the sequence and the id of the last entry of each partition.
    fn ends(&self) -> BTreeMap<String, (u64, String)> {
        let entries = self.world.log.entries().into_iter();
        let ends = entries.map(|entry| {
            let partition = entry.subject.replace("comms.inbound", "INBOUND");
            (partition, (entry.sequence, entry.id))
        });
        ends.collect()
    }

    /// Returns when the next work is due.
    fn next_due(&self) -> Option<Timestamp> {
        let waiting = |progress: &Progress| match progress {
            Progress::Waiting(at) => Some(*at),
            _ => None,
        };
        let requests = self.requests.iter().filter_map(|request| waiting(&request.progress));
        let webhooks = self.webhooks.iter().filter_map(|webhook| waiting(&webhook.progress));
        let arrival = self.world.carrier.next_arrival();
        requests
            .chain(webhooks)
            .chain(arrival)
            .chain(self.laboratory.next_due())
            .min()
    }
}

async fn request(product: &Product, send: Send, start: Timestamp) -> Result<SendReceipt, Failure> {
    let caller = on_behalf_of(&product.store, &AgentId::from(AGENTS[send.agent].0)).await?;
    let caller = caller.ok_or_else(Failure::internal)?;
    let at = |at: u64| start + TimeDelta::milliseconds(i64::try_from(at).unwrap());
    let request = SendRequest {
        body: Some(send.text),
        idempotency_key: Some(send.key),
        fallbacks: send.fallback.into_iter().collect(),
        scheduled_at: send.scheduled.map(at),
        ..SendRequest::new(caller, send.channel, CONTACTS[send.contact])
    };
    product.outbound.send(request).await
}

async fn poll(product: &Product, agent: usize, limit: u32) -> Result<Vec<Map<String, Value>>, Failure> {
    let (agent, org, _) = AGENTS[agent];
    let (agent, org) = (AgentId::from(agent), OrgId::from(org));
    let query = PageQuery {
        after: None,
        kinds: Vec::new(),
        limit,
    };
    let page = product.delivery.list_events(&org, &agent, &query).await?;
    if !page.events.is_empty() {
        // An acknowledgement that fails is repeated with the next poll.
        drop(product.delivery.acknowledge_events(&agent, page.cursor).await);
    }
    Ok(page.events)
}

fn raw_webhook(webhook: &Webhook, now: Timestamp) -> RawWebhook {
    RawWebhook {
        via: Via::Carrier(webhook.carrier.into()),
        account: None,
        request: WebhookRequest {
            method: Method::POST,
            url: format!("https://bd.example.com/webhooks/{}", webhook.carrier),
            headers: HeaderMap::new(),
            body: webhook.number.to_string().into(),
            received_at: now,
        },
        trace: Headers::new(),
    }
}

fn receipt(taken: &Taken, stage: DeliveryStatus, names_message: bool) -> Receipt {
    Receipt {
        carrier_id: taken.carrier_id.clone(),
        message: names_message.then(|| taken.message.clone()),
        channel: taken.channel,
        sender: Some(taken.from.clone()),
        stage,
        error_code: None,
        failure: (stage == DeliveryStatus::Failed).then_some(RefusalClass::Recipient),
        price: None,
        tariff: None,
        org: None,
        is_marketing_only: false,
    }
}
