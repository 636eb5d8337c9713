//! The harts as the crate `gdbstub` wants a target to be.

use std::collections::BTreeSet;

use gdbstub::common::{Signal, Tid};
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::base::single_register_access::{SingleRegisterAccess, SingleRegisterAccessOps};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::breakpoints::{Breakpoints, BreakpointsOps, SwBreakpoint, SwBreakpointOps};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use sim_iss::{Access, Bus, Hart, Mode};

use crate::registers::{Integers, Register, Rv64};

/// What a hart is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Continue,
    Step,
}

/// The harts, while GDB looks at them, and what it wants of them.
pub(crate) struct Harts<B> {
    pub(crate) harts: Vec<Hart>,
    pub(crate) bus: B,
    pub(crate) breakpoints: BTreeSet<u64>,
    /// For each hart, if it was told something.
    pub(crate) actions: Vec<Option<Action>>,
    /// Harts that were told nothing stay where they are. They go on otherwise.
    pub(crate) others_stay: bool,
}

/// GDB's number of a hart: 0 stands for any.
pub(crate) fn thread(hart: usize) -> Tid {
    Tid::new(hart + 1).expect("more than 0")
}

impl<B: Bus> Harts<B> {
    fn number(&self, thread: Tid) -> TargetResult<usize, Self> {
        let number = thread.get() - 1;
        if number < self.harts.len() {
            Ok(number)
        } else {
            Err(TargetError::NonFatal)
        }
    }

    fn hart(&mut self, thread: Tid) -> TargetResult<&mut Hart, Self> {
        let number = self.number(thread)?;
        Ok(&mut self.harts[number])
    }

    /// A hart that there is not does nothing.
    fn act(&mut self, thread: Tid, action: Action) {
        if let Some(place) = self.actions.get_mut(thread.get() - 1) {
            *place = Some(action);
        }
    }
}

impl<B: Bus> Target for Harts<B> {
    type Arch = Rv64;
    type Error = &'static str;

    fn base_ops(&mut self) -> BaseOps<'_, Rv64, &'static str> {
        BaseOps::MultiThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
}

impl<B: Bus> MultiThreadBase for Harts<B> {
    fn read_registers(&mut self, registers: &mut Integers, thread: Tid) -> TargetResult<(), Self> {
        let hart = self.hart(thread)?;
        *registers = Integers { x: std::array::from_fn(|register| hart.x(register)), pc: hart.pc() };
        Ok(())
    }

    fn write_registers(&mut self, registers: &Integers, thread: Tid) -> TargetResult<(), Self> {
        let hart = self.hart(thread)?;
        Register::Pc.write(hart, registers.pc).ok_or(TargetError::NonFatal)?;
        registers.x.iter().enumerate().for_each(|(register, value)| hart.set_x(register, *value));
        Ok(())
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, Tid, Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, start: u64, data: &mut [u8], thread: Tid) -> TargetResult<usize, Self> {
        let number = self.number(thread)?;
        let Self { harts, bus, .. } = self;
        for (index, byte) in data.iter_mut().enumerate() {
            let address = start.wrapping_add(index as u64);
            // What may only be executed, in pages without R, can be seen as well.
            let found = [Access::Load, Access::Fetch]
                .into_iter()
                .find_map(|access| harts[number].translate(bus, access, address).ok());
            match found.and_then(|physical| bus.load(number, physical).ok()) {
                Some([value]) => *byte = value,
                None if index == 0 => return Err(TargetError::NonFatal),
                None => return Ok(index),
            }
        }
        Ok(data.len())
    }

    fn write_addrs(&mut self, start: u64, data: &[u8], thread: Tid) -> TargetResult<(), Self> {
        let number = self.number(thread)?;
        let Self { harts, bus, .. } = self;
        for (address, byte) in (0..).map(|index| start.wrapping_add(index)).zip(data) {
            let physical = harts[number].translate(bus, Access::Store, address).map_err(|_| TargetError::NonFatal)?;
            bus.store(number, physical, [*byte]).map_err(|_| TargetError::NonFatal)?;
        }
        // It may have been code.
        harts.iter_mut().for_each(Hart::flush);
        Ok(())
    }

    fn list_active_threads(&mut self, register: &mut dyn FnMut(Tid)) -> Result<(), &'static str> {
        (0..self.harts.len()).for_each(|hart| register(thread(hart)));
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl<B: Bus> ThreadExtraInfo for Harts<B> {
    /// What `info threads` shows.
    fn thread_extra_info(&self, thread: Tid, buffer: &mut [u8]) -> Result<usize, &'static str> {
        let number = thread.get() - 1;
        let Some(hart) = self.harts.get(number) else { return Ok(0) };
        let mode = match hart.mode() {
            Mode::User => 'U',
            Mode::Supervisor => 'S',
            Mode::Machine => 'M',
        };
        let text = format!("hart {number}, {mode}-mode");
        let length = text.len().min(buffer.len());
        buffer[..length].copy_from_slice(&text.as_bytes()[..length]);
        Ok(length)
    }
}

impl<B: Bus> SingleRegisterAccess<Tid> for Harts<B> {
    fn read_register(&mut self, thread: Tid, register: Register, buffer: &mut [u8]) -> TargetResult<usize, Self> {
        // One that the hart does not have is there and has no value.
        let Some(value) = register.read(self.hart(thread)?) else { return Ok(0) };
        let bytes = register.bytes();
        buffer.get_mut(..bytes).ok_or(TargetError::NonFatal)?.copy_from_slice(&value.to_le_bytes()[..bytes]);
        Ok(bytes)
    }

    fn write_register(&mut self, thread: Tid, register: Register, value: &[u8]) -> TargetResult<(), Self> {
        let mut bytes = [0; 8];
        bytes.get_mut(..value.len()).ok_or(TargetError::NonFatal)?.copy_from_slice(value);
        register.write(self.hart(thread)?, u64::from_le_bytes(bytes)).ok_or(TargetError::NonFatal)
    }
}

impl<B: Bus> MultiThreadResume for Harts<B> {
    fn resume(&mut self) -> Result<(), &'static str> {
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), &'static str> {
        self.actions = vec![None; self.harts.len()];
        self.others_stay = false;
        Ok(())
    }

    fn set_resume_action_continue(&mut self, thread: Tid, _: Option<Signal>) -> Result<(), &'static str> {
        self.act(thread, Action::Continue);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl<B: Bus> MultiThreadSingleStep for Harts<B> {
    fn set_resume_action_step(&mut self, thread: Tid, _: Option<Signal>) -> Result<(), &'static str> {
        self.act(thread, Action::Step);
        Ok(())
    }
}

impl<B: Bus> MultiThreadSchedulerLocking for Harts<B> {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), &'static str> {
        self.others_stay = true;
        Ok(())
    }
}

impl<B: Bus> Breakpoints for Harts<B> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }
}

impl<B: Bus> SwBreakpoint for Harts<B> {
    fn add_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.breakpoints.insert(address);
        Ok(true)
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.breakpoints.remove(&address))
    }
}
