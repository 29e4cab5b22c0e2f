//! Events that can come to a run as it stands, and events of all kinds.

use super::*;
use crate::definition::LabelIndex;
use crate::event::{
    CancelRequested, ChildEnd, Failure, Found, Resolution, Resolved, Role, Signalled, code,
};
use crate::run::Seq;
use crate::task::Fence;

impl Chaos {
    fn command(&mut self) -> CommandId {
        self.commands += 1;
        CommandId::from_u128(self.commands)
    }

    /// Any step, more often one that something can come of, now and then one that there is not.
    pub(super) fn step_of(&mut self) -> StepIndex {
        if self.choose(2) == 0
            && let Some(step) = self.one_out()
        {
            return step;
        }
        let count = u32::try_from(self.definition.steps().len()).unwrap();
        StepIndex(u16::try_from(self.choose(count + 2)).unwrap())
    }

    fn label(&mut self, step: StepIndex) -> Option<LabelIndex> {
        let ways = self
            .definition
            .steps()
            .get(step.at())
            .map_or(0, |step| step.ways().len());
        let ways = u32::try_from(ways).unwrap();
        let label = self.choose(ways + 1);
        (label < ways).then(|| LabelIndex(u16::try_from(label).unwrap()))
    }

    fn failure(&mut self) -> Failure {
        let code = ["down", code::TIMEOUT, code::PANIC][self.choose(3) as usize];
        Failure::new(code, "", self.choose(6) > 0)
    }

    fn fence(&mut self) -> Fence {
        Fence {
            seq: Seq(self.choose(20)),
            claims: self.choose(3),
        }
    }

    /// What can come next to the step, if something can; good news only, if the run is to end.
    fn next_of(&mut self, step: StepIndex, good: bool) -> Option<Event> {
        if let Some(armed) = self.run.step(step).undoing() {
            return Some(self.reported(step, Role::Undo, armed, good));
        }
        let payload = digest();
        let stage = self.run.step(step).stage;
        let attempted = matches!(
            stage,
            Stage::Scheduled(_) | Stage::Stopping(_) | Stage::Held { .. }
        );
        if attempted && self.run.step(step).has_children_out() && self.choose(2) == 0 {
            return Some(self.of_children(step));
        }
        match stage {
            Stage::Scheduled(_) if !good && self.is_open() && self.choose(3) == 0 => {
                Some(self.called(step))
            }
            Stage::Scheduled(armed) | Stage::Stopping(armed) => {
                Some(self.reported(step, Role::Step, armed, good))
            }
            Stage::Evaluating(armed) => {
                self.now = self.now.max(armed.due);
                Some(self.evaluated(step, good))
            }
            Stage::Waiting(armed) => {
                self.now = self.now.max(armed.due);
                let payload = None;
                Some(Event::Due { step, payload })
            }
            Stage::Open { deadline, .. } | Stage::Listening { deadline, .. } => {
                if let Some(armed) = deadline.filter(|_| self.choose(3) == 0) {
                    self.now = self.now.max(armed.due);
                    let payload = Some(payload);
                    return Some(Event::Due { step, payload });
                }
                Some(self.told(step))
            }
            Stage::Held { fence, .. } => {
                let armed = Armed {
                    lane: Lane(0),
                    due: self.now,
                    seq: fence.seq,
                };
                if self.choose(2) == 0 {
                    return Some(self.reported(step, Role::Step, armed, good));
                }
                Some(self.told(step))
            }
            Stage::Spawning(_) => Some(match self.choose(6) {
                0 if !good => self.found_failure(step),
                _ => self.spawned(step),
            }),
            Stage::Resting | Stage::Recalling(_) => Some(self.of_children(step)),
            Stage::Collecting(_) => {
                let output = payload;
                Some(Event::Collected { step, output })
            }
            Stage::Blocked
            | Stage::Succeeded
            | Stage::Failed
            | Stage::Cancelled
            | Stage::Skipped => None,
        }
    }

