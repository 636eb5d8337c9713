//! The controller to take away: SystemVerilog, file list, port guide, an example, a smoke test and the licence.

use crate::failure::{Failure, Result};
use crate::output;
use nvme_hw::controller::Controller;
use nvme_hw::Config;
use nvme_spec::{firmware_port, regs};
use rtl_hdl::ir::{Design, Direction, Domain, ModuleIr, Port};
use soc_top::DirectDevice;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The version of what a bundle contains and how it is laid out: it changes when somebody who uses one has to change something.
pub const BUNDLE_VERSION: u32 = 1;

/// The top of the example.
const EXAMPLE: &str = "flashdock_example";

/// A file of the bundle.
pub struct File {
    /// Its path in the bundle.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// A bus or a group of ports: the ports whose names begin so.
struct Group {
    prefix: &'static str,
    title: &'static str,
    about: &'static str,
}

/// Every group; the first that fits counts. Ports that fit none are single wires.
const GROUPS: &[Group] = &[
    Group {
        prefix: "mmio_",
        title: "`mmio`: AXI4-Lite subordinate",
        about: "BAR0: registers, doorbells, the MSI-X table. The function is in the address bits above those of a BAR.",
    },
    Group {
        prefix: "firmware_a",
        title: "`firmware`: AXI4-Lite subordinate",
        about: "The registers of firmware: commands that hardware leaves to it, completions, queues, transfers.",
    },
    Group { prefix: "firmware_w", title: "`firmware`: AXI4-Lite subordinate", about: "" },
    Group { prefix: "firmware_b", title: "`firmware`: AXI4-Lite subordinate", about: "" },
    Group { prefix: "firmware_r", title: "`firmware`: AXI4-Lite subordinate", about: "" },
    Group {
        prefix: "host_",
        title: "`host`: AXI4 manager",
        about: "Host memory: queue entries, lists, data, completions, interrupt messages. AxUSER is the function. No burst crosses 4 KiB; reads \
                may be answered in any order of their ids; writes of one function must stay in order.",
    },
    Group {
        prefix: "memory_",
        title: "`memory`: AXI4 manager",
        about: "The memory that holds the logical blocks, the first at address 0.",
    },
    Group {
        prefix: "storage_command_",
        title: "`storage_command`: stream out",
        about: "Tagged storage commands of at most 4 KiB, which may end in any order.",
    },
    Group {
        prefix: "storage_write_",
        title: "`storage_write`: stream out",
        about: "The data of writes, in the order of their commands.",
    },
    Group { prefix: "storage_read_", title: "`storage_read`: stream in", about: "The data of reads, beat by beat, by tag." },
    Group { prefix: "storage_done_", title: "`storage_done`: stream in", about: "How storage commands ended." },
];

/// What single wires are.
const WIRES: &[(&str, &str)] = &[
    ("clock", "The clock of everything."),
    ("reset", "Synchronous, active high."),
    ("bus_master_enable", "Bus Master Enable of the PCIe function: without it no request to host memory leaves."),
    ("msix_enable", "MSI-X Enable of the function."),
    ("msix_function_mask", "MSI-X Function Mask: interrupts stay pending."),
    ("function_level_reset", "Initiate Function Level Reset: a pulse of one clock or more."),
    ("firmware_event", "Firmware has something to look at: a level, the interrupt of its processor."),
];

/// What signals of AXI4, AXI4-Lite and streams are, by their suffix.
const SIGNALS: &[(&str, &str)] = &[
    ("awid", "Write address: id."),
    ("awaddr", "Write address."),
    ("awlen", "Write address: beats minus one."),
    ("awsize", "Write address: log2 of the bytes of a beat; always a whole beat."),
    ("awburst", "Write address: burst type; always INCR."),
    ("awuser", "Write address: the function."),
    ("awvalid", "Write address: valid."),
    ("awready", "Write address: ready."),
    ("wdata", "Write data."),
    ("wstrb", "Write data: which bytes."),
    ("wlast", "Write data: the last beat."),
    ("wvalid", "Write data: valid."),
    ("wready", "Write data: ready."),
    ("bid", "Write response: id."),
    ("bresp", "Write response: 0 is OKAY."),
    ("bvalid", "Write response: valid."),
    ("bready", "Write response: ready."),
    ("arid", "Read address: id."),
    ("araddr", "Read address."),
    ("arlen", "Read address: beats minus one."),
    ("arsize", "Read address: log2 of the bytes of a beat; always a whole beat."),
    ("arburst", "Read address: burst type; always INCR."),
    ("aruser", "Read address: the function."),
    ("arvalid", "Read address: valid."),
    ("arready", "Read address: ready."),
    ("rid", "Read data: id."),
    ("rdata", "Read data."),
    ("rresp", "Read data: 0 is OKAY."),
    ("rlast", "Read data: the last beat."),
    ("rvalid", "Read data: valid."),
    ("rready", "Read data: ready."),
    ("valid", "The item is there."),
    ("ready", "The item is taken."),
    ("tag", "Which command."),
    ("operation", "What to do: `StorageOperation` of `nvme-ctrl/hw/src/types.rs`."),
    ("nsid", "Namespace identifier."),
    ("sector", "First sector of 512 bytes; the storage is one space of them."),
    ("sectors", "Number of sectors."),
    ("fua", "Force Unit Access: on the medium when the command ends."),
    ("data", "One beat."),
    ("last", "The last beat of the command."),
    (
        "error",
        "Of a read: the medium could not be read. Of a write: the logical block of this beat must stay as it was.",
    ),
    ("status", "How the command ended: `StorageStatus` of `nvme-ctrl/hw/src/types.rs`."),
];

/// What a port is; nothing if nobody has said.
fn about(port: &Port) -> Option<&'static str> {
    if let Some((_, about)) = WIRES.iter().find(|(name, _)| *name == port.name) {
        return Some(about);
    }
    let suffix = port.name.rsplit('_').next()?;
    SIGNALS.iter().find(|(name, _)| *name == suffix).map(|(_, about)| *about)
}

