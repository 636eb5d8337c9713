//! The server of vfio-user, message by message, in front of a device that only writes down what it is asked for.

mod common;

use common::{Call, Served, PATIENCE, VECTORS};
use nvme_spec::pci::{COMMAND, DEVICE_CONTROL, EXTENDED_CONFIG_BYTES, ID, POWER_CONTROL};
use nvme_spec::regs::{self, BAR0_BYTES, DOORBELLS, MSIX_ENTRY_BYTES, MSIX_TABLE};
use rustix::event::{eventfd, EventfdFlags};
use rustix::fs::{memfd_create, MemfdFlags};
use sim_bridge::Host;
use sim_device::{Access, Fault, Message, Outside};
use sim_vfio_client::{action, command, data, region, Client, Connection, Error, Memory, NoMemory};
use sim_vfio_client::{DeviceInfo, InterruptInfo, ERROR, NO_REPLY, REPLY};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

const PAGE: u64 = 4096;
const MSIX: u32 = 2;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_ne_bytes()).collect()
}

fn memory_file(pages: u64) -> File {
    let file = File::from(memfd_create("memory", MemfdFlags::CLOEXEC).expect("a memfd"));
    file.set_len(pages * PAGE).expect("its length");
    file
}

fn event_file() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an event file")
}

/// How often it was signalled since this was last asked.
fn signals(file: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    rustix::io::read(file, &mut count).map_or(0, |_| u64::from_ne_bytes(count))
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> i32 {
    match result {
        Err(Error::Refused { errno, .. }) => errno,
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[test]
fn a_version_is_agreed_on_with_json_and_without() {
    let served = Served::new();
    let client = Client::negotiate(served.open(), "").expect("no JSON");
    assert_eq!(client.agreement, "");
    drop(client);
    let mut client = Client::negotiate(served.open(), "{\"capabilities\":{\"max_msg_fds\":1}}\0").expect("JSON");
    assert_eq!(client.agreement, "{\"capabilities\":{\"max_msg_fds\":16}}\0");
    assert_eq!(refused(client.request(command::VERSION, &[0, 0, 1, 0], &[], &mut NoMemory)), libc::EINVAL, "again");
    client.info().expect("the conversation goes on");
}

#[test]
fn the_device_tells_what_it_has() {
    let served = Served::new();
    let mut client = served.client();
    assert_eq!(client.info().expect("info"), DeviceInfo { flags: 3, regions: 9, interrupts: 5 });
    for index in 0..9 {
        let info = client.region(index).expect("a region");
        let (flags, bytes) = match index {
            region::BAR0 => (15, u64::from(BAR0_BYTES)),
            region::CONFIG => (3, u64::from(EXTENDED_CONFIG_BYTES)),
            _ => (0, 0),
        };
        assert_eq!((info.flags, info.bytes), (flags, bytes), "region {index}");
        assert_eq!(info.file.is_some(), index == region::BAR0);
        let doorbells = (u64::from(DOORBELLS.start), u64::from(DOORBELLS.start), DOORBELLS.len() as u64);
        assert_eq!(info.areas, if index == region::BAR0 { vec![doorbells] } else { vec![] });
    }
    for index in 0..5 {
        let vectors = InterruptInfo { flags: 3, count: VECTORS.into() };
        let none = InterruptInfo { flags: 0, count: 0 };
        assert_eq!(client.interrupts(index).expect("interrupts"), if index == MSIX { vectors } else { none });
    }
}

/// "Message sizes": a payload that does not fit is not sent, and the reply says how much room it needs. SPDK sends as many bytes as it has room for.
#[test]
fn a_region_with_capabilities_needs_room() {
    let served = Served::new();
    let mut client = served.client();
    for (room, bytes, files) in [(32, 32, 0), (63, 32, 0), (64, 64, 1), (4064, 64, 1)] {
        let mut request = words(&[room, 0, region::BAR0, 0, 0, 0, 0, 0]);
        request.resize(request.len().max(room as usize), 0);
        let reply = client.request(command::GET_REGION_INFO, &request, &[], &mut NoMemory).expect("a reply");
        assert_eq!((reply.body.len(), reply.files.len()), (bytes, files), "room for {room}");
        assert_eq!(reply.body[..16], words(&[64, 15, region::BAR0, 32]), "room for {room}");
    }
}

#[test]
fn registers_are_accessed_as_they_were_asked_for() {
    let served = Served::new();
    let mut client = served.client();
    for (offset, bytes) in [(0, 8), (0, 4), (0x14, 4), (0x1C, 2), (0x1D, 1), (0x3FF8, 8)] {
        let mut read = vec![0; bytes];
        client.read(region::BAR0, offset, &mut read, &mut NoMemory).expect("a read");
        assert_eq!(read, offset.to_le_bytes()[..bytes]);
        let value = 0x0807_0605_0403_0201_u64 & u64::MAX >> (64 - 8 * bytes);
        client.write(region::BAR0, offset, &value.to_le_bytes()[..bytes], &mut NoMemory).expect("a write");
        let access = Access { function: 0, offset, bytes: bytes as u8 };
        assert_eq!(served.fake.take(), [Call::Write(access, value)]);
    }
    // What is no single access becomes several, in order.
    client.write(region::BAR0, 0x26, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], &mut NoMemory).expect("a write");
    let parts = [(0x26, 2, 0x0201), (0x28, 8, 0x0A09_0807_0605_0403), (0x30, 1, 11)];
    let parts = parts.map(|(offset, bytes, value)| Call::Write(Access { function: 0, offset, bytes }, value));
    assert_eq!(served.fake.take(), parts);
    let mut all = vec![0; BAR0_BYTES as usize];
    client.read(region::BAR0, 0, &mut all, &mut NoMemory).expect("all of it");
    for (at, eight) in all.chunks(8).enumerate() {
        assert_eq!(eight, (8 * at as u64).to_le_bytes());
    }
}

/// QEMU reads all of it at once; SPDK enables bus mastering and disables INTx by two bytes.
#[test]
fn the_configuration_space_is_accessed_in_any_parts() {
    let served = Served::new();
    let mut client = served.client();
    let mut space = vec![0xFF; EXTENDED_CONFIG_BYTES as usize];
    client.read(region::CONFIG, 0, &mut space, &mut NoMemory).expect("all of it");
    assert_eq!(space[..4], (ID.reset as u32).to_le_bytes());
    assert_eq!(space[256..], [0; 4096 - 256]);
    client.write(region::CONFIG, COMMAND.offset.into(), &[0x04, 0x04], &mut NoMemory).expect("a write");
    assert_eq!(served.fake.take(), [Call::Config(COMMAND.offset, 2, 0x404)]);
    let mut back = [0; 2];
    client.read(region::CONFIG, COMMAND.offset.into(), &mut back, &mut NoMemory).expect("a read");
    assert_eq!(back, [4, 4]);
    client.write(region::CONFIG, 0x0D, &[1, 2, 3, 4, 5, 6, 7], &mut NoMemory).expect("a write");
    let parts = [(0x0D, 1, 1), (0x0E, 2, 0x302), (0x10, 4, 0x0706_0504)];
    assert_eq!(served.fake.take(), parts.map(|(offset, bytes, value)| Call::Config(offset, bytes, value)));
}

/// A device that is slow holds back the answers to reads, and nothing else.
#[test]
fn what_does_not_need_the_device_does_not_wait_for_it() {
    let served = Served::new();
    let mut client = served.client();
    let _held = served.fake.hold_reads();
    let read = [longs(&[0x1C]), words(&[region::BAR0, 4])].concat();
    client.connection().send(&Connection::message(7, command::REGION_READ, 0, &read), &[]).expect("a read");
    client.connection().send(&Connection::message(7, command::REGION_READ, 0, &read), &[]).expect("the same id");
    client.info().expect("an answer before those of the reads");
    let mut held = served.fake.held_reads(2).into_iter();
    held.next().expect("the first read")(0x0403_0201);
    let reply = client.connection().receive().expect("a reply").expect("a reply");
    assert_eq!((reply.id, reply.flags, &reply.body[16..]), (7, REPLY, &[1, 2, 3, 4][..]));
    // A device that has ended drops what waits for it.
    drop(held);
    let reply = client.connection().receive().expect("a reply").expect("a reply");
    assert_eq!((reply.id, reply.flags, &reply.body[16..]), (7, REPLY, &[0xFF; 4][..]));
}

/// A client that asks and asks is told to come back, before it takes all of this process's memory.
#[test]
fn reads_that_wait_are_limited() {
    let served = Served::new();
    let mut client = served.client();
    let _held = served.fake.hold_reads();
    let read = [longs(&[0]), words(&[region::BAR0, BAR0_BYTES])].concat();
    for _ in 0..2 {
        client.connection().send(&Connection::message(0, command::REGION_READ, 0, &read), &[]).expect("2048 reads");
    }
    let mut one = [0; 1];
    client.connection().send(&Connection::message(1, command::REGION_READ, 0, &read), &[]).expect("too many");
    assert!(client.connection().wait(PATIENCE).expect("the socket"), "it is refused");
    let refusal = client.connection().receive().expect("a reply").expect("a reply");
    assert_eq!((refusal.id, refusal.flags, refusal.errno as i32), (1, REPLY | ERROR, libc::EBUSY));
    served.fake.held_reads(4096).into_iter().for_each(|then| then(0));
    for _ in 0..2 {
        client.connection().receive().expect("a reply").expect("a reply");
    }
    client.read(region::BAR0, 0, &mut one, &mut NoMemory).expect("there is room again");
}

/// What is wrong, the command, its payload and files, and the error of the refusal.
type Malformed<'f> = (&'static str, u16, Vec<u8>, Vec<BorrowedFd<'f>>, i32);

/// Each request that breaks the rules of its command is refused, changes nothing, and the next one is understood.
#[test]
fn malformed_requests_are_refused() {
    let served = Served::new();
    let mut client = served.client();
    let file = memory_file(4);
    let event = event_file();
    let pipe = rustix::pipe::pipe().expect("a pipe");
    let map_body = |flags: u32, offset: u64, address: u64, bytes: u64| {
        [words(&[32, flags]), longs(&[offset, address, bytes])].concat()
    };
    let unmap_body = |flags: u32, address: u64, bytes: u64| [words(&[24, flags]), longs(&[address, bytes])].concat();
    let access = |offset: u64, region: u32, count: u32| [longs(&[offset]), words(&[region, count])].concat();
    let irqs = |flags: u32, index: u32, start: u32, count: u32| words(&[20, flags, index, start, count]);
    let none = Vec::<BorrowedFd<'_>>::new;
    client.map(3, 16 * PAGE, 4 * PAGE, None).expect("a window");
    use libc::{E2BIG, EEXIST, EINVAL, ENOENT, ENOTSUP};
    let trigger = data::EVENT_FILE | action::TRIGGER;
    let mut cases: Vec<Malformed<'_>> = vec![
        ("no command 0", 0, vec![], none(), ENOTSUP),
        ("a command of the server", command::DMA_READ, longs(&[0, 8]), none(), ENOTSUP),
        ("a command that is not offered", command::GET_REGION_IO_FDS, words(&[16, 0, 0, 0]), none(), ENOTSUP),
        ("the last command", u16::MAX, vec![0; 64], none(), ENOTSUP),
        ("map: short", command::DMA_MAP, vec![0; 31], none(), EINVAL),
        ("map: no access", command::DMA_MAP, map_body(0, 0, 0, PAGE), none(), EINVAL),
        ("map: unknown flag", command::DMA_MAP, map_body(7, 0, 0, PAGE), none(), EINVAL),
        ("map: empty", command::DMA_MAP, map_body(3, 0, 0, 0), none(), EINVAL),
        ("map: beyond the end", command::DMA_MAP, map_body(3, 0, u64::MAX, 2), none(), EINVAL),
        ("map: over another", command::DMA_MAP, map_body(3, 0, 0, 17 * PAGE), none(), EEXIST),
        ("map: inside another", command::DMA_MAP, map_body(3, 0, 17 * PAGE, PAGE), none(), EEXIST),
        ("map: the last byte of another", command::DMA_MAP, map_body(3, 0, 20 * PAGE - 1, 1), none(), EEXIST),
        ("map: two files", command::DMA_MAP, map_body(3, 0, 0, PAGE), vec![file.as_fd(); 2], EINVAL),
        ("map: a file too short", command::DMA_MAP, map_body(3, 0, 0, 5 * PAGE), vec![file.as_fd()], EINVAL),
        ("map: an odd offset", command::DMA_MAP, map_body(3, 7, 0, PAGE), vec![file.as_fd()], EINVAL),
        ("map: an offset beyond", command::DMA_MAP, map_body(3, u64::MAX - 4095, 0, PAGE), vec![file.as_fd()], EINVAL),
        ("map: no memory", command::DMA_MAP, map_body(3, 0, 0, PAGE), vec![event.as_fd()], EINVAL),
        ("map: a pipe", command::DMA_MAP, map_body(3, 0, 0, PAGE), vec![pipe.0.as_fd()], EINVAL),
        ("unmap: short", command::DMA_UNMAP, vec![0; 23], none(), EINVAL),
        ("unmap: a part", command::DMA_UNMAP, unmap_body(0, 16 * PAGE, PAGE), none(), ENOENT),
        ("unmap: nothing", command::DMA_UNMAP, unmap_body(0, 0, 0), none(), ENOENT),
        ("unmap: the dirty bitmap", command::DMA_UNMAP, unmap_body(1, 16 * PAGE, 4 * PAGE), none(), EINVAL),
        ("unmap: all, but not", command::DMA_UNMAP, unmap_body(2, 16 * PAGE, 4 * PAGE), none(), EINVAL),
        ("info: short", command::GET_INFO, vec![16; 15], none(), EINVAL),
        ("info: no room", command::GET_INFO, words(&[15, 0, 0, 0]), none(), EINVAL),
        ("region: short", command::GET_REGION_INFO, words(&[32, 0, 0, 0, 0, 0, 0]), none(), EINVAL),
        ("region: no room", command::GET_REGION_INFO, words(&[31, 0, 0, 0, 0, 0, 0, 0]), none(), EINVAL),
        ("region: none", command::GET_REGION_INFO, words(&[32, 0, 9, 0, 0, 0, 0, 0]), none(), EINVAL),
        ("interrupts: short", command::GET_IRQ_INFO, words(&[16, 0, 2]), none(), EINVAL),
        ("interrupts: no room", command::GET_IRQ_INFO, words(&[15, 0, 2, 0]), none(), EINVAL),
        ("interrupts: none", command::GET_IRQ_INFO, words(&[16, 0, 5, 0]), none(), EINVAL),
        ("read: short", command::REGION_READ, vec![0; 15], none(), EINVAL),
        ("read: nothing", command::REGION_READ, access(0, 0, 0), none(), EINVAL),
        ("read: over the end", command::REGION_READ, access(0x3FFF, 0, 2), none(), EINVAL),
        ("read: beyond the end", command::REGION_READ, access(u64::MAX, 0, 4), none(), EINVAL),
        ("read: as much as there is not", command::REGION_READ, access(0, 0, u32::MAX), none(), EINVAL),
        ("read: over the configuration space", command::REGION_READ, access(0xFFF, 7, 2), none(), EINVAL),
        ("read: an empty region", command::REGION_READ, access(0, 1, 1), none(), EINVAL),
        ("read: no region", command::REGION_READ, access(0, 9, 1), none(), EINVAL),
        ("write: short", command::REGION_WRITE, vec![0; 15], none(), EINVAL),
        ("write: no data", command::REGION_WRITE, access(0, 0, 4), none(), EINVAL),
        ("write: too little", command::REGION_WRITE, [access(0, 0, 4), vec![0; 3]].concat(), none(), EINVAL),
        ("write: too much", command::REGION_WRITE, [access(0, 0, 4), vec![0; 5]].concat(), none(), EINVAL),
        ("write: over the end", command::REGION_WRITE, [access(0x3FFE, 0, 4), vec![0; 4]].concat(), none(), EINVAL),
        ("write: no region", command::REGION_WRITE, [access(0, u32::MAX, 4), vec![0; 4]].concat(), none(), EINVAL),
        ("irqs: short", command::SET_IRQS, vec![0; 19], none(), EINVAL),
        ("irqs: no data", command::SET_IRQS, irqs(action::TRIGGER, 2, 0, 1), none(), EINVAL),
        ("irqs: no action", command::SET_IRQS, irqs(data::NONE, 2, 0, 1), none(), EINVAL),
        ("irqs: two actions", command::SET_IRQS, irqs(data::NONE | 8 | 16, 2, 0, 1), none(), EINVAL),
        ("irqs: two kinds of data", command::SET_IRQS, irqs(3 | 32, 2, 0, 1), none(), EINVAL),
        ("irqs: unknown flag", command::SET_IRQS, irqs(data::NONE | 32 | 64, 2, 0, 1), none(), EINVAL),
        ("irqs: beyond the last", command::SET_IRQS, irqs(data::NONE | 32, 2, 64, 2), none(), EINVAL),
        ("irqs: over the end", command::SET_IRQS, irqs(data::NONE | 32, 2, u32::MAX, 2), none(), EINVAL),
        ("irqs: none of them", command::SET_IRQS, irqs(data::NONE | 8, 2, 0, 0), none(), EINVAL),
        ("irqs: none at the end", command::SET_IRQS, irqs(data::NONE | 32, 2, 65, 0), none(), EINVAL),
        ("irqs: INTx", command::SET_IRQS, irqs(data::NONE | 32, 0, 0, 1), none(), EINVAL),
        ("irqs: no kind", command::SET_IRQS, irqs(data::NONE | 32, 5, 0, 0), none(), EINVAL),
        ("irqs: too few bytes", command::SET_IRQS, [irqs(data::BOOL | 32, 2, 0, 2), vec![1]].concat(), none(), EINVAL),
        ("irqs: too few files", command::SET_IRQS, irqs(trigger, 2, 0, 2), vec![event.as_fd()], EINVAL),
        ("irqs: too many files", command::SET_IRQS, irqs(trigger, 2, 0, 1), vec![event.as_fd(); 2], EINVAL),
        ("irqs: files for nothing", command::SET_IRQS, irqs(data::NONE | 32, 2, 0, 1), vec![event.as_fd()], EINVAL),
        ("irqs: a pipe", command::SET_IRQS, irqs(trigger, 2, 0, 1), vec![pipe.1.as_fd()], EINVAL),
        ("irqs: memory", command::SET_IRQS, irqs(trigger, 2, 0, 1), vec![file.as_fd()], EINVAL),
        ("more files than fit", command::SET_IRQS, irqs(trigger, 2, 0, 17), vec![event.as_fd(); 17], E2BIG),
        ("as many files as possible", command::GET_INFO, words(&[16, 0, 0, 0]), vec![event.as_fd(); 253], E2BIG),
    ];
    // Longer than any command: it is drained.
    for bytes in [(1 << 20) + 17, 3 << 20] {
        cases.push(("a long write", command::REGION_WRITE, vec![0xFF; bytes], none(), E2BIG));
        cases.push(("a long nothing", 77, vec![0xFF; bytes], none(), E2BIG));
    }
    for (what, command, body, files, errno) in cases {
        assert_eq!(refused(client.request(command, &body, &files, &mut NoMemory)), errno, "{what}");
        assert_eq!(served.fake.take(), [], "{what}");
        assert_eq!(served.serving.windows(), 1, "{what}");
        client.info().unwrap_or_else(|error| panic!("after {what}: {error}"));
    }
    // "Header": who wants no reply gets none, whatever it is.
    for (command, body) in
        [(77, vec![]), (command::GET_INFO, words(&[16, 0, 0, 0])), (command::REGION_WRITE, vec![0; 2 << 20])]
    {
        client.connection().send(&Connection::message(9, command, NO_REPLY, &body), &[]).expect("sent");
    }
    let write = [access(0x14, 0, 4), vec![1, 0, 0, 0]].concat();
    client.connection().send(&Connection::message(9, command::REGION_WRITE, NO_REPLY, &write), &[]).expect("sent");
    client.info().expect("the reply to this and no other");
    assert_eq!(served.fake.take(), [Call::Write(Access::dword(0x14), 1)]);
}

/// After what cannot be answered, the server ends the connection, and serves the next client.
#[test]
fn a_conversation_that_makes_no_sense_is_ended() {
    let served = Served::new();
    let version = Connection::message(0, command::VERSION, 0, &[0, 0, 1, 0]);
    let mut short = version.clone();
    short[4..8].copy_from_slice(&15u32.to_ne_bytes());
    let mut empty = version.clone();
    empty[4..8].copy_from_slice(&0u32.to_ne_bytes());
    let first = |command: u16, body: &[u8]| Connection::message(0, command, 0, body);
    let after = |message: Vec<u8>| [version.clone(), message].concat();
    let cases: [(&str, Vec<u8>, usize); 12] = [
        ("no version", first(command::GET_INFO, &words(&[16, 0, 0, 0])), 1),
        ("a version of another age", first(command::VERSION, &[1, 0, 0, 0]), 1),
        ("a version without a version", first(command::VERSION, &[]), 1),
        ("JSON that is none", first(command::VERSION, b"\0\0\x01\0{\"capabilities\":\0"), 1),
        ("JSON without an end", first(command::VERSION, b"\0\0\x01\0{}"), 1),
        ("a version that wants no reply, and is none", Connection::message(0, command::VERSION, NO_REPLY, &[9]), 0),
        ("a length below that of a header", short.clone(), 0),
        ("a length of nothing", empty, 0),
        ("a short length later", after(short), 1),
        ("a type that is none", after(Connection::message(0, command::GET_INFO, 2, &words(&[16, 0, 0, 0]))), 1),
        ("half a header", after(version[..7].to_vec()), 1),
        ("half a message", after(version[..18].to_vec()), 1),
    ];
    for (what, bytes, replies) in cases {
        let connection = served.open();
        connection.send(&bytes, &[]).expect("sent");
        if what.starts_with("half") {
            connection.finish().expect("the end");
        }
        let mut got = 0;
        while let Ok(Some(_)) = connection.receive() {
            got += 1;
        }
        assert_eq!(got, replies, "{what}");
        served.client().info().unwrap_or_else(|error| panic!("after {what}: {error}"));
    }
}

/// Replies that nobody asked for are dropped.
#[test]
fn replies_to_nothing_are_dropped() {
    let served = Served::new();
    let mut client = served.client();
    for (id, command) in [(0, command::DMA_READ), (1, command::DMA_WRITE), (2, command::GET_INFO), (u16::MAX, 0)] {
        let reply = Connection::message(id, command, REPLY, &[0; 64]);
        client.connection().send(&reply, &[event_file().as_fd()]).expect("sent");
    }
    client.info().expect("the conversation goes on");
}

/// What `work` returns, from a thread of its own: who never comes back fails a test instead of stopping it.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> impl FnOnce() -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    move || receiver.recv_timeout(PATIENCE).expect("it does not wait for ever")
}

