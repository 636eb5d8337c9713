//! Traces of requests to a block device: the two formats that `replay` reads.

use nvme_spec::limits::LBA_BYTES;
use std::fmt;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Reads
    Read,
    /// Writes
    Write,
    /// Trims
    Trim,
    /// Makes what was written durable
    Flush,
}

/// A line of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When, in nanoseconds.
    pub nsecs: u64,
    /// What.
    pub op: Op,
    /// What was written before it becomes durable first.
    pub flushes_before: bool,
    /// It is durable when it ends (FUA).
    pub is_durable: bool,
    /// The first sector, of [`LBA_BYTES`].
    pub sector: u64,
    /// How many.
    pub sectors: u64,
    /// Its line, from 1 on.
    pub line: u64,
}

/// A line that is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1 on.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// The lines that are no requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadLines {
    /// The first of them.
    pub first: Vec<BadLine>,
    /// How many there are.
    pub count: u64,
}

/// Most bad lines that are named.
const NAMED_MAX: usize = 10;

impl BadLines {
    /// One more.
    pub fn add(&mut self, line: u64, reason: impl Into<String>) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push(BadLine { line, reason: reason.into() });
        }
    }
}

impl fmt::Display for BadLines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for BadLine { line, reason } in &self.first {
            writeln!(formatter, "line {line}: {reason}")?;
        }
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => writeln!(formatter, "and {more} more"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `time_ns,op,bytes,lba`
    Csv,
    /// `nsecs, rwbs, bytes, sector, nr_sector`
    Block,
}

impl Format {
    const ALL: [Self; 2] = [Self::Csv, Self::Block];

    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Csv => &["time_ns", "op", "bytes", "lba"],
            Self::Block => &["nsecs", "rwbs", "bytes", "sector", "nr_sector"],
        }
    }
}

/// The requests of a trace. All lines are looked at.
///
/// # Errors
/// Lines that are no requests.
pub fn parse(text: &[u8]) -> Result<Vec<Request>, BadLines> {
    let (mut requests, mut bad) = (Vec::new(), BadLines::default());
    let mut format = None;
    for (line, bytes) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            bad.add(line, "it is not text");
            continue;
        };
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let fields = fields(text);
        let is_first = format.is_none() && requests.is_empty() && bad.count == 0;
        if let Some(named) = Format::ALL.into_iter().find(|format| is_first && names(*format, &fields)) {
            format = Some(named);
            continue;
        }
        match request(&mut format, &fields, line) {
            Ok(request) => requests.push(request),
            Err(reason) => bad.add(line, reason),
        }
    }
    if bad.count == 0 {
        Ok(requests)
    } else {
        Err(bad)
    }
}

/// Columns are apart by commas, or by blanks.
fn fields(text: &str) -> Vec<&str> {
    if text.contains(',') {
        text.split(',').map(str::trim).collect()
    } else {
        text.split_whitespace().collect()
    }
}

fn names(format: Format, fields: &[&str]) -> bool {
    let columns = format.columns();
    fields.len() == columns.len() && fields.iter().zip(columns).all(|(field, name)| field.eq_ignore_ascii_case(name))
}

/// The first line that has the columns of a format decides for all.
fn request(format: &mut Option<Format>, fields: &[&str], line: u64) -> Result<Request, String> {
    let fits = |format: &Format| format.columns().len() == fields.len();
    let found = match *format {
        None => Format::ALL.into_iter().find(fits),
        Some(known) => Some(known).filter(fits),
    };
    let Some(found) = found else {
        let expected = match *format {
            None => Format::ALL.map(|format| format.columns().join(",")).join(" or "),
            Some(format) => format.columns().join(","),
        };
        return Err(format!("it has {} columns; they are {expected}", fields.len()));
    };
    *format = Some(found);
    match found {
        Format::Csv => csv(fields, line),
        Format::Block => block(fields, line),
    }
}

fn csv(fields: &[&str], line: u64) -> Result<Request, String> {
    let op = match fields[1].to_ascii_lowercase().as_str() {
        "r" | "read" => Op::Read,
        "w" | "write" => Op::Write,
        "t" | "trim" | "d" | "discard" => Op::Trim,
        "f" | "flush" => Op::Flush,
        other => return Err(format!("op `{other}` is none of read, write, trim, flush (or r, w, t, f)")),
    };
    let nsecs = number("time_ns", fields[0])?;
    let bytes = number("bytes", fields[2])?;
    let lba = number("lba", fields[3])?;
    if bytes % u64::from(LBA_BYTES) != 0 {
        return Err(format!("{bytes} bytes are not a number of blocks of {LBA_BYTES}"));
    }
    let sectors = bytes / u64::from(LBA_BYTES);
    Request { nsecs, op, flushes_before: false, is_durable: false, sector: lba, sectors, line }.checked()
}

