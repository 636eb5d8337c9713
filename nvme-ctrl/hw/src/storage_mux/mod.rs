//! # Storage multiplexer
//!
//! Sends commands and the data of writes to their target: the `storage` port or the firmware's buffer.
//!
//! ## Symbol
//! ```text
//!            +--- storage_mux ---+
//!   start ->-|                   |->- storage_command
//!   write ->-|                   |->- storage_write
//!            |                   |->- buffer_command
//!            |                   |->- buffer_write
//!            +-------------------+
//! ```
//! ## Theory of operation
//! Each item carries its target, so it is shown to both and offered to one. There are no registers: 512 of them for each direction would buy
//! nothing, since both ends of every stream have their own.
//!
//! ## Timing
//! Combinational.
//!
//! ## Limits
//! An item that is not taken holds up those behind it, also for the other target. Neither target may make one wait for the other.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::dma_read::TargetWrite;
use crate::types::{Operation, StorageCommand, StorageWrite, Target};
use crate::units::Start;
use rtl_hdl::{hw_bundle, when, Bits, Block, EnumSignal, Module, Naming, Shape, Signal, StreamIn, StreamWires, Value};

#[cfg(test)]
pub(crate) mod bench;

hw_bundle! {
    /// A command for the firmware's buffer.
    pub struct BufferCommand {
        /// Of the unit.
        pub tag: Bits<8>,
        /// Write fills the buffer, Read empties it.
        pub operation: Operation,
        /// Number of 64-byte beats, from the buffer's start.
        pub beats: Bits<7>,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct StorageMux;

impl Block for StorageMux {
    fn name(&self) -> String {
        "storage_mux".into()
    }

    fn description(&self) -> String {
        "Sends commands and the data of writes to their target.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let start = m.stream_in::<Start>("start");
        let write = m.stream_in::<TargetWrite>("write");
        let storage_command = wires::<StorageCommand>(m, "storage_command");
        let buffer_command = wires::<BufferCommand>(m, "buffer_command");
        let storage_write = wires::<StorageWrite>(m, "storage_write");
        let buffer_write = wires::<StorageWrite>(m, "buffer_write");

        // 2. State: none.
        // 3. Conditions: the targets.
        let command = start.payload();
        let beat = write.payload();

        // 4. Next state: none.
        // 5. Outputs
        let short =
            BufferCommand { tag: command.command.tag, operation: command.command.operation, beats: command.beats };
        let data = StorageWrite { data: beat.data, error: beat.error, last: beat.last };
        route(&start, command.target, (storage_command, command.command), (buffer_command, short));
        route(&write, beat.target, (storage_write, data), (buffer_write, data));
    }
}

fn wires<T: Shape>(m: &Module, name: &str) -> StreamWires<T::Value> {
    m.stream_out_wires(name, Naming::Underscore, |make| T::declare("", make))
}

/// Offers each item of `from` to the stream of its target.
fn route<V: Value, A: Value, B: Value>(
    from: &StreamIn<V>,
    target: EnumSignal<Target>,
    storage: (StreamWires<A>, A),
    buffer: (StreamWires<B>, B),
) {
    fn drive<T: Value>((stream, item): (StreamWires<T>, T), valid: Signal) -> Signal {
        stream.valid.set(valid);
        stream.payload.set(item);
        valid & stream.ready
    }
    let to_storage = drive(storage, from.valid() & target.is(Target::Storage));
    let to_buffer = drive(buffer, from.valid() & target.is(Target::Buffer));
    when(to_storage | to_buffer, || from.take());
}
