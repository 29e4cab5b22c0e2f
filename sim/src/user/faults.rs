//! Which faults a campaign has.
//!
//! Invariant: a fault that is left out never fires.

use crate::fault::Fault;

/// Which faults a campaign has. Each seed draws a mix of them: now and then none at all, most often all of them.
///
/// ```
/// use squid_mesh_sim::Faults;
/// use squid_mesh_sim::fault::Fault;
///
/// let faults = Faults::all().except([Fault::Unreadable, Fault::ClockBack]);
/// assert!(faults.has(Fault::Crash) && !faults.has(Fault::ClockBack));
/// assert!(Faults::only([Fault::Crash]).has(Fault::Crash));
/// assert!(!Faults::all().has(Fault::Spoilt) && Faults::all().and([Fault::Spoilt]).has(Fault::Spoilt));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

/// What a store does that does not keep what it was given.
const NOT_KEPT: [Fault; 2] = [Fault::Spoilt, Fault::Restored];

impl Faults {
    /// Every fault of a store that keeps what it was given. Damaged rows of journals ([`Fault::Spoilt`]) are none: a step that needs
    /// one fails as `unreadable`, whatever an attempt that was lost may have done. They have to be asked for with
    /// [`Faults::and`]. [`Fault::Restored`] strikes nowhere but in the simulator's own profile `loss`.
    pub fn all() -> Faults {
        Faults(of_all(|fault| !NOT_KEPT.contains(&fault)))
    }

    /// Nothing ever goes wrong.
    pub fn none() -> Faults {
        Faults(Vec::new())
    }

    /// These, and no others.
    pub fn only(faults: impl IntoIterator<Item = Fault>) -> Faults {
        let named: Vec<Fault> = faults.into_iter().collect();
        Faults(of_all(|fault| named.contains(&fault)))
    }

    /// The same without these.
    #[must_use]
    pub fn except(self, faults: impl IntoIterator<Item = Fault>) -> Faults {
        let named: Vec<Fault> = faults.into_iter().collect();
        Faults(of_all(|fault| self.has(fault) && !named.contains(&fault)))
    }

    /// The same with these.
    #[must_use]
    pub fn and(self, faults: impl IntoIterator<Item = Fault>) -> Faults {
        let named: Vec<Fault> = faults.into_iter().collect();
        Faults(of_all(|fault| self.has(fault) || named.contains(&fault)))
    }

    /// Whether it is among them.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// All of them, in the order of [`Fault::ALL`].
    pub fn as_slice(&self) -> &[Fault] {
        &self.0
    }
}

impl Default for Faults {
    fn default() -> Faults {
        Faults::all()
    }
}

fn of_all(kept: impl Fn(Fault) -> bool) -> Vec<Fault> {
    Fault::ALL
        .iter()
        .copied()
        .filter(|fault| kept(*fault))
        .collect()
}
