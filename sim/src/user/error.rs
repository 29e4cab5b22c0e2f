//! Why a campaign did not pass.
//!
//! Invariant: says what to do to see the same again.

use std::fmt;
use std::path::PathBuf;

use super::report::Broken;

/// Why a campaign did not pass. `Debug` prints what `Display` does, so that a test which returns it shows a text to read.
#[derive(Clone)]
#[non_exhaustive]
pub enum CampaignError {
    /// A property or a promise of the engine did not hold.
    Broken(Box<Broken>),
    /// What must hold sometimes held in no world.
    Never {
        /// The campaign.
        campaign: String,
        /// The properties.
        properties: Vec<String>,
        /// How many worlds there were.
        seeds: u64,
    },
    /// The campaign cannot be run as it is put together.
    SetUp(String),
    /// The file of regressions cannot be read or written.
    Regressions {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl fmt::Display for CampaignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CampaignError::Broken(broken) => broken.fmt(f),
            CampaignError::Never {
                campaign,
                properties,
                seeds,
            } => {
                write!(
                    f,
                    "campaign {campaign:?}: in none of {seeds} worlds it was the case that"
                )?;
                properties
                    .iter()
                    .try_for_each(|property| write!(f, "\n  {property}"))
            }
            CampaignError::SetUp(why) => f.write_str(why),
            CampaignError::Regressions { path, why } => {
                write!(f, "the regressions in {}: {why}", path.display())
            }
        }
    }
}

impl fmt::Debug for CampaignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for CampaignError {}
