//! The conversation with QEMU, byte by byte: what it sends, and what it never does.

use rustix::net::{sendmsg, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use sim_bridge::mpqemu::{serve, Error, QemuHost};
use sim_bridge::{AddressBits, ConfigSpace, Endpoint, GuestMemory, Host, Identity};
use sim_device::{Access, Message, Outside};
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::thread::JoinHandle;

const SYNC_SYSMEM: u32 = 0;
const CONFIG_WRITE: u32 = 2;
const CONFIG_READ: u32 = 3;
const BAR_WRITE: u32 = 4;
const BAR_READ: u32 = 5;
const SET_IRQFD: u32 = 6;
const DEVICE_RESET: u32 = 7;

/// BAR0 reads as what was written last, plus one.
struct Echo {
    space: Mutex<ConfigSpace>,
    last: Mutex<(u64, u64)>,
}

impl Echo {
    fn new() -> Self {
        let identity = Identity { functions: 1, vectors: 3, address: AddressBits::Bits32 };
        Self { space: Mutex::new(ConfigSpace::new(identity)), last: Mutex::default() }
    }
}

impl Endpoint for Echo {
    fn functions(&self) -> u8 {
        1
    }

    fn vectors(&self) -> u16 {
        3
    }

    fn read_config(&self, _function: u8, offset: u32, bytes: u8) -> u32 {
        self.space.lock().expect("a lock").read(offset, bytes)
    }

    fn write_config(&self, _function: u8, offset: u32, bytes: u8, value: u32) {
        self.space.lock().expect("a lock").write(offset, bytes, value);
    }

    fn read_bar(&self, access: Access, then: Box<dyn FnOnce(u64) + Send>) {
        let (offset, value) = *self.last.lock().expect("a lock");
        then(if offset == access.offset { value + 1 } else { 0 });
    }

    fn write_bar(&self, access: Access, value: u64) {
        *self.last.lock().expect("a lock") = (access.offset, value);
    }

    fn reset(&self, _function: u8) {
        *self.last.lock().expect("a lock") = (0, 99);
    }
}

/// QEMU's end, and the thread that serves it.
struct Qemu {
    socket: UnixStream,
    memory: GuestMemory,
    served: JoinHandle<Result<(), Error>>,
}

impl Qemu {
    fn new() -> Self {
        let (socket, ours) = UnixStream::pair().expect("a pair");
        let memory = GuestMemory::default();
        let its = memory.clone();
        let served = std::thread::spawn(move || serve(&Echo::new(), 0, &ours, &its));
        Self { socket, memory, served }
    }

    fn send(&mut self, message: &[u8]) {
        // A server that has refused something listens no more.
        let _ = self.socket.write_all(message);
    }

    fn send_with_files(&self, message: &[u8], files: &[File]) {
        let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
        let sent = sendmsg(&self.socket, &[IoSlice::new(message)], &mut control, SendFlags::empty());
        assert_eq!(sent.expect("it is sent"), message.len());
    }

    fn answer(&mut self) -> u64 {
        let mut answer = [0; 24];
        self.socket.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer[..16], [1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        u64::from_le_bytes(answer[16..].try_into().expect("eight bytes"))
    }

    fn ask(&mut self, message: &[u8]) -> u64 {
        self.send(message);
        self.answer()
    }

    fn end(self) -> Result<(), Error> {
        drop(self.socket);
        self.served.join().expect("it does not panic")
    }
}

fn message(command: u32, body: &[u8]) -> Vec<u8> {
    [&command.to_le_bytes()[..], &[0; 4], &(body.len() as u64).to_le_bytes(), body].concat()
}

fn config(command: u32, offset: u32, value: u32, bytes: u32) -> Vec<u8> {
    message(command, &[offset, value, bytes].map(u32::to_le_bytes).concat())
}

fn bar(command: u32, address: u64, value: u64, bytes: u32) -> Vec<u8> {
    message(command, &[&address.to_le_bytes()[..], &value.to_le_bytes(), &bytes.to_le_bytes(), &[1, 0, 0, 0]].concat())
}

/// One window of guest memory.
fn memory(address: u64, bytes: u64, offset: u64) -> Vec<u8> {
    let field = |value: u64| [&value.to_le_bytes()[..], &[0; 56]].concat();
    message(SYNC_SYSMEM, &[field(address), field(bytes), field(offset)].concat())
}

fn page(value: u8) -> File {
    let mut file = File::from(rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd"));
    file.write_all(&[value; 4096]).expect("its page");
    file
}

#[test]
fn accesses_are_answered_in_order() {
    let mut qemu = Qemu::new();
    assert_eq!(qemu.ask(&config(CONFIG_READ, 0, 0, 2)), 0x10EE);
    assert_eq!(qemu.ask(&config(CONFIG_WRITE, 0x10, 0xFEB0_0000, 4)), 0);
    assert_eq!(qemu.ask(&bar(BAR_WRITE, 0xFEB0_1008, 7, 4)), 0);
    assert_eq!(qemu.ask(&bar(BAR_READ, 0xFEB0_1008, 0, 4)), 8);
    // Files of interrupts are taken and closed without an answer.
    qemu.send_with_files(&message(SET_IRQFD, &[0; 8]), &[page(0), page(0)]);
    assert_eq!(qemu.ask(&message(DEVICE_RESET, &[])), 0);
    assert_eq!(qemu.ask(&bar(BAR_READ, 0xFEB0_0000, 0, 8)), 100);
    // Two in one piece, and one byte by byte.
    let two = [bar(BAR_WRITE, 0xFEB0_0020, 1, 4), bar(BAR_READ, 0xFEB0_0020, 0, 4)].concat();
    assert_eq!((qemu.ask(&two), qemu.answer()), (0, 2));
    bar(BAR_READ, 0xFEB0_0020, 0, 4).into_iter().for_each(|byte| qemu.send(&[byte]));
    assert_eq!(qemu.answer(), 2);
    assert!(qemu.end().is_ok());
}

#[test]
fn memory_is_replaced_or_stays() {
    let mut qemu = Qemu::new();
    let byte = |qemu: &Qemu, address| {
        let mut byte = [0];
        qemu.memory.clone().read(0, address, &mut byte).map(|()| byte[0])
    };
    qemu.send_with_files(&memory(0x1000, 4096, 0), &[page(5)]);
    qemu.ask(&config(CONFIG_READ, 0, 0, 2));
    assert_eq!(byte(&qemu, 0x1FFF), Ok(5));
    qemu.send_with_files(&memory(0x8000, 4096, 0), &[page(6)]);
    qemu.ask(&config(CONFIG_READ, 0, 0, 2));
    assert_eq!((byte(&qemu, 0x8000), byte(&qemu, 0x1FFF).is_err()), (Ok(6), true));
    // A file that is too short: the device keeps what it had.
    qemu.send_with_files(&memory(0x1000, 8192, 0), &[page(7)]);
    let mut rest = Vec::new();
    assert_eq!(qemu.socket.read_to_end(&mut rest).expect("the end"), 0);
    assert_eq!(byte(&qemu, 0x8000), Ok(6));
    assert!(matches!(qemu.end(), Err(Error::Memory(_))));
}

#[test]
fn what_qemu_never_sends_ends_the_conversation() {
    let too_long = [&BAR_READ.to_le_bytes()[..], &[0; 4], &u64::MAX.to_le_bytes()].concat();
    for wrong in [
        message(8, &[]),
        message(1, &[0; 8]),
        message(BAR_READ, &[0; 16]),
        message(CONFIG_READ, &[0; 11]),
        message(SYNC_SYSMEM, &[]),
        bar(BAR_READ, 0, 0, 3),
        bar(BAR_WRITE, 0, 0, u32::MAX),
        too_long,
    ] {
        let mut qemu = Qemu::new();
        // A file makes the memory's fields be looked at.
        qemu.send_with_files(&wrong, &[page(0)]);
        let mut rest = Vec::new();
        qemu.socket.read_to_end(&mut rest).expect("the end");
        let ended = qemu.end();
        assert!(rest.is_empty() && matches!(ended, Err(Error::Protocol(_))), "{wrong:x?}: {ended:?}");
    }
}

#[test]
fn a_qemu_that_goes_within_a_message_is_an_error() {
    let whole = bar(BAR_READ, 0, 0, 4);
    for end in 1..whole.len() {
        let mut qemu = Qemu::new();
        qemu.send(&whole[..end]);
        assert!(matches!(qemu.end(), Err(Error::Io(_))), "{end}");
    }
    assert!(Qemu::new().end().is_ok());
}

fn interrupt(address: u64, data: u32, clock: u64) -> Message {
    Message { function: 0, address, data, clock }
}

/// PCI Express Base, "Hardware/Software Synchronization": of equal messages that nobody has acknowledged, one is enough.
#[test]
fn interrupts_of_a_step_are_one_piece_without_repetitions() {
    let (ours, qemu) = UnixStream::pair().expect("a pair");
    let mut host = QemuHost::new(1, ours);
    let received = |host: &mut QemuHost, messages: &[Message]| {
        host.interrupt(messages);
        let mut piece = [0; 256];
        let count = (&qemu).read(&mut piece).expect("commands");
        String::from_utf8(piece[..count].to_vec()).expect("text")
    };
    let (first, second) = (0xFEE0_1000, 0xFEE0_2000);
    let step = [interrupt(first, 33, 1), interrupt(second, 33, 2), interrupt(first, 33, 3), interrupt(first, 34, 4)];
    let commands = "writel 0xfee01000 0x21\nwritel 0xfee02000 0x21\nwritel 0xfee01000 0x22\n";
    assert_eq!(received(&mut host, &step), commands);
    // Another step may come after an acknowledgment.
    assert_eq!(received(&mut host, &step[..1]), "writel 0xfee01000 0x21\n");
}

/// QEMU writes each answer and waits when there is no room: it would never read on.
#[test]
fn answers_of_qemu_do_not_pile_up() {
    let (ours, qemu) = UnixStream::pair().expect("a pair");
    qemu.set_nonblocking(true).expect("it cannot hang");
    let mut host = QemuHost::new(1, ours);
    let mut commands = [0; 256];
    for number in 0..10_000 {
        host.interrupt(&[interrupt(0xFEE0_0000, number, 0), interrupt(0xFEE0_1000, number, 0)]);
        let count = (&qemu).read(&mut commands).expect("two commands");
        for _ in commands[..count].iter().filter(|&&byte| byte == b'\n') {
            (&qemu).write_all(b"OK\n").expect("room for an answer");
        }
    }
}