    fn reported(&mut self, step: StepIndex, role: Role, armed: Armed, good: bool) -> Event {
        let fence = Fence {
            seq: armed.seq,
            claims: 1,
        };
        let payload = digest();
        match if good { 0 } else { self.choose(6) } {
            0..3 => Event::Succeeded {
                step,
                role,
                fence,
                output: digest(),
                label: self.label(step),
            },
            3 => Event::Failed {
                step,
                role,
                fence,
                failure: self.failure(),
                payload,
            },
            4 if role == Role::Step => Event::Conflicted {
                step,
                fence,
                payload,
            },
            _ => Event::Lost {
                step,
                role,
                fence,
                begun: self.choose(2) == 0,
                payload,
            },
        }
    }

    fn found_failure(&mut self, step: StepIndex) -> Event {
        let found = Found::Failure {
            failure: self.failure(),
            payload: digest(),
        };
        Event::Evaluated { step, found }
    }

    fn evaluated(&mut self, step: StepIndex, good: bool) -> Event {
        let gate = self.definition.step(step).kind.is_gate();
        if !good && !gate && self.choose(5) == 0 {
            return self.found_failure(step);
        }
        let found = match &self.definition.step(step).kind {
            StepKind::Log { .. } => Found::Logged,
            StepKind::Route { .. } => Found::Label(self.label(step).unwrap_or(LabelIndex(0))),
            StepKind::Until => Found::Instant {
                until: self.now.plus(Duration::from_secs(self.choose(100).into())),
                payload: digest(),
            },
            StepKind::Each { .. } => Found::Children {
                count: self.choose(8),
            },
            StepKind::Pause { .. } | StepKind::Approval { .. } | StepKind::Signal { .. } => {
                Found::Reached
            }
            other => panic!("{other:?} is not evaluated"),
        };
        Event::Evaluated { step, found }
    }

    /// What somebody says who knows what the step waits for.
    fn told(&mut self, step: StepIndex) -> Event {
        let held = matches!(self.run.step(step).stage, Stage::Held { .. });
        let kind = self.definition.step(step).kind.clone();
        let verdict = match (&kind, held) {
            (_, true) => match self.choose(3) {
                0 => Resolution::Succeeded {
                    label: self.label(step),
                },
                1 => Resolution::Retry,
                _ => Resolution::Fail { code: "no".into() },
            },
            (StepKind::Signal { signal, .. }, _) => return self.signalled(signal.clone()),
            (StepKind::Pause { .. }, _) => Resolution::Resume,
            _ if self.choose(2) == 0 => Resolution::Approve,
            _ => Resolution::Reject,
        };
        self.resolved(step, verdict)
    }

    fn resolved(&mut self, step: StepIndex, verdict: Resolution) -> Event {
        Event::Resolved(Box::new(Resolved {
            command: self.command(),
            step,
            verdict,
            by: By::default(),
            payload: Some(digest()),
        }))
    }

    pub(super) fn signalled(&mut self, signal: Name) -> Event {
        Event::Signalled(Box::new(Signalled {
            command: self.command(),
            signal,
            by: By::default(),
            payload: digest(),
        }))
    }

    fn spawned(&mut self, step: StepIndex) -> Event {
        let (parallel, detach) = match &self.definition.step(step).kind {
            StepKind::Each { parallel, .. } => (*parallel, false),
            StepKind::Child { detach, .. } => (1, *detach),
            other => panic!("{other:?} has no children"),
        };
        let fan = self.run.step(step).fan.clone().unwrap();
        let room = (fan.count - fan.started).min(parallel - fan.active());
        let from = fan.started;
        let upto = from + 1 + self.choose(room);
        let payload = detach.then(digest);
        Event::Spawned {
            step,
            from,
            upto,
            payload,
        }
    }

    fn is_open(&self) -> bool {
        *self.run.phase() == Phase::Open
    }