/// All files of a bundle.
pub fn files(config: Config) -> Result<Vec<File>> {
    let device = design(&DirectDevice::new(config))?;
    let controller = design(&Controller::new(config))?;
    let sources = rtl_hdl::emit(&device);
    let list: String = sources.iter().map(|file| format!("rtl/{}\n", file.name)).collect();
    let mut files: Vec<File> =
        sources.into_iter().map(|file| File { path: format!("rtl/{}", file.name), text: file.text }).collect();
    files.extend(licence_files(&device));
    let mut add = |path: &str, text: String| files.push(File { path: path.to_owned(), text });
    add("files.f", list);
    add("PORTS.md", port_guide(config, controller.top(), device.top()));
    add("example/axi_memory.sv", include_str!("bundle/axi_memory.sv").to_owned());
    add(&format!("example/{EXAMPLE}.sv"), example(device.top()));
    add("test/smoke_test.sv", smoke_test(config, device.top()));
    let mut checkers = String::new();
    for checker in nvme_properties::checkers() {
        for file in rtl_hdl::emit(&design(&*checker)?) {
            let path = format!("properties/{}", file.name);
            let _ = writeln!(checkers, "{path}");
            add(&path, file.text);
        }
    }
    add("properties.f", checkers);
    add("properties/README.md", nvme_properties::GUIDE.to_owned());
    add("README.md", include_str!("bundle/README.md").to_owned());
    add("LICENSE", include_str!("../../../LICENSE").to_owned());
    Ok(files)
}

/// What has to go with the modules of others that are in the design.
fn licence_files(design: &Design) -> Vec<File> {
    let file = |file: rtl_hdl::SourceFile| File { path: format!("licences/{}", file.name), text: file.text };
    rtl_hdl::licences(design).into_iter().map(file).collect()
}

fn design(block: &dyn rtl_hdl::Block) -> Result<Design> {
    rtl_hdl::elaborate(block).map_err(|problems| {
        let what = format!("the hardware description of `{}` has mistakes", block.name());
        Failure::new(what, "correct them in its source").with_detail(problems)
    })
}

/// Writes a bundle into a folder, which is made if it is not there. One that has something in it is left alone, unless `force` is given: then the
/// files of the bundle are replaced, and others stay.
pub fn write(folder: &Path, files: &[File], force: bool) -> Result {
    if folder.exists() && !folder.is_dir() {
        return Err(Failure::new(
            format!("{} is there already and is not a folder", folder.display()),
            "name a folder",
        ));
    }
    let is_empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty && !force {
        return Err(Failure::new(
            format!("{} has files in it already", folder.display()),
            "name another folder, or add `--force` to replace those of a bundle",
        ));
    }
    for file in files {
        let path = folder.join(&file.path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| output::cannot_write(parent, &error))?;
        output::write_file(&path, file.text.as_bytes())?;
    }
    Ok(())
}

