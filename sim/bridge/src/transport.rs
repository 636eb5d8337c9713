//! What passes between a device and real software, whatever carries it.

use sim_device::{Access, Message, Outside};

/// A PCI device as software sees it. Front ends (QEMU, vfio-user) call it; [`Bridge`](crate::Bridge) is one in front of a simulated device.
///
/// Functions are numbered from 0. A function that is not there answers as nobody does on PCI: reads return all ones, writes are dropped.
pub trait Endpoint: Send + Sync {
    /// Number of functions.
    fn functions(&self) -> u8;

    /// Entries of the MSI-X table of a function.
    fn vectors(&self) -> u16;

    /// Reads 1, 2 or 4 bytes of the configuration space.
    fn read_config(&self, function: u8, offset: u32, bytes: u8) -> u32;

    /// Writes 1, 2 or 4 bytes of the configuration space. What it changes reaches the device before every later access to its BAR.
    fn write_config(&self, function: u8, offset: u32, bytes: u8, value: u32);

    /// Reads BAR0, after all earlier writes. `then` gets the value, from a thread of the device, and must not wait for it; a device that has ended
    /// drops `then` or calls it with all ones.
    fn read_bar(&self, access: Access, then: Box<dyn FnOnce(u64) + Send>);

    /// Writes BAR0. Writes are posted: this does not wait.
    fn write_bar(&self, access: Access, value: u64);

    /// Resets a function with its configuration space, as a bus does.
    fn reset(&self, function: u8);

    /// Reads BAR0 and waits for the value.
    fn read_bar_now(&self, access: Access) -> u64 {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.read_bar(access, Box::new(move |value| sender.send(value).unwrap_or_default()));
        receiver.recv().unwrap_or(u64::MAX)
    }
}

/// What a device reaches: the memory of the software that drives it, by DMA, and its interrupt controller.
pub trait Host: Outside + Send {
    /// The interrupt messages that came up in one step of the device, in their order; at least one. Each is a write of what the MSI-X table says.
    /// A host may deliver those that are the same once: see [`distinct`].
    fn interrupt(&mut self, messages: &[Message]);
}

/// The messages without those that are the same as an earlier one: function, address and data.
///
/// A message is an edge, not a count: until software has acknowledged it, another one of the same vector may be merged with it. "If a Function sends
/// messages with the same vector multiple times before being acknowledged by software, only one message is guaranteed to be serviced." (PCI Express
/// Base, "MSI and MSI-X Operation", "Hardware/Software Synchronization".) Between the messages of a step nobody acknowledges anything, and the data of
/// all of them is in memory before the first is delivered.
pub fn distinct(messages: &[Message]) -> impl Iterator<Item = &Message> {
    let key = |message: &Message| (message.function, message.address, message.data);
    let is_first = move |&(index, message): &(usize, &Message)| {
        !messages[..index].iter().any(|earlier| key(earlier) == key(message))
    };
    messages.iter().enumerate().filter(is_first).map(|(_, message)| message)
}