/// Ends a connection when its test fails, so that no device waits for an answer.
struct EndsIfFailed(OwnedFd);

impl EndsIfFailed {
    fn new(client: &Client) -> Self {
        Self(client.connection().as_fd().try_clone_to_owned().expect("a second descriptor"))
    }
}

impl Drop for EndsIfFailed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
        }
    }
}

// --- Memory ------------------------------------------------------------------------------------------------------------------------------

/// Memory of the client from address 0 on, which knows how it was reached.
struct Asked {
    bytes: Vec<u8>,
    longest: usize,
}

impl Memory for Asked {
    fn read(&mut self, address: u64, data: &mut [u8]) -> bool {
        self.longest = self.longest.max(data.len());
        let there = self.bytes.get(address as usize..address as usize + data.len());
        there.is_some_and(|bytes| {
            data.copy_from_slice(bytes);
            true
        })
    }

    fn write(&mut self, address: u64, data: &[u8]) -> bool {
        self.longest = self.longest.max(data.len());
        let there = self.bytes.get_mut(address as usize..address as usize + data.len());
        there.is_some_and(|bytes| {
            bytes.copy_from_slice(data);
            true
        })
    }
}

/// Lets the device do `work`, in a thread of its own, and the client answer what it asks for.
fn while_serving<T: Send>(client: &mut Client, memory: &mut dyn Memory, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let _end = EndsIfFailed::new(client);
        let device = scope.spawn(work);
        while !device.is_finished() {
            client.serve(std::time::Duration::from_millis(1), memory).expect("the conversation goes on");
        }
        device.join().expect("the device does not panic")
    })
}

