//! The judging pipeline: router and shards under one supervisor.
//!
//! When an actor of it fails, the whole pipeline is stopped and started again from its checkpoints: the journal has everything, a
//! replay takes seconds, ingest goes on meanwhile, and there is one way to start instead of two.

use crate::effect_log::EffectLog;
use crate::entries;
use crate::metrics::PIPELINE_RESTARTS;
use crate::router::{self, Router, RouterArgs, RouterMsg, RouterObservation};
use crate::self_log::SelfLog;
use crate::shard::{Shard, ShardArgs, ShardMsg, ShardObservation, ShardShared, append_control};
use crate::stage::Stage;
use crate::work::Judge;
use andon_engine::control::Control;
use andon_engine::level::Level;
use andon_engine::parts::ConfigurationChange;
use andon_engine::rule::Configuration;
use andon_engine::sequencer::accepting::Accepting;
use andon_engine::time::{Clock, Span, Timestamp};
use andon_storage::journal::{AppendError, Journal};
use andon_storage::ports::checkpoint::CheckpointStore;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// How often shards look at their timers and the router at its own.
const TICK: Duration = Duration::from_millis(200);
/// Wait before the pipeline is started again after a failure.
const RESTART_AFTER: Duration = Duration::from_millis(500);
/// How long a question to an actor may take.
const ASK: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct JudgingArgs {
    pub journal: Journal,
    pub effects: EffectLog,
    pub checkpoints: Arc<dyn CheckpointStore>,
    pub clock: Arc<dyn Clock>,
    pub judge: Arc<dyn Judge>,
    pub self_log: SelfLog,
    pub shards: u16,
    pub checkpoint_every: Span,
    /// Since when this process accepts: earlier quiet is not silence.
    pub accepting_since: Timestamp,
    /// Requests that the gateway refused so far because it had no memory for them: time in which it does is not silence either.
    pub refused: Arc<AtomicU64>,
}

impl std::fmt::Debug for JudgingArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JudgingArgs({} shards)", self.shards)
    }
}

/// Everything that is asked of the pipeline from outside.
#[derive(Clone)]
pub struct Judging {
    supervisor: ActorRef<SupervisorMsg>,
    journal: Journal,
    clock: Arc<dyn Clock>,
    configuration: watch::Receiver<Arc<Configuration>>,
    routed: watch::Receiver<u64>,
}

impl std::fmt::Debug for Judging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judging")
    }
}

/// What the pipeline says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JudgingObservation {
    pub router: RouterObservation,
    pub shards: Vec<ShardObservation>,
    pub restarts: u64,
}

impl Judging {
    /// Restores router and shards, and returns while they replay what came after their checkpoints.
    pub async fn start(args: JudgingArgs) -> Result<Judging, ActorProcessingErr> {
        let (journal, clock) = (args.journal.clone(), args.clock.clone());
        let configuration = watch::Sender::new(Arc::new(Configuration::default()));
        let routed = watch::Sender::new(0);
        let (configured, progress) = (configuration.subscribe(), routed.subscribe());
        let mut accepting = Accepting::since(args.accepting_since);
        accepting.observe(clock.now(), clock.elapsed(), true);
        let supervised = Supervised {
            args,
            accepting: Arc::new(Mutex::new(accepting)),
            configuration,
            routed,
        };
        let (supervisor, _) = Actor::spawn(None, Supervisor, supervised).await?;
        Ok(Judging {
            supervisor,
            journal,
            clock,
            configuration: configured,
            routed: progress,
        })
    }

    /// The configuration in force; changes when a new version has been judged in.
    pub fn configuration(&self) -> watch::Receiver<Arc<Configuration>> {
        self.configuration.clone()
    }

    /// Highest journal sequence handed to the shards.
    pub fn routed(&self) -> watch::Receiver<u64> {
        self.routed.clone()
    }

    /// Puts a control entry into the journal. Its effect comes in journal order; the sequence says when.
    pub async fn control(&self, control: &Control) -> Result<u64, AppendError> {
        append_control(&self.journal, control, self.clock.now()).await
    }

    /// A change of the configuration in the steps in which [`Judging::control`] takes it.
    pub fn steps(&self, change: ConfigurationChange) -> Vec<ConfigurationChange> {
        entries::steps(change, self.journal.entry_bytes_max())
    }

