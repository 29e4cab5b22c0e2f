//! Runs of any definition under any events: those that can come, and those that cannot.
//!
//! Invariant: what is checked here holds after every decision, whatever the choices.

mod events;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{Armed, Facts, Phase, Run, Stage, StepState, Verdict};
use crate::change::{Change, Heading};
use crate::definition::samples::any_draft;
use crate::definition::{Definition, StepIndex, StepKind};
use crate::event::{By, Copied, CopyKind, Event, Parent, Started};
use crate::id::{CommandId, Life, RunId};
use crate::limits;
use crate::mutant::Mutation;
use crate::name::Name;
use crate::operation::Rejection;
use crate::payload::{Payload, PayloadDigest};
use crate::task::{Lane, TaskKind, TaskRow};
use crate::time::Timestamp;
use crate::transition::Transition;

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const ID: RunId = RunId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000);

struct Chaos {
    definition: Definition,
    run: Run,
    now: Timestamp,
    /// A linear congruential generator: the whole test is a function of its seed.
    choices: u64,
    commands: u128,
    /// Undos that were done: none is done twice.
    undone: BTreeSet<StepIndex>,
}

fn digest() -> PayloadDigest {
    Payload::null().digest()
}

impl Chaos {
    fn new(definition: Definition, seed: u64) -> Chaos {
        Chaos::copying(definition, seed, None, Vec::new())
    }

    fn copying(
        definition: Definition,
        seed: u64,
        copy: Option<Copied>,
        inherited: Vec<Change>,
    ) -> Chaos {
        let mut choices = seed;
        let mut flip = || {
            choices = choices
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            choices >> 63 == 0
        };
        let parent = Parent {
            run: RunId::from_u128(5 << 64),
            life: Life(1),
            step: StepIndex(0),
            child: 3,
            depth: 1,
            detached: flip(),
        };
        let started = Started {
            command: CommandId::from_u128(1),
            definition: definition.key().clone(),
            digest: definition.digest(),
            trigger: Name::stored("manual"),
            input: digest(),
            raw_input: digest(),
            key: None,
            labels: BTreeMap::new(),
            queue: None,
            priority: None,
            due: flip().then(|| START.plus(Duration::from_secs(60))),
            deadline: definition.deadline().map(|span| START.plus(span)),
            trace: None,
            parent: flip().then_some(parent),
            copy,
            by: By::default(),
        };
        let facts = Facts {
            now: START,
            claimed: None,
            mutation: Mutation::NONE,
        };
        let decided = Run::start(ID, Life(1), &definition, started, inherited, facts);
        let steps = definition.steps().len();
        let folded = Run::fold(ID, Life(1), steps, [&decided.transition]).unwrap();
        assert_eq!(folded, decided.run);
        let chaos = Chaos {
            definition,
            run: decided.run,
            now: START,
            choices,
            commands: 1_000,
            undone: BTreeSet::new(),
        };
        chaos.check();
        chaos
    }

