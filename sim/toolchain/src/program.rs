//! Running programs.

use std::io;
use std::path::Path;
use std::process::{Command, Output};

use crate::Error;

/// Runs a program; if it is not installed, says what it is for, as a verb phrase, and how to install it.
pub fn output_of(command: &mut Command, purpose: &str, install: &'static str) -> Result<Output, Error> {
    command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::MissingProgram {
            program: command.get_program().to_string_lossy().into_owned(),
            purpose: purpose.to_owned(),
            install,
        },
        _ => Error::io("run", Path::new(command.get_program()), error),
    })
}

/// Runs a program of the toolchain on `what`; that it fails is an error with what it said.
pub fn run(command: &mut Command, program: &str, what: &str) -> Result<Output, Error> {
    let failed = |output: String| Error::Failed { program: program.into(), what: what.into(), output };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(failed(format!("{}\n({})", text(&output), output.status).trim().into()))
}

/// What a program wrote, both streams.
pub fn text(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stdout));
    text.trim().to_owned()
}