#[test]
fn memory_is_reached_through_files_and_by_messages() {
    let mut served = Served::new();
    let proposal = "{\"capabilities\":{\"max_data_xfer_size\":100}}\0";
    let mut client = Client::negotiate(served.open(), proposal).expect("a client");
    let file = memory_file(3);
    let high = u64::MAX - 4 * PAGE + 1;
    client.map(3, high, 2 * PAGE, Some((file.as_fd(), PAGE))).expect("a file");
    client.map(3, 0, PAGE, None).expect("messages");
    client.map(1, PAGE, PAGE, None).expect("read-only, by messages");
    client.map(2, 2 * PAGE, PAGE, Some((file.as_fd(), 0))).expect("write-only, a file");
    client.map(3, u64::MAX, 1, None).expect("the last byte");
    assert_eq!(served.serving.windows(), 5);
    let mut memory = Asked { bytes: (0..3 * PAGE).map(|at| (at / 7) as u8).collect(), longest: 0 };
    let host = &mut served.host;
    // The file.
    assert_eq!(host.write(0, high + PAGE - 2, &[1, 2, 3, 4]), Ok(()));
    let mut back = [0; 4];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut back, 2 * PAGE - 2).expect("the file");
    assert_eq!(back, [1, 2, 3, 4]);
    assert_eq!(host.read(0, high + 2 * PAGE - 2, &mut back), Err(Fault), "over the end");
    // Messages, over the border of two windows.
    let mut data = vec![0; 1000];
    let result = while_serving(&mut client, &mut memory, || host.read(0, PAGE - 500, &mut data));
    assert_eq!((result, memory.longest), (Ok(()), 100));
    assert_eq!(data, memory.bytes[PAGE as usize - 500..][..1000]);
    let result = while_serving(&mut client, &mut memory, || host.write(0, 5, &[9; 250]));
    assert_eq!(result, Ok(()));
    assert_eq!(memory.bytes[4..256], [&[0][..], &[9; 250], &[(255 / 7) as u8]].concat());
    // What must not be done.
    assert_eq!(while_serving(&mut client, &mut memory, || host.write(0, PAGE, &[1])), Err(Fault), "read-only");
    assert_eq!(host.read(0, 2 * PAGE, &mut back), Err(Fault), "write-only");
    assert_eq!(host.write(0, 2 * PAGE, &[1]), Ok(()), "write-only");
    assert_eq!(host.read(0, 3 * PAGE, &mut back), Err(Fault), "nothing");
    assert_eq!(host.read(1, 0, &mut back), Err(Fault), "a function without a client");
    // The client says no.
    memory.bytes.truncate(10);
    assert_eq!(while_serving(&mut client, &mut memory, || host.read(0, 100, &mut back)), Err(Fault));
    assert_eq!(while_serving(&mut client, &mut memory, || host.write(0, 100, &back)), Err(Fault));
    // Windows go one by one, and all together.
    client.unmap(0, high, 2 * PAGE, &mut memory).expect("the file");
    assert_eq!(host.write(0, high, &[1]), Err(Fault));
    client.unmap(0, 0, PAGE, &mut memory).expect("messages");
    assert_eq!(host.read(0, 0, &mut back), Err(Fault));
    client.unmap(2, 0, 0, &mut memory).expect("all");
    assert_eq!(served.serving.windows(), 0);
    // SPDK sends the file once more.
    client.map(3, 0, PAGE, Some((file.as_fd(), 0))).expect("a file");
    let unmap = [words(&[24, 0]), longs(&[0, PAGE])].concat();
    client.request(command::DMA_UNMAP, &unmap, &[file.as_fd()], &mut NoMemory).expect("unmapped");
}

