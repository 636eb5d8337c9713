//! Nothing of a client stays behind: no file, no mapping, no thread. One test, because it counts what the whole process has.

mod common;

use common::Served;
use rustix::event::{eventfd, EventfdFlags};
use rustix::fs::{memfd_create, MemfdFlags};
use sim_vfio_client::{action, command, data, region, Client, Connection, NoMemory};
use std::fs::File;
use std::os::fd::AsFd;

/// Files, mappings of memfds and threads of this process.
fn held() -> (usize, usize, usize) {
    let count = |path: &str| std::fs::read_dir(path).expect("Linux").count();
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
    let mapped = maps.lines().filter(|line| line.contains("memfd:")).count();
    (count("/proc/self/fd"), mapped, count("/proc/self/task"))
}

fn use_everything(served: &Served) -> Client {
    let mut client = served.client();
    let file = File::from(memfd_create("memory", MemfdFlags::CLOEXEC).expect("a memfd"));
    file.set_len(16 * 4096).expect("its length");
    for window in 0..16 {
        client.map(3, window << 40, 4096, Some((file.as_fd(), window * 4096))).expect("a window");
        client.map(3, window << 40 | 1 << 39, 4096, None).expect("a window of messages");
    }
    let event = eventfd(0, EventfdFlags::CLOEXEC).expect("an event file");
    for action in [action::TRIGGER, action::MASK, action::UNMASK] {
        client.set_interrupts(data::EVENT_FILE | action, 2, 0..16, &[], &[event.as_fd(); 16]).expect("vectors");
        client.set_interrupts(data::EVENT_FILE | action, 2, 0..1, &[], &[event.as_fd()]).expect("one anew");
    }
    for _ in 0..3 {
        client.region(region::BAR0).expect("the doorbells");
    }
    // Refused, with files.
    let many = vec![event.as_fd(); 253];
    for (command, body, files) in
        [(77, &[][..], 16), (command::DMA_MAP, &[0; 32], 2), (command::SET_IRQS, &[0; 20], 253)]
    {
        client.request(command, body, &many[..files], &mut NoMemory).expect_err("it is refused");
    }
    let reply = Connection::message(3, command::DMA_READ, sim_vfio_client::REPLY, &[0; 64]);
    client.connection().send(&reply, &many[..16]).expect("files with a reply to nothing");
    client.info().expect("all of it was taken");
    client
}

#[test]
fn nothing_of_a_client_stays_behind() {
    let served = Served::new();
    // What the first client brings about for good.
    drop(use_everything(&served));
    drop(served.client());
    let before = {
        let idle = served.client();
        let before = held();
        drop(idle);
        before
    };
    for round in 0..20 {
        let client = use_everything(&served);
        assert_eq!(served.serving.windows(), 32);
        if round % 2 == 1 {
            // It goes in the middle of a message that has files.
            let event = eventfd(0, EventfdFlags::CLOEXEC).expect("an event file");
            let message = Connection::message(0, command::SET_IRQS, 0, &[0; 20]);
            client.connection().send(&message[..30], &[event.as_fd(); 16]).expect("half of it");
        }
        drop(client);
        // When it has its answer, the one before is gone.
        let idle = served.client();
        assert_eq!(served.serving.windows(), 0);
        assert_eq!(held(), before, "round {round}");
        drop(idle);
    }
    let mut client = use_everything(&served);
    for window in 0..16 {
        client.unmap(0, window << 40, 4096, &mut NoMemory).expect("unmapped");
        client.unmap(0, window << 40 | 1 << 39, 4096, &mut NoMemory).expect("unmapped");
    }
    assert_eq!(served.serving.windows(), 0);
}
