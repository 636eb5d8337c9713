//! A drive without power, in a file.
//!
//! ```text
//! 0   magic      8 bytes  [`MAGIC`]
//! 8   version    4        [`VERSION`]
//! 12  length     8        of what follows the CRC
//! 20  CRC-32     4        of version, length and what follows
//! 24  a zlib stream of frames: the length of a frame in 4 bytes, and as many bytes in the format of `postcard`: the head, then each block
//! ```
//! Numbers are little-endian. The spare of a page is not in the file if it follows from what is.

use std::fmt;
use std::io::{self, Read, Write};

use flash_fw::{Config, Policy};
use flash_model::fast_path::PAGE_WORDS;
use flash_model::{Array, Content, Page, SavedBlock};
use flash_spec::limits::{PAGE_BYTES, SPARE_BYTES, UNITS_PER_PAGE};
use flash_spec::spare::Spare;
use flash_spec::{Geometry, Reliability};
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flate2::Compression;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What an image begins with.
pub const MAGIC: [u8; 8] = *b"FLSHDOCK";
/// The format that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// Bytes before the stream.
const HEADER_BYTES: usize = 24;
/// Most bytes of what describes a page, beside its data: more than any encoding of it takes.
const PAGE_EXTRA_BYTES: u64 = 256;

/// A drive without power.
#[derive(Clone, Debug)]
pub struct Image {
    /// What its firmware is told.
    pub config: Config,
    /// What is in its flash.
    pub array: Array<Content>,
}

/// Why bytes are no image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// They are something else.
    Foreign,
    /// Another version of this program has written them.
    Version(u32),
    /// So many bytes are there, and so many there should be.
    Length {
        /// How many there are.
        found: u64,
        /// How many the header says.
        expected: u64,
    },
    /// The CRC is wrong.
    Damaged,
    /// They are whole, and no drive is like that.
    Impossible(String),
}

impl fmt::Display for ImageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => formatter.write_str("it does not begin as an image of a drive does"),
            Self::Version(version) => {
                write!(formatter, "it has version {version} of the format; this program knows {VERSION}")
            }
            Self::Length { found, expected } if found < expected => {
                write!(formatter, "it is cut off: {found} of {expected} bytes are there")
            }
            Self::Length { found, expected } => write!(formatter, "it has {found} bytes instead of {expected}"),
            Self::Damaged => formatter.write_str("it is damaged: its checksum is wrong"),
            Self::Impossible(why) => write!(formatter, "no drive is like that: {why}"),
        }
    }
}

impl std::error::Error for ImageError {}

