//! An ELF file as a loader needs it. Everything is checked: a file that is taken can be loaded and started.

use std::ops::Range;

use object::elf;
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSymbol as _};
use soc_firmware::note;
use soc_map::firmware::{IMAGE, IMAGE_BYTES_MAX};

/// A firmware image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    entry: u64,
    segments: Vec<Segment>,
    symbols: Vec<Symbol>,
}

/// A part of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it goes to.
    pub address: u64,
    /// What is there at the start.
    pub content: Vec<u8>,
    /// Bytes of it, at least those of `content`. Memory behind that is 0, or is made so by the firmware.
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Symbol {
    address: u64,
    bytes: u64,
    name: String,
}

/// Why a file is no firmware of this device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It is damaged, or something else.
    #[error("it is no whole ELF file of 64 bits: {0}")]
    Format(String),
    /// It is a program, but not of these processors.
    #[error("it is no program of RISC-V that is linked to its addresses ({0})")]
    OtherMachine(&'static str),
    /// Nothing says what map it is for.
    #[error("it does not say which address map it is for: it is no firmware of this device")]
    NoMapVersion,
    /// It is for another map.
    #[error("it is for address map {found:#018x}, and this device has {:#018x}: build it again", soc_map::VERSION)]
    OtherMap {
        /// [`soc_map::VERSION`] of when it was built.
        found: u64,
    },
    /// A part of it goes where firmware must not be.
    #[error("{:#x}..{:#x} is not in the memory for the image, {:#x}..{:#x}", .0.start, .0.end, IMAGE.base, IMAGE.end())]
    Outside(Range<u64>),
    /// Two parts go to one place.
    #[error("two parts of it go to {0:#x}")]
    Overlap(u64),
    /// It is larger than its place in the slots.
    #[error("it has {0} bytes, and there is room for {IMAGE_BYTES_MAX}")]
    TooLarge(u64),
    /// It begins where nothing is loaded that can be executed.
    #[error("it begins at {0:#x}, where it has no code")]
    Entry(u64),
}

impl From<object::Error> for ImageError {
    fn from(error: object::Error) -> Self {
        Self::Format(error.to_string())
    }
}

impl Image {
    /// The image in an ELF file.
    ///
    /// # Errors
    /// If anything is wrong with it.
    pub fn parse(file: &[u8]) -> Result<Self, ImageError> {
        let elf = ElfFile64::<Endianness>::parse(file)?;
        let (header, endian) = (elf.elf_header(), elf.endian());
        if !matches!(endian, Endianness::Little) || header.e_machine(endian) != elf::EM_RISCV {
            return Err(ImageError::OtherMachine("its machine is another one"));
        }
        if header.e_type(endian) != elf::ET_EXEC {
            return Err(ImageError::OtherMachine("it is not linked, or to be moved"));
        }
        let mut map = None;
        let mut segments = Vec::new();
        let mut code = Vec::new();
        for part in elf.elf_program_headers() {
            match part.p_type(endian) {
                elf::PT_NOTE => map = map.or(map_version(part, file, endian)?),
                elf::PT_LOAD if part.p_memsz(endian) != 0 => {
                    let outside = "a part of it lies outside of the file";
                    let content = part.data(endian, file).map_err(|()| ImageError::Format(outside.into()))?;
                    let (address, bytes) = (part.p_paddr(endian), part.p_memsz(endian));
                    if content.len() as u64 > bytes {
                        return Err(ImageError::Format("a part of it is larger than its memory".into()));
                    }
                    if part.p_vaddr(endian) != address {
                        return Err(ImageError::Format("a part of it is to be moved".into()));
                    }
                    let range = address..address.saturating_add(bytes);
                    if range.start < IMAGE.base || range.end > IMAGE.end() {
                        return Err(ImageError::Outside(range));
                    }
                    if part.p_flags(endian).contains(elf::PF_X) {
                        code.push(address..address + content.len() as u64);
                    }
                    segments.push(Segment { address, content: content.to_vec(), bytes });
                }
                _ => {}
            }
        }
        match map {
            None => return Err(ImageError::NoMapVersion),
            Some(found) if found != soc_map::VERSION => return Err(ImageError::OtherMap { found }),
            Some(_) => {}
        }
        segments.sort_by_key(|segment| segment.address);
        if let Some(pair) = segments.windows(2).find(|pair| pair[0].address + pair[0].bytes > pair[1].address) {
            return Err(ImageError::Overlap(pair[1].address));
        }
        let entry = header.e_entry(endian);
        // Compressed instructions are at even addresses.
        if entry % 2 != 0 || !code.iter().any(|code| code.contains(&entry)) {
            return Err(ImageError::Entry(entry));
        }
        let image = Self { entry, segments, symbols: symbols(&elf) };
        match image.bytes() {
            bytes if bytes > IMAGE_BYTES_MAX => Err(ImageError::TooLarge(bytes)),
            _ => Ok(image),
        }
    }

    /// The address of the first instruction.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Its parts, by their addresses; no two of them overlap, and all lie in [`IMAGE`].
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Bytes that are kept of it, from the first one to the last one that is not 0 at the start.
    pub fn bytes(&self) -> u64 {
        let loaded = self.segments.iter().filter(|segment| !segment.content.is_empty());
        let end = loaded.clone().map(|segment| segment.address + segment.content.len() as u64).max();
        end.unwrap_or(0) - loaded.map(|segment| segment.address).min().unwrap_or(0)
    }

    /// The function that an address lies in, and how far from its beginning.
    pub fn function_at(&self, address: u64) -> Option<(&str, u64)> {
        let symbol = &self.symbols[self.symbols.partition_point(|symbol| symbol.address <= address).checked_sub(1)?];
        let offset = address - symbol.address;
        (offset < symbol.bytes).then_some((&symbol.name, offset))
    }
}

/// The version of the map in a part with notes.
fn map_version(
    part: &elf::ProgramHeader64<Endianness>,
    file: &[u8],
    endian: Endianness,
) -> Result<Option<u64>, ImageError> {
    let Some(mut notes) = part.notes(endian, file)? else { return Ok(None) };
    while let Some(found) = notes.next()? {
        if found.name_bytes() == note::OWNER && found.n_type(endian) == elf::NoteType(note::MAP_VERSION) {
            let value = found.desc().try_into().map_err(|_| ImageError::Format("a note has no number".into()))?;
            return Ok(Some(u64::from_le_bytes(value)));
        }
    }
    Ok(None)
}

/// The functions, by their addresses. A file without any is as good.
fn symbols(elf: &ElfFile64<'_>) -> Vec<Symbol> {
    let functions = elf.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text);
    let mut symbols: Vec<_> = functions
        .filter_map(|symbol| {
            let name = symbol.name().ok()?.to_owned();
            Some(Symbol { address: symbol.address(), bytes: symbol.size(), name })
        })
        .collect();
    symbols.sort_by_key(|symbol| symbol.address);
    symbols
}
