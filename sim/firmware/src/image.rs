//! An ELF file as a loader needs it. Everything is checked: a file that is taken can be loaded and started.

use std::ops::Range;

use object::elf;
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSymbol as _};
use soc_firmware::note;
use soc_firmware::process::Program;
use soc_map::containers::{slot, PROCESS_PAGES};
use soc_map::firmware::{IMAGE, IMAGE_BYTES_MAX};
use soc_map::privileged::sv39::PAGE_BYTES;
use soc_map::HARTS_MAX;
use zerocopy::IntoBytes as _;

/// A firmware image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    entry: u64,
    segments: Vec<Segment>,
    programs: Vec<Segment>,
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

/// Why a program cannot be loaded for a hart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// The hart has another role, or is not there.
    #[error("hart {0} runs no containers: choose one of those that do ({harts})", harts = containers_harts())]
    NoSlot(u32),
    /// It leaves no page for its stack.
    #[error("the program has {0} bytes, and there is room for {room}", room = (PROCESS_PAGES - 1) * PAGE_BYTES)]
    TooLarge(u64),
}

/// The harts that run containers.
fn containers_harts() -> String {
    let harts = (0..HARTS_MAX).filter(|hart| slot(*hart).is_some()).map(|hart| hart.to_string());
    harts.collect::<Vec<_>>().join(", ")
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
        let image = Self { entry, segments, programs: vec![], symbols: symbols(&elf) };
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

    /// The image with a program in the slot of a hart for containers, which runs it when it starts.
    ///
    /// # Errors
    /// If the hart has no slot, or the program does not fit.
    pub fn with_program(mut self, hart: u32, code: &[u8]) -> Result<Self, ProgramError> {
        let slot = (hart < HARTS_MAX).then(|| slot(hart)).flatten().ok_or(ProgramError::NoSlot(hart))?;
        let program = Program::new(code.len() as u64);
        program.code_bytes().map_err(|refused| ProgramError::TooLarge(refused.code_bytes))?;
        let mut content = program.as_bytes().to_vec();
        content.resize(PAGE_BYTES as usize, 0);
        content.extend(code);
        self.programs.push(Segment { address: slot.base, bytes: content.len() as u64, content });
        Ok(self)
    }

    /// The programs in the slots of containers, as they are loaded beside the image.
    pub fn programs(&self) -> &[Segment] {
        &self.programs
    }

    /// Bytes that are kept of it, from the first one to the last one that is not 0 at the start.
    pub fn bytes(&self) -> u64 {
        let loaded = self.segments.iter().filter(|segment| !segment.content.is_empty());
        let end = loaded.clone().map(|segment| segment.address + segment.content.len() as u64).max();
        end.unwrap_or(0) - loaded.map(|segment| segment.address).min().unwrap_or(0)
    }

    /// The functions, by their addresses: their names, as the compiler makes them, and where they are.
    pub fn functions(&self) -> impl Iterator<Item = (&str, Range<u64>)> {
        self.symbols.iter().map(|symbol| (&*symbol.name, symbol.address..symbol.address.saturating_add(symbol.bytes)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use soc_firmware::note::{Note, MAP};

    /// A part of a file.
    #[derive(Clone)]
    struct Part {
        kind: u32,
        flags: u32,
        address: u64,
        content: Vec<u8>,
        bytes: u64,
    }

    const LOAD: u32 = 1;
    const NOTE: u32 = 4;
    const EXECUTABLE: u32 = 1;

    fn code(address: u64, bytes: usize) -> Part {
        Part { kind: LOAD, flags: EXECUTABLE, address, content: vec![0x13; bytes], bytes: bytes as u64 }
    }

    fn variables(address: u64, bytes: u64) -> Part {
        Part { kind: LOAD, flags: 6, address, content: Vec::new(), bytes }
    }

    fn note(note: &Note) -> Part {
        let content = note.as_bytes().to_vec();
        Part { kind: NOTE, flags: 4, address: 0, bytes: content.len() as u64, content }
    }

    /// An ELF file of these parts, without sections. System V ABI, "ELF Header" and "Program Header".
    fn file(entry: u64, parts: &[Part]) -> Vec<u8> {
        let (header_bytes, part_bytes) = (64_u16, 56_u16);
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        // ET_EXEC, EM_RISCV.
        file.extend([2_u16, 243].iter().flat_map(|half| half.to_le_bytes()));
        file.extend(1_u32.to_le_bytes());
        file.extend([entry, header_bytes.into(), 0].iter().flat_map(|word| word.to_le_bytes()));
        file.extend(0_u32.to_le_bytes());
        let counts = [header_bytes, part_bytes, parts.len() as u16, 0, 0, 0];
        file.extend(counts.iter().flat_map(|half| half.to_le_bytes()));
        let mut offset = file.len() + parts.len() * usize::from(part_bytes);
        for part in parts {
            file.extend([part.kind, part.flags].iter().flat_map(|word| word.to_le_bytes()));
            let words = [offset as u64, part.address, part.address, part.content.len() as u64, part.bytes, 4];
            file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            offset += part.content.len();
        }
        parts.iter().for_each(|part| file.extend(&part.content));
        file
    }

    fn good() -> Vec<Part> {
        vec![code(IMAGE.base, 64), variables(IMAGE.base + 64, 4096), note(&MAP)]
    }

    /// Why a file with one part changed is refused.
    fn refused(index: usize, part: Part) -> ImageError {
        let mut parts = good();
        parts[index] = part;
        Image::parse(&file(IMAGE.base, &parts)).unwrap_err()
    }

    /// What a loader may rely on.
    fn assert_can_be_loaded(image: &Image) {
        let mut end = IMAGE.base;
        for segment in image.segments() {
            assert!(segment.address >= end && segment.content.len() as u64 <= segment.bytes);
            end = segment.address.checked_add(segment.bytes).unwrap();
        }
        assert!(end <= IMAGE.end() && image.bytes() <= IMAGE_BYTES_MAX);
        let is_loaded = |s: &&Segment| (s.address..s.address + s.content.len() as u64).contains(&image.entry());
        assert!(image.segments().iter().any(|segment| is_loaded(&segment)));
    }

    #[test]
    fn an_image_is_taken_as_it_is() {
        let image = Image::parse(&file(IMAGE.base + 4, &good())).unwrap();
        assert_eq!((image.entry(), image.bytes(), image.segments().len()), (IMAGE.base + 4, 64, 2));
        assert_eq!(image.segments()[0].content, [0x13; 64]);
        assert_can_be_loaded(&image);
    }

    #[test]
    fn what_is_no_elf_file_of_64_bits_is_refused() {
        let good = file(IMAGE.base, &good());
        for (offset, value) in [(0, 0), (4, 1), (5, 9), (54, 0)] {
            let mut file = good.clone();
            file[offset] = value;
            let error = Image::parse(&file).unwrap_err();
            assert!(matches!(error, ImageError::Format(_)), "byte {offset}: {error}");
        }
        for bytes in 0..good.len() {
            assert!(Image::parse(&good[..bytes]).is_err(), "the first {bytes} bytes");
        }
    }

    #[test]
    fn programs_of_others_are_refused() {
        // ET_DYN; EM_X86_64; the bytes of EM_RISCV and ET_EXEC, in the other order.
        for (changes, what) in [(vec![(16, 3)], "not linked"), (vec![(18, 62)], "machine"), (vec![(5, 2)], "machine")] {
            let mut file = file(IMAGE.base, &good());
            changes.into_iter().for_each(|(offset, value)| file[offset] = value);
            if file[5] == 2 {
                file.truncate(64);
                // No parts, wherever they are looked for.
                file[56..58].fill(0);
            }
            let error = Image::parse(&file).unwrap_err();
            assert!(matches!(error, ImageError::OtherMachine(text) if text.contains(what)), "{error}");
        }
    }

    #[test]
    fn another_map_is_named() {
        let mut other = note(&MAP);
        *other.content.last_mut().unwrap() ^= 0x80;
        let found = soc_map::VERSION ^ 1 << 63;
        assert_eq!(refused(2, other), ImageError::OtherMap { found });
        let without = Image::parse(&file(IMAGE.base, &good()[..2])).unwrap_err();
        assert_eq!(without, ImageError::NoMapVersion);
        // A note of somebody else, or about something else, says nothing.
        for byte in [8, 12] {
            let mut other = note(&MAP);
            other.content[byte] ^= 1;
            assert_eq!(refused(2, other), ImageError::NoMapVersion);
        }
    }

    #[test]
    fn parts_outside_of_their_memory_are_refused() {
        for part in [
            variables(IMAGE.base - 8, 8),
            variables(IMAGE.end() - 8, 9),
            variables(u64::MAX - 7, 8),
            variables(IMAGE.base, u64::MAX),
        ] {
            assert!(matches!(refused(1, part.clone()), ImageError::Outside(range) if range.start == part.address));
        }
        assert_eq!(refused(1, variables(IMAGE.base + 60, 8)), ImageError::Overlap(IMAGE.base + 60));
        let cut = Part { bytes: 63, ..code(IMAGE.base, 64) };
        assert!(matches!(refused(0, cut), ImageError::Format(_)));
    }

    #[test]
    fn the_size_of_the_image_is_bounded_and_that_of_variables_by_the_memory() {
        let at = |bytes: usize| {
            let mut parts = good();
            (parts[0], parts[1]) = (code(IMAGE.base, bytes), variables(IMAGE.base + bytes as u64, IMAGE_BYTES_MAX));
            Image::parse(&file(IMAGE.base, &parts))
        };
        assert!(at(IMAGE_BYTES_MAX as usize).is_ok());
        assert_eq!(at(IMAGE_BYTES_MAX as usize + 2), Err(ImageError::TooLarge(IMAGE_BYTES_MAX + 2)));
    }

    #[test]
    fn the_entry_is_in_the_code() {
        for entry in [IMAGE.base + 1, IMAGE.base + 64, IMAGE.base - 2, 0] {
            assert_eq!(Image::parse(&file(entry, &good())), Err(ImageError::Entry(entry)));
        }
        let constants = Part { flags: 4, ..code(IMAGE.base, 64) };
        assert_eq!(refused(0, constants), ImageError::Entry(IMAGE.base));
    }

    proptest! {
        /// A damaged file is refused or can be loaded, and never brings the loader down.
        #[test]
        fn any_damage_is_survived(
            damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            bytes in any::<prop::sample::Index>(),
            is_cut: bool,
        ) {
            let mut file = file(IMAGE.base, &good());
            for (index, value) in damages {
                let index = index.index(file.len());
                file[index] = value;
            }
            if is_cut {
                file.truncate(bytes.index(file.len()));
            }
            if let Ok(image) = Image::parse(&file) {
                assert_can_be_loaded(&image);
            }
        }
    }
}