    fn called(&mut self, step: StepIndex) -> Event {
        self.commands += 1;
        Event::Called {
            step,
            fence: self.fence(),
            run: RunId::child_by_key(ID, step, &self.commands.to_string()),
            detached: self.choose(5) == 0,
        }
    }

    fn of_children(&mut self, step: StepIndex) -> Event {
        let fan = self.run.step(step).fan.clone().unwrap();
        let recalling = matches!(self.run.step(step).stage, Stage::Recalling(_));
        if recalling && self.choose(2) == 0 {
            let upto = fan.recalled + 1 + self.choose(fan.started - fan.recalled);
            return Event::Recalled { step, upto };
        }
        let active = (0..fan.started).filter(|child| !fan.has_arrived(*child));
        let child = self.pick(active.collect()).expect("some are out");
        let end = [ChildEnd::Completed, ChildEnd::Failed, ChildEnd::Cancelled];
        Event::ChildEnded {
            step,
            child,
            end: end[self.choose(5).saturating_sub(2) as usize],
            payload: digest(),
        }
    }

    /// Something that can come.
    pub(super) fn plausible(&mut self, good: bool) -> Option<Event> {
        let step = self.one_out()?;
        self.next_of(step, good)
    }

    fn one_out(&mut self) -> Option<StepIndex> {
        let stages = self.definition.indexes().zip(self.run.steps());
        let out = stages.filter(|(_, state)| is_out(state.stage) || state.undoing().is_some());
        self.pick(out.map(|(step, _)| step).collect())
    }

    fn cancel(&mut self) -> Event {
        Event::CancelRequested(Box::new(CancelRequested {
            command: self.command(),
            by: By::default(),
            force: self.choose(3) == 0,
            undo: self.choose(2) == 0,
        }))
    }

    /// Something of any kind, about anything.
    pub(super) fn arbitrary(&mut self) -> Event {
        let (step, fence, payload) = (self.step_of(), self.fence(), digest());
        let role = [Role::Step, Role::Undo][self.choose(2) as usize];
        let some = self.choose(2) == 0;
        let (from, upto) = (self.choose(9), self.choose(9));
        match self.choose(40) {
            0 => self.cancel(),
            1 => Event::DeadlineReached { payload },
            2 => Event::Succeeded {
                step,
                role,
                fence,
                output: payload,
                label: some.then_some(LabelIndex(77)),
            },
            3 => Event::Failed {
                step,
                role,
                fence,
                failure: self.failure(),
                payload,
            },
            4 => Event::Lost {
                step,
                role,
                fence,
                begun: some,
                payload,
            },
            5 => Event::Conflicted {
                step,
                fence,
                payload,
            },
            6 => Event::Due {
                step,
                payload: some.then_some(payload),
            },
            7 => self.resolved(step, Resolution::SkipUndo),
            8 => self.resolved(step, Resolution::Succeeded { label: None }),
            9 => {
                let verdict = [Resolution::Resume, Resolution::Approve, Resolution::Retry];
                let verdict = verdict[self.choose(3) as usize].clone();
                self.resolved(step, verdict)
            }
            10 => {
                let signal = format!("sig{}", self.choose(9));
                self.signalled(Name::new(&signal).unwrap())
            }
            11 | 17 => Event::Spawned {
                step,
                from,
                upto,
                payload: some.then_some(payload),
            },
            12 | 15 => Event::Recalled { step, upto },
            13 | 16 => Event::ChildEnded {
                step,
                child: from,
                end: ChildEnd::Failed,
                payload,
            },
            14 | 18 => Event::Collected {
                step,
                output: payload,
            },
            19 => self.called(step),
            _ => {
                let found = [
                    Found::Logged,
                    Found::Reached,
                    Found::Label(LabelIndex(77)),
                    Found::Children { count: from },
                    Found::Instant {
                        until: Timestamp::MAX,
                        payload,
                    },
                    Found::Failure {
                        failure: self.failure(),
                        payload,
                    },
                ];
                let found = found[self.choose(6) as usize].clone();
                Event::Evaluated { step, found }
            }
        }
    }
}