fn block(fields: &[&str], line: u64) -> Result<Request, String> {
    let rwbs = Rwbs::parse(fields[1])
        .ok_or_else(|| format!("rwbs `{}` is none of R, W, D, F with F before it and F, A, S, M behind", fields[1]))?;
    let nsecs = number("nsecs", fields[0])?;
    let bytes = number("bytes", fields[2])?;
    let sector = number("sector", fields[3])?;
    let sectors = number("nr_sector", fields[4])?;
    // Some kernels have no bytes for what comes from a file system.
    if bytes != 0 && sectors.checked_mul(u64::from(LBA_BYTES)) != Some(bytes) {
        return Err(format!("{bytes} bytes are not {sectors} sectors of {LBA_BYTES}"));
    }
    let Rwbs { op, flushes_before, is_durable } = rwbs;
    // What the kernel makes of a flush: a write of nothing.
    let op = if flushes_before && op == Op::Write && sectors == 0 { Op::Flush } else { op };
    let flushes_before = flushes_before && op != Op::Flush;
    Request { nsecs, op, flushes_before, is_durable, sector, sectors, line }.checked()
}

fn number(column: &str, text: &str) -> Result<u64, String> {
    // A sign is no part of any of these numbers.
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = text.parse().ok().filter(|_| is_number);
    parsed.ok_or_else(|| format!("{column} `{text}` is not a number of at most {}", u64::MAX))
}

/// The letters that the kernel writes for a request: an F for a flush before it, what it does, and how.
struct Rwbs {
    op: Op,
    flushes_before: bool,
    is_durable: bool,
}

impl Rwbs {
    fn parse(text: &str) -> Option<Self> {
        let (flushes_before, rest) = match text.strip_prefix('F') {
            // A flush itself, with what may come behind it.
            Some(rest) if !rest.starts_with(['R', 'W', 'D']) => (false, text),
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut letters = rest.chars();
        let op = match letters.next()? {
            'R' => Op::Read,
            'W' => Op::Write,
            'D' => Op::Trim,
            'F' => Op::Flush,
            _ => return None,
        };
        let how = letters.as_str();
        // E: a secure erase; U: an atomic write.
        let is_known = how.chars().all(|letter| matches!(letter, 'F' | 'A' | 'S' | 'M' | 'E' | 'U'));
        is_known.then_some(Self { op, flushes_before, is_durable: how.contains('F') && op != Op::Flush })
    }
}

impl Request {
    fn checked(self) -> Result<Self, String> {
        if self.op == Op::Flush {
            // It has no place, whatever stands there.
            return Ok(Self { sector: 0, sectors: 0, ..self });
        }
        if self.sectors == 0 {
            return Err("it has no bytes".to_owned());
        }
        let end = self.sector.checked_add(self.sectors).and_then(|end| end.checked_mul(u64::from(LBA_BYTES)));
        end.ok_or_else(|| "it ends beyond the largest address".to_owned())?;
        Ok(self)
    }

