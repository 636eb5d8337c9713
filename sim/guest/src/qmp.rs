//! QEMU's monitor (QMP: QEMU's documentation, "QEMU Machine Protocol Specification"): one JSON value to a line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use serde_json::{json, Value};

use crate::dilation::Clock;
use crate::Error;

/// A connection to QEMU's monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Waits for the monitor's greeting and answers it.
    pub fn new(stream: UnixStream) -> Result<Self, Error> {
        let mut qmp = Self { stream: BufReader::new(stream) };
        qmp.next_value("the greeting")?;
        qmp.execute("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Runs a command without arguments and returns what it returns. Events that come before are dropped.
    pub fn execute(&mut self, command: &str) -> Result<Value, Error> {
        let mut line = json!({ "execute": command }).to_string();
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes()).map_err(|error| fail(command, error))?;
        loop {
            let mut value = self.next_value(command)?;
            if let Some(returned) = value.get_mut("return") {
                return Ok(returned.take());
            }
            if let Some(error) = value.get("error") {
                return Err(fail(command, &error["desc"]));
            }
        }
    }

    fn next_value(&mut self, command: &str) -> Result<Value, Error> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).map_err(|error| fail(command, error))? {
            0 => Err(fail(command, "QEMU has ended")),
            _ => serde_json::from_str(&line).map_err(|error| fail(command, error)),
        }
    }
}

impl Clock for Qmp {
    type Error = Error;

    fn stop(&mut self) -> Result<(), Error> {
        self.execute("stop").map(drop)
    }

    fn go_on(&mut self) -> Result<(), Error> {
        self.execute("cont").map(drop)
    }
}

fn fail(command: &str, detail: impl ToString) -> Error {
    Error::Monitor { command: command.into(), detail: detail.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREETING: &str = r#"{"QMP": {"version": {}, "capabilities": []}}"#;
    const NOTHING: &str = r#"{"return": {}}"#;
    const EVENT: &str = r#"{"event": "STOP", "timestamp": {}}"#;

    /// A monitor that says these lines, whatever it is told, and then ends. Returns the other end of its connection, too, to see what it is told.
    fn monitor(lines: &[&str]) -> (Result<Qmp, Error>, BufReader<UnixStream>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        (Qmp::new(ours), BufReader::new(theirs))
    }

    fn told(mut monitor: BufReader<UnixStream>) -> String {
        let mut told = String::new();
        while monitor.read_line(&mut told).unwrap() > 0 {}
        told
    }

    #[test]
    fn commands_are_told_and_events_between_them_are_dropped() {
        let (qmp, theirs) = monitor(&[GREETING, NOTHING, EVENT, NOTHING, r#"{"return": {"running": false}}"#]);
        let mut qmp = qmp.unwrap();
        qmp.stop().unwrap();
        assert_eq!(qmp.execute("query-status").unwrap(), json!({ "running": false }));
        drop(qmp);
        let expected =
            [r#"{"execute":"qmp_capabilities"}"#, r#"{"execute":"stop"}"#, r#"{"execute":"query-status"}"#, ""];
        assert_eq!(told(theirs), expected.join("\n"));
    }

    #[test]
    fn what_the_monitor_refuses_is_an_error_with_its_words() {
        let refusal = r#"{"error": {"class": "CommandNotFound", "desc": "no such thing"}}"#;
        let (qmp, _theirs) = monitor(&[GREETING, NOTHING, refusal]);
        let error = qmp.unwrap().execute("fly").unwrap_err().to_string();
        assert!(error.contains("`fly`") && error.contains("no such thing"), "{error}");
    }

    #[test]
    fn a_monitor_that_goes_away_is_an_error() {
        assert!(monitor(&[]).0.is_err());
        assert!(monitor(&[GREETING]).0.is_err());
        let (qmp, _theirs) = monitor(&[GREETING, NOTHING, EVENT]);
        let error = qmp.unwrap().stop().unwrap_err().to_string();
        assert!(error.contains("QEMU has ended"), "{error}");
    }
}
