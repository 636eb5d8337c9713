//! What the guest boots: a kernel, and an archive of all its files (initramfs), made from packages.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use cpio::newc::{self, ModeFileType};
use sim_toolchain::Toolchain;

use crate::kernel::vmlinux;
use crate::modules::Modules;
use crate::packages::{GUEST_PACKAGES, MANIFEST};
use crate::tree::{files_below, Tree};
use crate::Error;

/// The first process.
const INIT: &str = include_str!("init.sh");

/// What the shell says first.
const MOTD: &str = include_str!("motd.txt");

/// The end of what the console shows before a shell takes what is typed. What is typed earlier is lost, in part: the kernel has not opened the line.
pub const SHELL_BEGINS: &str = "ends the shell and powers off";

/// The programs of the guest, beside those in busybox.
const PROGRAMS: [&str; 4] = ["nvme", "fio", "mkfs.ext4", "e2fsck"];

/// What a program loads by name when it first needs it (pthread_exit(3)), so that nothing in it says so.
const LOADED_LATER: &str = "libgcc_s.so.1";

/// What the image is made by, and so the key under which it is kept: the packages, and everything here.
const RECIPE: &str = concat!(
    include_str!("image.rs"),
    include_str!("init.sh"),
    include_str!("motd.txt"),
    include_str!("kernel.rs"),
    include_str!("modules.rs"),
    include_str!("tree.rs")
);

/// A kernel and its files.
#[derive(Clone, Debug)]
pub struct Image {
    folder: PathBuf,
}

impl Image {
    /// The image, made if it is not in the cache, from packages that are fetched if those are not.
    pub fn prepared(toolchain: &Toolchain) -> Result<Self, Error> {
        let folder = toolchain.cache().entry(&GUEST_PACKAGES.entry("image", RECIPE), |folder| {
            let packages = GUEST_PACKAGES.fetched(toolchain)?;
            let unpacked =
                tempfile::tempdir_in(folder).map_err(|error| Error::io("create a folder in", folder, error))?;
            packages.unpack(toolchain, unpacked.path())?;
            write_new(&folder.join(MANIFEST), packages.manifest()?.as_bytes())?;
            make(unpacked.path(), folder)
        })?;
        Ok(Self { folder })
    }

    /// The packages that it is made of: one line for each, with name, version, architecture and SHA-256.
    pub fn manifest(&self) -> Result<String, Error> {
        let path = self.folder.join(MANIFEST);
        fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))
    }

    /// The kernel, an ELF file.
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinux")
    }

    /// The archive of its files.
    pub fn initramfs(&self) -> PathBuf {
        self.folder.join("initramfs")
    }
}

/// Makes the image from unpacked packages.
fn make(unpacked: &Path, folder: &Path) -> Result<(), Error> {
    let tree = Tree::new(unpacked)?;
    let image = Image { folder: folder.to_owned() };

    let compressed = only_kernel(&tree.find(&["boot"])?)?;
    let kernel = fs::read(&compressed).map_err(|error| Error::io("read", &compressed, error))?;
    write_new(&image.kernel(), &vmlinux(&kernel, &compressed.display().to_string())?)?;

    let path = image.initramfs();
    let archive = |error| Error::io("write", &path, error);
    let file = File::create(&path).map_err(archive)?;
    let contents = contents(&tree)?;
    write_archive(BufWriter::new(file), &contents).map_err(archive)
}

