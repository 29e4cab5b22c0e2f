//! Typed names of signals.
//!
//! Invariant: one handle is used where a signal is awaited and where it is sent, so both agree on its payload.

use std::fmt;
use std::marker::PhantomData;

/// The name of a signal that carries a `T`. `Copy`, and can be a constant.
///
/// ```
/// use squid_mesh::Signal;
///
/// const PAID: Signal<u64> = Signal::new("paid");
/// assert_eq!(PAID.name(), "paid");
/// ```
pub struct Signal<T> {
    name: &'static str,
    ty: PhantomData<fn(T) -> T>,
}

impl<T> Signal<T> {
    /// Names a signal. A malformed name is a problem of the workflow that awaits it.
    pub const fn new(name: &'static str) -> Signal<T> {
        Signal {
            name,
            ty: PhantomData,
        }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Clone for Signal<T> {
    fn clone(&self) -> Signal<T> {
        *self
    }
}

impl<T> Copy for Signal<T> {}

impl<T> fmt::Debug for Signal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({})", self.name)
    }
}
