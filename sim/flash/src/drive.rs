//! A host with its drive.

use flash_fw::{Config, Ftl, Memory, MountError};
use flash_model::{Array, Content, FastPath, Refusal};

use crate::port::Port;

/// Polls of the firmware after which an operation has to be taken.
const POLLS_MAX: u32 = 1_000_000;

/// Why an operation has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The power is gone.
    NoPower,
    /// The device takes no more writes.
    ReadOnly,
    /// A unit cannot be read.
    Unreadable,
    /// It took too long.
    Hangs,
    /// The mount failed.
    Mount(MountError),
}

/// Firmware and hardware of a drive.
pub struct Drive<'m> {
    /// The firmware, which has the hardware.
    pub ftl: Ftl<'m, Port>,
    flushes: u64,
}

impl<'m> Drive<'m> {
    /// A drive with this flash, which is not mounted. The power goes after so many steps.
    ///
    /// # Panics
    /// If the configuration breaks a constraint.
    pub fn new(config: Config, memory: Memory<'m>, array: Array<Content>, lines: usize, seed: u64, steps: u64) -> Self {
        let port = Port::new(FastPath::new(array, config.units, lines), seed, steps);
        let ftl = Ftl::new(port, config, memory).unwrap_or_else(|error| panic!("{}", error.message()));
        Self { ftl, flushes: 0 }
    }

    /// Makes new flash ready.
    ///
    /// # Errors
    /// See [`Stopped`].
    pub fn format(&mut self) -> Result<(), Stopped> {
        let ended = self.ftl.format();
        self.ended(ended)
    }

    /// Finds what is in the flash.
    ///
    /// # Errors
    /// See [`Stopped`].
    pub fn mount(&mut self) -> Result<(), Stopped> {
        let ended = self.ftl.mount();
        self.ended(ended)
    }

    /// Erases everything.
    ///
    /// # Errors
    /// See [`Stopped`].
    pub fn erase_all(&mut self) -> Result<(), Stopped> {
        let ended = self.ftl.erase_all();
        self.ended(ended)
    }

    fn ended(&mut self, ended: Result<(), MountError>) -> Result<(), Stopped> {
        if !self.port().has_power() {
            return Err(Stopped::NoPower);
        }
        ended.map_err(Stopped::Mount)
    }

    /// The hardware.
    pub fn port(&mut self) -> &mut Port {
        self.ftl.flash()
    }

    /// The fast path.
    pub fn path(&mut self) -> &mut FastPath {
        &mut self.ftl.flash().path
    }

    /// Lets the firmware work once.
    pub fn poll(&mut self) {
        self.ftl.poll();
    }

    /// Writes a unit.
    ///
    /// # Errors
    /// See [`Stopped`].
    pub fn write(&mut self, lpn: u32, data: u64) -> Result<(), Stopped> {
        self.until_taken(|path| path.write(lpn, data))
    }

    /// Trims a unit.
    ///
    /// # Errors
    /// See [`Stopped`].
    pub fn trim(&mut self, lpn: u32) -> Result<(), Stopped> {
        self.until_taken(|path| path.trim(lpn))
    }

    /// Reads a unit.
    ///
    /// # Errors
    /// See [`Stopped`].
    pub fn read(&mut self, lpn: u32) -> Result<Option<u64>, Stopped> {
        self.until_taken(|path| path.read(lpn))
    }

    /// Starts a flush, and returns its number: [`FastPath::flushed`] tells when it has ended.
    pub fn start_flush(&mut self) -> u64 {
        self.flushes += 1;
        let id = self.flushes;
        self.path().flush(id);
        id
    }

    /// Flushes, and waits for the end.
    ///
    /// # Errors
    /// See [`Stopped`].
    pub fn flush(&mut self) -> Result<(), Stopped> {
        let id = self.start_flush();
        self.until_taken(|path| match path.flushed() {
            Some(flushed) if flushed == id => Ok(()),
            _ => Err(Refusal::Busy),
        })
    }

    fn until_taken<T>(&mut self, mut operation: impl FnMut(&mut FastPath) -> Result<T, Refusal>) -> Result<T, Stopped> {
        for _ in 0..POLLS_MAX {
            if !self.port().has_power() {
                return Err(Stopped::NoPower);
            }
            match operation(self.path()) {
                Ok(answer) => return Ok(answer),
                Err(Refusal::Busy) => self.poll(),
                Err(Refusal::ReadOnly) => return Err(Stopped::ReadOnly),
                Err(Refusal::Unreadable) => return Err(Stopped::Unreadable),
                Err(Refusal::OutOfRange) => panic!("the host asks for a unit that is not there"),
            }
        }
        Err(Stopped::Hangs)
    }

    /// Cuts the power.
    pub fn cut(self) -> Array<Content> {
        self.ftl.into_flash().path.cut()
    }
}