    /// Bytes that are moved or trimmed.
    pub const fn bytes(&self) -> u64 {
        self.sectors * LBA_BYTES as u64
    }
}

/// As a line of the five-column form.
impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = if self.flushes_before { "F" } else { "" };
        let op = match self.op {
            Op::Read => "R",
            Op::Write => "W",
            Op::Trim => "D",
            Op::Flush => "F",
        };
        let durable = if self.is_durable { "F" } else { "" };
        let Self { nsecs, sector, sectors, .. } = self;
        write!(formatter, "{nsecs},{before}{op}{durable},{},{sector},{sectors}", self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Request {
        match parse(text.as_bytes()).expect("it is a trace")[..] {
            [request] => request,
            ref other => panic!("{other:?}"),
        }
    }

    fn reasons(text: &str) -> Vec<(u64, String)> {
        parse(text.as_bytes()).expect_err("it is none").first.into_iter().map(|bad| (bad.line, bad.reason)).collect()
    }

    #[test]
    fn both_forms_say_the_same() {
        let expected = Request {
            nsecs: 1200,
            op: Op::Write,
            flushes_before: false,
            is_durable: false,
            sector: 9,
            sectors: 8,
            line: 1,
        };
        for text in
            ["1200,write,4096,9", "1200, W, 4096, 9\r\n", "1200\tw 4096 9", "1200,WS,4096,9,8", "1200 W 0 9 8\n\n"]
        {
            assert_eq!(one(text), expected, "{text}");
        }
        for text in [
            "# of a day\ntime_ns,op,bytes,lba\n1200,W,4096,9",
            "\nnsecs, rwbs, bytes, sector, nr_sector\n1200,W,4096,9,8",
        ] {
            assert_eq!(one(text), Request { line: 3, ..expected }, "{text}");
        }
        let flush = Request { op: Op::Flush, sector: 0, sectors: 0, ..expected };
        for text in ["1200,f,0,0", "1200,F,0,18446744073709551615,0", "1200,FF,0,0,0", "1200,FWS,0,0,0"] {
            assert_eq!(one(text), flush, "{text}");
        }
        assert_eq!(one("1200,FWFSM,4096,9,8"), Request { flushes_before: true, is_durable: true, ..expected });
        assert_eq!(one("1200,DE,4096,9,8"), Request { op: Op::Trim, ..expected });
        assert_eq!(parse(b"time_ns,op,bytes,lba\n"), Ok(Vec::new()));
    }

    #[test]
    fn each_bad_line_is_named_with_its_reason() {
        let text = "0,r,512,0\n0,q,512,0\n-1,r,512,0\n0,r,100,0\n0,r,0,0\n0,r,512\n0,r,512,0\n0,w,512,36028797018963967\n0,R,512,0,1";
        let expected = [
            (2, "op `q` is none of"),
            (3, "time_ns `-1` is not a number"),
            (4, "100 bytes are not a number of blocks of 512"),
            (5, "it has no bytes"),
            (6, "it has 3 columns; they are time_ns,op,bytes,lba"),
            (8, "beyond the largest address"),
            (9, "it has 5 columns"),
        ];
        let found = reasons(text);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((line, reason), (expected_line, part)) in found.iter().zip(expected) {
            assert!(*line == expected_line && reason.contains(part), "{line}: {reason}");
        }
        assert!(reasons("0,N,512,0,1")[0].1.contains("rwbs `N`"));
        assert!(reasons("0,R,512,0,2")[0].1.contains("not 2 sectors"));
        assert!(reasons("hello")[0].1.contains("1 columns"));
        assert_eq!(parse(b"\xff\n").expect_err("it is none").first[0].reason, "it is not text");
        let many = parse("x\n".repeat(25).as_bytes()).expect_err("it is none");
        assert!(many.count == 25 && many.to_string().ends_with("line 10: it has 1 columns; they are time_ns,op,bytes,lba or nsecs,rwbs,bytes,sector,nr_sector\nand 15 more\n"), "{many}");
    }

    fn any_request() -> impl Strategy<Value = Request> {
        let op = prop::sample::select(vec![Op::Read, Op::Write, Op::Trim, Op::Flush]);
        (any::<u64>(), op, any::<(bool, bool)>(), 0..1_u64 << 54, 1..1_u64 << 20).prop_map(
            |(nsecs, op, (flushes_before, is_durable), sector, sectors)| {
                let request = Request { nsecs, op, flushes_before, is_durable, sector, sectors, line: 1 };
                match op {
                    Op::Flush => Request { flushes_before: false, is_durable: false, sector: 0, sectors: 0, ..request },
                    _ => request,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(requests in prop::collection::vec(any_request(), 0..20)) {
            let text: String = requests.iter().map(|request| format!("{request}\n")).collect();
            let expected: Vec<Request> = (1..).zip(requests).map(|(line, request)| Request { line, ..request }).collect();
            prop_assert_eq!(parse(text.as_bytes()), Ok(expected));
        }

        #[test]
        fn any_bytes_are_a_trace_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn nearly_traces_are_a_trace_or_none(text in "([0-9]{1,20}[, ]{1,2}(r|W|FWFS|D|q|)[, ][0-9]{0,20}[, ][0-9-]{0,20}(,[0-9]{0,20})?\n?){0,6}") {
            if let Ok(requests) = parse(text.as_bytes()) {
                for request in requests {
                    prop_assert!((request.sectors == 0) == (request.op == Op::Flush), "{}", request);
                }
            }
        }
    }
}
