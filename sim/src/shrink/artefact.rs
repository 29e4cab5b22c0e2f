//! A failure as a file: what it takes to make it happen again, and what is to break then.
//!
//! Invariant: a file that was changed by hand, or that this build cannot repeat, is refused with the reason.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
#[cfg(feature = "mutants")]
use squid_mesh_core::mutant::Mutant;
use squid_mesh_core::mutant::Mutation;

use super::{Case, Setting};
use crate::choice::{Placed, mix};
use crate::settings::Profile;
use crate::violation::Violation;

/// The format that is written.
const FORMAT: u32 = 1;

/// A world as a file holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artefact {
    /// What it holds.
    #[serde(flatten)]
    pub content: Content,
    /// Tells the content from any other.
    digest: String,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The format of the rest.
    pub format: u32,
    /// The version of the simulator that wrote it.
    pub version: String,
    /// The seed that it came from.
    pub seed: Option<u64>,
    /// The profile of its world.
    pub profile: String,
    /// The seeded bug that was switched on.
    pub mutant: Option<String>,
    /// The promise that breaks, if one does.
    pub promise: Option<String>,
    /// By what.
    pub detail: Option<String>,
    /// Scopes of starts that are planned and left out, in hexadecimal.
    pub dropped: Vec<String>,
    /// Choices that are not zero.
    pub choices: Vec<Placed>,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtefactError {
    /// It holds something else.
    #[error("it holds no failure of the simulator: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It was written by another simulator.
    #[error("it has format {found}, and this simulator reads format {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
    /// It is not what was written.
    #[error(
        "it was changed since it was written: its digest is {written}, that of its content is {found}"
    )]
    Changed {
        /// The digest in it.
        written: String,
        /// The digest of the rest.
        found: String,
    },
    /// It names a profile that does not exist.
    #[error("there is no profile {0:?}")]
    Profile(String),
    /// It names a seeded bug that does not exist.
    #[error("there is no seeded bug {0:?}")]
    Mutant(String),
    /// It needs a seeded bug.
    #[error(
        "the seeded bug {0} is not there: this simulator was built without the feature `mutants`"
    )]
    WithoutMutants(String),
    /// A scope cannot be read.
    #[error("{0:?} is no hexadecimal number of 64 bits")]
    Scope(String),
    /// Something else happens.
    #[error(
        "it is to break the promise that {expected}, and with this simulator {happened}; it was written by version {version}"
    )]
    Differs {
        /// What was to break.
        expected: String,
        /// What does.
        happened: String,
        /// Who wrote it.
        version: String,
    },
}

impl Artefact {
    /// A world as a file.
    pub fn new(
        seed: Option<u64>,
        setting: Setting,
        case: &Case,
        violation: Option<&Violation>,
    ) -> Artefact {
        let content = Content {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
            profile: setting.profile.name().to_owned(),
            mutant: mutant_name(setting.mutation),
            promise: violation.map(|violation| violation.promise.text().to_owned()),
            detail: violation.map(|violation| violation.detail.clone()),
            dropped: case
                .dropped
                .iter()
                .map(|scope| format!("{scope:016x}"))
                .collect(),
            choices: case.choices.clone(),
        };
        let digest = content.digest();
        Artefact { content, digest }
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// If it is no such file, or was changed.
    pub fn read(text: &str) -> Result<Artefact, ArtefactError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_str(text)?;
        if format != FORMAT {
            return Err(ArtefactError::Format { found: format });
        }
        let artefact: Artefact = serde_json::from_str(text)?;
        let found = artefact.content.digest();
        if artefact.digest != found {
            let written = artefact.digest;
            return Err(ArtefactError::Changed { written, found });
        }
        Ok(artefact)
    }

