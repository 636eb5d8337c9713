//! Which kernel modules the guest loads, and in which order.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSection as _};

use crate::compression::decompress;
use crate::tree::files_below;
use crate::Error;

/// What the guest cannot be without: the driver under test, a file system, and the file through which the script comes.
pub(crate) const REQUIRED: [&str; 3] = ["qemu_fw_cfg", "ext4", "nvme"];

/// What ext4 asks the kernel's cryptography for by the name of an algorithm, so that no `depends=` says it. Newer kernels have it built in.
pub(crate) const WHERE_PRESENT: [&str; 2] = ["crc32c_generic", "crc32c_intel"];

/// A module: its name and its content.
#[derive(Debug, PartialEq)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

/// The modules of a kernel (`/lib/modules/VERSION`).
pub(crate) struct Modules {
    files: BTreeMap<String, PathBuf>,
    built_in: Vec<String>,
}

impl Modules {
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        let list = folder.join("modules.builtin");
        let built_in = fs::read_to_string(&list).map_err(|error| Error::io("read", &list, error))?;
        let built_in = built_in.lines().filter_map(|line| module_name(Path::new(line))).collect();
        let files = files_below(folder)?.into_iter().filter_map(|file| Some((module_name(&file)?, file))).collect();
        Ok(Self { files, built_in })
    }

    /// The modules that the guest loads, in an order in which each comes after those that it needs.
    pub(crate) fn in_load_order(&self) -> Result<Vec<Module>, Error> {
        let mut order = Vec::new();
        for name in WHERE_PRESENT.into_iter().filter(|name| self.files.contains_key(*name)) {
            self.load(name, &mut order)?;
        }
        for name in REQUIRED {
            self.load(name, &mut order)?;
        }
        Ok(order)
    }

    /// Puts a module behind those that it needs.
    fn load(&self, name: &str, order: &mut Vec<Module>) -> Result<(), Error> {
        let has = |name: &String| self.built_in.contains(name);
        let name = name.replace('-', "_");
        if has(&name) || order.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let file = self.files.get(&name).ok_or_else(|| Error::Missing { what: format!("kernel module {name}") })?;
        let stored = fs::read(file).map_err(|error| Error::io("read", file, error))?;
        let title = file.display().to_string();
        let compressed = file.extension() != Some("ko".as_ref());
        let content = if compressed { decompress(&stored, &title)? } else { stored };
        let needed =
            depends(&content).map_err(|error| Error::Format { file: title.clone(), detail: error.to_string() })?;
        for needed in needed {
            self.load(&needed, order)?;
        }
        order.push(Module { name, content });
        Ok(())
    }
}

/// The name of the module in this file, if it is one: of `nvme-core.ko.xz`, `nvme_core`.
fn module_name(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let stem = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().find_map(|ending| name.strip_suffix(ending))?;
    Some(stem.replace('-', "_"))
}

/// The names of the modules that must be loaded before, from the section that `modinfo` prints.
fn depends(module: &[u8]) -> object::read::Result<Vec<String>> {
    let elf = ElfFile64::<Endianness>::parse(module)?;
    let Some(section) = elf.section_by_name(".modinfo") else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(section.data()?).into_owned();
    let names = text.split('\0').filter_map(|entry| entry.strip_prefix("depends="));
    Ok(names.flat_map(|names| names.split(',')).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use object::write::Object;
    use object::{Architecture, BinaryFormat, SectionKind};

    use super::*;

    /// An ELF file with this in its section `.modinfo`.
    fn module(modinfo: &str) -> Vec<u8> {
        let mut elf = Object::new(BinaryFormat::Elf, Architecture::X86_64, object::Endianness::Little);
        let section = elf.add_section(Vec::new(), b".modinfo".to_vec(), SectionKind::ReadOnlyData);
        elf.set_section_data(section, modinfo.as_bytes().to_vec(), 1);
        elf.write().unwrap()
    }

    /// A folder with the modules, each a path and its `.modinfo`.
    fn modules(files: &[(&str, &str)]) -> (tempfile::TempDir, Modules) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("modules.builtin"), "kernel/lib/crc16.ko\n").unwrap();
        for (path, modinfo) in files {
            let path = folder.path().join("kernel").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, module(modinfo)).unwrap();
        }
        let modules = Modules::new(folder.path()).unwrap();
        (folder, modules)
    }

    const QEMU_FW_CFG: (&str, &str) = ("firmware/qemu_fw_cfg.ko", "license=GPL\0depends=\0");
    const EXT4: (&str, &str) = ("fs/ext4.ko", "softdep=pre: crc32c\0depends=jbd2,mbcache,crc16\0retpoline=Y\0");
    const JBD2: (&str, &str) = ("fs/jbd2.ko", "depends=mbcache\0");
    const MBCACHE: (&str, &str) = ("fs/mbcache.ko", "");
    const NVME: (&str, &str) = ("nvme/nvme.ko", "depends=nvme-core\0");
    const NVME_CORE: (&str, &str) = ("nvme/nvme-core.ko", "depends=t10-pi\0");
    const T10_PI: (&str, &str) = ("block/t10-pi.ko", "depends=\0");

    #[test]
    fn each_module_comes_once_and_after_those_that_it_needs() {
        let generic = ("crypto/crc32c_generic.ko", "depends=\0");
        let (_folder, modules) = modules(&[QEMU_FW_CFG, EXT4, JBD2, MBCACHE, NVME, NVME_CORE, T10_PI, generic]);
        let order = modules.in_load_order().unwrap();
        let names: Vec<_> = order.iter().map(|module| module.name.as_str()).collect();
        let expected = ["crc32c_generic", "qemu_fw_cfg", "mbcache", "jbd2", "ext4", "t10_pi", "nvme_core", "nvme"];
        assert_eq!(names, expected);
        assert_eq!(order[4].content, module(EXT4.1));
    }

    #[test]
    fn a_module_that_is_missing_is_named() {
        let (_folder, modules) = modules(&[QEMU_FW_CFG, EXT4, JBD2, MBCACHE, NVME, NVME_CORE]);
        let error = modules.in_load_order().unwrap_err().to_string();
        assert!(error.contains("kernel module t10_pi"), "{error}");
    }

    #[test]
    fn names_of_files_are_those_of_modules() {
        for file in ["a/nvme-core.ko", "nvme_core.ko.xz", "nvme-core.ko.zst"] {
            assert_eq!(module_name(Path::new(file)).unwrap(), "nvme_core");
        }
        assert_eq!(module_name(Path::new("modules.dep")), None);
    }
}