// --- The port guide ----------------------------------------------------------------------------------------------------------------------

fn port_guide(config: Config, controller: &ModuleIr, device: &ModuleIr) -> String {
    let mut text = format!(
        "# Port guide\n\n\
         Written by `flashdock emit --bundle` from the design.\n\n\
         | version of | is | told by |\n|---|---|---|\n\
         | the bundle: its files and their layout | {BUNDLE_VERSION} | this file |\n\
         | flashdock | {} | this file |\n\
         | the interface of firmware | {} | register `{}` of the bus `firmware`, at {:#x}; `{}` at {:#x} is {:#010x}, the letters FDNC |\n\
         | NVMe | {} | register `VS` of the bus `mmio`, at {:#x} |\n",
        env!("CARGO_PKG_VERSION"),
        firmware_port::INTERFACE_VERSION,
        firmware_port::VERSION.name,
        firmware_port::VERSION.offset,
        firmware_port::ID.name,
        firmware_port::ID.offset,
        firmware_port::ID_VALUE,
        nvme_version(),
        regs::VS.offset,
    );
    text += "\n## Parameters\n\nThe modules have none: a configuration is emitted. This one, by the names of `nvme-ctrl/hw/src/config.rs`:\n\n";
    text += "| parameter | value |\n|---|---:|\n";
    for line in format!("{config:#?}").lines() {
        if let Some((name, value)) = line.trim().trim_end_matches(',').split_once(": ") {
            let _ = writeln!(text, "| `{name}` | {value} |");
        }
    }
    let modules = [
        (controller, "The controller alone, with its storage port as streams."),
        (device, "The controller with its namespace in an AXI4 memory."),
    ];
    for (module, about) in modules {
        let _ = writeln!(text, "\n## Module `{}`\n\n{about}", module.name);
        text += &port_tables(module);
    }
    text
}

fn nvme_version() -> String {
    let version = regs::VERSION;
    format!("{}.{}.{}", version >> 16, version >> 8 & 0xFF, version & 0xFF)
}

fn group_of(port: &Port) -> Option<&'static Group> {
    let is_wire = WIRES.iter().any(|(name, _)| *name == port.name);
    GROUPS.iter().find(|group| !is_wire && port.name.starts_with(group.prefix))
}

fn port_tables(module: &ModuleIr) -> String {
    const HEADING: &str = "\n| port | bits | direction | clock | what it is |\n|---|---:|---|---|---|\n";
    let mut titles: Vec<Option<&'static str>> = vec![None];
    for port in &module.ports {
        let title = group_of(port).map(|group| group.title);
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    let mut text = String::new();
    for title in titles {
        let abouts = GROUPS.iter().filter(|group| Some(group.title) == title).map(|group| group.about);
        let about_group: String = abouts.collect();
        let _ = write!(text, "\n### {}\n", title.unwrap_or("Clock, reset and single wires"));
        if !about_group.is_empty() {
            let _ = write!(text, "\n{about_group}\n");
        }
        text += HEADING;
        for port in module.ports.iter().filter(|port| group_of(port).map(|group| group.title) == title) {
            let direction = if port.direction == Direction::Input { "in" } else { "out" };
            let clock = match port.domain {
                Domain::Clock(index) => module.clocks[index].name.clone(),
                Domain::ClockInput(_) | Domain::Any => "-".into(),
                Domain::Async => "any".into(),
            };
            let about = about(port).unwrap_or("See the front page of its block.");
            let _ = writeln!(text, "| `{}` | {} | {direction} | {clock} | {about} |", port.name, port.width);
        }
    }
    text
}

// --- SystemVerilog -----------------------------------------------------------------------------------------------------------------------

/// The ports of the example: all but those of the memory, which is inside.
fn outer_ports(device: &ModuleIr) -> impl Iterator<Item = &Port> {
    device.ports.iter().filter(|port| !port.name.starts_with("memory_"))
}

fn range(width: u32) -> String {
    if width == 1 {
        String::new()
    } else {
        format!("[{}:0] ", width - 1)
    }
}

/// `.a(a)` for each name, one a line.
fn connections<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("    .{name}({name})")).collect::<Vec<_>>().join(",\n")
}

