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
/// assert!(Faults::only([Fault::Crash]).and([Fault::Spoilt]).has(Fault::Spoilt));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Every fault but [`Fault::Restored`], which strikes nowhere but in the simulator's own profile `loss`: it has a store forget
    /// what it had promised to keep.
    pub fn all() -> Faults {
        Faults(of_all(|fault| fault != Fault::Restored))
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
