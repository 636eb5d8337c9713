//! A Rust compiler for the device's processors: the machine's own if it has their target, else Debian's, which is fetched and never installed.
//!
//! Debian's compiler comes with libraries for the machine alone, and with the source of all. The target's `core` is built from that once, and then
//! lies beside the machine's libraries, where cargo expects it: nothing else of a build differs from one with `rustup target add`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sim_toolchain::{run, text, Toolchain};

use crate::emulator::{copy, is_loader, keep_libraries, LIBRARIES};
use crate::packages::RUST_PACKAGES;
use crate::tree::{files_below, Tree};
use crate::Error;

/// The device's processors, as Rust calls them.
pub const TARGET: &str = "riscv64gc-unknown-none-elf";

/// What the packaged compiler is made by, and so the key under which it is kept.
const RECIPE: &str = concat!(include_str!("rust.rs"), include_str!("emulator.rs"), include_str!("tree.rs"));

/// The folder of the programs, which are run by the scripts beside it.
const PROGRAMS: &str = "programs";

/// The folder in which the compiler finds the libraries of its targets.
const SYSROOT: &str = "sysroot";

/// Where below that folder, and below that of the packages, they lie.
const RUSTLIB: &str = "lib/rustlib";

const RUSTC: &str = "rustc";
const CARGO: &str = "cargo";
const LINKER: &str = "ld.lld";

/// A Rust compiler for [`TARGET`].
#[derive(Clone, Debug)]
pub struct Rust {
    packaged: Option<Packaged>,
}

#[derive(Clone, Debug)]
struct Packaged {
    folder: PathBuf,
    manifest: String,
}

impl Rust {
    /// The machine's own if it has the target; else the packages, fetched if they are not in the cache.
    pub fn found(toolchain: &Toolchain) -> Result<Self, Error> {
        match machine_has_target() {
            true => Ok(Self { packaged: None }),
            false => Self::packaged(toolchain),
        }
    }

    /// The packages of Debian, fetched if they are not in the cache.
    pub fn packaged(toolchain: &Toolchain) -> Result<Self, Error> {
        let (folder, manifest) = RUST_PACKAGES.kept(toolchain, "toolchain", RECIPE, |tree, folder| {
            keep_what_compiles(tree, folder)?;
            toolchain.progress().begin(&format!("compiling Rust's core for {TARGET} (once)"), 1);
            let built = build_core(&tree.find(&["usr/lib/rustlib/src/rust"])?, folder);
            toolchain.progress().end();
            built
        })?;
        let folder = fs::canonicalize(&folder).map_err(|error| Error::io("find", &folder, error))?;
        Ok(Self { packaged: Some(Packaged { folder, manifest }) })
    }

    /// A command that runs cargo, for [`TARGET`]: the machine's cargo, so that what it has fetched is used, with this compiler. What the environment
    /// says to the compiler is for programs of the machine, and does not reach this one.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new(machine_cargo());
        for variable in FOR_THE_MACHINE {
            command.env_remove(variable);
        }
        command.args([subcommand, "--target", TARGET]);
        if let Some(Packaged { folder, .. }) = &self.packaged {
            command.env(RUSTC_VARIABLE, folder.join(RUSTC));
            command.args(["--config", &format!("target.{TARGET}.linker={:?}", folder.join(LINKER))]);
        }
        command
    }

    /// The packages that it is made of, one line for each; none if it is the machine's own.
    pub fn manifest(&self) -> Option<&str> {
        self.packaged.as_ref().map(|packaged| packaged.manifest.as_str())
    }
}

/// What the environment says to cargo's compiler, which is meant for another one.
const FOR_THE_MACHINE: [&str; 4] = ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"];

/// What tells cargo which compiler to run.
const RUSTC_VARIABLE: &str = "RUSTC";

fn machine_cargo() -> std::ffi::OsString {
    env::var_os("CARGO").unwrap_or_else(|| CARGO.into())
}

/// Whether the compiler that the machine's cargo runs has libraries for the target.
fn machine_has_target() -> bool {
    let mut command = Command::new(env::var_os(RUSTC_VARIABLE).unwrap_or_else(|| RUSTC.into()));
    let output = command.args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| output.status.success() && Path::new(&text(&output)).is_dir())
}