fn example(device: &ModuleIr) -> String {
    let width = |name: &str| device.ports.iter().find(|port| port.name == name).map_or(1, |port| port.width);
    let declared = outer_ports(device).map(|port| {
        let direction = if port.direction == Direction::Input { "input " } else { "output" };
        format!("  {direction} logic {}{}", range(port.width), port.name)
    });
    let declared = declared.collect::<Vec<_>>().join(",\n");
    let wires: String = device
        .ports
        .iter()
        .filter(|port| port.name.starts_with("memory_"))
        .map(|port| format!("  logic {}{};\n", range(port.width), port.name))
        .collect();
    let module = &device.name;
    let all = connections(device.ports.iter().map(|port| port.name.as_str()));
    // What the memory has no port for says nothing to it: bursts are incrementing, beats are whole.
    let memory_ports = [
        "awid", "awaddr", "awvalid", "awready", "wdata", "wstrb", "wlast", "wvalid", "wready", "bid", "bresp",
        "bvalid", "bready", "arid", "araddr", "arlen", "arvalid", "arready", "rid", "rdata", "rresp", "rlast",
        "rvalid", "rready",
    ];
    let memory = memory_ports.map(|name| format!("    .{name}(memory_{name})")).join(",\n");
    format!(
        "// The controller with its namespace in an AXI4 memory: a pattern for a top of your own.\n\
         //\n\
         // In the place of `axi_memory` goes your DDR controller; `host` and `mmio` go to your PCIe core, `firmware` to your processor.\n\
         module {EXAMPLE} (\n{declared}\n);\n{wires}\n\
         \x20 {module} device (\n{all}\n  );\n\n\
         \x20 axi_memory #(\n    .DATA_BITS({}),\n    .ADDRESS_BITS({}),\n    .ID_BITS({})\n  ) namespace_memory (\n    .clock(clock),\n    .reset(reset),\n{memory}\n  );\n\
         endmodule\n",
        width("memory_wdata"),
        width("memory_awaddr"),
        width("memory_awid"),
    )
}

/// A register that the smoke test reads: its bus, offset, expected value and name.
fn expected_registers(config: Config) -> Vec<(&'static str, u32, u32, String)> {
    let capabilities = regs::cap_value(config.queue_entries_max);
    let ready = nvme_spec::regs::csts::RDY.get(regs::CSTS.reset) as u32;
    vec![
        ("mmio", regs::CAP.offset, capabilities as u32, "CAP, low half".into()),
        ("mmio", regs::CAP.offset + 4, (capabilities >> 32) as u32, "CAP, high half".into()),
        ("mmio", regs::VS.offset, regs::VERSION, "VS".into()),
        ("mmio", regs::CSTS.offset, ready, "CSTS".into()),
        ("firmware", firmware_port::ID.offset, firmware_port::ID_VALUE, "ID of the firmware port".into()),
        (
            "firmware",
            firmware_port::VERSION.offset,
            firmware_port::INTERFACE_VERSION,
            "VERSION of the firmware port".into(),
        ),
        ("firmware", firmware_port::LBA_BYTES.offset, config.lba_bytes, "LBA_BYTES of the firmware port".into()),
    ]
}

