//! # Storage multiplexer
//!
//! Sends commands and data to their target: the `storage` port, the buffer, or the host.
//!
//! ## Symbol
//! ```text
//!                  +--- storage_mux ---+
//!         start ->-|                   |->- storage_command
//!         write ->-|                   |->- storage_write
//!  storage_read ->-|                   |->- buffer_command
//!         drain ->-|                   |->- buffer_write, load   to buffer
//! loads, stores -->|                   |->- read, buffer_read    to dma_write
//!                  |                   |--> store, store_beats   to buffer
//!                  +-------------------+
//! ```
//! ## Theory of operation
//! | | goes to | but |
//! |---|---|---|
//! | `start` | its target | when a Store is taken by the storage, `store` starts the buffer |
//! | `write`, data of the host | its target | |
//! | `storage_read` | `read` | while a Load or Compare is in flight (`loads`), to `load` |
//! | `drain`, data of the buffer | `buffer_read` | while a Store is in flight (`stores`), to `storage_write` |
//!
//! What the storage gets is one of its own operations: Load and Compare are Reads, and a Store is a Write.
//! There are no registers: 512 of them for each direction would buy nothing, since both ends of every stream have their own.
//!
//! ## Timing
//! Combinational.
//!
//! ## Limits
//! An item that is not taken holds up those behind it, also for the other target. Neither target may make one wait for the other. Nothing but the
//! unit that they are of may be in flight while `loads` or `stores` is set: see [`units`](crate::units), "Sequences".
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::dma_read::TargetWrite;
use crate::types::{is_one_of, Operation, StorageCommand, StorageRead, StorageWrite, Target};
use crate::units::Start;
use rtl_hdl::{hw_bundle, when, Bits, Block, EnumSignal, Module, Naming, Shape, Signal, StreamWires, Value};
use rtl_prim::choose;

#[cfg(test)]
pub(crate) mod bench;

hw_bundle! {
    /// A command for the buffer.
    pub struct BufferCommand {
        /// Of the unit.
        pub tag: Bits<8>,
        /// Write fills it, Read empties it.
        pub operation: Operation,
        /// The bounce, not the firmware's page.
        pub in_bounce: Bits<1>,
        /// Dword at which the data begins.
        pub at: Bits<10>,
        /// Number of 64-byte beats.
        pub beats: Bits<7>,
        /// Dwords of the last of them; 0: all.
        pub last_dwords: Bits<4>,
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
        "Sends commands and data to their target.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let start = m.stream_in::<Start>("start");
        let write = m.stream_in::<TargetWrite>("write");
        let storage_read = m.stream_in::<StorageRead>("storage_read");
        let drain = m.stream_in::<StorageRead>("drain");
        let loads = m.input("loads", 1);
        let stores = m.input("stores", 1);
        let storage_command = wires::<StorageCommand>(m, "storage_command");
        let storage_write = wires::<StorageWrite>(m, "storage_write");
        let buffer_command = wires::<BufferCommand>(m, "buffer_command");
        let buffer_write = wires::<StorageWrite>(m, "buffer_write");
        let load = wires::<StorageRead>(m, "load");
        let read = wires::<StorageRead>(m, "read");
        let buffer_read = wires::<StorageRead>(m, "buffer_read");

        let store = m.output_wire("store", 1);
        let store_beats = m.output_wire("store_beats", 7);

        // 2. State: none.
        // 3. Conditions
        let command = start.payload();
        let operation = command.command.operation;
        let is_store = m.wire("is_store", operation.is(Operation::Store));
        let for_storage = m.wire("for_storage", command.target.is(Target::Storage));
        let beat = write.payload();
        let beat_for_storage = m.wire("beat_for_storage", beat.target.is(Target::Storage));

        // 4. Next state: none.
        // 5. Outputs
        let reads = is_one_of(operation, &[Operation::Load, Operation::Compare]);
        let written = choose(is_store, EnumSignal::of(Operation::Write), operation);
        let storage_operation = choose(reads, EnumSignal::of(Operation::Read), written);
        let for_port = StorageCommand { operation: storage_operation, ..command.command };
        let for_buffer = BufferCommand {
            tag: command.command.tag,
            operation,
            in_bounce: !command.target.is(Target::Buffer),
            at: command.at,
            beats: command.beats,
            last_dwords: command.last_dwords,
        };
        let by_storage = drive(storage_command, start.valid() & for_storage, for_port);
        let by_buffer = drive(buffer_command, start.valid() & !for_storage, for_buffer);
        when(by_storage | by_buffer, || start.take());
        store.set(by_storage & is_store);
        store_beats.set(command.beats);

        let data = StorageWrite { data: beat.data, error: beat.error, last: beat.last };
        let stored = drain.payload();
        let stored = StorageWrite { data: stored.data, error: stored.error, last: stored.last };
        let to_storage = write.valid() & beat_for_storage;
        let went = drive(storage_write, stores.mux(drain.valid(), to_storage), choose(stores, stored, data));
        let filled = drive(buffer_write, write.valid() & !beat_for_storage, data);
        when((went & !stores) | filled, || write.take());
        let drained = drive(buffer_read, drain.valid() & !stores, drain.payload());
        when((went & stores) | drained, || drain.take());

        drive(read, storage_read.valid() & !loads, storage_read.payload());
        drive(load, storage_read.valid() & loads, storage_read.payload());
        when(loads.mux(load.ready, read.ready), || storage_read.take());
    }
}

fn wires<T: Shape>(m: &Module, name: &str) -> StreamWires<T::Value> {
    m.stream_out_wires(name, Naming::Underscore, |make| T::declare("", make))
}

/// Offers `item` under a condition; whether it is taken.
fn drive<V: Value>(stream: StreamWires<V>, valid: Signal, item: V) -> Signal {
    stream.valid.set(valid);
    stream.payload.set(item);
    valid & stream.ready
}
