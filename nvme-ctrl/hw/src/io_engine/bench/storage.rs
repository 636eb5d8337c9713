//! A storage behind the streams of the storage port that answers in any order, and reports ends before or after their data.

use super::bytes::Bytes;
use super::script::{is_forced, BAD_STORAGE, STORAGE_BYTES};
use super::BackEnd;
use crate::types::{Operation, StorageStatus};
use nvme_spec::limits::SECTOR_BYTES;
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::HwEnum;
use std::collections::VecDeque;

const SECTOR: u64 = SECTOR_BYTES as u64;

/// A command that is being carried out.
struct Running {
    tag: u64,
    due: u64,
    /// Beats of a read that are still to be sent.
    beats: VecDeque<(Vec<u64>, bool)>,
    /// Address of a write, and how many of its beats are missing.
    missing: u64,
    address: u64,
    status: Option<StorageStatus>,
}

/// The storage.
pub(crate) struct Storage {
    bytes: Bytes,
    rng: Rng,
    now: u64,
    running: Vec<Running>,
    /// Tags of the writes whose data has not come yet, in order.
    writes: VecDeque<u64>,
    /// Beats of writes, which may come before their command.
    written: VecDeque<Fields>,
    /// The read whose beats are being sent.
    sending: Option<u64>,
}

impl Storage {
    pub fn new(bytes: Bytes, rng: Rng) -> Storage {
        let (running, writes, written) = Default::default();
        Storage { bytes, rng, now: 0, running, writes, written, sending: None }
    }

    fn begin(&mut self, command: &Fields) {
        let tag = command.get("tag");
        assert!(self.running.iter().all(|r| r.tag != tag), "tag {tag} is used twice");
        assert_eq!(command.get("fua") == 1, is_forced(command.get("nsid")), "{command:?}");
        let (address, bytes) = (command.get("sector").wrapping_mul(SECTOR), command.get("sectors") * SECTOR);
        let operation = Operation::VARIANTS[command.get("operation") as usize];
        assert!(bytes <= 4096 && (bytes > 0) == (operation != Operation::Flush), "{operation:?} of {bytes} bytes");
        let in_range =
            command.get("sector").checked_add(command.get("sectors")).is_some_and(|end| end <= STORAGE_BYTES / SECTOR);
        let status = match () {
            () if !in_range => StorageStatus::Refused,
            () if operation == Operation::WriteUncorrectable => StorageStatus::Good,
            () if BAD_STORAGE.contains(&address) => StorageStatus::MediaError,
            () => StorageStatus::Good,
        };
        let mut beats = VecDeque::new();
        if operation == Operation::Read && status != StorageStatus::Refused {
            for beat in 0..bytes / 64 {
                let line = self.bytes.line(address + 64 * beat).unwrap_or(vec![0; 8]);
                // Of a read that fails, some beats may be right.
                let error = status == StorageStatus::MediaError && (beat == 0 || self.rng.bool());
                beats.push_back((line, error));
            }
        }
        let missing = if operation == Operation::Write { bytes / 64 } else { 0 };
        if missing > 0 {
            self.writes.push_back(tag);
        }
        let is_zeroes = matches!(operation, Operation::WriteZeroes | Operation::Deallocate);
        if is_zeroes && status == StorageStatus::Good {
            (0..bytes / 64).for_each(|beat| assert!(self.bytes.write_line(address + 64 * beat, &[0; 8], u64::MAX)));
        }
        let due = self.now + 1 + self.rng.below(200);
        self.running.push(Running { tag, due, beats, missing, address, status: Some(status) });
    }

    fn store(&mut self, tag: u64, beat: &Fields) {
        let write = self.running.iter_mut().find(|r| r.tag == tag).expect("a write that waits for data is running");
        write.missing -= 1;
        assert_eq!(beat.get("last") == 1, write.missing == 0, "`last` of a write with {} beats missing", write.missing);
        if write.status == Some(StorageStatus::Good) && beat.get("error") == 0 {
            assert!(
                self.bytes.write_line(write.address, &beat.get_words("data"), u64::MAX),
                "nothing at {:#x}",
                write.address
            );
        }
        write.address += 64;
        if write.missing == 0 {
            self.writes.pop_front();
        }
    }

    /// Sends beats of one read after the other; which one comes next is anybody's guess.
    fn send_reads(&mut self, bench: &mut Bench) {
        while bench.pending("storage_read") < 2 {
            let due: Vec<u64> =
                self.running.iter().filter(|r| r.due <= self.now && !r.beats.is_empty()).map(|r| r.tag).collect();
            let Some(tag) = self.sending.or_else(|| (!due.is_empty()).then(|| *self.rng.pick(&due))) else { return };
            let read = self.running.iter_mut().find(|r| r.tag == tag).expect("it is running");
            let (data, error) = read.beats.pop_front().expect("it has beats");
            self.sending = (!read.beats.is_empty()).then_some(tag);
            let item =
                bench.fields("storage_read").set("tag", tag).set("error", error).set("last", read.beats.is_empty());
            bench.send("storage_read", [item.set_words("data", &data).words()]);
        }
    }

    /// Reports ends: of writes when their data is there, of reads at any time after they are due.
    fn report(&mut self, bench: &mut Bench) {
        for running in &mut self.running {
            let may_end = running.due <= self.now && running.missing == 0;
            if may_end && running.status.is_some() && self.rng.below(20) == 0 {
                let status = running.status.take().expect("looked at above");
                let item = bench.fields("storage_done").set("tag", running.tag).set("status", status.code());
                bench.send("storage_done", [item.words()]);
            }
        }
        self.running.retain(|r| r.status.is_some() || !r.beats.is_empty());
    }
}

impl BackEnd for Storage {
    fn clock(&mut self, bench: &mut Bench) {
        self.now += 1;
        for command in bench.drain_fields("storage_command") {
            self.begin(&command);
        }
        self.written.extend(bench.drain_fields("storage_write"));
        while let (Some(&tag), false) = (self.writes.front(), self.written.is_empty()) {
            let beat = self.written.pop_front().expect("not empty");
            self.store(tag, &beat);
        }
        self.send_reads(bench);
        self.report(bench);
    }

    fn forget(&mut self, bench: &mut Bench) {
        for stream in ["storage_read", "storage_done"] {
            bench.clear(stream);
        }
        for stream in ["storage_command", "storage_write"] {
            bench.drain(stream);
        }
        *self = Storage::new(std::mem::take(&mut self.bytes), self.rng.clone());
    }

    fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.writes.is_empty() && self.written.is_empty() && self.sending.is_none()
    }
}
