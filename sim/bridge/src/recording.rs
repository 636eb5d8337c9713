//! Everything that reached a device from outside, with its clock: to run it again exactly.
//!
//! ## Format
//! A gzip stream of frames: the length of a frame in 4 bytes (little endian), and as many bytes, which are a [`Record`] in the format of `postcard`. The
//! first is [`Record::Begin`], the last, if the device ended in an orderly way, [`Record::End`]. Data that the device read from its host is an input,
//! too. What it wrote is not kept; its CRC-32 goes with every input, so that a replay that takes another way is noticed where it does.

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::Compression;
use serde::{Deserialize, Serialize};
use sim_device::{Access, Device, Fault, Message, Outside, Sideband};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;
use std::rc::Rc;

/// Version of the format.
const VERSION: u32 = 1;

/// Most bytes of a frame: a description of the device, or the longest piece that a device reads at once.
const FRAME_BYTES_MAX: u32 = 1 << 20;

#[derive(Serialize, Deserialize)]
enum Record {
    Begin {
        version: u32,
        /// How to make the device: whoever replays it knows.
        device: String,
    },
    /// A register was read, and had this value.
    Read(At, Bar, u64),
    Write(At, Bar, u64),
    /// Bus Master Enable, MSI-X Enable, MSI-X Function Mask.
    Sideband(At, u8, [bool; 3]),
    FunctionLevelReset(At, u8),
    /// What the device read from its host.
    Data(Vec<u8>),
    /// A read of the device failed.
    ReadFault,
    /// The write of this number failed.
    WriteFault(u64),
    End(At),
}

/// When something happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct At {
    clock: u64,
    /// CRC-32 of what the device had written until then: data, and interrupt messages.
    written: [u32; 2],
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Bar {
    function: u8,
    offset: u64,
    bytes: u8,
}

impl From<Access> for Bar {
    fn from(Access { function, offset, bytes }: Access) -> Self {
        Self { function, offset, bytes }
    }
}

impl From<Bar> for Access {
    fn from(Bar { function, offset, bytes }: Bar) -> Self {
        Self { function, offset, bytes }
    }
}

/// CRC-32 of everything that a device writes. Messages have their own: they are taken from the device after a number of clocks, so that their order
/// among the writes of data is not known.
#[derive(Clone, Default)]
struct Written {
    data: crc32fast::Hasher,
    messages: crc32fast::Hasher,
    writes: u64,
}

impl Written {
    fn add(&mut self, function: u8, address: u64, data: &[u8]) {
        self.writes += 1;
        add(&mut self.data, function, address, data);
    }

    fn add_message(&mut self, message: &Message) {
        add(&mut self.messages, message.function, message.address, &message.data.to_le_bytes());
    }

    fn at(&self, clock: u64) -> At {
        At { clock, written: [&self.data, &self.messages].map(|hasher| hasher.clone().finalize()) }
    }
}

fn add(hasher: &mut crc32fast::Hasher, function: u8, address: u64, data: &[u8]) {
    hasher.update(&[function]);
    hasher.update(&address.to_le_bytes());
    hasher.update(data);
}

/// Writes the inputs of a device into a file.
///
/// A file that can no longer be written does not stop the device: the recording ends there, and [`Recorder::finish`] says why.
pub struct Recorder {
    out: GzEncoder<BufWriter<File>>,
    written: Written,
    failure: Option<std::io::Error>,
}

