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
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Every fault there is.
    pub fn all() -> Faults {
        Faults(Fault::ALL.to_vec())
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
