//! The only file that reads a clock. Everything else is told the time.

use crate::time::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where the shell has its time from: the host's clock, or a hand that the demo and the tests move.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The host's.
    Real,
    /// Moved by [`Clock::advance`]; never goes back.
    Virtual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `start` until it is moved.
    pub fn at(start: Instant) -> Clock {
        Clock::Virtual(Arc::new(AtomicI64::new(start.millis())))
    }

    /// What time it is.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn now(&self) -> Instant {
        match self {
            Clock::Virtual(millis) => Instant::from_millis(millis.load(Ordering::SeqCst)),
            Clock::Real => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Instant::from_millis(since.as_millis() as i64)
            }
        }
    }

    /// Moves a virtual clock forward to `to`; the host's clock is not ours to move.
    pub fn advance(&self, to: Instant) {
        if let Clock::Virtual(millis) = self {
            millis.fetch_max(to.millis(), Ordering::SeqCst);
        }
    }
}
