//! What firmware is told at its start: the identity and the size of the device, in [`soc_map::firmware::PARAMETERS`].

use core::fmt;
use nvme_fw::{Config, NamespaceConfig};
use nvme_spec::limits::NAMESPACES_MAX;
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const MAGIC: u64 = u64::from_le_bytes(*b"FDPARAM1");

/// The parameters, as they lie in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Parameters {
    magic: U64,
    /// [`soc_map::VERSION`] of who wrote them.
    map: U64,
    namespaces: [Namespace; NAMESPACES_MAX as usize],
    unallocated_units: U64,
    serial_number: [u8; 20],
    uuid: [u8; 16],
}

const _: () = assert!(size_of::<Parameters>() as u64 <= soc_map::firmware::PARAMETERS.bytes);

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
struct Namespace {
    blocks: U64,
    attached: u8,
    /// 0 or 1.
    is_shared: u8,
}

/// Why parameters are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParametersError {
    /// There are none.
    None,
    /// They were written for another map, of this version.
    OtherMap(u64),
}

impl fmt::Display for ParametersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("there are no parameters"),
            Self::OtherMap(map) => {
                write!(f, "the parameters are for map {map:#018x}, this is {:#018x}", soc_map::VERSION)
            }
        }
    }
}

impl Parameters {
    /// Those of a device.
    pub fn new(config: &Config) -> Self {
        Self {
            magic: MAGIC.into(),
            map: soc_map::VERSION.into(),
            namespaces: config.namespaces.map(|namespace| Namespace {
                blocks: namespace.blocks.into(),
                attached: namespace.attached,
                is_shared: namespace.is_shared.into(),
            }),
            unallocated_units: config.unallocated_units.into(),
            serial_number: config.serial_number,
            uuid: config.uuid,
        }
    }

    /// The device.
    ///
    /// # Errors
    /// If these are no parameters, or those of another map.
    pub fn config(&self) -> Result<Config, ParametersError> {
        if self.magic.get() != MAGIC {
            return Err(ParametersError::None);
        }
        if self.map.get() != soc_map::VERSION {
            return Err(ParametersError::OtherMap(self.map.get()));
        }
        Ok(Config {
            namespaces: self.namespaces.map(|namespace| NamespaceConfig {
                blocks: namespace.blocks.get(),
                is_shared: namespace.is_shared != 0,
                attached: namespace.attached,
            }),
            unallocated_units: self.unallocated_units.get(),
            serial_number: self.serial_number,
            uuid: self.uuid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_device_is_told_as_it_is() {
        let config = Config { unallocated_units: 7, ..Config::with_two_functions(1 << 40, 5, "SERIAL-1") };
        assert_eq!(Parameters::new(&config).config(), Ok(config));
    }

    #[test]
    fn what_is_not_for_this_map_is_refused() {
        let good = Parameters::new(&Config::new(5, "SERIAL-1"));
        assert_eq!(Parameters { magic: 0.into(), ..good }.config(), Err(ParametersError::None));
        let other = Parameters { map: 3.into(), ..good };
        assert_eq!(other.config(), Err(ParametersError::OtherMap(3)));
    }

    proptest! {
        /// Whatever lies in memory is taken or refused, and what is taken is told again in the same bytes.
        #[test]
        fn any_bytes_are_taken_or_refused(bytes: [u8; size_of::<Parameters>()], is_good: bool) {
            let mut parameters = Parameters::read_from_bytes(&bytes).unwrap();
            if is_good {
                (parameters.magic, parameters.map) = (MAGIC.into(), soc_map::VERSION.into());
            }
            prop_assert_eq!(parameters.config().is_ok(), is_good);
            if let Ok(config) = parameters.config() {
                prop_assert_eq!(Parameters::new(&config).config(), Ok(config));
            }
        }
    }
}
