//! Commands that are anything, or close to a command, and the memory that they may point to.

use nvme_spec::opcode::{admin, io};
use nvme_spec::sgl::{BIT_BUCKET, DATA_BLOCK, PSDT_SGL};
use nvme_spec::SglDescriptor;
use sim_device::{Device, HostMemory, Random, PAGE_BYTES};
use sim_host::Driver;

/// Pages that random PRPs point to.
const POOL_PAGES: u64 = 24;

/// The last of them hold pointers into the pool, so that they can serve as PRP lists.
const LIST_PAGES: u64 = 4;

/// Memory for the data and the PRP lists of random commands. The device may write all of it at any time.
pub struct Pool {
    base: u64,
}

impl Pool {
    /// A pool in the memory of a host.
    pub fn new<D: Device + ?Sized>(host: &mut Driver<'_, D>) -> Self {
        let base = host.host().alloc_guarded(POOL_PAGES * PAGE_BYTES, PAGE_BYTES);
        host.allow_writes(base..base + POOL_PAGES * PAGE_BYTES);
        Self { base }
    }

    /// Fills some pages with pointers into the pool, most of them aligned. The device may overwrite them.
    pub fn make_lists(&self, host: &mut HostMemory, random: &mut Random) {
        for page in POOL_PAGES - LIST_PAGES..POOL_PAGES {
            for entry in 0..PAGE_BYTES / 8 {
                let target = self.base + random.below(POOL_PAGES) * PAGE_BYTES;
                let target = target + if random.below(200) == 0 { 8 } else { 0 };
                host.store(self.base + page * PAGE_BYTES + entry * 8, &target.to_le_bytes());
            }
        }
    }

    /// A pointer into the pool, or to where nothing is.
    pub fn pointer(&self, random: &mut Random) -> u64 {
        let page = self.base + random.below(POOL_PAGES) * PAGE_BYTES;
        match random.below(12) {
            0 => random.next_u64(),
            1 => page + random.below(PAGE_BYTES),
            2 => 0,
            3..=5 => page + random.below(PAGE_BYTES / 8) * 8,
            _ => page,
        }
    }
}

/// 64 bytes that are anything, or close to a command; three of four have an opcode that the controller executes.
pub fn random_entry(random: &mut Random, pool: &Pool, is_admin: bool) -> [u8; 64] {
    let mut entry = [0; 64];
    random.fill(&mut entry);
    if random.below(4) != 0 {
        let opcodes = if is_admin { admin::ALL } else { io::ALL };
        entry[0] = random.pick(opcodes).0;
        if random.below(8) != 0 {
            entry[1] = if !is_admin && random.below(4) == 0 { PSDT_SGL << 6 } else { 0 };
            let nsid: u32 = if random.below(8) == 0 { 0 } else { 1 };
            entry[4..8].copy_from_slice(&nsid.to_le_bytes());
        }
        if random.below(8) != 0 {
            // Small numbers in the command dwords: blocks, identifiers, lengths.
            entry[40..64].fill(0);
            for dword in 10..14 {
                let bits = random.below(12);
                let value = random.below(1 << bits) as u32;
                entry[dword * 4..dword * 4 + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    // Random addresses must not hit memory of somebody else by chance, so that most point into the pool or nowhere.
    for offset in [24, 32] {
        entry[offset..offset + 8].copy_from_slice(&pool.pointer(random).to_le_bytes());
    }
    if entry[1] >> 6 == PSDT_SGL {
        // A data block in a page of the pool, or a descriptor that ends the command.
        let address = pool.pointer(random) & !3;
        let length =
            random.below(PAGE_BYTES - address % PAGE_BYTES + 1) as u32 & if random.below(8) == 0 { !0 } else { !3 };
        let identifier = *random.pick(&[DATA_BLOCK, DATA_BLOCK, DATA_BLOCK, BIT_BUCKET, 0x40]);
        let halves = SglDescriptor::new(identifier, address, length).halves();
        entry[24..40].copy_from_slice(&halves.map(u64::to_le_bytes).concat());
    }
    entry
}
