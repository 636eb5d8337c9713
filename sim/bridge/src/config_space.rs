//! The configuration space of one function.

use nvme_spec::pci::{self, command, device_control, header, msix, power_control};
use nvme_spec::reg::{Access, Reg};
use sim_device::Sideband;

/// What a PCI function looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Functions of the device: 1 to 8.
    pub functions: u8,
    /// Entries of the MSI-X table of each: 1 to [`pci::VECTORS_MAX`].
    pub vectors: u16,
    /// How long the address of BAR0 may be.
    pub address: AddressBits,
}

/// How long the address of BAR0 may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressBits {
    /// As NVMe has it: BAR0 and BAR1 hold it.
    Bits64,
    /// For software that routes 32 bits only.
    Bits32,
}

/// What a write to the configuration space asks of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The bits that the controller sees are now these.
    Sideband(Sideband),
    /// Function level reset; all bits that the controller sees are off.
    FunctionLevelReset,
}

/// The configuration space of one function: header type 0, power management, MSI-X and PCI Express.
///
/// Registers and fields are those of [`nvme_spec::pci`]. Accesses of any width and place are legal; what lies across the end of a register
/// behaves as its bytes do.
#[derive(Clone)]
pub struct ConfigSpace {
    bytes: [u8; BYTES],
    /// Of each bit, whether a write sets it.
    writable: [u8; BYTES],
    identity: Identity,
}

const BYTES: usize = pci::CONFIG_BYTES as usize;

/// What a read returns where nothing answers. PCI Express Base, "Configuration Requests": all ones.
const NOBODY: u32 = u32::MAX;

impl ConfigSpace {
    /// After power-on.
    pub fn new(identity: Identity) -> Self {
        let mut space = Self { bytes: [0; BYTES], writable: [0; BYTES], identity };
        for reg in pci::REGS {
            space.set(reg, reg.reset as u32);
            let place = reg.offset as usize;
            space.writable[place..place + 4].copy_from_slice(&(reg.mask_of(Access::Rw) as u32).to_le_bytes());
        }
        if identity.functions > 1 {
            space.set(&pci::HEADER, header::MULTI_FUNCTION.set32(space.get(&pci::HEADER), 1));
        }
        space.set(&pci::MSIX, msix::TABLE_SIZE.set32(space.get(&pci::MSIX), u32::from(identity.vectors) - 1));
        if identity.address == AddressBits::Bits32 {
            space.set(&pci::BAR0, 0);
            let upper = pci::BAR1.offset as usize;
            space.writable[upper..upper + 4].fill(0);
        }
        space
    }

    fn get(&self, reg: &Reg) -> u32 {
        self.read(reg.offset, 4)
    }

