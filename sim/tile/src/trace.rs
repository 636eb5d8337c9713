//! What the outputs of the traced tile say in a clock.

use crate::recoded::to_ieee;
use rtl_hdl::sim::{PortId, Simulator};
use sim_verilator::Model;

/// An instruction that has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Its address, sign-extended.
    pub pc: u64,
    /// Its bits; the upper half is 0 when it has 16 of them.
    pub instruction: u32,
    /// Nothing of it was done: the hart enters the handler.
    pub trap: bool,
    /// Why, in terms of `mcause`; calls and breakpoints are told by the instruction instead.
    pub cause: u64,
    /// The integer register that it writes, and that it is written later.
    pub write: Option<(u8, bool)>,
}

/// A value that comes into a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landing {
    /// The register.
    pub register: u8,
    /// What it holds from now on, as software sees it.
    pub value: u64,
}

/// What happens in a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What retires or traps.
    pub retired: Option<Retired>,
    /// What the retiring instruction writes at once.
    pub now: Option<Landing>,
    /// What an earlier one writes into an integer register.
    pub late: Option<Landing>,
    /// What comes into floating-point registers: from memory, and from computation.
    pub float: [Option<Landing>; 2],
}

/// The outputs.
pub(crate) struct Ports {
    valid: PortId,
    pc: PortId,
    instruction: PortId,
    trap: PortId,
    cause: PortId,
    write: PortId,
    write_is_late: PortId,
    write_register: PortId,
    late: PortId,
    late_register: PortId,
    write_value: PortId,
    /// Enable, register and value.
    float: [[PortId; 3]; 2],
}

impl Ports {
    pub(crate) fn new(model: &Model) -> Self {
        let port = |name: &str| model.port(&format!("trace_{name}"));
        Self {
            valid: port("valid"),
            pc: port("pc"),
            instruction: port("instruction"),
            trap: port("trap"),
            cause: port("cause"),
            write: port("write"),
            write_is_late: port("write_is_late"),
            write_register: port("write_register"),
            late: port("late"),
            late_register: port("late_register"),
            write_value: port("write_value"),
            float: ["float_load", "float"]
                .map(|name| ["", "_register", "_value"].map(|field| port(&format!("{name}{field}")))),
        }
    }

    pub(crate) fn observe(&self, model: &Model) -> Observed {
        const PC_BITS: u32 = 40;
        let get = |port| model.peek_u64(port);
        let is = |port| get(port) == 1;
        let landing = |register| Landing { register: get(register) as u8, value: get(self.write_value) };
        let mut observed = Observed { retired: None, now: None, late: None, float: [None; 2] };
        if is(self.valid) {
            let write = is(self.write).then(|| (get(self.write_register) as u8, is(self.write_is_late)));
            let pc = (get(self.pc) << (64 - PC_BITS)) as i64 >> (64 - PC_BITS);
            observed.retired = Some(Retired {
                pc: pc as u64,
                instruction: get(self.instruction) as u32,
                trap: is(self.trap),
                cause: get(self.cause),
                write,
            });
            observed.now = write.filter(|(_, is_late)| !is_late).map(|_| landing(self.write_register));
        }
        if is(self.late) {
            observed.late = Some(landing(self.late_register));
        }
        for (landing, [enable, register, value]) in observed.float.iter_mut().zip(self.float) {
            if is(enable) {
                let words = model.words(value);
                let recoded = u128::from(words[0]) | u128::from(words[1]) << 64;
                *landing = Some(Landing { register: get(register) as u8, value: to_ieee(recoded) });
            }
        }
        observed
    }
}