/// Answers that do not fit the question are an error for the device, and for nobody else.
#[test]
fn answers_that_do_not_fit_are_faults() {
    let served = Served::new();
    let mut client = served.client();
    client.map(3, 0, PAGE, None).expect("messages");
    let fitting = longs(&[0, 8, 0x1122_3344_5566_7788]);
    let mut host = served.host;
    let mut ask = |reply: &dyn Fn(u16) -> Vec<u8>| {
        std::thread::scope(|scope| {
            let _end = EndsIfFailed::new(&client);
            let device = scope.spawn(|| {
                let mut data = [0; 8];
                host.read(0, 0, &mut data).map(|()| u64::from_ne_bytes(data))
            });
            let question = client.connection().receive().expect("a question").expect("a question");
            assert_eq!((question.command, question.flags), (command::DMA_READ, 0));
            assert_eq!(question.body, longs(&[0, 8]));
            client.connection().send(&reply(question.id), &[]).expect("an answer");
            device.join().expect("the device does not panic")
        })
    };
    let good = |id| Connection::message(id, command::DMA_READ, REPLY, &fitting);
    assert_eq!(ask(&good), Ok(0x1122_3344_5566_7788));
    let stranger = |id: u16| [Connection::message(id ^ 1, command::DMA_READ, REPLY, &[]), good(id)].concat();
    assert_eq!(ask(&stranger), Ok(0x1122_3344_5566_7788), "an answer to something else comes first");
    assert_eq!(ask(&|id| [good(id), good(id)].concat()), Ok(0x1122_3344_5566_7788), "an answer twice");
    assert_eq!(ask(&|id| Connection::message(id, command::DMA_READ, REPLY, &fitting[..23])), Err(Fault), "short");
    assert_eq!(ask(&|id| Connection::message(id, command::DMA_READ, REPLY, &[])), Err(Fault), "empty");
    assert_eq!(ask(&|id| Connection::message(id, command::DMA_READ, REPLY, &[0; 25])), Err(Fault), "long");
    assert_eq!(ask(&|id| Connection::message(id, command::DMA_READ, REPLY, &vec![0; 2 << 20])), Err(Fault), "huge");
    assert_eq!(ask(&|id| Connection::message(id, command::DMA_WRITE, REPLY, &fitting)), Err(Fault), "another command");
    assert_eq!(ask(&|id| Connection::message(id, command::DMA_READ, REPLY | ERROR, &[])), Err(Fault), "an error");
    assert_eq!(ask(&good), Ok(0x1122_3344_5566_7788));
}

