//! Compiling the firmware.

use std::path::{Path, PathBuf};

use sim_guest::{Rust, Toolchain, TARGET};

use crate::{Image, ImageError};

/// The package with the program.
const PACKAGE: &str = "soc-firmware";

/// The program.
pub const PROGRAM: &str = "firmware";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no compiler.
    #[error("there is no Rust compiler for {TARGET}. `rustup target add {TARGET}` gives one to the machine's Rust; without, packages of Debian are used, but: {0}")]
    NoCompiler(#[source] sim_guest::Error),
    /// It could not be compiled.
    #[error(transparent)]
    Compile(#[from] sim_toolchain::Error),
    /// What was compiled is not taken.
    #[error("{path}: {source}", path = .path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImageError,
    },
}

impl BuildError {
    /// Whether this machine cannot have a compiler; everything else is a failure.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::NoCompiler(error) if error.is_unavailable())
    }
}

/// The firmware of this repository, compiled if it has changed.
///
/// # Errors
/// If there is no compiler, it fails, or the image is not taken.
pub fn build(toolchain: &Toolchain) -> Result<Image, BuildError> {
    let path = compile(toolchain)?;
    let file = std::fs::read(&path).map_err(|error| sim_toolchain::Error::io("read", &path, error))?;
    Image::parse(&file).map_err(|source| BuildError::Image { path, source })
}

/// As [`build`], but for the image: the file.
///
/// # Errors
/// If there is no compiler, or it fails.
pub fn compile(toolchain: &Toolchain) -> Result<PathBuf, BuildError> {
    let rust = Rust::found(toolchain).map_err(BuildError::NoCompiler)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join("target/firmware");
    let mut command = rust.cargo("build");
    command.current_dir(&root).arg("--locked").args(["--profile", PROGRAM, "--package", PACKAGE, "--bin", PROGRAM]);
    command.arg("--target-dir").arg(&target);
    toolchain.progress().begin("compiling the firmware", 1);
    let compiled = sim_toolchain::run(&mut command, "cargo", PACKAGE);
    toolchain.progress().end();
    compiled?;
    Ok(target.join(TARGET).join(PROGRAM).join(PROGRAM))
}
