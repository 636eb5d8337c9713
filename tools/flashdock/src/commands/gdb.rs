//! `gdb`: the firmware on simulated processors under a debugger.

use crate::backend::no_device;
use crate::failure::{Failure, Result};
use crate::output;
use crate::workload;
use nvme_spec::identify::{cns, IDENTIFY_BYTES};
use sim_cosim::{CoresKind, CoresOptions, Ended, Options, Verilated};
use sim_firmware::{compile, Image, Toolchain};
use sim_host::{identify_entry, Driver};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// Run firmware on simulated processors under GDB, while a host identifies the device again and again
///
/// The processors are those of the instruction-set simulator, joined to the Verilated controller. They have started up, and stand still until GDB lets them go; the
/// device stands still with them. The command ends when GDB leaves.
#[derive(clap::Args)]
pub struct Args {
    /// Where to wait for `target remote`
    #[arg(default_value = "127.0.0.1:1234")]
    address: SocketAddr,
    /// How many processors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(soc_map::HARTS_MAX)))]
    harts: u32,
}

/// Waits for GDB, and works until it leaves.
pub fn run(args: &Args) -> Result {
    let toolchain = Toolchain::from_env();
    let next = "see what the compiler said; the README names what has to be installed";
    let path = compile(&toolchain).map_err(|error| Failure::new(error.to_string(), next))?;
    let path = path.canonicalize().unwrap_or(path);
    let file = std::fs::read(&path).map_err(|error| Failure::new(error.to_string(), "run the same command again"))?;
    let image = Image::parse(&file).map_err(|error| Failure::new(error.to_string(), "correct the firmware"))?;
    let cores = Some(CoresOptions { image: Arc::new(image), harts: args.harts, kind: CoresKind::Simulated });
    let options = Options { cores, ..Options::new(nvme_hw::Config::DEFAULT) };
    let mut device = Verilated::new(&options).map_err(no_device)?;

    let no_connection = |error: std::io::Error| {
        Failure::new(format!("no debugger can connect to {}: {error}", args.address), "choose another address")
    };
    let listener = TcpListener::bind(args.address).map_err(no_connection)?;
    let address = listener.local_addr().map_err(no_connection)?;
    output::print(&format!("waiting: gdb-multiarch {} -ex 'target remote {address}'\n", path.display()))?;
    let (connection, _) = listener.accept().map_err(no_connection)?;
    device.debug(connection).map_err(no_connection)?;

    let mut driver = Driver::new(&mut device, sim_host::Options::default());
    driver.bring_up().map_err(workload::device_failed)?;
    loop {
        let how = match driver.device().debugger_ended() {
            None => "",
            Some(Ended::Detached | Ended::Killed) => "GDB has left\n",
            Some(Ended::Lost(_)) => "the connection to GDB is lost\n",
        };
        if !how.is_empty() {
            return output::print(how);
        }
        let entry = identify_entry(cns::CONTROLLER, 0);
        driver.admin_data(entry, IDENTIFY_BYTES as usize).map_err(workload::device_failed)?;
    }
}
