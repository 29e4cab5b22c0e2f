//! Worlds that failed once, in a file beside the crate's sources.
//!
//! Invariant: what is recorded is never removed by a run; a file that cannot be read is never written over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CampaignError;
use crate::choice::{Choice, Label};

/// The regressions of one campaign.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Regressions {
    campaign: String,
    pub(crate) worlds: Vec<Recorded>,
}

/// One world that failed: its choices, label by label, which outlive most changes of the simulator better than its seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// With which seed.
    pub(crate) seed: u64,
    /// What did not hold.
    pub(crate) broken: String,
    choices: BTreeMap<String, Vec<u64>>,
}

impl Recorded {
    pub(crate) fn new(seed: u64, broken: String, log: &[Choice]) -> Recorded {
        let mut choices: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for choice in log {
            choices
                .entry(name(choice.label))
                .or_default()
                .push(choice.value);
        }
        // Beyond the end of a log every choice is zero.
        for values in choices.values_mut() {
            let kept = values.iter().rposition(|value| *value != 0);
            values.truncate(kept.map_or(0, |last| last + 1));
        }
        choices.retain(|_, values| !values.is_empty());
        Recorded {
            seed,
            broken,
            choices,
        }
    }

    /// The choices as a log that can be replayed.
    pub(crate) fn log(&self) -> Vec<Choice> {
        let labels = Label::ALL.iter();
        let values = labels.filter_map(|label| Some((*label, self.choices.get(&name(*label))?)));
        let n = u64::MAX;
        values
            .flat_map(|(label, values)| {
                values.iter().map(move |value| Choice {
                    label,
                    n,
                    value: *value,
                })
            })
            .collect()
    }
}

impl Regressions {
    /// Those in a file; none if there is no such file.
    pub(crate) fn read(path: &Path) -> Result<Regressions, CampaignError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Regressions::default());
            }
            Err(error) => return Err(failed(path, &error)),
        };
        serde_json::from_str(&text).map_err(|error| failed(path, &error))
    }

    /// Adds a world to those in a file, which is made if it is not there.
    pub(crate) fn record(
        path: &Path,
        campaign: &str,
        world: Recorded,
    ) -> Result<(), CampaignError> {
        let mut known = Regressions::read(path)?;
        campaign.clone_into(&mut known.campaign);
        if known
            .worlds
            .iter()
            .any(|other| other.choices == world.choices)
        {
            return Ok(());
        }
        known.worlds.push(world);
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| {
                let mut text = serde_json::to_string(&known)?;
                text.push('\n');
                std::fs::write(path, text)
            });
        written.map_err(|error| failed(path, &error))
    }
}

/// Where the regressions of a campaign are by default: beside the manifest of the crate under test.
pub(crate) fn default_path(campaign: &str) -> PathBuf {
    let crate_root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
    let letters = campaign.chars().map(|letter| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => letter,
        _ => '_',
    });
    let name: String = letters.collect();
    PathBuf::from(crate_root)
        .join("sim-regressions")
        .join(format!("{name}.json"))
}

fn name(label: Label) -> String {
    format!("{label:?}")
}

fn failed(path: &Path, error: &dyn std::error::Error) -> CampaignError {
    CampaignError::Regressions {
        path: path.to_owned(),
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_world_gives_its_choices_back_label_by_label_but_for_zeros_at_the_end() {
        let choice = |label, value| Choice {
            label,
            n: 10,
            value,
        };
        let log = [
            choice(Label::Tie, 3),
            choice(Label::Crash, 0),
            choice(Label::Tie, 0),
            choice(Label::Tie, 5),
            choice(Label::Tie, 0),
        ];
        let recorded = Recorded::new(7, "x".to_owned(), &log);
        let values: Vec<(Label, u64)> = recorded
            .log()
            .iter()
            .map(|choice| (choice.label, choice.value))
            .collect();
        assert_eq!(values, [(Label::Tie, 3), (Label::Tie, 0), (Label::Tie, 5)]);
    }
}
