//! A story in plain language: who did what, by name, and why it matters.
//!
//! Invariant: what changed nothing and says nothing is left out; everything that broke something is told.

use std::fmt::Write as _;

use super::cast::Cast;
use super::{Deed, Scene, landing, trouble};
use crate::clock::SimTime;
use crate::script::Ending;

/// What kind of line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something that was written.
    Landed,
    /// A fault.
    Fault,
    /// Anything else.
    Aside,
}

/// One line of a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: SimTime,
    /// After how many events.
    pub event: u64,
    /// What kind of line it is.
    pub tone: Tone,
    /// What happened.
    pub text: String,
}

/// The lines of a story, in order. What repeats itself at once is told once.
pub fn lines(story: &[Scene], cast: &Cast) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut repeated = 0;
    for (index, scene) in story.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &story[before].deed);
        for (tone, text) in told(&scene.deed, scene.at, before, cast) {
            if lines.last().is_some_and(|last| last.text == text) {
                repeated += 1;
                continue;
            }
            note_repeats(&mut lines, std::mem::take(&mut repeated));
            lines.push(Line {
                at: scene.at,
                event: scene.event,
                tone,
                text,
            });
        }
    }
    note_repeats(&mut lines, repeated);
    lines
}

fn note_repeats(lines: &mut [Line], times: usize) {
    let Some(last) = lines.last_mut() else { return };
    let _ = match times {
        0 => Ok(()),
        1 => last.text.write_str(" (once more)"),
        _ => write!(last.text, " ({times} more times)"),
    };
}

/// A time since the beginning, or a span.
pub fn span(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", decimal(micros, 1_000)),
        _ => format!("{} s", decimal(micros, 1_000_000)),
    }
}

/// With up to three digits after the point.
fn decimal(micros: u64, unit: u64) -> String {
    let thousandths = micros / (unit / 1_000);
    let text = format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What is told of one thing that happened.
fn told(deed: &Deed, at: SimTime, before: Option<&Deed>, cast: &Cast) -> Vec<(Tone, String)> {
    let aside = |text: String| vec![(Tone::Aside, text)];
    match deed {
        Deed::Boots { process, .. } => {
            let (node, nth) = cast.place(*process);
            let again = if nth > 0 {
                " again, as another process"
            } else {
                ""
            };
            aside(format!("{} starts{again}", Cast::node(node)))
        }
        Deed::Gone { node, .. } => match before {
            // That says so already.
            Some(Deed::Fault(..) | Deed::Kills(_) | Deed::Stopped(_)) => Vec::new(),
            _ => aside(format!("{} is gone for good", Cast::node(*node))),
        },
        Deed::Stopped(process) => aside(format!("{} has shut down", cast.process(*process))),
        Deed::Installs { node, release } => aside(format!(
            "{} is to run release {}",
            Cast::node(*node),
            release + 1
        )),
        Deed::Thaws(node) => {
            let node = Cast::node(*node);
            aside(format!(
                "{node} goes on as if no time had passed, and finds what came in meanwhile"
            ))
        }
        Deed::Sends { .. } | Deed::Logs { .. } | Deed::CallAnswered { .. } => Vec::new(),
        Deed::Answered { reply, .. } => landing::answered(reply, cast).map_or_else(Vec::new, aside),
        Deed::Fault(fault, trouble) => {
            let text = trouble::told(*fault, trouble, cast);
            vec![(Tone::Fault, format!("FAULT {text}"))]
        }
        Deed::Waits(who) => aside(format!(
            "{} waits for a lock of an operation in doubt",
            cast.who(*who)
        )),
        Deed::Resolved { lands: true, .. } => Vec::new(),
        Deed::Resolved { who, lands: false } => aside(format!(
            "what {} had in doubt is rolled back",
            cast.who(*who)
        )),
        Deed::Lands(landed) => {
            let texts = landing::told(landed, at, cast).into_iter();
            let tone = if landed.wrote {
                Tone::Landed
            } else {
                Tone::Aside
            };
            texts.map(|text| (tone, text)).collect()
        }
        Deed::Begins {
            process,
            of,
            attempt,
            ..
        } => {
            let (node, what) = (cast.process(*process), cast.attempted(*of));
            aside(format!(
                "{node} begins the handler of {what} (attempt {attempt})"
            ))
        }
        Deed::Returns { of, ending, .. } => {
            let what = cast.attempted(*of);
            aside(format!("the handler of {what} {}", ended(*ending)))
        }
        Deed::Stops {
            process,
            of,
            reason,
        } => {
            let (node, what) = (cast.process(*process), cast.attempted(*of));
            aside(format!(
                "{node} tells the handler of {what} to stop, because {}",
                why(*reason)
            ))
        }
        Deed::Aborts { process, of } => {
            let (node, what) = (cast.process(*process), cast.attempted(*of));
            aside(format!("{node} drops the handler of {what}"))
        }
        Deed::Kills(process) => aside(format!(
            "a handler takes {} with it",
            cast.process(*process)
        )),
        Deed::Calls { of, key, .. } => {
            let what = cast.attempted(*of);
            aside(format!(
                "the handler of {what} starts a run, under its key {key}"
            ))
        }
        Deed::Hears { process, error } => {
            aside(format!("{} hears: {error}", cast.process(*process)))
        }
        Deed::Calm => {
            aside("from here on nothing goes wrong any more: every run must finish".into())
        }
        Deed::Finished => aside("every run has ended".into()),
    }
}

fn ended(ending: Ending) -> String {
    match ending {
        Ending::Success => "returns its output".into(),
        Ending::Oversized => "returns more than a payload may hold".into(),
        Ending::Failure { retry_after: None } => "fails; another attempt may help".into(),
        Ending::Failure {
            retry_after: Some(after),
        } => {
            let after = span(crate::clock::micros(after));
            format!("fails and asks for another attempt after {after}")
        }
        Ending::Panic => "panics".into(),
        Ending::FinalFailure => "fails for good".into(),
        Ending::KillsHost => "takes its process with it".into(),
        Ending::Conflict => "meets another transaction, and is rolled back".into(),
        Ending::Overtime => "takes longer than it may, and is rolled back".into(),
    }
}

fn why(reason: squid_mesh_core::worker::StopReason) -> &'static str {
    use squid_mesh_core::worker::StopReason;
    match reason {
        StopReason::RunEnding => "the run is ending",
        StopReason::LeaseEnding => "its lease is about to end and could not be renewed",
        StopReason::LeaseLost => "its lease is somebody else's",
        StopReason::Shutdown => "the process is shutting down",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_the_unit_that_fits() {
        let told = [0, 300, 2_500, 1_000_000, 7_051_550].map(span);
        assert_eq!(told, ["0 µs", "300 µs", "2.5 ms", "1 s", "7.051 s"]);
    }
}