/// "`VFIO_USER_DMA_UNMAP`": the reply comes when nobody accesses the window any more, and later accesses fail.
#[test]
fn an_unmap_waits_for_the_access_under_way() {
    let served = Served::new();
    let mut client = served.client();
    client.map(3, 0, PAGE, None).expect("messages");
    client.map(3, PAGE, PAGE, None).expect("messages");
    let mut host = served.host;
    for all in [false, true] {
        std::thread::scope(|scope| {
            let _end = EndsIfFailed::new(&client);
            let device = scope.spawn(|| host.read(0, PAGE + 8, &mut [0; 8]));
            let question = client.connection().receive().expect("a question").expect("a question");
            let other = [words(&[24, 0]), longs(&[0, PAGE])].concat();
            let unmap = |id: u16, body: &[u8]| Connection::message(id, command::DMA_UNMAP, 0, body);
            if all {
                client.connection().send(&unmap(101, &[words(&[24, 2]), longs(&[0, 0])].concat()), &[]).expect("sent");
            } else {
                client.connection().send(&unmap(100, &other), &[]).expect("sent");
                let reply = client.connection().receive().expect("a reply").expect("a reply");
                assert_eq!((reply.id, reply.flags), (100, REPLY), "nobody accesses this one");
                client
                    .connection()
                    .send(&unmap(101, &[words(&[24, 0]), longs(&[PAGE, PAGE])].concat()), &[])
                    .expect("sent");
            }
            // Messages are taken in order: when this has its reply, the unmap has been taken.
            client.info().expect("the reply to this, and not that to the unmap");
            assert_eq!(served.serving.windows(), 0);
            let answer = Connection::message(question.id, question.command, REPLY, &longs(&[PAGE + 8, 8, 1]));
            client.connection().send(&answer, &[]).expect("an answer");
            let reply = client.connection().receive().expect("a reply").expect("a reply");
            assert_eq!((reply.id, reply.flags), (101, REPLY));
            assert_eq!(device.join().expect("the device does not panic"), Ok(()), "it has had its data");
        });
        assert_eq!(host.read(0, PAGE + 8, &mut [0; 8]), Err(Fault));
        client.map(3, PAGE, PAGE, None).expect("it can be mapped again");
    }
}