fn smoke_test(config: Config, device: &ModuleIr) -> String {
    let ports: Vec<&Port> = outer_ports(device).collect();
    let declared: String = ports.iter().map(|port| format!("  logic {}{};\n", range(port.width), port.name)).collect();
    let all = connections(ports.iter().map(|port| port.name.as_str()));
    let is_driven = |port: &&&Port| port.direction == Direction::Input && port.name != "clock" && port.name != "reset";
    // Answers of register reads are always welcome; the host's memory and everything else is quiet.
    let quiet: String = ports
        .iter()
        .filter(is_driven)
        .map(|port| {
            let is_welcome = ["mmio_rready", "firmware_rready"].contains(&port.name.as_str());
            format!("    {} = {};\n", port.name, if is_welcome { "1'b1" } else { "'0" })
        })
        .collect();
    let read_task = |bus: &str| {
        let name = format!("{bus}_araddr");
        let width = ports.iter().find(|port| port.name == name).map_or(32, |port| port.width);
        format!(
            "  task automatic read_{bus}(input logic {}address, input logic [31:0] expected, input string name);\n\
             \x20   @(negedge clock);\n    {bus}_araddr = address;\n    {bus}_arvalid = 1'b1;\n    \
             do @(posedge clock); while (!{bus}_arready);\n    @(negedge clock);\n    {bus}_arvalid = 1'b0;\n    \
             while (!{bus}_rvalid) @(negedge clock);\n    check({bus}_rdata, expected, name);\n    @(negedge clock);\n  endtask\n\n",
            range(width)
        )
    };
    let tasks: String = ["mmio", "firmware"].map(read_task).concat();
    let reads: String = expected_registers(config)
        .into_iter()
        .map(|(bus, offset, expected, name)| format!("    read_{bus}('h{offset:x}, 32'h{expected:08x}, \"{name}\");\n"))
        .collect();
    format!(
        "// Resets the example, reads what it is over both register buses, and checks that. The last line is PASS, or FAIL with a reason.\n\
         module smoke_test;\n{declared}\n\
         \x20 int wrong = 0;\n\n\
         \x20 {EXAMPLE} device (\n{all}\n  );\n\n\
         \x20 // Four units of time are a clock.\n  initial clock = 1'b0;\n  always #2 clock = !clock;\n\n\
         \x20 task automatic check(input logic [31:0] value, input logic [31:0] expected, input string name);\n\
         \x20   if (value !== expected) begin\n      wrong++;\n      \
         $display(\"%s is %08x instead of %08x\", name, value, expected);\n    end else begin\n      \
         $display(\"%s is %08x\", name, value);\n    end\n  endtask\n\n{tasks}\
         \x20 initial begin\n{quiet}    reset = 1'b1;\n    repeat (8) @(negedge clock);\n    reset = 1'b0;\n    repeat (8) @(negedge clock);\n{reads}    \
         if (wrong == 0) $display(\"PASS\");\n    else $display(\"FAIL: %0d of the values above are wrong\", wrong);\n    $finish;\n  end\n\n\
         \x20 initial begin\n    repeat (10000) @(negedge clock);\n    $display(\"FAIL: a register bus does not answer\");\n    $finish;\n  end\n\
         endmodule\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_is_described_and_in_the_guide() {
        for config in [Config::SMALL, Config::DEFAULT] {
            let designs =
                [design(&DirectDevice::new(config)), design(&Controller::new(config))].map(|d| d.ok().unwrap());
            let files = files(config).ok().unwrap();
            let guide = files.iter().find(|file| file.path == "PORTS.md").unwrap();
            for port in designs.iter().flat_map(|design| &design.top().ports) {
                assert!(about(port).is_some(), "{} needs a row in WIRES or SIGNALS", port.name);
                let row = format!("| `{}` | {} |", port.name, port.width);
                assert!(guide.text.contains(&row), "{row}");
            }
        }
    }

    #[test]
    fn licences_of_modules_of_others_are_in_the_bundle() {
        let text = "module part(output o);\nassign o = 0;\nendmodule\n";
        let part = rtl_hdl::Foreign::from_verilog("part", text).licence("LICENSE.part", "as is");
        let block = rtl_hdl::block_fn("whole", move |m| m.output("o", m.foreign("part", &part, &[]).port("o")));
        let files = licence_files(&design(&block).ok().unwrap());
        let files: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
        assert_eq!(files, [("licences/LICENSE.part", "as is")]);
    }

    #[test]
    fn every_property_is_in_the_bundle() {
        let files = files(Config::SMALL).ok().unwrap();
        let list = &files.iter().find(|file| file.path == "properties.f").unwrap().text;
        for property in nvme_properties::PROPERTIES {
            let path = format!("properties/{}.sv", property.checker);
            let checker = files.iter().find(|file| file.path == path).unwrap();
            assert!(checker.text.contains(&format!("{}: assert", property.name)), "{path} has no {}", property.name);
            assert!(list.lines().any(|line| line == path), "{list}");
        }
    }

    #[test]
    fn the_file_list_names_every_module_once_and_leaves_first() {
        let files = files(Config::SMALL).ok().unwrap();
        let list = &files.iter().find(|file| file.path == "files.f").unwrap().text;
        let sources: Vec<&File> = files.iter().filter(|file| file.path.starts_with("rtl/")).collect();
        assert_eq!(list.lines().count(), sources.len());
        assert!(list.lines().last().unwrap().contains("direct_device"), "{list}");
        assert!(list.lines().all(|line| sources.iter().any(|file| file.path == line)));
    }
}
