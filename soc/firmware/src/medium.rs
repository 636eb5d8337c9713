//! What the firmware of the flash tells that of the controller, which runs on another hart.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};
use flash_fw::Ftl;
use flash_spec::limits::UNIT_BYTES;
use nvme_fw::MediumHealth;
use nvme_spec::limits::SECTOR_BYTES;
use soc_hal::Flash;

/// Clocks between two polls of the firmware of the flash when the flash has nothing to tell.
pub const POLL_CLOCKS: u64 = 1000;

/// Clocks from one time that the firmware of the controller is told of the health of the flash to the next: 0.4 ms.
pub const HEALTH_CLOCKS: u64 = 100_000;

/// The health of the flash. `units_written_before` are those that hosts had written before this power-on.
pub fn health<F: Flash>(ftl: &mut Ftl<'_, F>, units_written_before: u64) -> MediumHealth {
    let smart = ftl.smart();
    MediumHealth {
        available_spare: smart.available_spare(),
        percentage_used: smart.percentage_used(),
        is_read_only: ftl.is_read_only(),
        // Pages that cannot be read may have been destroyed by a power cut before anything in them counted; these super-blocks hold what is lost.
        media_errors: smart.stuck_super_blocks.into(),
        sectors_written_before: units_written_before * u64::from(UNIT_BYTES / SECTOR_BYTES),
    }
}

/// Room for one thing that a hart tells another.
pub struct Letterbox<T> {
    is_full: AtomicBool,
    place: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: who puts touches the place only while the box is empty, and who takes only while it is full. `put` and `take` say that there is one of each.
#[allow(unsafe_code)]
unsafe impl<T: Send + Copy> Sync for Letterbox<T> {}

impl<T: Copy> Letterbox<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Self { is_full: AtomicBool::new(false), place: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Puts something in; false if what was put before has not been taken.
    ///
    /// # Safety
    /// No other hart puts something in.
    #[allow(unsafe_code)]
    pub unsafe fn put(&self, value: T) -> bool {
        if self.is_full.load(Ordering::Acquire) {
            return false;
        }
        // SAFETY: the box is empty, and only this hart changes that.
        unsafe { (*self.place.get()).write(value) };
        self.is_full.store(true, Ordering::Release);
        true
    }

    /// What was put in.
    ///
    /// # Safety
    /// No other hart takes something out.
    #[allow(unsafe_code)]
    pub unsafe fn take(&self) -> Option<T> {
        if !self.is_full.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the box is full, and only this hart changes that.
        let value = unsafe { (*self.place.get()).assume_init() };
        self.is_full.store(false, Ordering::Release);
        Some(value)
    }
}

impl<T: Copy> Default for Letterbox<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each value has the same number twice, so that half of one and half of another would show.
    #[test]
    #[allow(unsafe_code)]
    fn what_is_put_in_comes_out_once_and_whole() {
        const COUNT: u64 = 20_000;
        let letters = Letterbox::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..COUNT {
                    // SAFETY: only this thread puts.
                    while !unsafe { letters.put([number, number]) } {
                        std::thread::yield_now();
                    }
                }
            });
            for number in 0..COUNT {
                let letter = loop {
                    // SAFETY: only this thread takes.
                    match unsafe { letters.take() } {
                        Some(letter) => break letter,
                        None => std::thread::yield_now(),
                    }
                };
                assert_eq!(letter, [number, number]);
            }
        });
    }

    #[test]
    #[allow(unsafe_code)]
    fn what_is_full_takes_no_more() {
        let letters = Letterbox::new();
        // SAFETY: there is one thread.
        let [first, second] = [1, 2].map(|number| unsafe { letters.put(number) });
        assert!(first && !second);
        // SAFETY: likewise.
        assert_eq!([(); 2].map(|()| unsafe { letters.take() }), [Some(1), None]);
    }
}