    fn set(&mut self, reg: &Reg, value: u32) {
        let place = reg.offset as usize;
        self.bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Reads 1, 2 or 4 bytes. What is behind the space reads as zero, and an access of another width as nobody's.
    pub fn read(&self, offset: u32, bytes: u8) -> u32 {
        if !matches!(bytes, 1 | 2 | 4) {
            return NOBODY;
        }
        (0..u32::from(bytes)).rev().fold(0, |value, i| {
            let byte = offset.checked_add(i).and_then(|at| self.bytes.get(at as usize));
            value << 8 | u32::from(byte.copied().unwrap_or(0))
        })
    }

    /// Writes 1, 2 or 4 bytes.
    pub fn write(&mut self, offset: u32, bytes: u8, value: u32) -> Effect {
        if !matches!(bytes, 1 | 2 | 4) {
            return Effect::None;
        }
        let before = self.sideband();
        let reset = pci::DEVICE_CONTROL.offset..pci::DEVICE_CONTROL.offset + 4;
        for i in 0..u32::from(bytes) {
            let (byte, Some(at)) = ((value >> (8 * i)) as u8, offset.checked_add(i)) else { break };
            if reset.contains(&at)
                && device_control::INITIATE_RESET.mask() >> (8 * (at - reset.start)) & u64::from(byte) != 0
            {
                *self = Self::new(self.identity);
                return Effect::FunctionLevelReset;
            }
            if let (Some(kept), Some(&mask)) = (self.bytes.get_mut(at as usize), self.writable.get(at as usize)) {
                *kept = *kept & !mask | byte & mask;
            }
        }
        let state = self.get(&pci::POWER_CONTROL);
        if !matches!(power_control::POWER_STATE.get32(state), power_control::D0 | power_control::D3_HOT) {
            // "Power Management Control/Status": a state that is not supported is not entered.
            self.set(&pci::POWER_CONTROL, power_control::POWER_STATE.set32(state, power_control::D0));
        }
        let after = self.sideband();
        if after == before {
            Effect::None
        } else {
            Effect::Sideband(after)
        }
    }

    /// The bits that the controller sees.
    pub fn sideband(&self) -> Sideband {
        let control = self.get(&pci::MSIX);
        Sideband {
            bus_master_enable: self.is_awake() && command::BUS_MASTER_ENABLE.get32(self.get(&pci::COMMAND)) == 1,
            msix_enable: self.is_awake() && msix::ENABLE.get32(control) == 1,
            msix_function_mask: msix::FUNCTION_MASK.get32(control) == 1,
        }
    }

    /// Whether the function is in D0, so that its BARs answer.
    pub fn is_awake(&self) -> bool {
        power_control::POWER_STATE.get32(self.get(&pci::POWER_CONTROL)) == power_control::D0
    }

    /// The address in BAR0 and BAR1.
    pub fn bar0_address(&self) -> u64 {
        let low = self.get(&pci::BAR0) & pci::bar0::ADDRESS.mask() as u32;
        u64::from(self.get(&pci::BAR1)) << 32 | u64::from(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvme_spec::regs::BAR0_BYTES;
    use proptest::prelude::*;

    const ONE: Identity = Identity { functions: 1, vectors: 65, address: AddressBits::Bits64 };

    fn space() -> ConfigSpace {
        ConfigSpace::new(ONE)
    }

    /// PCI Local Bus, "Determining Size of a Base Address Register": the address bits that stay tell the size.
    #[test]
    fn bar0_tells_its_size() {
        for (address, low, high) in [(AddressBits::Bits64, 4, u32::MAX), (AddressBits::Bits32, 0, 0)] {
            let mut space = ConfigSpace::new(Identity { address, ..ONE });
            assert_eq!(space.read(pci::BAR0.offset, 4), low);
            space.write(pci::BAR0.offset, 4, u32::MAX);
            space.write(pci::BAR1.offset, 4, u32::MAX);
            assert_eq!(space.read(pci::BAR0.offset, 4), !(BAR0_BYTES - 1) | low);
            assert_eq!(space.read(pci::BAR1.offset, 4), high);
            space.write(pci::BAR0.offset, 4, 0xFEB1_4004);
            space.write(pci::BAR1.offset, 4, 0);
            assert_eq!(space.bar0_address(), 0xFEB1_4000);
        }
    }

    #[test]
    fn the_list_of_capabilities_ends_and_names_each_once() {
        let space = space();
        let mut at = space.read(pci::CAPABILITIES.offset, 1);
        let mut seen = Vec::new();
        while at != 0 {
            seen.push(space.read(at, 1) as u8);
            at = space.read(at + 1, 1);
            assert!(seen.len() <= 3, "the list does not end: {seen:?}");
        }
        use pci::capability::{MSIX, PCI_EXPRESS, POWER_MANAGEMENT};
        assert_eq!(seen, [POWER_MANAGEMENT, MSIX, PCI_EXPRESS]);
        assert_eq!(space.read(pci::MSIX.offset + 2, 2), 64);
    }

    #[test]
    fn what_the_controller_sees_follows_command_power_and_msix() {
        let mut space = space();
        let off = Sideband { bus_master_enable: false, msix_enable: false, msix_function_mask: false };
        assert_eq!(space.sideband(), off);
        let master = Sideband { bus_master_enable: true, ..off };
        assert_eq!(space.write(pci::COMMAND.offset, 2, 0x6), Effect::Sideband(master));
        assert_eq!(space.write(pci::COMMAND.offset, 2, 0x6), Effect::None);
        let all = Sideband { msix_enable: true, msix_function_mask: true, ..master };
        assert_eq!(space.write(pci::MSIX.offset + 3, 1, 0xC0), Effect::Sideband(all));
        let asleep = Sideband { msix_function_mask: true, ..off };
        assert_eq!(space.write(pci::POWER_CONTROL.offset, 2, 3), Effect::Sideband(asleep));
        assert!(!space.is_awake());
        assert_eq!(space.write(pci::POWER_CONTROL.offset, 2, 1), Effect::Sideband(all), "D1 is not entered");
        assert_eq!(space.read(pci::POWER_CONTROL.offset, 2), 8);
    }

    #[test]
    fn function_level_reset_takes_all_back() {
        let mut space = space();
        space.write(pci::COMMAND.offset, 2, 0x506);
        space.write(pci::MSIX.offset, 4, u32::MAX);
        // The upper byte of Device Control alone.
        assert_eq!(space.write(pci::DEVICE_CONTROL.offset + 1, 1, 0x80), Effect::FunctionLevelReset);
        assert_eq!(space.bytes, ConfigSpace::new(ONE).bytes);
        assert_eq!(space.write(pci::DEVICE_CONTROL.offset, 2, 0x7FFF), Effect::None);
    }

    #[test]
    fn a_device_of_two_functions_says_so() {
        let space = ConfigSpace::new(Identity { functions: 2, ..ONE });
        assert_eq!(space.read(pci::HEADER.offset + 2, 1), 0x80);
        assert_eq!(self::space().read(pci::HEADER.offset + 2, 1), 0);
    }

    proptest! {
        /// Whatever is written where: what is read-only stays, nothing panics, and reads of parts agree with reads of the whole.
        #[test]
        fn any_access_is_legal(accesses in prop::collection::vec((any::<u32>(), 0u8..9, any::<u32>()), 0..40)) {
            let mut space = space();
            let fresh = space.clone();
            for (offset, bytes, value) in accesses {
                let offset = if value % 4 == 0 { offset } else { offset % (pci::CONFIG_BYTES + 8) };
                space.write(offset, bytes, value);
                space.read(offset, bytes);
            }
            for at in 0..pci::CONFIG_BYTES {
                let mask = u32::from(fresh.writable[at as usize]);
                prop_assert_eq!(space.read(at, 1) & !mask, fresh.read(at, 1) & !mask, "offset {:#x}", at);
                let parts = space.read(at, 2) | space.read(at.saturating_add(2), 2) << 16;
                prop_assert_eq!(space.read(at, 4), parts);
            }
        }
    }
}
