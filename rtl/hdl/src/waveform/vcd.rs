//! Writes the VCD format: IEEE 1800, "Value change dump (VCD) files".

use super::tree::Instance;
use super::Sink;
use std::io::{self, Write};

/// A waveform that is being written.
pub(crate) struct VcdWriter<W: Write> {
    file: W,
}

impl<W: Write> VcdWriter<W> {
    /// Declares `top` and everything in it; a unit of time is a nanosecond.
    ///
    /// The format knows no enums, so that a comment says which code is which variant.
    pub(crate) fn new(mut file: W, top: &Instance) -> io::Result<Self> {
        writeln!(file, "$timescale 1ns $end")?;
        let mut enums = Vec::new();
        declare(&mut file, top, "", &mut enums)?;
        for text in enums {
            writeln!(file, "$comment {text} $end")?;
        }
        writeln!(file, "$enddefinitions $end")?;
        Ok(Self { file })
    }
}

fn declare(file: &mut impl Write, instance: &Instance, path: &str, enums: &mut Vec<String>) -> io::Result<()> {
    writeln!(file, "$scope module {} $end", instance.name)?;
    let path = format!("{path}{}.", instance.name);
    for value in &instance.values {
        let kind = if value.notes.is_register { "reg" } else { "wire" };
        let range = if value.width == 1 { String::new() } else { format!(" [{}:0]", value.width - 1) };
        writeln!(file, "$var {kind} {} {} {}{range} $end", value.width, code(value.signal), value.name)?;
        if let Some(labels) = value.notes.labels {
            let codes: Vec<String> = labels.iter().enumerate().map(|(code, label)| format!("{code}={label}")).collect();
            enums.push(format!("{path}{}: {}", value.name, codes.join(" ")));
        }
    }
    for child in &instance.children {
        declare(file, child, &path, enums)?;
    }
    writeln!(file, "$upscope $end")
}

/// The code of a signal: its number in printable characters, the lowest digit first.
fn code(mut signal: usize) -> String {
    const FIRST: u8 = b'!';
    const COUNT: usize = 94;
    let mut code = String::new();
    loop {
        code.push((FIRST + (signal % COUNT) as u8) as char);
        signal /= COUNT;
        if signal == 0 {
            return code;
        }
        signal -= 1;
    }
}

impl<W: Write> Sink for VcdWriter<W> {
    fn time(&mut self, time: u64) -> io::Result<()> {
        writeln!(self.file, "#{time}")
    }

    fn change(&mut self, signal: usize, bits: &[u8]) -> io::Result<()> {
        if bits.len() == 1 {
            self.file.write_all(bits)?;
        } else {
            // Zeroes at the front say nothing.
            let zeroes = bits.iter().take_while(|bit| **bit == b'0').count().min(bits.len() - 1);
            self.file.write_all(b"b")?;
            self.file.write_all(&bits[zeroes..])?;
            self.file.write_all(b" ")?;
        }
        writeln!(self.file, "{}", code(signal))
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_signal_has_a_code_of_its_own() {
        let codes: BTreeSet<String> = (0..20_000).map(code).collect();
        assert_eq!(codes.len(), 20_000);
        assert_eq!(["!", "~", "!!", "\"!"].map(str::to_owned), [0, 93, 94, 95].map(code));
        assert!(codes.iter().all(|code| code.chars().all(|c| c.is_ascii_graphic())));
    }
}