/// One entry of the archive.
enum Content {
    Folder,
    File {
        content: Vec<u8>,
        executable: bool,
    },
    Link(&'static str),
    /// A character device, by its numbers.
    Device(u32, u32),
}

/// All that is in the archive, each by its path, folders before what is in them.
fn contents(tree: &Tree) -> Result<Vec<(String, Content)>, Error> {
    let read = |path: &Path| fs::read(path).map_err(|error| Error::io("read", path, error));
    let text = |text: &str| Content::File { content: text.into(), executable: false };
    let program = |content| Content::File { content, executable: true };
    let folders = [
        "bin",
        "dev",
        "etc",
        "lib",
        "lib/modules",
        "lib64",
        "mnt",
        "proc",
        "root",
        "run",
        "sbin",
        "sys",
        "tmp",
        "usr",
        "usr/bin",
        "usr/local",
        "usr/local/bin",
        "usr/sbin",
    ];
    let mut contents: Vec<_> = folders.into_iter().map(|folder| (folder.to_owned(), Content::Folder)).collect();

    // The kernel opens the console before the first process can make the device.
    contents.push(("dev/console".into(), Content::Device(5, 1)));
    contents.push(("init".into(), program(INIT.into())));
    contents.push(("bin/busybox".into(), program(read(&tree.program("busybox")?)?)));
    contents.push(("bin/sh".into(), Content::Link("busybox")));
    contents.push(("etc/motd".into(), text(MOTD)));
    contents.push(("etc/mtab".into(), Content::Link("/proc/self/mounts")));
    contents.push(("etc/passwd".into(), text("root:x:0:0:root:/root:/bin/sh\n")));
    contents.push(("etc/group".into(), text("root:x:0:\n")));
    contents.push((
        "etc/mke2fs.conf".into(),
        Content::File { content: read(&tree.find(&["etc/mke2fs.conf"])?)?, executable: false },
    ));

    let mut programs = Vec::new();
    for name in PROGRAMS {
        let path = tree.program(name)?;
        contents.push((format!("usr/local/bin/{name}"), program(read(&path)?)));
        programs.push(path);
    }
    programs.push(tree.library(LOADED_LATER)?);
    for (name, library) in tree.libraries_of(&programs)? {
        // The loader has its place in every program; it looks for all others in /lib, among other folders.
        let folder = if name.starts_with("ld-linux") { "lib64" } else { "lib" };
        contents.push((format!("{folder}/{name}"), program(read(&library)?)));
    }
    contents.push((format!("lib/{LOADED_LATER}"), program(read(&tree.library(LOADED_LATER)?)?)));

    let modules = only_folder(&tree.find(&["lib/modules", "usr/lib/modules"])?)?;
    let mut order = String::new();
    for module in Modules::new(&modules)?.in_load_order()? {
        let name = format!("{}.ko", module.name);
        order.push_str(&format!("{name}\n"));
        contents.push((format!("lib/modules/{name}"), Content::File { content: module.content, executable: false }));
    }
    contents.push(("lib/modules/order".into(), text(&order)));
    Ok(contents)
}

/// Writes an archive of format "newc" (the kernel's documentation, "initramfs buffer format").
fn write_archive(mut writer: impl io::Write, contents: &[(String, Content)]) -> io::Result<()> {
    let all = 0o755;
    let own = 0o644;
    for (path, content) in contents {
        let entry = newc::Builder::new(path);
        let (entry, data): (_, &[u8]) = match content {
            Content::Folder => (entry.mode(all).set_mode_file_type(ModeFileType::Directory), &[]),
            Content::File { content, executable } => {
                let mode = if *executable { all } else { own };
                (entry.mode(mode).set_mode_file_type(ModeFileType::Regular), content)
            }
            Content::Link(target) => (entry.mode(all).set_mode_file_type(ModeFileType::Symlink), target.as_bytes()),
            Content::Device(major, minor) => {
                (entry.mode(own).set_mode_file_type(ModeFileType::Char).rdev_major(*major).rdev_minor(*minor), &[])
            }
        };
        let size = u32::try_from(data.len()).map_err(io::Error::other)?;
        let mut entry = entry.write(&mut writer, size);
        entry.write_all(data)?;
        entry.finish()?;
    }
    newc::trailer(&mut writer)?.flush()
}

/// The kernel in `/boot`.
fn only_kernel(boot: &Path) -> Result<PathBuf, Error> {
    let is_kernel =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"));
    let found = files_below(boot)?.into_iter().find(is_kernel);
    found.ok_or_else(|| Error::Missing { what: "boot/vmlinuz-VERSION".into() })
}

/// The folder of the only kernel's modules.
fn only_folder(folder: &Path) -> Result<PathBuf, Error> {
    let read = |error| Error::io("read", folder, error);
    let first = fs::read_dir(folder).map_err(read)?.next().transpose().map_err(read)?;
    first.map(|entry| entry.path()).ok_or_else(|| Error::Missing { what: "lib/modules/VERSION".into() })
}

fn write_new(path: &Path, content: &[u8]) -> Result<(), Error> {
    fs::write(path, content).map_err(|error| Error::io("write", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_ends_where_the_shell_begins() {
        assert!(MOTD.trim_end().ends_with(SHELL_BEGINS));
        assert_eq!(MOTD.matches(SHELL_BEGINS).count(), 1);
    }

    #[test]
    fn the_archive_has_each_entry_as_it_is_said() {
        let contents = [
            ("dev".to_owned(), Content::Folder),
            ("dev/console".to_owned(), Content::Device(5, 1)),
            ("init".to_owned(), Content::File { content: b"odd".to_vec(), executable: true }),
            ("motd".to_owned(), Content::File { content: Vec::new(), executable: false }),
            ("sh".to_owned(), Content::Link("busybox")),
        ];
        let mut archive = Vec::new();
        write_archive(&mut archive, &contents).unwrap();

        let mut found = Vec::new();
        let mut rest = archive.as_slice();
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = String::new();
            io::Read::read_to_string(&mut reader, &mut content).unwrap();
            let entry = reader.entry();
            let device = (entry.rdev_major(), entry.rdev_minor());
            found.push((entry.name().to_owned(), entry.mode(), device, content));
            rest = reader.finish().unwrap();
        }
        let entry = |name: &str, mode, device, content: &str| (name.to_owned(), mode, device, content.to_owned());
        let expected = [
            entry("dev", 0o40755, (0, 0), ""),
            entry("dev/console", 0o20644, (5, 1), ""),
            entry("init", 0o100755, (0, 0), "odd"),
            entry("motd", 0o100644, (0, 0), ""),
            entry("sh", 0o120755, (0, 0), "busybox"),
        ];
        assert_eq!(found, expected);
    }
}
