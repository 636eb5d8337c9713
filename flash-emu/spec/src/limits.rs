//! Sizes and bounds.

/// Most channels of a device.
pub const CHANNELS_MAX: u32 = 12;
/// Most dies on a channel.
pub const DIES_PER_CHANNEL_MAX: u32 = 4;
/// Most planes of a die.
pub const PLANES_PER_DIE_MAX: u32 = 2;
/// Most planes of a device.
pub const PLANES_MAX: u32 = CHANNELS_MAX * DIES_PER_CHANNEL_MAX * PLANES_PER_DIE_MAX;
/// Most pages of a block.
pub const PAGES_PER_BLOCK_MAX: u32 = 1024;

/// Bytes of a page, without its spare.
pub const PAGE_BYTES: u32 = 16 << 10;
/// Bytes of the spare of a page: they go over the bus with the page, and their time is part of the command's.
pub const SPARE_BYTES: u32 = 64;
/// Bytes of a unit: what a page map entry stands for, and the least that is read from a page.
pub const UNIT_BYTES: u32 = 4 << 10;
/// Units of a page.
pub const UNITS_PER_PAGE: u32 = PAGE_BYTES / UNIT_BYTES;

/// Commands that wait for a die, of those that read and of those that do not.
pub const DIE_QUEUE_ENTRIES: u32 = 4;
/// Reads that go first while a program or an erase waits: of its die, and turns of the bus. Then one of those has its turn.
pub const READ_TURNS_MAX: u32 = 16;
/// Times that one program or erase is suspended. Then it runs to its end, however many reads wait.
pub const SUSPENDS_MAX: u32 = 8;
/// Completions of a channel that may wait to be taken while it takes commands. All that is inside completes, whether or not any is taken.
pub const DONE_WAITING_MAX: u32 = 14;