    fn choose(&mut self, bound: u32) -> u32 {
        self.choices = self
            .choices
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.choices >> 33) % u64::from(bound)).unwrap()
    }

    fn pick<T>(&mut self, mut items: Vec<T>) -> Option<T> {
        let count = u32::try_from(items.len()).unwrap();
        (count > 0).then(|| items.swap_remove(self.choose(count) as usize))
    }

    /// Some of the attempts there are, as if they were claimed.
    fn claimed(&mut self) -> BTreeSet<Lane> {
        let rows = self.run.agenda(&self.definition).into_iter();
        let attempts = rows.filter(|row| matches!(row.kind, TaskKind::Step | TaskKind::Undo));
        let lanes: Vec<Lane> = attempts.map(|row| row.key.lane).collect();
        lanes.into_iter().filter(|_| self.choose(2) == 0).collect()
    }

    /// Has the run decide, first without knowing what is claimed.
    fn decide(&mut self, event: Event) -> Result<(), Rejection> {
        let claimed = self.claimed();
        let facts = |claimed| Facts {
            now: self.now,
            claimed,
            mutation: Mutation::NONE,
        };
        let blind = self
            .run
            .decide(&self.definition, event.clone(), &facts(None));
        let verdict = self
            .run
            .decide(&self.definition, event, &facts(Some(&claimed)));
        assert!(
            blind == Verdict::Claims || blind == verdict,
            "what a decision does not ask for does not matter to it"
        );
        match verdict {
            Verdict::Claims => panic!("the claims are known"),
            Verdict::Refused(rejection) => Err(rejection),
            Verdict::Decided(decided) => {
                let mut folded = self.run.clone();
                folded.apply(&decided.transition).unwrap();
                assert_eq!(folded, decided.run);
                let read = Transition::decode(&decided.transition.encode()).unwrap();
                assert_eq!(read, decided.transition);
                self.check_rows(&decided.run);
                self.run = decided.run;
                self.note_undos(&decided.transition);
                self.check();
                Ok(())
            }
        }
    }

    fn note_undos(&mut self, transition: &Transition) {
        for change in &transition.changes {
            if let Change::Undone { step, .. } = change {
                assert!(self.undone.insert(*step), "{step:?} is undone twice");
            }
        }
    }

    /// A task that a decision leaves scheduled is left as it is, since its row is not written again.
    fn check_rows(&self, after: &Run) {
        for before in self.run.agenda(&self.definition) {
            let Some(row) = after.task_at(&self.definition, before.key.lane) else {
                continue;
            };
            if row.fence == before.fence && row.kind != TaskKind::Stopping {
                assert_eq!(row, before);
            }
        }
    }

    fn check(&self) {
        assert_eq!(Run::decode(&self.run.encode()).unwrap(), self.run);
        let rows = self.run.agenda(&self.definition);
        let lanes: BTreeSet<Lane> = rows.iter().map(|row| row.key.lane).collect();
        assert_eq!(lanes.len(), rows.len(), "a lane is shared");
        let held: BTreeSet<Lane> = self.run.lanes().map(|armed| armed.lane).collect();
        assert_eq!(lanes, held, "a lane has no task");
        let at = |row: &TaskRow| self.run.task_at(&self.definition, row.key.lane);
        assert!(rows.iter().all(|row| at(row).as_ref() == Some(row)));
        assert_eq!(self.run.status().is_terminal(), self.run.is_ended());
        for (step, state) in self.definition.indexes().zip(self.run.steps()) {
            self.check_step(step, state);
        }
        let undoing = self
            .run
            .steps()
            .iter()
            .filter(|state| state.undoing().is_some());
        assert!(undoing.count() <= 1, "one is undone at a time");
        match self.run.phase() {
            Phase::Open => assert!(
                self.run.steps().iter().any(|state| is_out(state.stage)),
                "an open run waits for something: {:?}",
                self.run
            ),
            Phase::Winding(heading) => self.check_winding(heading),
            Phase::Ended(_) => {
                let settled = |state: &StepState| state.stage.is_settled();
                assert!(self.run.steps().iter().all(settled), "{:?}", self.run);
                let delivery = self.run.delivery();
                assert!(self.run.lanes().all(|armed| Some(armed) == delivery));
            }
        }
    }

    fn check_winding(&self, heading: &Heading) {
        assert_ne!(heading, &Heading::Completed, "nothing is left to wait for");
        assert!(self.run.deadline().is_none());
        let undoing = self
            .run
            .steps()
            .iter()
            .any(|state| state.undoing().is_some());
        let awaited = |state: &StepState| {
            matches!(
                state.stage,
                Stage::Stopping(_) | Stage::Recalling(_) | Stage::Resting
            )
        };
        let mut steps = self.run.steps().iter();
        assert!(undoing || steps.clone().any(awaited), "{:?}", self.run);
        assert!(steps.all(|state| state.stage.is_settled() || awaited(state) && !undoing));
    }

    /// A step ends only when its children have, unless they go their own way or nobody was to wait.
    fn check_step(&self, step: StepIndex, state: &StepState) {
        let Some(fan) = &state.fan else { return };
        assert!(fan.arrived <= fan.started && fan.started <= fan.count);
        assert!(fan.recalled <= fan.started);
        match &self.definition.step(step).kind {
            StepKind::Each { parallel, .. } => assert!(fan.active() <= *parallel),
            StepKind::Handler { .. } => {}
            _ => return,
        }
        let forced = self.run.cancel().is_some_and(|cancel| cancel.force);
        if state.stage.is_settled() && !forced {
            assert_eq!(fan.active(), 0, "it ended without its children");
        }
    }
}

