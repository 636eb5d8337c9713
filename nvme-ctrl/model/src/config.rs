use nvme_spec::limits;

/// What the model is built like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// PCIe functions, each a controller of its own to its host.
    pub functions: u8,
    /// I/O queue pairs of each function.
    pub io_queues: u16,
    /// Most entries of a queue.
    pub queue_entries_max: u32,
    /// Bytes of a logical block.
    pub lba_bytes: u32,
    /// Logical blocks of namespace 1, which is private to function 0.
    pub blocks: u64,
    /// Logical blocks of namespace 2, which all functions share; 0: there is none.
    pub shared_blocks: u64,
    /// Bytes behind these namespaces that belong to none yet.
    pub spare_bytes: u64,
    /// Whether the host may make and delete namespaces, and choose the size of their blocks.
    pub is_managed: bool,
    /// Whether the storage can be erased: by sanitize operations, and by formats.
    pub can_erase: bool,
    /// Whether the storage can be copied: Copy.
    pub can_copy: bool,
    /// Commands that may be executed at the same time.
    pub commands_max: usize,
    /// Seed of every choice that the specification leaves to the controller: how long things take, and in which order commands end.
    pub seed: u64,
}

/// A configuration that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The number of I/O queue pairs is 0 or beyond what the specification crate allows.
    #[error("the number of I/O queue pairs is out of range")]
    IoQueues,
    /// Queues have at least two and at most 65536 entries.
    #[error("the number of queue entries is out of range")]
    QueueEntries,
    /// A logical block has a power of two of bytes, from 512 to one memory page.
    #[error("the size of a logical block is out of range")]
    LbaBytes,
    /// There are one to eight functions; a second one and a second namespace need management.
    #[error("the number of functions or namespaces is out of range")]
    Functions,
    /// There is at least one block and one command at a time.
    #[error("the namespace or the number of commands is empty")]
    Empty,
}

impl Config {
    /// As the default hardware: 32 MiB, so that tests reach its end soon.
    pub const DEFAULT: Self = Self {
        functions: 1,
        io_queues: limits::IO_QUEUES_DEFAULT,
        queue_entries_max: limits::QUEUE_ENTRIES_MAX,
        lba_bytes: limits::LBA_BYTES,
        blocks: 65536,
        shared_blocks: 0,
        spare_bytes: 16 << 20,
        is_managed: true,
        can_erase: true,
        can_copy: true,
        commands_max: 32,
        seed: 0x5EED,
    };

    /// As little as possible: one namespace, and no management of it.
    pub const SMALL: Self = Self {
        io_queues: 2,
        queue_entries_max: 16,
        blocks: 8192,
        spare_bytes: 0,
        is_managed: false,
        can_erase: false,
        can_copy: false,
        commands_max: 2,
        ..Self::DEFAULT
    };

    /// Two functions: the first sees a private and a sharable namespace, the second only the sharable one.
    pub const TWO_FUNCTIONS: Self =
        Self { functions: limits::FUNCTIONS_DEFAULT, shared_blocks: 32768, ..Self::DEFAULT };

    /// Whether it can work.
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.io_queues == 0 || self.io_queues > limits::IO_QUEUES_MAX {
            return Err(ConfigError::IoQueues);
        }
        let is_one = self.functions == 1 && self.shared_blocks == 0;
        if self.functions == 0 || self.functions > 8 || !(is_one || self.is_managed) {
            return Err(ConfigError::Functions);
        }
        if self.queue_entries_max < limits::QUEUE_ENTRIES_MIN || self.queue_entries_max > 1 << 16 {
            return Err(ConfigError::QueueEntries);
        }
        let lba_bytes = self.lba_bytes;
        if !lba_bytes.is_power_of_two() || lba_bytes < 512 || lba_bytes > limits::PAGE_BYTES {
            return Err(ConfigError::LbaBytes);
        }
        if self.blocks == 0 || self.commands_max == 0 {
            return Err(ConfigError::Empty);
        }
        Ok(())
    }
}

const _: () = assert!(Config::DEFAULT.check().is_ok());
const _: () = assert!(Config::SMALL.check().is_ok());
const _: () = assert!(Config::TWO_FUNCTIONS.check().is_ok());
