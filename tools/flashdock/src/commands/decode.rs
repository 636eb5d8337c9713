//! `decode`: what the bits of a register, a queue entry or a status say. Everything comes from the tables of `nvme-spec`.

use crate::failure::{Failure, Result};
use crate::output::{self, Align, Paint, Table};
use nvme_spec::decode::FORCE_UNIT_ACCESS;
use nvme_spec::reg::Reg;
use nvme_spec::sgl::PSDT_SGL;
use nvme_spec::status::status_code_type;
use nvme_spec::{decode_io, firmware_port, is_fast_path, opcode, regs};
use nvme_spec::{CqEntry, FrameCommand, Limits, NamespaceInfo, SqEntry, Status};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;
use zerocopy::FromBytes;

/// Explain a register, a queue entry or a status
///
/// Examples: `decode cc 0x00460001`, `decode status 0x4002`, `decode sqe entry.bin`, `decode cqe 00000000000000000100010000000140`.
/// Without arguments it lists what it knows.
#[derive(clap::Args)]
pub struct Args {
    /// A register, `status`, `sqe` or `cqe`; registers of the firmware port may begin with `firmware.`
    what: Option<String>,
    /// The value: a number; for `sqe` and `cqe` the bytes in hexadecimal, or a file that holds them
    #[arg(requires = "what")]
    value: Option<String>,
    /// The submission queue entry is of the admin queue
    #[arg(long)]
    admin: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Something taken apart.
#[derive(Serialize)]
struct Decoded {
    name: String,
    value: String,
    about: String,
    fields: Vec<FieldLine>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct FieldLine {
    /// Bits of a register, bytes of an entry.
    place: String,
    name: String,
    value: u64,
    about: String,
}

/// Prints what `args` ask for.
pub fn run(args: &Args) -> Result {
    let Some(what) = &args.what else {
        return output::print(&known());
    };
    let Some(value) = &args.value else {
        return Err(Failure::new(
            format!("`decode {what}` needs a value"),
            format!("give it one, as in `{}`", output::command(format!("decode {what} 0x0"))),
        ));
    };
    if args.admin && !what.eq_ignore_ascii_case("sqe") {
        return Err(Failure::new("`--admin` says of which queue an `sqe` is", "leave `--admin` out"));
    }
    let decoded = match what.to_ascii_lowercase().as_str() {
        "status" => status(value)?,
        "sqe" => sqe(&entry_bytes::<64>(value)?, args.admin),
        "cqe" => cqe(&entry_bytes::<16>(value)?),
        name => register(find_register(name)?, value)?,
    };
    if args.json {
        output::print_json(&decoded)
    } else {
        output::print(&decoded.text())
    }
}

impl Decoded {
    fn text(&self) -> String {
        let mut text = format!("{} = {}    {}\n", Paint::stdout().strong(&self.name), self.value, self.about);
        let mut table = Table::new(&[Align::Right, Align::Left, Align::Right, Align::Right, Align::Left]);
        for field in &self.fields {
            let (hex, decimal) = (format!("0x{:x}", field.value), field.value.to_string());
            table.row([field.place.clone(), field.name.clone(), hex, decimal, field.about.clone()]);
        }
        text += &table.text(2);
        for note in &self.notes {
            let _ = writeln!(text, "  {note}");
        }
        text
    }
}

fn known() -> String {
    let mut text = String::from("decode knows\n  status    the status field of a completion, without the phase tag\n");
    text += "  sqe       a submission queue entry, 64 bytes\n  cqe       a completion queue entry, 16 bytes\n";
    let mut list = |title: &str, prefix: &str, regs: &[Reg]| {
        let _ = writeln!(text, "\n{title}");
        let mut table = Table::new(&[Align::Left, Align::Left]);
        for reg in regs {
            table.row([format!("{prefix}{}", reg.name.to_ascii_lowercase()), reg.doc.to_owned()]);
        }
        text += &table.text(2);
    };
    list("the controller's registers", "", regs::REGS);
    list("registers of the firmware port", "firmware.", firmware_port::REGS);
    text
}

// --- Registers ---------------------------------------------------------------------------------------------------------------------------

fn find_register(name: &str) -> Result<&'static Reg> {
    let find = |regs: &'static [Reg], name: &str| regs.iter().find(|reg| reg.name.eq_ignore_ascii_case(name));
    let found = match name.strip_prefix("firmware.") {
        Some(name) => find(firmware_port::REGS, name),
        // A name that both have is the controller's.
        None => find(regs::REGS, name).or_else(|| find(firmware_port::REGS, name)),
    };
    found.ok_or_else(|| {
        let names: Vec<String> = regs::REGS.iter().map(|reg| reg.name.to_ascii_lowercase()).collect();
        Failure::new(
            format!("there is no register `{name}`; the controller has {}", names.join(", ")),
            format!("`{}` lists those of the firmware port as well", output::command("decode")),
        )
    })
}

fn register(reg: &Reg, value: &str) -> Result<Decoded> {
    let bits = reg.bytes * 8;
    let value = number(value, bits)?;
    let field_line = |field: &nvme_spec::reg::Field| FieldLine {
        place: bits_text(field.lsb, field.width),
        name: field.name.to_owned(),
        value: field.get(value),
        about: field.doc.to_owned(),
    };
    let reserved = reg.fields.iter().fold(value, |rest, field| rest & !field.mask());
    let mut notes = Vec::new();
    if reserved != 0 {
        notes.push(format!("reserved bits are set: {reserved:#x}"));
    }
    Ok(Decoded {
        name: reg.name.to_owned(),
        value: format!("0x{value:0digits$x}", digits = reg.bytes as usize * 2),
        about: reg.doc.to_owned(),
        fields: reg.fields.iter().rev().map(field_line).collect(),
        notes,
    })
}

fn bits_text(lsb: u32, width: u32) -> String {
    if width == 1 {
        lsb.to_string()
    } else {
        format!("{}:{lsb}", lsb + width - 1)
    }
}

/// A number of at most `bits` bits.
fn number(text: &str, bits: u32) -> Result<u64> {
    let digits = text.replace('_', "").to_ascii_lowercase();
    let parsed = match digits.strip_prefix("0x") {
        Some(hex) => u128::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let what = match parsed {
        Ok(value) if value >> bits == 0 => return Ok(value as u64),
        Ok(_) => format!("{text} has more than {bits} bits"),
        Err(_) => format!("`{text}` is not a number"),
    };
    Err(Failure::new(what, format!("give a number of at most {bits} bits: decimal, or hexadecimal after 0x")))
}

// --- Status ------------------------------------------------------------------------------------------------------------------------------

/// Bits of the Status Field. NVMe Base, "Status Field Definition".
const STATUS_FIELD_BITS: u32 = 15;

fn status(value: &str) -> Result<Decoded> {
    let raw = number(value, STATUS_FIELD_BITS)?;
    let status = Status::from_raw(raw as u16);
    let mut fields = status_fields(status);
    fields.reverse();
    Ok(Decoded {
        name: "status".to_owned(),
        value: format!("{raw:#06x}"),
        about: status.to_string(),
        fields,
        notes: status_notes(status),
    })
}

fn status_fields(status: Status) -> Vec<FieldLine> {
    let line = |place: &str, name: &str, value: u64, about: &str| FieldLine {
        place: place.to_owned(),
        name: name.to_owned(),
        value,
        about: about.to_owned(),
    };
    let kind = match status.status_code_type() {
        status_code_type::GENERIC => "Generic Command Status.",
        status_code_type::COMMAND_SPECIFIC => "Command Specific Status.",
        status_code_type::MEDIA => "Media and Data Integrity Errors.",
        _ => "Status Code Type that this controller never returns.",
    };
    let delay = u64::from(status.raw() >> 11 & 3);
    vec![
        line("7:0", "SC", status.status_code().into(), &format!("{}.", status.name())),
        line("10:8", "SCT", status.status_code_type().into(), kind),
        line("12:11", "CRD", delay, "Command Retry Delay: 0 for no delay."),
        line("13", "M", status.more().into(), "More: there is an entry in the error log about it."),
        line("14", "DNR", status.do_not_retry().into(), "Do Not Retry: the same command would fail again."),
    ]
}

fn status_notes(status: Status) -> Vec<String> {
    let unknown = "this controller never returns this status".to_owned();
    status.info().is_none().then_some(unknown).into_iter().collect()
}

// --- Queue entries -----------------------------------------------------------------------------------------------------------------------

/// `N` bytes, written in hexadecimal or held by a file, in either form.
fn entry_bytes<const N: usize>(value: &str) -> Result<[u8; N]> {
    if let Some(bytes) = hex_bytes(value) {
        return sized(&bytes, "the value");
    }
    let path = Path::new(value);
    let next = format!("give {} hexadecimal digits, or a file that holds the {N} bytes", 2 * N);
    let contents = std::fs::read(path).map_err(|error| {
        let what = format!("`{value}` is neither hexadecimal nor a file that can be read: {}", output::reason(&error));
        Failure::new(what, &next)
    })?;
    let from_text = || std::str::from_utf8(&contents).ok().and_then(hex_bytes);
    if contents.len() == N {
        return sized(&contents, value);
    }
    from_text().map_or_else(|| sized(&contents, value), |bytes| sized(&bytes, value))
}

fn sized<const N: usize>(bytes: &[u8], name: &str) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| {
        Failure::new(
            format!("{name} has {} bytes; an entry has {N}", bytes.len()),
            format!("give {} hexadecimal digits, or a file that holds the {N} bytes", 2 * N),
        )
    })
}