    /// Highest durable sequence of the journal that is judged.
    pub fn head(&self) -> u64 {
        self.journal.durable_seq()
    }

    pub async fn observe(&self) -> Option<JudgingObservation> {
        ractor::call_t!(self.supervisor, SupervisorMsg::Observe, ASK.as_millis() as u64).ok()
    }

    /// Waits until everything durable now has been judged, and saves it. False when that could not be done in time.
    pub async fn drain(&self, within: Duration) -> bool {
        let until = tokio::time::Instant::now() + within;
        let head = self.journal.durable_seq();
        let mut routed = self.routed.clone();
        if tokio::time::timeout_at(until, routed.wait_for(|r| *r >= head))
            .await
            .is_err()
        {
            return false;
        }
        let ask = async {
            loop {
                // Another checkpoint may be under way: ask again when it is done.
                match ractor::call_t!(self.supervisor, SupervisorMsg::TakeCheckpoint, ASK.as_millis() as u64) {
                    Ok(true) => return true,
                    Ok(false) => tokio::time::sleep(Duration::from_millis(20)).await,
                    Err(_) => return false,
                }
            }
        };
        tokio::time::timeout_at(until, ask).await.unwrap_or(false)
    }

    pub async fn stop(&self) {
        let _ = self.supervisor.stop_and_wait(None, Some(ASK)).await;
    }
}

struct Supervised {
    args: JudgingArgs,
    /// Outlives the pipeline: what it did not accept before a restart is no silence after it.
    accepting: Arc<Mutex<Accepting>>,
    configuration: watch::Sender<Arc<Configuration>>,
    routed: watch::Sender<u64>,
}

enum SupervisorMsg {
    Start,
    Tick,
    TakeCheckpoint(RpcReplyPort<bool>),
    Observe(RpcReplyPort<JudgingObservation>),
}

impl std::fmt::Debug for SupervisorMsg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SupervisorMsg::Start => "Start",
            SupervisorMsg::Tick => "Tick",
            SupervisorMsg::TakeCheckpoint(_) => "TakeCheckpoint",
            SupervisorMsg::Observe(_) => "Observe",
        })
    }
}

struct SupervisorState {
    supervised: Supervised,
    pipeline: Option<Pipeline>,
    restarts: u64,
    ticking: tokio::task::JoinHandle<()>,
}

struct Pipeline {
    router: ActorRef<RouterMsg>,
    shards: Vec<ActorRef<ShardMsg>>,
    stage: Stage,
}

struct Supervisor;