/// A client that goes without an answer leaves a fault, and not a device that waits.
#[test]
fn an_access_fails_when_the_client_goes() {
    let Served { serving, mut host, directory, .. } = Served::new();
    for round in 0..3 {
        let mut client = Client::connect(&directory.socket()).expect("a client");
        client.map(3, 0, PAGE, None).expect("messages");
        let device = in_time(move || (host.read(0, 8, &mut [0; 8]), host.read(0, 8, &mut [0; 8]), host));
        let question = client.connection().receive().expect("a question").expect("a question");
        if round == 1 {
            let half = Connection::message(question.id, question.command, REPLY, &longs(&[8, 8, 1]));
            client.connection().send(&half[..20], &[]).expect("half an answer");
        }
        drop(client);
        let (first, second, back) = device();
        assert_eq!((first, second), (Err(Fault), Err(Fault)));
        assert_eq!(serving.windows(), 0);
        host = back;
    }
    Client::connect(&directory.socket()).expect("the next client").info().expect("it is served");
}

// --- Clients -----------------------------------------------------------------------------------------------------------------------------

/// A second client waits, and finds the function as after power-on.
#[test]
fn clients_come_one_after_another() {
    let mut served = Served::new();
    let mut first = served.client();
    let event = event_file();
    first.map(3, 0, PAGE, Some((memory_file(1).as_fd(), 0))).expect("a window");
    first.set_interrupts(data::EVENT_FILE | action::TRIGGER, MSIX, 0..1, &[], &[event.as_fd()]).expect("a vector");
    first.write(region::CONFIG, COMMAND.offset.into(), &[4, 0], &mut NoMemory).expect("bus mastering");
    let second = served.open();
    second.send(&Connection::message(5, command::VERSION, 0, &[0, 0, 0, 0]), &[]).expect("it is in line");
    first.info().expect("the first is still served");
    assert!(!second.wait(std::time::Duration::ZERO).expect("the socket"), "no answer yet");
    served.fake.take();
    drop(first);
    let reply = second.receive().expect("a reply").expect("a reply");
    assert_eq!((reply.id, reply.flags), (5, REPLY));
    assert_eq!(served.fake.take(), [Call::Reset(0)]);
    assert_eq!(served.host.read(0, 0, &mut [0]), Err(Fault));
    served.host.interrupt(&[message(0)]);
    assert_eq!(signals(&event), 0);
}