/// The bytes that hexadecimal digits stand for, in the order in which they lie in memory; blanks and underscores may part them.
fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '_')
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn hex_text(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn sqe(bytes: &[u8; 64], is_admin: bool) -> Decoded {
    let entry = SqEntry::read_from_bytes(bytes).expect("64 bytes are an entry");
    let mut fields = Vec::new();
    let mut line = |place: &str, name: &str, value: u64, about: &str| {
        fields.push(FieldLine { place: place.to_owned(), name: name.to_owned(), value, about: about.to_owned() });
    };
    let name = opcode::name(entry.opcode, is_admin).unwrap_or("not a command of this controller");
    line("0", "OPC", entry.opcode.into(), name);
    line("1", "FUSE", entry.fuse().into(), "Bits 1:0: fused operation; 0 for a normal command.");
    line("1", "PSDT", entry.psdt().into(), "Bits 7:6: 0 for PRPs, 1 for an SGL.");
    line("2", "CID", entry.cid.get().into(), "Command Identifier.");
    line("4", "NSID", entry.nsid.get().into(), "Namespace Identifier.");
    line("8", "CDW2", entry.cdw2[0].get().into(), "");
    line("12", "CDW3", entry.cdw2[1].get().into(), "");
    line("16", "MPTR", entry.mptr.get(), "Metadata Pointer.");
    let [low, high] = entry.prp.map(|half| half.get());
    if entry.psdt() == PSDT_SGL {
        line("24", "SGL1.ADDR", low, "");
        line("32", "SGL1.LEN", high & 0xFFFF_FFFF, "Bytes of the data block or of the segment.");
        line("39", "SGL1.ID", high >> 56, "00h: data block; 20h: segment; 30h: last segment.");
    } else {
        line("24", "PRP1", low, "");
        line("32", "PRP2", high, "");
    }
    for number in 10..16 {
        line(&(number * 4).to_string(), &format!("CDW{number}"), entry.cdw(number).into(), "");
    }
    Decoded {
        name: "sqe".to_owned(),
        value: hex_text(&bytes[..4]) + "…",
        about: format!("{name}, {} queue", if is_admin { "admin" } else { "I/O" }),
        fields,
        notes: if is_admin { Vec::new() } else { io_notes(&entry) },
    }
}

/// What becomes of an entry in an I/O queue, whatever the size of the namespace.
fn io_notes(entry: &SqEntry) -> Vec<String> {
    let namespace = NamespaceInfo { nsid: nvme_spec::limits::NSID, blocks: u64::MAX, is_write_protected: false };
    let mut notes = Vec::new();
    if let Some(frame) = FrameCommand::decode(entry) {
        notes.push(match frame {
            Ok(FrameCommand::Send { bytes }) => format!("a frame of {bytes} bytes for the firmware"),
            Ok(FrameCommand::Receive) => "held by the firmware until a frame arrives".into(),
            Err(status) => format!("answered with {}", status.for_host()),
        });
        return notes;
    }
    match decode_io(entry, &namespace, &Limits::DEFAULT) {
        Ok(command) => notes.extend(command.range().map(|range| {
            let (range, blocks) = (range.range(), range.blocks());
            let bytes = output::bytes_text(u64::from(blocks) * u64::from(Limits::DEFAULT.lba_bytes));
            let fua = if entry.cdw(12) & FORCE_UNIT_ACCESS != 0 { ", forced to the medium" } else { "" };
            format!("blocks {}..{}: {blocks}, {bytes}{fua}", range.start, range.end)
        })),
        Err(status) => notes.push(format!("answered with {}", status.for_host())),
    }
    let by = if is_fast_path(entry, &namespace, &Limits::DEFAULT) { "hardware alone" } else { "firmware" };
    notes.push(format!("executed by {by}, given that the namespace has the blocks"));
    notes
}

fn cqe(bytes: &[u8; 16]) -> Decoded {
    let entry = CqEntry::read_from_bytes(bytes).expect("16 bytes are an entry");
    let status = Status::from_raw(entry.status_field());
    let mut fields = Vec::new();
    let mut line = |place: &str, name: &str, value: u64, about: &str| {
        fields.push(FieldLine { place: place.to_owned(), name: name.to_owned(), value, about: about.to_owned() });
    };
    line("0", "DW0", entry.result.get().into(), "Command-specific result.");
    line("4", "DW1", entry.reserved.get().into(), "Reserved.");
    line("8", "SQHD", entry.sqhd.get().into(), "Submission Queue Head Pointer.");
    line("10", "SQID", entry.sqid.get().into(), "Submission Queue Identifier.");
    line("12", "CID", entry.cid.get().into(), "Command Identifier.");
    line("14", "P", entry.phase().into(), "Bit 0: Phase Tag.");
    // The status is a field of the entry one bit higher than it is counted.
    for field in status_fields(status) {
        line("14", &field.name, field.value, &field.about);
    }
    Decoded {
        name: "cqe".to_owned(),
        value: hex_text(bytes),
        about: status.to_string(),
        fields,
        notes: status_notes(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(decoded: &Decoded, name: &str) -> u64 {
        decoded.fields.iter().find(|field| field.name == name).map(|field| field.value).unwrap()
    }

    #[test]
    fn numbers_are_held_to_their_width() {
        assert_eq!(number("0x0046_0001", 32).unwrap(), 0x46_0001);
        assert_eq!(number("4294967295", 32).unwrap(), u64::from(u32::MAX));
        assert_eq!(number("0xffffffffffffffff", 64).unwrap(), u64::MAX);
        for text in ["0x1_0000_0000", "", "0x", "-1", "12q", "0xffffffffffffffffffffffffffffffffff"] {
            assert!(number(text, 32).is_err(), "{text}");
        }
    }

    #[test]
    fn every_register_is_found_by_its_name() {
        for reg in regs::REGS {
            assert_eq!(find_register(reg.name).unwrap().doc, reg.doc);
        }
        for reg in firmware_port::REGS {
            assert_eq!(find_register(&format!("firmware.{}", reg.name)).unwrap(), reg);
        }
    }

    /// CDW12 with FUA, in the middle of an entry otherwise read from the figure "Common Command Format".
    #[test]
    fn a_read_is_taken_apart() {
        let mut bytes = [0; 64];
        bytes[0] = opcode::io::READ;
        bytes[4] = 1;
        bytes[40] = 8;
        bytes[48..52].copy_from_slice(&0x4000_0007_u32.to_le_bytes());
        let decoded = sqe(&bytes, false);
        assert_eq!(field(&decoded, "CDW12"), 0x4000_0007);
        assert!(decoded.notes[0].starts_with("blocks 8..16: 8, 4 KiB, forced"), "{:?}", decoded.notes);
        assert!(decoded.notes[1].contains("hardware alone"));
    }

    #[test]
    fn a_completion_has_its_status_above_the_phase() {
        let mut bytes = [0; 16];
        bytes[14..].copy_from_slice(&[0x05, 0x80]);
        let decoded = cqe(&bytes);
        assert_eq!((field(&decoded, "P"), field(&decoded, "SC"), field(&decoded, "DNR")), (1, 2, 1));
    }
}