impl Recorder {
    /// Begins a recording. `device` says how to make the device again; [`Recording::device`] gives it back.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(path: &Path, device: &str) -> std::io::Result<Self> {
        let out = GzEncoder::new(BufWriter::new(File::create(path)?), Compression::fast());
        let mut recorder = Self { out, written: Written::default(), failure: None };
        recorder.put(&Record::Begin { version: VERSION, device: device.to_owned() });
        recorder.flush();
        match recorder.failure.take() {
            Some(error) => Err(error),
            None => Ok(recorder),
        }
    }

    fn put(&mut self, record: &Record) {
        if self.failure.is_some() {
            return;
        }
        let frame = postcard::to_stdvec(record).expect("a record is plain data");
        let write = |out: &mut GzEncoder<_>| -> std::io::Result<()> {
            out.write_all(&(frame.len() as u32).to_le_bytes())?;
            out.write_all(&frame)
        };
        self.failure = write(&mut self.out).err();
    }

    /// Now. An input is put into the recording when the device has taken it, with the time at which that began.
    pub(crate) fn at(&self, clock: u64) -> At {
        self.written.at(clock)
    }

    pub(crate) fn read(&mut self, at: At, access: Access, value: u64) {
        self.put(&Record::Read(at, access.into(), value));
    }

    pub(crate) fn write(&mut self, at: At, access: Access, value: u64) {
        self.put(&Record::Write(at, access.into(), value));
    }

    pub(crate) fn sideband(&mut self, at: At, function: u8, sideband: Sideband) {
        let Sideband { bus_master_enable, msix_enable, msix_function_mask } = sideband;
        self.put(&Record::Sideband(at, function, [bus_master_enable, msix_enable, msix_function_mask]));
    }

    pub(crate) fn function_level_reset(&mut self, at: At, function: u8) {
        self.put(&Record::FunctionLevelReset(at, function));
    }

    pub(crate) fn dma_read(&mut self, data: Result<&[u8], Fault>) {
        self.put(&data.map_or(Record::ReadFault, |data| Record::Data(data.to_vec())));
    }

    pub(crate) fn dma_write(&mut self, function: u8, address: u64, data: &[u8], result: Result<(), Fault>) {
        if result.is_err() {
            self.put(&Record::WriteFault(self.written.writes));
        }
        self.written.add(function, address, data);
    }

    pub(crate) fn interrupt(&mut self, message: &Message) {
        self.written.add_message(message);
    }

    /// Brings everything into the file: what a killed process leaves can be replayed up to here.
    pub(crate) fn flush(&mut self) {
        if self.failure.is_none() {
            self.failure = self.out.flush().err();
        }
    }

    /// Ends the recording.
    pub(crate) fn finish(mut self, clock: u64) -> std::io::Result<()> {
        self.put(&Record::End(self.at(clock)));
        match self.failure {
            Some(error) => Err(error),
            None => self.out.finish()?.flush(),
        }
    }
}

/// Why a recording could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("the recording cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no recording, or one of another version.
    #[error("the file is no recording of this version: {0}. Record the run again with this version")]
    Format(String),
    /// The device did not do what it did when it was recorded.
    #[error(
        "the device took another way by clock {clock}: {what}. A recording fits the version of the device that made it"
    )]
    Diverged {
        /// The clock of the first input at which it was noticed.
        clock: u64,
        /// What is different.
        what: String,
    },
}

/// What a replay has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Inputs: register accesses, resets, changes of the configuration space.
    pub inputs: u64,
    /// Clocks of the device.
    pub clocks: u64,
    /// The recording ended in an orderly way; without, its process was killed, and it ends with the last input that reached the file.
    pub is_complete: bool,
}

/// A recording that is being replayed.
pub struct Recording {
    /// How to make the device.
    pub device: String,
    frames: Frames,
}

struct Frames {
    input: BufReader<GzDecoder<BufReader<File>>>,
}

impl Frames {
    /// The next record; none where the file ends, be it in the middle of one.
    fn next(&mut self) -> Result<Option<Record>, ReplayError> {
        let mut length = [0; 4];
        if !self.fill(&mut length)? {
            return Ok(None);
        }
        let length = u32::from_le_bytes(length);
        if length > FRAME_BYTES_MAX {
            return Err(ReplayError::Format(format!("a frame of {length} bytes")));
        }
        let mut frame = vec![0; length as usize];
        if !self.fill(&mut frame)? {
            return Ok(None);
        }
        postcard::from_bytes(&frame).map(Some).map_err(|error| ReplayError::Format(error.to_string()))
    }