/// Keeps the programs, their libraries, the machine's libraries of Rust, and a script for each program that runs it with all of these.
fn keep_what_compiles(tree: &Tree, folder: &Path) -> Result<(), Error> {
    let create = |path: &Path| fs::create_dir_all(path).map_err(|error| Error::io("create", path, error));
    create(&folder.join(PROGRAMS))?;
    let mut programs = Vec::new();
    for name in [RUSTC, CARGO, LINKER] {
        let program = tree.program(name)?;
        copy(&program, &folder.join(PROGRAMS).join(name))?;
        programs.push(program);
    }
    keep_libraries(tree, &programs, folder)?;
    let rustlib = tree.find(&["usr/lib/rustlib"])?;
    for file in files_below(&rustlib)? {
        let place = file.strip_prefix(&rustlib).unwrap_or(&file);
        // The link to the source leads out of here.
        if !place.starts_with("src") {
            let kept = folder.join(SYSROOT).join(RUSTLIB).join(place);
            create(kept.parent().unwrap_or(folder))?;
            copy(&file, &kept)?;
        }
    }
    let loader = files_below(&folder.join(LIBRARIES))?.into_iter().find(|file| is_loader(file));
    let loader = loader.ok_or_else(|| Error::Missing { what: "program loader".into() })?;
    let loader = loader.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for (name, arguments) in
        [(RUSTC, format!("--sysroot \"$here/{SYSROOT}\"")), (CARGO, String::new()), (LINKER, String::new())]
    {
        write_script(folder, name, &loader, &arguments)?;
    }
    Ok(())
}

/// The folder may be moved: the script finds everything beside itself.
fn write_script(folder: &Path, name: &str, loader: &str, arguments: &str) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    let script = format!(
        "#!/bin/sh\nhere=${{0%/*}}\nexec \"$here/{LIBRARIES}/{loader}\" --library-path \"$here/{LIBRARIES}\" \"$here/{PROGRAMS}/{name}\" {arguments} \"$@\"\n"
    );
    fs::write(&path, script).map_err(|error| Error::io("write", &path, error))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(|error| Error::io("write", &path, error))
}

/// Builds `core` for the target, and what the compiler calls by itself, and puts them where the compiler finds them.
///
/// Cargo does so with its `build-std`, as part of a program: here that is an empty one. The option is an unstable one, which these packages, made to build
/// a web browser, are there to be used with.
fn build_core(source: &Path, folder: &Path) -> Result<(), Error> {
    // It is built in a folder of its own, from which relative paths lead elsewhere.
    let find = |path: &Path| fs::canonicalize(path).map_err(|error| Error::io("find", path, error));
    let (source, folder) = (&*find(source)?, &*find(folder)?);
    let work = tempfile::tempdir_in(folder).map_err(|error| Error::io("create a folder in", folder, error))?;
    let work = work.path();
    let write = |path: &Path, content: &str| fs::write(path, content).map_err(|error| Error::io("write", path, error));
    write(&work.join("Cargo.toml"), "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[lib]\npath = \"lib.rs\"\n\n[workspace]\n")?;
    write(&work.join("lib.rs"), "#![no_std]\n")?;
    // Cargo looks for the source where the compiler's libraries are.
    let link = folder.join(SYSROOT).join(RUSTLIB).join("src");
    let create = |error| Error::io("create", &link, error);
    fs::create_dir(&link).and_then(|()| std::os::unix::fs::symlink(source, link.join("rust"))).map_err(create)?;
    let vendored = source.join("library/vendor");
    let mut command = Command::new(folder.join(CARGO));
    for variable in FOR_THE_MACHINE {
        command.env_remove(variable);
    }
    // Programs that are optimized as a whole need the library as the compiler's own code.
    command.env("RUSTFLAGS", "-Cembed-bitcode=yes").env("CARGO_TARGET_DIR", work.join("target"));
    command.current_dir(work).env("CARGO_HOME", work.join("home")).env("RUSTC_BOOTSTRAP", "1");
    command.env(RUSTC_VARIABLE, folder.join(RUSTC));
    command.args(["build", "--release", "--offline", "--target", TARGET, "-Zbuild-std=core,compiler_builtins"]);
    command.arg("-Zbuild-std-features=compiler-builtins-mem");
    command.args(["--config", "source.crates-io.replace-with=\"vendored\""]);
    command.args(["--config", &format!("source.vendored.directory={vendored:?}")]);
    run(&mut command, CARGO, &format!("core for {TARGET}"))?;
    fs::remove_dir_all(&link).map_err(|error| Error::io("remove", &link, error))?;

    let libraries = folder.join(SYSROOT).join(RUSTLIB).join(TARGET).join("lib");
    fs::create_dir_all(&libraries).map_err(|error| Error::io("create", &libraries, error))?;
    for file in files_below(&work.join("target").join(TARGET).join("release/deps"))? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libempty-") {
            copy(&file, &libraries.join(name))?;
        }
    }
    Ok(())
}