/// An interrupt that the device sends while its client goes reaches nobody: the files are closed before the function is reset.
#[test]
fn interrupts_reach_no_client_that_went() {
    let mut served = Served::new();
    let mut client = served.client();
    let event = event_file();
    client.set_interrupts(data::EVENT_FILE | action::TRIGGER, MSIX, 0..1, &[], &[event.as_fd()]).expect("a vector");
    served.fake.take();
    drop(client);
    assert_eq!(served.fake.take_when(1), [Call::Reset(0)]);
    served.host.interrupt(&[message(0)]);
    assert_eq!(signals(&event), 0);
}

#[test]
fn a_reset_is_answered_when_the_device_has_taken_it() {
    let served = Served::new();
    let mut client = served.client();
    let _held = served.fake.hold_reads();
    client.connection().send(&Connection::message(3, command::RESET, 0, &[]), &[]).expect("sent");
    client.info().expect("an answer before");
    assert_eq!(served.fake.take(), [Call::Reset(0)]);
    served.fake.held_reads(1).into_iter().for_each(|then| then(0));
    let reply = client.connection().receive().expect("a reply").expect("a reply");
    assert_eq!((reply.id, reply.command, reply.flags, reply.body.len()), (3, command::RESET, REPLY, 0));
    client.reset(&mut NoMemory).expect("a reset");
}

/// Stopping sends clients away, and nobody waits for them.
#[test]
fn a_server_can_be_stopped_while_the_device_waits_for_its_client() {
    let Served { serving, mut host, directory, .. } = Served::new();
    let mut client = Client::connect(&directory.socket()).expect("a client");
    client.map(3, 0, PAGE, None).expect("messages");
    std::thread::scope(|scope| {
        let device = scope.spawn(|| host.read(0, 8, &mut [0; 8]));
        client.connection().receive().expect("a question").expect("a question");
        serving.stop();
        assert_eq!(device.join().expect("the device does not panic"), Err(Fault));
    });
    assert!(matches!(client.info(), Err(Error::Gone | Error::Io(_))));
    assert!(!directory.socket().exists());
}

// --- Interrupts --------------------------------------------------------------------------------------------------------------------------

fn message(vector: u32) -> Message {
    Message { function: 0, address: sim_device::MESSAGE_WINDOW.start, data: vector, clock: 0 }
}

/// The writes that program the entry of a vector.
fn entry(vector: u32, is_masked: bool) -> Vec<Call> {
    let start = u64::from(MSIX_TABLE.start + vector * MSIX_ENTRY_BYTES);
    let address = sim_device::MESSAGE_WINDOW.start;
    let words = [address as u32, (address >> 32) as u32, vector, is_masked.into()];
    (0..).zip(words).map(|(at, word)| Call::Write(Access::dword(start + 4 * at), word.into())).collect()
}

fn entries(vectors: std::ops::Range<u32>, is_masked: bool) -> Vec<Call> {
    vectors.flat_map(|vector| entry(vector, is_masked)).collect()
}

#[test]
fn a_message_of_the_device_signals_the_file_of_its_vector() {
    let mut served = Served::new();
    let mut client = served.client();
    let files: Vec<OwnedFd> = (0..4).map(|_| event_file()).collect();
    let fds: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    let trigger = data::EVENT_FILE | action::TRIGGER;
    client.set_interrupts(trigger, MSIX, 61..65, &[], &fds).expect("four files");
    assert_eq!(served.fake.take(), entries(61..65, false));
    for vector in [61, 64, 64, 60, 65, u32::MAX] {
        served.host.interrupt(&[message(vector)]);
    }
    served.host.interrupt(&[Message { function: 1, ..message(61) }]);
    let counts = || files.iter().map(signals).collect::<Vec<_>>();
    assert_eq!(counts(), [1, 0, 0, 2]);
    // Another file in the place of one; without a file, none.
    client.set_interrupts(trigger, MSIX, 61..62, &[], &[files[1].as_fd()]).expect("another file");
    client.set_interrupts(trigger, MSIX, 63..65, &[], &[]).expect("no files");
    assert_eq!(served.fake.take(), [entry(61, false), entry(63, true), entry(64, true)].concat());
    for vector in 61..65 {
        served.host.interrupt(&[message(vector)]);
    }
    assert_eq!(counts(), [0, 2, 0, 0]);
    // All go.
    client.set_interrupts(data::NONE | action::TRIGGER, MSIX, 0..0, &[], &[]).expect("none any more");
    assert_eq!(served.fake.take(), entries(0..65, true));
    served.host.interrupt(&[message(61)]);
    assert_eq!(counts(), [0; 4]);
    for index in [0, 1, 3, 4] {
        client.set_interrupts(data::NONE | action::TRIGGER, index, 0..0, &[], &[]).expect("there are none");
    }
    assert_eq!(served.fake.take(), []);
}

#[test]
fn a_client_triggers_masks_and_unmasks() {
    let mut served = Served::new();
    let mut client = served.client();
    let files: Vec<OwnedFd> = (0..9).map(|_| event_file()).collect();
    let fds: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    for (action, fds) in [action::TRIGGER, action::MASK, action::UNMASK].into_iter().zip(fds.chunks(3)) {
        client.set_interrupts(data::EVENT_FILE | action, MSIX, 0..3, &[], fds).expect("files");
    }
    served.fake.take();
    let counts = || files.iter().map(signals).collect::<Vec<_>>();
    let mut set = |kind: u32, bytes: &[u8]| {
        client.set_interrupts(kind, MSIX, 0..3, bytes, &[]).expect("an action");
        (served.fake.take(), counts())
    };
    let open = || entries(0..3, false);
    assert_eq!(set(data::NONE | action::TRIGGER, &[]), (open(), vec![1, 1, 1, 0, 0, 0, 0, 0, 0]));
    assert_eq!(set(data::BOOL | action::TRIGGER, &[0, 1, 0]), (open(), vec![0, 1, 0, 0, 0, 0, 0, 0, 0]));
    let second = || [entry(0, false), entry(1, true), entry(2, false)].concat();
    assert_eq!(set(data::BOOL | action::MASK, &[0, 255, 0]), (second(), vec![0, 0, 0, 0, 1, 0, 0, 0, 0]));
    assert_eq!(set(data::NONE | action::MASK, &[]), (entries(0..3, true), vec![0, 0, 0, 1, 1, 1, 0, 0, 0]));
    assert_eq!(set(data::BOOL | action::UNMASK, &[1, 0, 1]), (second(), vec![0, 0, 0, 0, 0, 0, 1, 0, 1]));
    assert_eq!(set(data::NONE | action::UNMASK, &[]), (open(), vec![0, 0, 0, 0, 0, 0, 1, 1, 1]));
    served.host.interrupt(&[message(2)]);
    assert_eq!(counts(), [0, 0, 1, 0, 0, 0, 0, 0, 0]);
}