    /// Its text.
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("choices are serialisable") + "\n"
    }

    /// What its choices are made under.
    ///
    /// # Errors
    /// If this build does not know it.
    pub fn setting(&self) -> Result<Setting, ArtefactError> {
        let name = &self.content.profile;
        let profile = [Profile::PullRequest, Profile::Nightly, Profile::Loss];
        let profile = profile.into_iter().find(|profile| profile.name() == name);
        Ok(Setting {
            profile: profile.ok_or_else(|| ArtefactError::Profile(name.clone()))?,
            mutation: match &self.content.mutant {
                Some(mutant) => mutation(mutant)?,
                None => Mutation::NONE,
            },
        })
    }

    /// Its choices.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn case(&self) -> Result<Case, ArtefactError> {
        let scope = |text: &String| {
            u64::from_str_radix(text, 16).map_err(|_| ArtefactError::Scope(text.clone()))
        };
        let dropped: Result<BTreeSet<u64>, ArtefactError> =
            self.content.dropped.iter().map(scope).collect();
        Ok(Case {
            choices: self.content.choices.clone(),
            dropped: dropped?,
        })
    }

    /// Compares what was to break with what did.
    ///
    /// # Errors
    /// If it is not the same promise.
    pub fn compare(&self, violation: Option<&Violation>) -> Result<(), ArtefactError> {
        let broken = violation.map(|violation| violation.promise.text());
        match &self.content.promise {
            Some(expected) if broken != Some(expected.as_str()) => Err(ArtefactError::Differs {
                expected: expected.clone(),
                happened: match broken {
                    Some(promise) => format!("it breaks the promise that {promise}"),
                    None => "nothing breaks".to_owned(),
                },
                version: self.content.version.clone(),
            }),
            Some(_) | None => Ok(()),
        }
    }
}

impl Content {
    fn digest(&self) -> String {
        let text = serde_json::to_string(self).expect("choices are serialisable");
        let digest = text
            .bytes()
            .fold(0, |digest, byte| mix(digest, u64::from(byte)));
        format!("{digest:016x}")
    }
}

/// The name of the seeded bug that is switched on.
#[cfg(feature = "mutants")]
pub fn mutant_name(mutation: Mutation) -> Option<String> {
    let on = Mutant::ALL.iter().find(|mutant| mutation.is(**mutant));
    on.map(|mutant| format!("{mutant:?}"))
}

/// The name of the seeded bug that is switched on: none is compiled in.
#[cfg(not(feature = "mutants"))]
pub fn mutant_name(_mutation: Mutation) -> Option<String> {
    None
}

/// The seeded bug of this name.
///
/// # Errors
/// If there is none.
#[cfg(feature = "mutants")]
pub fn mutation(name: &str) -> Result<Mutation, ArtefactError> {
    let mut all = Mutant::ALL.iter();
    let mutant = all.find(|mutant| format!("{mutant:?}") == name);
    let mutant = mutant.ok_or_else(|| ArtefactError::Mutant(name.to_owned()))?;
    Ok(Mutation::of(*mutant))
}

/// The seeded bug of this name.
///
/// # Errors
/// Always: none is compiled in.
#[cfg(not(feature = "mutants"))]
pub fn mutation(name: &str) -> Result<Mutation, ArtefactError> {
    Err(ArtefactError::WithoutMutants(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artefact() -> Artefact {
        let setting = Setting {
            profile: Profile::PullRequest,
            mutation: Mutation::NONE,
        };
        let outcome = crate::world::World::new(
            crate::choice::Choices::seeded(3).with_places(),
            setting.profile,
            setting.mutation,
            crate::trace::Trace::default(),
        )
        .run_for(5);
        let case = Case {
            choices: outcome.taken,
            dropped: BTreeSet::from([7]),
        };
        Artefact::new(Some(3), setting, &case, None)
    }

    #[test]
    fn a_file_says_what_was_written() {
        let written = artefact();
        let read = Artefact::read(&written.text()).unwrap();
        assert_eq!(read, written);
        assert_eq!(read.case().unwrap().choices, written.content.choices);
    }

    #[test]
    fn a_file_that_was_changed_is_refused_with_the_reason() {
        let text = artefact().text().replacen("\"value\": ", "\"value\": 1", 1);
        let error = Artefact::read(&text).unwrap_err().to_string();
        assert!(
            error.contains("was changed since it was written"),
            "{error}"
        );
    }

    #[test]
    fn a_file_of_something_else_or_of_another_format_is_refused_with_the_reason() {
        let error = |text: &str| Artefact::read(text).unwrap_err().to_string();
        assert!(error("[]").contains("holds no failure"));
        assert!(error("{}").contains("missing field `format`"));
        let other = artefact()
            .text()
            .replacen("\"format\": 1", "\"format\": 9", 1);
        assert!(error(&other).contains("format 9"), "{}", error(&other));
    }
}