/// Whether something is to come of a step.
fn is_out(stage: Stage) -> bool {
    stage != Stage::Blocked && !stage.is_settled()
}

impl Chaos {
    /// A while of whatever comes. Time goes on, and sometimes back.
    fn live(&mut self, events: u32) {
        for _ in 0..events {
            self.now = match self.choose(8) {
                0 => self.now.minus(Duration::from_secs(5)),
                1 => self.now.plus(Duration::from_secs(3_600)),
                _ => self.now.plus(Duration::from_secs(1)),
            };
            let event = match self.choose(4) {
                0 => Some(self.arbitrary()),
                _ => self.plausible(false),
            };
            if let Some(event) = event {
                drop(self.decide(event));
            }
        }
    }

    /// Once nothing but good news comes, everything that can come is taken, and the run ends.
    fn end(&mut self) {
        for _ in 0..2_000 {
            let Some(event) = self.plausible(true) else {
                assert!(self.run.is_ended(), "{:?}", self.run);
                return;
            };
            // A decision about a gate may come after its deadline, but nothing that is waited for is refused.
            self.decide(event).unwrap();
        }
        panic!("it does not end: {:?}", self.run);
    }

    /// A copy of the run takes over what it may, and ends too.
    fn copy(mut self) -> Chaos {
        let steps = self.definition.steps().len();
        let from = [self.step_of()].into_iter();
        let from = from.filter(|step| step.at() < steps).collect();
        let again = self.run.repeated(&self.definition, from);
        let inherited = self.run.inheritance(&self.definition, &again);
        let copy = Copied {
            run: ID,
            kind: CopyKind::Fork,
        };
        let before = self.run;
        let copy = Chaos::copying(self.definition, self.choices, Some(copy), inherited);
        for (step, state) in copy.definition.indexes().zip(copy.run.steps()) {
            let source = before.step(step);
            if again.contains(&step) || source.stage == Stage::Skipped {
                continue;
            }
            assert_eq!(
                (state.stage, &state.code, state.label),
                (source.stage, &source.code, source.label),
                "{step:?}"
            );
        }
        copy
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whatever_comes_a_run_folds_and_once_nothing_is_out_it_has_ended(draft in any_draft(), seed: u64) {
        let mut chaos = Chaos::new(Definition::validate(draft).unwrap(), seed);
        chaos.live(60);
        chaos.end();
        let mut copy = chaos.copy();
        copy.live(10);
        copy.end();
    }
}

#[test]
fn a_run_takes_no_more_commands_than_it_may() {
    let signal = serde_json::json!({"name": "w", "version": 1, "steps": [
        {"name": "a", "signal": {"name": "paid"}},
    ]});
    let mut chaos = Chaos::new(Definition::parse(&signal).unwrap(), 1);
    let record = super::CommandRecord {
        command: CommandId::from_u128(9),
        seq: super::Seq(1),
        at: START,
    };
    let paid = |chaos: &mut Chaos| chaos.signalled(Name::new("paid").unwrap());
    chaos.run.commands = vec![record; limits::COMMANDS];
    let event = paid(&mut chaos);
    assert_eq!(chaos.decide(event).unwrap_err().code(), "limit_exceeded");
    chaos.run.commands.pop();
    let event = paid(&mut chaos);
    assert_eq!(chaos.decide(event), Ok(()));
}