/// The table of vectors is the server's: it is written anew when the device has lost it, and not by the client.
#[test]
fn vectors_outlive_resets() {
    let served = Served::new();
    let mut client = served.client();
    let event = event_file();
    let trigger = data::EVENT_FILE | action::TRIGGER;
    client.set_interrupts(trigger, MSIX, 2..3, &[], &[event.as_fd()]).expect("a vector");
    served.fake.take();
    client.reset(&mut NoMemory).expect("a reset");
    assert_eq!(served.fake.take(), [vec![Call::Reset(0)], entry(2, false)].concat());
    for reg in [DEVICE_CONTROL, POWER_CONTROL] {
        client.write(region::CONFIG, reg.offset.into(), &[0, 0x80], &mut NoMemory).expect("a write");
        assert_eq!(served.fake.take(), [vec![Call::Config(reg.offset, 2, 0x8000)], entry(2, false)].concat());
    }
    client.write(region::BAR0, MSIX_TABLE.start.into(), &[0xFF; 16], &mut NoMemory).expect("dropped");
    assert_eq!(served.fake.take(), []);
}

/// A client that does not take its interrupts does not stop the device.
#[test]
fn a_full_event_file_stops_nobody() {
    let Served { serving: _serving, mut host, directory, .. } = Served::new();
    let mut client = Client::connect(&directory.socket()).expect("a client");
    let full = eventfd(0, EventfdFlags::CLOEXEC).expect("an event file that blocks");
    rustix::io::write(&full, &(u64::MAX - 1).to_ne_bytes()).expect("filled");
    client.set_interrupts(data::EVENT_FILE | action::TRIGGER, MSIX, 0..1, &[], &[full.as_fd()]).expect("a vector");
    in_time(move || host.interrupt(&[message(0)]))();
    client.set_interrupts(data::NONE | action::TRIGGER, MSIX, 0..1, &[], &[]).expect("a trigger");
    assert_eq!(signals(&full), u64::MAX - 1);
}

// --- Doorbells ---------------------------------------------------------------------------------------------------------------------------

fn page(client: &mut Client) -> MmapRegion {
    let info = client.region(region::BAR0).expect("BAR0");
    let (_, offset, bytes) = info.areas[0];
    let file = File::from(info.file.expect("a file"));
    MmapRegion::from_file(FileOffset::new(file, offset), bytes as usize).expect("mapped")
}

fn ring(page: &MmapRegion, offset: u32, value: u32) {
    let doorbell = page.get_atomic_ref::<AtomicU32>((offset - DOORBELLS.start) as usize).expect("a doorbell");
    doorbell.store(value, Ordering::Release);
}

fn rung(offset: u32, value: u32) -> Call {
    Call::Write(Access::dword(offset.into()), value.into())
}

/// Each doorbell comes once; the same value again comes again.
#[test]
fn doorbells_in_the_page_come_by_themselves_and_once() {
    let served = Served::new();
    let mut client = served.client();
    let page = page(&mut client);
    let (first, last) = (DOORBELLS.start, DOORBELLS.end - 4);
    for (offset, value) in [(first, 1), (first, 1), (first, 0), (last, 0xFFFF), (first + 12, 0), (first + 12, 0)] {
        ring(&page, offset, value);
        assert_eq!(served.fake.take_when(1), [rung(offset, value)]);
    }
    client.info().expect("whoever looks at the page has looked");
    assert_eq!(served.fake.take(), []);
    let data = [5, 0, 0, 0];
    client.write(region::BAR0, first.into(), &data, &mut NoMemory).expect("a doorbell by message");
    assert_eq!(served.fake.take(), [rung(first, 5)]);
}

/// What was rung before a message comes before it; doorbells of I/O queues before those of the admin queue, which may delete them.
#[test]
fn doorbells_in_the_page_keep_their_order() {
    let served = Served::new();
    let mut client = served.client();
    let page = page(&mut client);
    for round in 1..200 {
        ring(&page, regs::sq_tail_doorbell(3), round);
        ring(&page, regs::cq_head_doorbell(0), round);
        ring(&page, regs::sq_tail_doorbell(0), round);
        client.write(region::BAR0, regs::CC.offset.into(), &[0; 4], &mut NoMemory).expect("a register");
        let calls = served.fake.take();
        assert_eq!(calls.len(), 4, "{calls:?}");
        let place = |call: Call| calls.iter().position(|&made| made == call);
        let admin = place(rung(regs::sq_tail_doorbell(0), round));
        assert!(place(rung(regs::sq_tail_doorbell(3), round)) < admin, "{calls:?}");
        assert_eq!(calls[3], rung(regs::CC.offset, 0));
    }
}

/// The page of a client that has gone is not that of the next, and its length is fixed.
#[test]
fn the_page_belongs_to_one_client() {
    let served = Served::new();
    let mut first = served.client();
    let file = first.region(region::BAR0).expect("BAR0").file.expect("a file");
    File::from(file).set_len(0).expect_err("it is sealed");
    let old = page(&mut first);
    drop(first);
    let mut second = served.client();
    let new = page(&mut second);
    served.fake.take();
    ring(&old, DOORBELLS.start, 1);
    ring(&new, DOORBELLS.start, 2);
    assert_eq!(served.fake.take_when(1), [rung(DOORBELLS.start, 2)]);
    second.info().expect("whoever looks at the page has looked");
    assert_eq!(served.fake.take(), []);
}