impl Actor for Supervisor {
    type Msg = SupervisorMsg;
    type State = SupervisorState;
    type Arguments = Supervised;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMsg>,
        supervised: Supervised,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let ticking = myself.send_interval(TICK, || SupervisorMsg::Tick);
        let pipeline = Some(start(&supervised, myself.get_cell()).await?);
        Ok(SupervisorState {
            supervised,
            pipeline,
            restarts: 0,
            ticking,
        })
    }

    async fn post_stop(
        &self,
        _: ActorRef<SupervisorMsg>,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        state.ticking.abort();
        if let Some(p) = state.pipeline.take() {
            p.stop().await;
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMsg>,
        msg: SupervisorMsg,
        s: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            SupervisorMsg::Start if s.pipeline.is_none() => match start(&s.supervised, myself.get_cell()).await {
                Ok(pipeline) => s.pipeline = Some(pipeline),
                Err(e) => {
                    tracing::error!(error = %e, "judging could not be restarted; it is tried again");
                    myself.send_after(RESTART_AFTER, || SupervisorMsg::Start);
                }
            },
            SupervisorMsg::Start => {}
            SupervisorMsg::Tick => {
                if let Some(p) = &s.pipeline {
                    // A dead actor is reported by its supervision event; there is nothing to do about it here.
                    let _ = p.router.cast(RouterMsg::Tick);
                    for shard in &p.shards {
                        let _ = shard.cast(ShardMsg::TimerTick);
                    }
                }
            }
            SupervisorMsg::TakeCheckpoint(reply) => match &s.pipeline {
                Some(p) => p.router.cast(RouterMsg::TakeCheckpoint(reply))?,
                None => {
                    let _ = reply.send(false);
                }
            },
            SupervisorMsg::Observe(reply) => {
                if let Some(p) = &s.pipeline {
                    let observation = p.observe(s.restarts).await;
                    let _ = reply.send(observation);
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMsg>,
        event: SupervisionEvent,
        s: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let (who, why) = match event {
            SupervisionEvent::ActorFailed(who, why) => (who, why.to_string()),
            SupervisionEvent::ActorTerminated(who, _, why) => (who, why.unwrap_or_else(|| "stopped".into())),
            _ => return Ok(()),
        };
        let ours = s.pipeline.as_ref().is_some_and(|p| p.has(&who));
        if ours && let Some(pipeline) = s.pipeline.take() {
            s.restarts += 1;
            metrics::counter!(PIPELINE_RESTARTS).increment(1);
            tracing::error!(actor = ?who.get_id(), %why, "an actor of judging failed: the pipeline restarts from its checkpoints");
            s.supervised.args.self_log.write(
                Level::Error,
                "andon.judging.restart",
                &format!("judging restarts: {why}"),
            );
            pipeline.stop().await;
            myself.send_after(RESTART_AFTER, || SupervisorMsg::Start);
        }
        Ok(())
    }
}

impl Pipeline {
    fn has(&self, who: &ActorCell) -> bool {
        let id = who.get_id();
        self.router.get_id() == id || self.shards.iter().any(|s| s.get_id() == id)
    }

    /// Lets each actor finish what it is doing: a save that is half done must not land under the next pipeline's feet.
    async fn stop(self) {
        // A shard may be waiting for entries that nobody will judge any more.
        self.stage.close();
        self.router.stop(None);
        for shard in &self.shards {
            shard.stop(None);
        }
        let _ = self.router.wait(Some(ASK)).await;
        for shard in &self.shards {
            let _ = shard.wait(Some(ASK)).await;
        }
    }

    async fn observe(&self, restarts: u64) -> JudgingObservation {
        let ask = ASK.as_millis() as u64;
        let router = ractor::call_t!(self.router, RouterMsg::Observe, ask).unwrap_or_default();
        let mut shards = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
            shards.push(ractor::call_t!(shard, ShardMsg::Observe, ask).unwrap_or_default());
        }
        JudgingObservation {
            router,
            shards,
            restarts,
        }
    }
}

async fn start(supervised: &Supervised, supervisor: ActorCell) -> Result<Pipeline, ActorProcessingErr> {
    let a = &supervised.args;
    let start = router::load(&*a.checkpoints).await?;
    let rules = start.rules().clone();
    let at_head = Arc::new(AtomicBool::new(false));
    let stage = Stage::new(a.effects.clone(), start.cursor());
    let shared = ShardShared {
        journal: a.journal.clone(),
        effects: a.effects.clone(),
        stage: stage.clone(),
        checkpoints: a.checkpoints.clone(),
        clock: a.clock.clone(),
        judge: a.judge.clone(),
        self_log: a.self_log.clone(),
        at_head: at_head.clone(),
        rules,
    };
    let mut shards = Vec::with_capacity(usize::from(a.shards));
    for number in 0..a.shards {
        let args = ShardArgs {
            number,
            shared: shared.clone(),
        };
        let (shard, _) = Actor::spawn_linked(None, Shard, args, supervisor.clone()).await?;
        shards.push(shard);
    }
    let args = RouterArgs {
        journal: a.journal.clone(),
        shards: shards.clone(),
        effects: a.effects.clone(),
        stage: stage.clone(),
        checkpoints: a.checkpoints.clone(),
        clock: a.clock.clone(),
        self_log: a.self_log.clone(),
        configuration: supervised.configuration.clone(),
        at_head,
        routed: supervised.routed.clone(),
        accepting: supervised.accepting.clone(),
        refused: a.refused.clone(),
        checkpoint_every: a.checkpoint_every,
        holder: Arc::new(a.journal.holder("judging", start.cursor())),
        start,
    };
    let (router, _) = Actor::spawn_linked(None, Router, args, supervisor).await?;
    Ok(Pipeline { router, shards, stage })
}
