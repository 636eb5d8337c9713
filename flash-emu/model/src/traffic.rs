//! Random commands for tests: mostly such as a translation layer gives, some that make no sense.

use crate::channel::Command;
use flash_spec::limits::UNITS_PER_PAGE;
use flash_spec::reliability::next_random;
use flash_spec::{Geometry, Operation};
use std::collections::VecDeque;

/// Commands for one channel, which follow from the seed. The data of a program is its tag.
#[derive(Clone, Debug)]
pub struct Traffic {
    geometry: Geometry,
    random: u32,
    tag: u16,
    /// The block of each die that is being written, in both planes, and its next page.
    open: Vec<(u16, u16)>,
    planned: VecDeque<Command<u32>>,
    /// Of a thousand commands so many are, beside all others, reads of one unit.
    flood: u32,
}

impl Traffic {
    /// Commands for a channel of a flash.
    ///
    /// # Panics
    /// If the seed is 0.
    pub fn new(geometry: Geometry, seed: u32) -> Self {
        assert_ne!(seed, 0, "the sequence of 0 is 0");
        let open = vec![(0, 0); geometry.dies_per_channel as usize];
        Self { geometry, random: seed, tag: 0, open, planned: VecDeque::new(), flood: 0 }
    }

    /// The same among so many reads that programs and erases are suspended until they are no more, and wait until they have their turn.
    #[must_use]
    pub fn in_a_flood_of_reads(self) -> Self {
        Self { flood: 970, ..self }
    }

    /// A number below `limit`, which is at least 1.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.random = next_random(self.random);
        ((u64::from(self.random) * u64::from(limit)) >> 32) as u32
    }

    /// The next command.
    pub fn command(&mut self) -> Command<u32> {
        if self.planned.is_empty() {
            self.plan();
        }
        let command = self.planned.pop_front().expect("something was planned");
        self.tag = self.tag.wrapping_add(1);
        Command { tag: self.tag, data: self.data(&command), ..command }
    }

    fn data(&self, command: &Command<u32>) -> [Option<u32>; 2] {
        let brings_data = matches!(command.operation, Operation::Program | Operation::CacheProgram);
        [0, 1].map(|plane| (brings_data && command.planes >> plane & 1 == 1).then_some(self.tag.into()))
    }

    fn plan(&mut self) {
        let Geometry { dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block, .. } = self.geometry;
        let die = self.below(dies_per_channel);
        let (block, page) = self.open[die as usize];
        let all_planes = (1 << planes_per_die) - 1;
        let any = Command {
            planes: 1 + self.below(all_planes) as u8,
            ..at(die, [0, 1].map(|_| self.below(blocks_per_plane) as u16), self.below(pages_per_block))
        };
        let open = Command { planes: all_planes as u8, ..at(die, [block; 2], page.into()) };
        let next = if u32::from(page) + 1 == pages_per_block {
            ((block + 1) % blocks_per_plane as u16, 0)
        } else {
            (block, page + 1)
        };
        if self.flood > 0 && self.below(1000) < self.flood {
            self.planned.push_back(Command { units: 1, ..any });
            return;
        }
        let command = match self.below(100) {
            0..40 => {
                let first_unit = self.below(UNITS_PER_PAGE);
                let units = 1 + self.below(UNITS_PER_PAGE - first_unit);
                // Half of the reads are of what is being written.
                let read = if self.below(2) == 0 { any } else { Command { page: page.saturating_sub(1), ..open } };
                Command { first_unit: first_unit as u8, units: units as u8, ..read }
            }
            40..78 => {
                self.open[die as usize] = next;
                if page == 0 {
                    self.planned.push_back(Command { operation: Operation::Erase, ..open.clone() });
                }
                let is_cached = self.below(3) > 0;
                Command { operation: if is_cached { Operation::CacheProgram } else { Operation::Program }, ..open }
            }
            78..82 => {
                // In one plane, and not what is being written or the block before it: what follows would only break rules.
                let plane = self.below(planes_per_die);
                let far = block + 1 + self.below(blocks_per_plane.saturating_sub(2).max(1)) as u16;
                let mut blocks = any.blocks;
                blocks[plane as usize] = far % blocks_per_plane as u16;
                let erase = Command { operation: Operation::Erase, planes: 1 << plane, blocks, ..any };
                self.planned.push_back(erase.clone());
                Command { operation: Operation::Program, page: 0, ..erase }
            }
            82..90 => {
                self.open[die as usize] = next;
                if page == 0 {
                    self.planned.push_back(Command { operation: Operation::Erase, ..open.clone() });
                }
                let before = (u32::from(block) + blocks_per_plane - 1) % blocks_per_plane;
                let (block, pages) = if page == 0 { (before as u16, pages_per_block) } else { (block, page.into()) };
                let from = Command { planes: open.planes, ..at(die, [block; 2], self.below(pages)) };
                self.planned.push_back(Command { operation: Operation::CopybackRead, ..from });
                Command { operation: Operation::CopybackProgram, ..open }
            }
            90..94 => Command { operation: Operation::ReadStatus, ..any },
            _ => {
                let operation = Operation::ALL[self.below(Operation::ALL.len() as u32) as usize];
                Command {
                    die: self.below(4) as u8,
                    operation,
                    planes: self.below(4) as u8,
                    blocks: [0, 1].map(|_| self.below(blocks_per_plane + 2) as u16),
                    page: self.below(pages_per_block + 2) as u16,
                    first_unit: self.below(4) as u8,
                    units: self.below(6) as u8,
                    ..any
                }
            }
        };
        self.planned.push_back(command);
    }
}

fn at(die: u32, blocks: [u16; 2], page: u32) -> Command<u32> {
    Command::new(0, Operation::Read, die as u8, 0, blocks, page as u16)
}