/// What is known before the blocks.
#[derive(Serialize, Deserialize)]
struct Head {
    geometry: [u32; 5],
    units: u32,
    is_cost_benefit: bool,
    moved_percent: u8,
    log_records: u32,
    levels_wear: bool,
    retry_wear_shift: u8,
    erases_max: u32,
    seed: u32,
    /// Of retries, uncorrectable reads, programs that fail, erases that fail.
    rates: [u32; 4],
    sequences: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct BlockFrame {
    pages: Vec<PageFrame>,
    erases: u32,
    next_page: u32,
    is_closed: bool,
    is_bad: bool,
}

#[derive(Serialize, Deserialize)]
enum PageFrame {
    Erased,
    Destroyed,
    Programmed { spare: SpareFrame, data: DataFrame },
}

#[derive(Serialize, Deserialize)]
enum SpareFrame {
    /// As hardware makes it.
    Regular { sequence: u64, kind: u8, lpns: [u32; UNITS_PER_PAGE as usize] },
    /// Anything else.
    Other(Vec<u8>),
}

#[derive(Serialize, Deserialize)]
enum DataFrame {
    Units([u64; UNITS_PER_PAGE as usize]),
    Words(Vec<u32>),
    Nothing,
}

impl Image {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(vec![0; HEADER_BYTES], Compression::fast());
        let written = self.write(&mut encoder).and_then(|()| encoder.finish());
        let mut bytes = written.expect("memory takes everything");
        let length = (bytes.len() - HEADER_BYTES) as u64;
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&length.to_le_bytes());
        let crc = crc(&bytes);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        write_frame(to, &self.head())?;
        let geometry = self.array.geometry();
        (0..geometry.blocks()).try_for_each(|index| {
            let block = self.array.saved_block(index);
            let pages = (0..).zip(block.pages).map(|(at, page)| PageFrame::new(page, page_index(geometry, index, at)));
            let frame = BlockFrame {
                pages: pages.collect(),
                erases: block.erases,
                next_page: block.next_page,
                is_closed: block.is_closed,
                is_bad: block.is_bad,
            };
            write_frame(to, &frame)
        })
    }

    /// The drive of a file.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ImageError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(if !bytes.is_empty() && MAGIC.starts_with(bytes) {
                ImageError::Length { found: bytes.len() as u64, expected: HEADER_BYTES as u64 }
            } else {
                ImageError::Foreign
            });
        }
        if bytes.len() < HEADER_BYTES {
            return Err(ImageError::Length { found: bytes.len() as u64, expected: HEADER_BYTES as u64 });
        }
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if word(8) != VERSION {
            return Err(ImageError::Version(word(8)));
        }
        let expected = (u64::from(word(16)) << 32 | u64::from(word(12))).saturating_add(HEADER_BYTES as u64);
        if bytes.len() as u64 != expected {
            return Err(ImageError::Length { found: bytes.len() as u64, expected });
        }
        if word(20) != crc(bytes) {
            return Err(ImageError::Damaged);
        }
        Self::read(&mut ZlibDecoder::new(&bytes[HEADER_BYTES..]))
    }

    fn read(from: &mut impl Read) -> Result<Self, ImageError> {
        let head: Head = read_frame(from, u64::from(PAGE_BYTES))?;
        let (config, reliability) = head.check()?;
        let geometry = config.geometry;
        let mut array = Array::new(geometry, reliability);
        array.set_sequences(&head.sequences);
        let frame_max = u64::from(geometry.pages_per_block) * (u64::from(PAGE_BYTES) * 5 / 4 + PAGE_EXTRA_BYTES);
        for index in 0..geometry.blocks() {
            let frame: BlockFrame = read_frame(from, frame_max)?;
            let pages = (0..).zip(frame.pages).map(|(at, page)| page.page(page_index(&geometry, index, at)));
            let saved = SavedBlock {
                pages: pages.collect::<Result<_, _>>()?,
                erases: frame.erases,
                next_page: frame.next_page,
                is_closed: frame.is_closed,
                is_bad: frame.is_bad,
            };
            let impossible = |error| ImageError::Impossible(format!("block {index}: {error:?}"));
            array.restore_block(index, saved).map_err(impossible)?;
        }
        Ok(Self { config, array })
    }

    fn head(&self) -> Head {
        let Config { geometry, units, policy, moved_percent, log_records, levels_wear } = self.config;
        let reliability = self.array.reliability();
        Head {
            geometry: [
                geometry.channels,
                geometry.dies_per_channel,
                geometry.planes_per_die,
                geometry.blocks_per_plane,
                geometry.pages_per_block,
            ],
            units,
            is_cost_benefit: policy == Policy::CostBenefit,
            moved_percent,
            log_records,
            levels_wear,
            retry_wear_shift: reliability.retry_wear_shift,
            erases_max: reliability.erases_max,
            seed: reliability.seed,
            rates: [
                reliability.retry_rate,
                reliability.uncorrectable_rate,
                reliability.program_fail_rate,
                reliability.erase_fail_rate,
            ],
            sequences: self.array.sequences().to_vec(),
        }
    }
}

impl Head {
    /// Nothing is made of a head that no drive has.
    fn check(&self) -> Result<(Config, Reliability), ImageError> {
        let [channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block] = self.geometry;
        let geometry = Geometry { channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block };
        let config = Config {
            geometry,
            units: self.units,
            policy: if self.is_cost_benefit { Policy::CostBenefit } else { Policy::Greedy },
            moved_percent: self.moved_percent,
            log_records: self.log_records,
            levels_wear: self.levels_wear,
        };
        let impossible = |why: &str| ImageError::Impossible(why.to_owned());
        geometry.check().map_err(|error| impossible(error.message()))?;
        config.check().map_err(|error| impossible(error.message()))?;
        if self.sequences.len() != channels as usize || self.retry_wear_shift >= 32 {
            return Err(impossible("its sequences of faults are not those of its channels"));
        }
        // The memory of the firmware grows with it.
        if self.log_records > LOG_RECORDS_MAX {
            return Err(impossible("its log has too many records"));
        }
        let [retry_rate, uncorrectable_rate, program_fail_rate, erase_fail_rate] = self.rates;
        let reliability = Reliability {
            retry_wear_shift: self.retry_wear_shift,
            erases_max: self.erases_max,
            seed: self.seed,
            retry_rate,
            uncorrectable_rate,
            program_fail_rate,
            erase_fail_rate,
        };
        Ok((config, reliability))
    }
}

/// Most records of the log between checkpoints in an image.
const LOG_RECORDS_MAX: u32 = 4096;

