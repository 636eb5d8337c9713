//! Whatever a client sends: the server lives, and serves the next one.

mod common;

use common::Served;
use proptest::prelude::*;
use rustix::fs::{memfd_create, MemfdFlags};
use sim_vfio_client::{command, Connection, ERROR, NO_REPLY, REPLY};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One server for all cases: none may do it harm. They take turns, so that what is left of one is that of no other.
static SERVED: LazyLock<Mutex<Served>> = LazyLock::new(|| Mutex::new(Served::new()));

fn served() -> MutexGuard<'static, Served> {
    SERVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What goes with messages that have files.
static FILE: LazyLock<OwnedFd> = LazyLock::new(|| {
    let file = std::fs::File::from(memfd_create("memory", MemfdFlags::CLOEXEC).expect("a memfd"));
    file.set_len(65536).expect("its length");
    file.into()
});

/// A conversation as clients have it.
fn conversation() -> Vec<Vec<u8>> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    let message = |id: u16, command: u16, body: &[u8]| Connection::message(id, command, 0, body);
    let map = words(&[32, 3, 0, 0, 0, 1, 0x2000, 0]);
    vec![
        message(0, command::VERSION, b"\0\0\x01\0{\"capabilities\":{\"max_data_xfer_size\":4096,\"pgsizes\":4096}}\0"),
        message(1, command::GET_INFO, &words(&[16, 0, 0, 0])),
        message(2, command::GET_REGION_INFO, &words(&[64, 0, 0, 0, 0, 0, 0, 0])),
        message(3, command::GET_REGION_INFO, &words(&[32, 0, 7, 0, 0, 0, 0, 0])),
        message(4, command::GET_IRQ_INFO, &words(&[16, 0, 2, 0])),
        message(5, command::DMA_MAP, &map),
        message(6, command::SET_IRQS, &words(&[20, 0x21, 2, 0, 3])),
        message(7, command::SET_IRQS, &[words(&[20, 0x22, 2, 0, 3]), vec![1, 0, 1]].concat()),
        message(8, command::REGION_READ, &words(&[0, 0, 7, 256])),
        message(9, command::REGION_WRITE, &[words(&[4, 0, 7, 2]), vec![6, 4]].concat()),
        message(10, command::REGION_READ, &words(&[0, 0, 0, 8])),
        message(11, command::REGION_WRITE, &[words(&[0x14, 0, 0, 4]), vec![0; 4]].concat()),
        message(12, command::DMA_UNMAP, &words(&[24, 0, 0, 1, 0x2000, 0])),
        message(13, command::RESET, &[]),
    ]
}

/// Sends it, takes what comes back until the server has nothing more to say, and lets another client look.
fn survives<'m>(messages: impl IntoIterator<Item = (&'m [u8], usize)>) {
    let served = served();
    let connection = served.open();
    for (bytes, files) in messages {
        // The server may hang up at any time.
        let _ = connection.send(bytes, &vec![FILE.as_fd(); files]);
    }
    let _ = connection.finish();
    while let Ok(Some(_)) = connection.receive() {}
    drop(connection);
    let mut next = served.client();
    next.info().expect("the next client is served");
    assert_eq!(served.serving.windows(), 0);
    served.fake.take();
}

/// What is done to a conversation.
#[derive(Clone, Debug)]
enum Change {
    /// Bits of a byte of a message.
    Flip(usize, usize, u8),
    /// A dword of a message becomes an edge of its type.
    Dword(usize, usize, u32),
    /// A message is left out, sent twice, or cut.
    Drop(usize),
    Double(usize),
    Cut(usize, usize),
    /// Two messages change places.
    Swap(usize, usize),
}

/// A message with a length that is right, and its files.
fn any_message() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let files = prop_oneof![4 => Just(0), 2 => Just(1), 1 => 0usize..40];
    let body = prop::collection::vec(any::<u8>(), 0..70);
    (any::<u16>(), 0u16..20, any::<u32>(), body, files).prop_map(|(id, command, flags, body, files)| {
        // Flags that have a meaning.
        (Connection::message(id, command, flags & (REPLY | NO_REPLY | ERROR), &body), files)
    })
}

fn change() -> impl Strategy<Value = Change> {
    let edge = prop_oneof![
        Just(0),
        Just(1),
        Just(15),
        Just(16),
        Just(17),
        Just(u32::MAX),
        Just(i32::MAX as u32),
        any::<u32>()
    ];
    prop_oneof![
        (any::<usize>(), any::<usize>(), 1u8..).prop_map(|(message, at, bits)| Change::Flip(message, at, bits)),
        (any::<usize>(), any::<usize>(), edge).prop_map(|(message, at, value)| Change::Dword(message, at, value)),
        any::<usize>().prop_map(Change::Drop),
        any::<usize>().prop_map(Change::Double),
        (any::<usize>(), any::<usize>()).prop_map(|(message, at)| Change::Cut(message, at)),
        (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Change::Swap(one, other)),
    ]
}

fn apply(messages: &mut Vec<Vec<u8>>, change: &Change) {
    let count = messages.len();
    if count == 0 {
        return;
    }
    match *change {
        Change::Flip(message, at, bits) => {
            let message = &mut messages[message % count];
            if let Some(at) = at.checked_rem(message.len()) {
                message[at] ^= bits;
            }
        }
        Change::Dword(message, at, value) => {
            let message = &mut messages[message % count];
            if let Some(at) = at.checked_rem(message.len() / 4) {
                message[4 * at..][..4].copy_from_slice(&value.to_ne_bytes());
            }
        }
        Change::Drop(message) => drop(messages.remove(message % count)),
        Change::Double(message) => messages.insert(message % count, messages[message % count].clone()),
        Change::Cut(message, at) => {
            let message = &mut messages[message % count];
            message.truncate(at % (message.len() + 1));
        }
        Change::Swap(one, other) => messages.swap(one % count, other % count),
    }
}

#[test]
fn the_conversation_itself_is_understood() {
    let served = served();
    let connection = served.open();
    let conversation = conversation();
    connection.send(&conversation.concat(), &[]).expect("sent");
    for (id, _) in conversation.iter().enumerate() {
        assert!(connection.wait(Duration::from_secs(60)).expect("the socket"), "a reply to {id}");
        let reply = connection.receive().expect("a reply").expect("a reply");
        assert_eq!((usize::from(reply.id), reply.flags, reply.errno), (id, REPLY, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400), is_agreed in any::<bool>()) {
        let first = if is_agreed { conversation()[0].clone() } else { Vec::new() };
        survives([(&*first, 0), (&*bytes, 0)]);
    }

    #[test]
    fn random_messages_do_no_harm(messages in prop::collection::vec(any_message(), 0..20)) {
        let version = (conversation()[0].clone(), 0);
        survives(std::iter::once(&version).chain(&messages).map(|(bytes, files)| (&**bytes, *files)));
    }

    #[test]
    fn changed_conversations_do_no_harm(changes in prop::collection::vec(change(), 1..6), files in prop::collection::vec(0usize..3, 20)) {
        let mut messages = conversation();
        changes.iter().for_each(|change| apply(&mut messages, change));
        survives(messages.iter().map(|message| &**message).zip(files));
    }
}
