//! This process's clock.
//!
//! Invariant: never goes back. On Linux it runs while the machine sleeps, so a worker that slept knows that its leases ended.

use squid_mesh_core::time::Moment;

/// A monotonic clock: `CLOCK_BOOTTIME` on Linux and Android, `std::time::Instant` elsewhere (which stands still while the
/// machine sleeps; there a late report of a worker that slept is refused by its fence all the same).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    start: std::time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock {
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            start: std::time::Instant::now(),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn now(self) -> Moment {
        let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(since_boot.tv_sec).unwrap_or_default();
        let nanos = u64::try_from(since_boot.tv_nsec).unwrap_or_default();
        Moment::from_micros(seconds * 1_000_000 + nanos / 1_000)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn now(self) -> Moment {
        Moment::from_micros(0).plus(self.start.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let clock = Clock::new();
        let moments: Vec<Moment> = (0..1_000).map(|_| clock.now()).collect();
        assert!(moments.is_sorted());
    }
}