impl PageFrame {
    fn new(page: Page<Content>, index: u32) -> Self {
        let Page::Programmed { data, spare } = page else {
            return if page == Page::Destroyed { Self::Destroyed } else { Self::Erased };
        };
        let spare = match Spare::check(&spare, index) {
            Some(known) if known == Spare::new(index, known.sequence.get(), known.kind, lpns(&known), data.crc()) => {
                SpareFrame::Regular { sequence: known.sequence.get(), kind: known.kind, lpns: lpns(&known) }
            }
            _ => SpareFrame::Other(spare.to_vec()),
        };
        let data = match data {
            Content::Units(units) => DataFrame::Units(units),
            Content::Words(words) => DataFrame::Words(words.into()),
            Content::Nothing => DataFrame::Nothing,
        };
        Self::Programmed { spare, data }
    }

    fn page(self, index: u32) -> Result<Page<Content>, ImageError> {
        let (spare, data) = match self {
            Self::Erased => return Ok(Page::Erased),
            Self::Destroyed => return Ok(Page::Destroyed),
            Self::Programmed { spare, data } => (spare, data),
        };
        let impossible = |what| ImageError::Impossible(format!("page {index} has {what}"));
        let data = match data {
            DataFrame::Units(units) => Content::Units(units),
            DataFrame::Words(words) if words.len() == PAGE_WORDS => Content::Words(words.into()),
            DataFrame::Words(words) => return Err(impossible(format!("{} words", words.len()))),
            DataFrame::Nothing => Content::Nothing,
        };
        let spare = match spare {
            SpareFrame::Regular { sequence, kind, lpns } => {
                Spare::new(index, sequence, kind, lpns, data.crc()).to_bytes()
            }
            SpareFrame::Other(bytes) => <[u8; SPARE_BYTES as usize]>::try_from(bytes)
                .map_err(|bytes| impossible(format!("a spare of {} bytes", bytes.len())))?,
        };
        Ok(Page::Programmed { data, spare })
    }
}

fn lpns(spare: &Spare) -> [u32; UNITS_PER_PAGE as usize] {
    spare.lpns.map(|lpn| lpn.get())
}

/// The number of a page of a block.
fn page_index(geometry: &Geometry, block: u32, page: u32) -> u32 {
    let (super_block, plane) = (block / geometry.planes(), block % geometry.planes());
    (super_block * geometry.pages_per_block + page) * geometry.planes() + plane
}

/// CRC-32 of all that it is to protect.
fn crc(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[8..20]);
    hasher.update(&bytes[HEADER_BYTES..]);
    hasher.finalize()
}

fn write_frame(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let frame = postcard::to_stdvec(value).expect("it is plain data");
    to.write_all(&(frame.len() as u32).to_le_bytes())?;
    to.write_all(&frame)
}