    fn fill(&mut self, data: &mut [u8]) -> Result<bool, ReplayError> {
        match self.input.read_exact(data) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
                Err(ReplayError::Format(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The host of a device that is replayed.
#[derive(Default)]
struct Past {
    reads: VecDeque<Option<Vec<u8>>>,
    write_faults: BTreeSet<u64>,
    written: Written,
    /// The first read that is not in the recording.
    surprise: Option<String>,
}

/// The way of that device to its host.
struct WayOut(Rc<RefCell<Past>>);

impl Outside for WayOut {
    fn read(&mut self, _function: u8, address: u64, data: &mut [u8]) -> Result<(), Fault> {
        let mut past = self.0.borrow_mut();
        match past.reads.pop_front() {
            Some(Some(read)) if read.len() == data.len() => data.copy_from_slice(&read),
            Some(None) => return Err(Fault),
            other => {
                let got = other.flatten().map_or("nothing".to_owned(), |read| format!("{} bytes", read.len()));
                let what = format!("it read {} bytes at {address:#x}, where {got} were recorded", data.len());
                past.surprise.get_or_insert(what);
                return Err(Fault);
            }
        }
        Ok(())
    }

    fn write(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Fault> {
        let mut past = self.0.borrow_mut();
        let number = past.written.writes;
        past.written.add(function, address, data);
        if past.write_faults.remove(&number) {
            return Err(Fault);
        }
        Ok(())
    }
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// If the file cannot be read or is no recording.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        let mut frames = Frames { input: BufReader::new(GzDecoder::new(BufReader::new(File::open(path)?))) };
        match frames.next()? {
            Some(Record::Begin { version: VERSION, device }) => Ok(Self { device, frames }),
            Some(Record::Begin { version, .. }) => {
                Err(ReplayError::Format(format!("its version is {version}, not {VERSION}")))
            }
            _ => Err(ReplayError::Format("it does not begin as one".to_owned())),
        }
    }

    /// Does to `device` what was done to the one that was recorded. The device must be as that one was when its recording began.
    ///
    /// # Errors
    /// If the recording cannot be read on, or the device does something else than was recorded.
    pub fn replay(mut self, device: &mut dyn Device) -> Result<Replayed, ReplayError> {
        let past = Rc::new(RefCell::new(Past::default()));
        device.host().set_outside(Some(Box::new(WayOut(past.clone()))));
        let mut replayed = Replayed { inputs: 0, clocks: 0, is_complete: false };
        while let Some(record) = self.frames.next()? {
            match record {
                Record::Begin { .. } => return Err(ReplayError::Format("a second beginning".to_owned())),
                Record::Data(data) => past.borrow_mut().reads.push_back(Some(data)),
                Record::ReadFault => past.borrow_mut().reads.push_back(None),
                Record::WriteFault(number) => drop(past.borrow_mut().write_faults.insert(number)),
                Record::End(at) => {
                    reach(device, &past, at)?;
                    replayed.is_complete = true;
                    break;
                }
                Record::Read(at, bar, value) => {
                    reach(device, &past, at)?;
                    let got = device.read(bar.into());
                    if got != value {
                        let what =
                            format!("{:#x} was read at BAR0 + {:#x}, where {value:#x} was recorded", got, bar.offset);
                        return Err(ReplayError::Diverged { clock: at.clock, what });
                    }
                    replayed.inputs += 1;
                }
                Record::Write(at, bar, value) => {
                    reach(device, &past, at)?;
                    device.write(bar.into(), value);
                    replayed.inputs += 1;
                }
                Record::Sideband(at, function, [bus_master_enable, msix_enable, msix_function_mask]) => {
                    reach(device, &past, at)?;
                    device.set_sideband(function, Sideband { bus_master_enable, msix_enable, msix_function_mask });
                    replayed.inputs += 1;
                }
                Record::FunctionLevelReset(at, function) => {
                    reach(device, &past, at)?;
                    device.function_level_reset(function);
                    replayed.inputs += 1;
                }
            }
        }
        replayed.clocks = device.clock();
        Ok(replayed)
    }
}

/// Steps to the time of an input and looks whether the device has done the same until then.
fn reach(device: &mut dyn Device, past: &Rc<RefCell<Past>>, at: At) -> Result<(), ReplayError> {
    let diverged = |what: String| Err(ReplayError::Diverged { clock: at.clock, what });
    while device.clock() < at.clock {
        // A recording may be long, and so may be the time between two inputs.
        device.step((at.clock - device.clock()).min(u64::from(u32::MAX)) as u32);
    }
    let mut past = past.borrow_mut();
    for message in device.take_interrupts() {
        past.written.add_message(&message);
    }
    if let Some(what) = past.surprise.take() {
        return diverged(what);
    }
    if device.clock() != at.clock {
        return diverged(format!("its clock was {} then", device.clock()));
    }
    if past.written.at(at.clock) != at {
        return diverged("it has written something else".to_owned());
    }
    Ok(())
}
