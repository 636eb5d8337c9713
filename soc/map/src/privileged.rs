//! Numbers of The RISC-V Instruction Set Manual, Volume II: Privileged Architecture, that firmware and who looks at it need.

/// Exceptions, by their numbers. "Machine Cause (`mcause`) Register".
pub mod cause {
    /// A jump to an odd address.
    pub const INSTRUCTION_MISALIGNED: u64 = 0;
    /// A fetch that the protection or the bus denies.
    pub const INSTRUCTION_ACCESS_FAULT: u64 = 1;
    /// What the hart or its mode does not have.
    pub const ILLEGAL_INSTRUCTION: u64 = 2;
    /// `ebreak`, or a trigger.
    pub const BREAKPOINT: u64 = 3;
    /// A load from an address that is no multiple of its size.
    pub const LOAD_MISALIGNED: u64 = 4;
    /// A load that the protection or the bus denies.
    pub const LOAD_ACCESS_FAULT: u64 = 5;
    /// A store to an address that is no multiple of its size.
    pub const STORE_MISALIGNED: u64 = 6;
    /// A store that the protection or the bus denies.
    pub const STORE_ACCESS_FAULT: u64 = 7;
    /// `ecall` of U.
    pub const USER_CALL: u64 = 8;
    /// `ecall` of S.
    pub const SUPERVISOR_CALL: u64 = 9;
    /// `ecall` of M.
    pub const MACHINE_CALL: u64 = 11;
    /// A fetch that the page table denies.
    pub const INSTRUCTION_PAGE_FAULT: u64 = 12;
    /// A load that the page table denies.
    pub const LOAD_PAGE_FAULT: u64 = 13;
    /// A store that the page table denies.
    pub const STORE_PAGE_FAULT: u64 = 15;

    /// Set for an interrupt, whose number is its bit in [`interrupt`](super::interrupt).
    pub const INTERRUPT: u64 = 1 << 63;

    /// The exceptions that S handles itself. Access faults and calls of S cannot be delegated on Rocket; illegal instructions are not, because reading `time` is
    /// one, which the monitor carries out.
    pub const DELEGATED: u64 = 1 << INSTRUCTION_MISALIGNED
        | 1 << BREAKPOINT
        | 1 << LOAD_MISALIGNED
        | 1 << STORE_MISALIGNED
        | 1 << USER_CALL
        | 1 << INSTRUCTION_PAGE_FAULT
        | 1 << LOAD_PAGE_FAULT
        | 1 << STORE_PAGE_FAULT;

    /// What the manual calls an exception.
    pub const fn name(number: u64) -> &'static str {
        match number {
            INSTRUCTION_MISALIGNED => "instruction address misaligned",
            INSTRUCTION_ACCESS_FAULT => "instruction access fault",
            ILLEGAL_INSTRUCTION => "illegal instruction",
            BREAKPOINT => "breakpoint",
            LOAD_MISALIGNED => "load address misaligned",
            LOAD_ACCESS_FAULT => "load access fault",
            STORE_MISALIGNED => "store address misaligned",
            STORE_ACCESS_FAULT => "store access fault",
            USER_CALL => "call from U-mode",
            SUPERVISOR_CALL => "call from S-mode",
            MACHINE_CALL => "call from M-mode",
            INSTRUCTION_PAGE_FAULT => "instruction page fault",
            LOAD_PAGE_FAULT => "load page fault",
            STORE_PAGE_FAULT => "store page fault",
            _ => "unknown",
        }
    }
}

/// Bits of `mip`, `mie` and `mideleg`.
pub mod interrupt {
    /// Supervisor software, timer and external: those that S handles itself.
    pub const SUPERVISOR: u64 = SOFTWARE | TIMER | EXTERNAL;
    /// Supervisor software.
    pub const SOFTWARE: u64 = 1 << 1;
    /// Supervisor timer.
    pub const TIMER: u64 = 1 << 5;
    /// Supervisor external.
    pub const EXTERNAL: u64 = 1 << 9;
    /// The number of the machine software interrupt.
    pub const MACHINE_SOFTWARE: u64 = 3;
    /// The number of the machine timer interrupt.
    pub const MACHINE_TIMER: u64 = 7;
}

/// Bits of `mstatus`.
pub mod status {
    /// S had interrupts on.
    pub const SIE: u64 = 1 << 1;
    /// SIE before the trap.
    pub const SPIE: u64 = 1 << 5;
    /// The trap came from S.
    pub const SPP: u64 = 1 << 8;
    /// The mode that the trap came from: both bits for M, none for U.
    pub const MPP: u64 = 0b11 << 11;
    /// Of MPP: S.
    pub const MPP_SUPERVISOR: u64 = 0b01 << 11;
    /// The floating-point unit may be used.
    pub const FS_INITIAL: u64 = 0b01 << 13;
}

/// `mcounteren` and `scounteren`: `cycle` and `instret` may be read from the mode below.
pub const COUNTERS: u64 = 0b101;

/// `csrrs rd, time, x0`, with zero for `rd`: what `rdtime` stands for. Volume I, "Zicntr".
pub const READ_TIME: u64 = 0xC010_2073;

/// Where `rd` is in an instruction.
pub const RD: u64 = 0x1F << 7;

/// Sv39. "Sv39: Page-Based 39-bit Virtual-Memory System".
pub mod sv39 {
    /// Bytes of a page, and of a table.
    pub const PAGE_BYTES: u64 = 4096;
    /// Entries of a table.
    pub const ENTRIES: usize = 512;
    /// Bits of an address below those that choose an entry, by the level of the table.
    pub const SHIFTS: [u32; 3] = [12, 21, 30];

    /// The entry is there.
    pub const V: u64 = 1;
    /// Loads.
    pub const R: u64 = 1 << 1;
    /// Stores.
    pub const W: u64 = 1 << 2;
    /// Fetches.
    pub const X: u64 = 1 << 3;
    /// For U, and not for S.
    pub const U: u64 = 1 << 4;
    /// Accessed, and written: Rocket sets neither, and traps where they are not set.
    pub const AD: u64 = 0b11 << 6;

    /// An entry for this address, of a page or of a table.
    pub const fn entry(address: u64, bits: u64) -> u64 {
        address >> 12 << 10 | bits | V
    }

    /// `satp` with the root table at this address.
    pub const fn satp(root: u64) -> u64 {
        8 << 60 | root >> 12
    }
}