/// A frame of at most so many bytes.
fn read_frame<T: DeserializeOwned>(from: &mut impl Read, most: u64) -> Result<T, ImageError> {
    let failed = |error: io::Error| ImageError::Impossible(error.to_string());
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(failed)?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > most {
        return Err(ImageError::Impossible(format!("{length} bytes describe one block")));
    }
    let mut frame = Vec::new();
    from.take(length).read_to_end(&mut frame).map_err(failed)?;
    postcard::from_bytes(&frame).map_err(|error| ImageError::Impossible(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::age::{age, Ageing};
    use crate::{Drive, Fault, FlashDrive, Owned};
    use flash_fw::Smart;
    use flash_model::reference_ftl::Pattern;
    use proptest::prelude::*;

    /// 32 super-blocks of 32 pages.
    const TINY: Geometry =
        Geometry { channels: 2, dies_per_channel: 1, planes_per_die: 2, blocks_per_plane: 32, pages_per_block: 8 };

    fn aged() -> Image {
        let config = Config::new(TINY, 80);
        let mut memory = Owned::new(&config);
        let mut drive = Drive::formatted(config, &mut memory, 1).expect("it is new");
        let ageing = Ageing { fill_percent: 90, rounds: Some(3), pattern: Pattern::HotCold, seed: 2 };
        age(&mut drive, &ageing, || {}).expect("it works");
        drive.trim(3).expect("it works");
        drive.save().expect("it works")
    }

    #[test]
    fn a_drive_comes_back_with_its_data_and_its_figures() {
        let config = Config::new(TINY, 80);
        let mut memory = Owned::new(&config);
        let mut drive = Drive::formatted(config, &mut memory, 1).expect("it is new");
        let ageing = Ageing { fill_percent: 90, rounds: Some(3), pattern: Pattern::HotCold, seed: 2 };
        age(&mut drive, &ageing, || {}).expect("it works");
        drive.trim(3).expect("it works");
        for fault in [Fault::Program, Fault::Erase, Fault::Erase] {
            let moments = drive.port().moments();
            drive.port().fail_at(moments, fault);
            age(&mut drive, &Ageing { rounds: Some(1), ..ageing }, || {}).expect("it works");
        }
        drive.trim(3).expect("it works");
        let contents = |drive: &mut Drive| -> Vec<Option<u64>> {
            (0..config.units).map(|unit| drive.read(unit).expect("it can be read")).collect()
        };
        let (before, smart) = (contents(&mut drive), drive.ftl.smart());
        assert!(before[3].is_none() && before[4].is_some() && before[config.units as usize - 1].is_none());

        let image = drive.save().expect("it works");
        let bytes = image.to_bytes();
        let back = Image::from_bytes(&bytes).expect("it was written");
        assert_eq!(back.to_bytes(), bytes);
        assert_eq!(back.config, config);
        let mut memory = Owned::new(&config);
        let mut drive = Drive::restored(back, &mut memory, 3).expect("it mounts");
        assert_eq!(contents(&mut drive), before);
        let after = drive.ftl.smart();
        assert_eq!(after.written_units, smart.written_units);
        let failures = |smart: Smart| (smart.program_failures, smart.erase_failures, smart.bad_blocks);
        // An erase is one of a super-block, of which each block fails.
        let erase_failures = 2 * TINY.planes();
        assert_eq!(failures(smart), (1, erase_failures, 1 + erase_failures));
        assert_eq!(failures(after), failures(smart));
        assert!(after.programmed_pages >= smart.programmed_pages, "{after:?} {smart:?}");
        assert!(after.erases >= smart.erases, "{after:?} {smart:?}");

        let blocks = drive.blocks().expect("it works");
        let valid: u32 = blocks.iter().map(|block| block.valid_units).sum();
        assert_eq!(valid as usize, before.iter().flatten().count());
        assert!(blocks.iter().all(|block| block.valid_units <= block.written_pages * UNITS_PER_PAGE));
    }

    #[test]
    fn what_is_foreign_old_or_cut_off_is_named() {
        let bytes = aged().to_bytes();
        let error = |bytes: &[u8]| Image::from_bytes(bytes).expect_err("it is none").to_string();
        for foreign in [&b""[..], b"hello", b"\x7fELF and so on and so on and so on"] {
            assert!(error(foreign).contains("does not begin"), "{foreign:?}");
        }
        for length in [3, 8, 23, HEADER_BYTES, bytes.len() - 1] {
            assert!(error(&bytes[..length]).contains("cut off"), "{length}");
        }
        assert!(error(&[&bytes[..], b"x"].concat()).contains("instead of"));
        let mut other = bytes.clone();
        other[8] = 2;
        assert!(error(&other).contains("version 2"), "{}", error(&other));
    }

    /// With a right checksum: what a program could write that is not this one.
    fn sealed(frames: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(vec![0; HEADER_BYTES], Compression::fast());
        encoder.write_all(frames).expect("memory");
        let mut bytes = encoder.finish().expect("memory");
        let length = (bytes.len() - HEADER_BYTES) as u64;
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&length.to_le_bytes());
        let crc = crc(&bytes);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn any_changed_bit_is_noticed() {
        let bytes = aged().to_bytes();
        let mut runner = proptest::test_runner::TestRunner::default();
        let any_bit = (prop_oneof![0..HEADER_BYTES, 0..bytes.len()], 0..8_u8);
        let checked = runner.run(&any_bit, |(at, bit)| {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let error = Image::from_bytes(&damaged).expect_err("it is damaged");
            // By the checksum, not by what is made of the stream.
            prop_assert!(at < 20 || error == ImageError::Damaged, "byte {}: {}", at, error);
            Ok(())
        });
        checked.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Whole files with wrong contents are refused, or are a drive that may or may not mount; nothing panics.
    #[test]
    fn no_contents_are_trusted() {
        let mut frames = Vec::new();
        aged().write(&mut frames).expect("memory");
        let mut runner = proptest::test_runner::TestRunner::default();
        let changes = prop::collection::vec((0..frames.len(), any::<u8>()), 1..8);
        let checked = runner.run(&changes, |changes| {
            let mut changed = frames.clone();
            changes.into_iter().for_each(|(at, byte)| changed[at] = byte);
            if let Ok(image) = Image::from_bytes(&sealed(&changed)) {
                let mut memory = Owned::new(&image.config);
                let _ = Drive::restored(image, &mut memory, 1);
            }
            Ok(())
        });
        checked.unwrap_or_else(|error| panic!("{error}"));
    }
}
