//! Who called whom, from the registers and the stack of a hart that has stopped: without tables of unwinding, which the image has not, but with its code.
//!
//! A function moves the stack down and stores the return address before it calls another one. Its instructions from the beginning to the place where it stood
//! are read for that; what moves the stack up again on the way is the end of another path. A function that never returns need not keep its return address, as
//! the compiler finds: those of panics do not. There the trace goes on with the next address above that a call has left, so some functions are left out.

use crate::Image;
use sim_iss::{decode, decode_compressed, is_compressed, Instruction, Op};
use std::ops::Range;

/// A place in the firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The address of the instruction, or, of a caller, that behind it.
    pub address: u64,
    /// The function, as its source calls it.
    pub function: String,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// Most places of a trace.
const PLACES_MAX: usize = 48;

/// Double words above a function's part of the stack in which the next return address is looked for.
const SEARCH_WORDS: u64 = 128;

const RA: u8 = 1;
const SP: u8 = 2;

/// What a function has done to the stack.
#[derive(Default)]
struct FrameLayout {
    /// Bytes that it has moved the stack down.
    bytes: u64,
    /// Bytes below the stack of its caller at which the return address is.
    return_address: Option<u64>,
}

impl Image {
    /// The place of an address, if it lies in a function.
    pub fn place(&self, address: u64) -> Option<Place> {
        let (name, offset) = self.function_at(address)?;
        Some(Place { address, function: format!("{:#}", rustc_demangle::demangle(name)), offset })
    }

    /// Where a hart stood and who had called it, the innermost first: from its `pc`, its registers `x1` to `x31`, and a look at a double word of its memory.
    pub fn back_trace(&self, pc: u64, registers: &[u64; 31], mut read: impl FnMut(u64) -> Option<u64>) -> Vec<Place> {
        let [mut return_address, mut stack] =
            [Some(registers[usize::from(RA) - 1]), Some(registers[usize::from(SP) - 1])];
        let (mut pc, mut places) = (pc, Vec::new());
        // A caller stands at its call, which may be the last instruction of it.
        let stands_at = |pc: u64, is_caller: bool| pc.checked_sub(is_caller.into()).and_then(|at| self.function_at(at));
        while let (Some((_, offset)), Some(sp)) = (stands_at(pc, !places.is_empty()), stack) {
            let begin = pc - offset - u64::from(!places.is_empty());
            let layout = self.layout(begin..pc);
            places.extend(self.place(begin).map(|place| Place { address: pc, offset: pc - begin, ..place }));
            let caller = sp.checked_add(layout.bytes);
            let stored = layout.return_address.and_then(|below| read(caller?.checked_sub(below)?));
            // Only the innermost function may have left it in its register.
            let known = stored.or(return_address.take().filter(|address| self.is_behind_call(*address)));
            let mut search = |first: u64| {
                let mut addresses = (0..SEARCH_WORDS).map_while(|word| first.checked_add(8 * word));
                addresses.find_map(|at| read(at).filter(|word| self.is_behind_call(*word)).map(|word| (word, at + 8)))
            };
            let Some((next, above)) = known.zip(caller).or_else(|| search(caller?)) else { break };
            if places.len() == PLACES_MAX {
                break;
            }
            (pc, stack) = (next, Some(above));
        }
        places
    }

    /// What the instructions of a function have done to the stack so far.
    fn layout(&self, mut code: Range<u64>) -> FrameLayout {
        let mut layout = FrameLayout::default();
        let mut constants = [None; 32];
        while code.start < code.end {
            let Some(instruction) = self.instruction(code.start) else { break };
            let Instruction { op, rd, rs1, rs2, immediate, bytes, .. } = instruction;
            code.start += u64::from(bytes);
            let constant = |register: u8| constants[usize::from(register)];
            let down = match (op, rd, rs1) {
                (Op::Addi, SP, SP) => Some(-i64::from(immediate)),
                (Op::Add, SP, SP) => constant(rs2).map(|value: i64| -value),
                (Op::Sub, SP, SP) => constant(rs2),
                _ => None,
            };
            if let Some(down) = down.and_then(|down| u64::try_from(down).ok()) {
                layout.bytes += down;
            }
            if (op, rs1, rs2) == (Op::Sd, SP, RA) && layout.return_address.is_none() {
                layout.return_address = layout.bytes.checked_add_signed(-i64::from(immediate));
            }
            if !matches!(op, Op::Sd | Op::Sw | Op::Sh | Op::Sb) {
                constants[usize::from(rd)] = match op {
                    Op::Lui => Some(i64::from(immediate)),
                    Op::Addi if rs1 == 0 => Some(immediate.into()),
                    Op::Addi | Op::Addiw => constant(rs1).map(|value| value + i64::from(immediate)),
                    _ => None,
                };
            }
        }
        layout
    }

    /// Whether the instruction before an address calls a function.
    fn is_behind_call(&self, address: u64) -> bool {
        let calls = |bytes: u64| {
            let instruction = address.checked_sub(bytes).and_then(|at| self.instruction(at));
            instruction.is_some_and(|i| u64::from(i.bytes) == bytes && matches!(i.op, Op::Jal | Op::Jalr) && i.rd == RA)
        };
        address % 2 == 0 && (calls(2) || calls(4))
    }

    fn instruction(&self, address: u64) -> Option<Instruction> {
        let segment = self.segments().iter().rfind(|segment| segment.address <= address)?;
        let code = segment.content.get((address - segment.address) as usize..)?;
        let low = u16::from_le_bytes(*code.first_chunk()?);
        if is_compressed(low) {
            return Some(decode_compressed(low));
        }
        Some(decode(u32::from_le_bytes(*code.first_chunk()?)))
    }
}
