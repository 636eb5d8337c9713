//! What survives a power cut of the flash, and the door through which the records of its blocks go in and out.

use crate::axi::high;
use flash_spec::{BlockRecord, Geometry, PageAddress};
use rtl_hdl::sim::{PortId, Simulator};
use sim_device::Ram;

/// Clocks after which flash that is to come to rest is given up as hung: a defect of the hardware.
const CLOCKS_MAX: u32 = 1_000_000;

/// What survives a power cut: the emulated medium.
pub struct Medium {
    /// The units, and the spares behind them.
    pub ram: Ram,
    /// What is known of each block: see [`block_index`](Geometry::block_index). Those behind the last are new.
    pub records: Vec<BlockRecord>,
}

impl From<Ram> for Medium {
    /// New flash, whatever the memory that stands for it holds.
    fn from(ram: Ram) -> Self {
        Self { ram, records: Vec::new() }
    }
}

/// Hardware with a door, and a clock of it.
pub trait HasDoor {
    /// What runs the hardware.
    type Model: Simulator;

    /// The hardware.
    fn model(&mut self) -> &mut Self::Model;

    /// Lets a clock pass.
    fn tick(&mut self);
}

/// The pins of the door to the records of the blocks.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    valid: PortId,
    ready: PortId,
    fields: [PortId; 6],
    answer_valid: PortId,
    answer_ready: PortId,
    record: PortId,
}

impl Door {
    /// The door of a flash path, or of what has one.
    pub fn new(model: &mut impl Simulator) -> Self {
        let fields = ["channel", "die", "plane", "block", "is_write", "record"];
        let door = Self {
            valid: model.port("door_valid"),
            ready: model.port("door_ready"),
            fields: fields.map(|field| model.port(&format!("door_{field}"))),
            answer_valid: model.port("door_record_valid"),
            answer_ready: model.port("door_record_ready"),
            record: model.port("door_record_record"),
        };
        model.poke_u64(door.answer_ready, 1);
        door
    }

    /// The record of the block of a page, and another one for it, if there is one: once the flash has nothing to do.
    ///
    /// # Panics
    /// If the flash does not come to rest.
    pub fn visit(self, hardware: &mut impl HasDoor, page: PageAddress, new: Option<BlockRecord>) -> BlockRecord {
        let PageAddress { channel, die, plane, block, .. } = page;
        let record = new.map_or(0, BlockRecord::to_bits);
        let values = [channel.into(), die.into(), plane.into(), block.into(), new.is_some().into(), record];
        let model = hardware.model();
        for (pin, value) in self.fields.into_iter().zip(values) {
            model.poke_u64(pin, value);
        }
        model.poke_u64(self.valid, 1);
        for _ in 0..CLOCKS_MAX {
            let model = hardware.model();
            let enters = high(model, self.valid) && high(model, self.ready);
            let leaves = high(model, self.answer_valid);
            let record = model.peek_u64(self.record);
            hardware.tick();
            if enters {
                hardware.model().poke_u64(self.valid, 0);
            }
            if leaves {
                return BlockRecord::from_bits(record);
            }
        }
        panic!("the flash does not come to rest within {CLOCKS_MAX} clocks: {page:?} does not answer");
    }

    /// Loads the records of a medium into hardware that has just been made, which has those of new blocks.
    ///
    /// # Panics
    /// If there are more records than blocks.
    pub fn load(self, hardware: &mut impl HasDoor, geometry: &Geometry, records: &[BlockRecord]) {
        assert!(records.len() <= geometry.blocks() as usize, "{} blocks", records.len());
        let used = (0..).zip(records).filter(|(_, record)| **record != BlockRecord::default());
        for (block, &record) in used {
            self.visit(hardware, geometry.block_at(block), Some(record));
        }
    }
}
