//! Scatter Gather Lists: [`nvme_spec::sgl`] has the rules.

use nvme_spec::sgl::{Descriptor, SglDescriptor, DESCRIPTOR_BYTES, EMPTY_DESCRIPTORS_MAX};
use nvme_spec::Status;

use crate::host::{HostError, HostPort};
use crate::prp::Segment;

/// The segment of descriptors that is being read.
struct Open {
    /// Where the next descriptor is.
    at: u64,
    descriptors: u32,
    is_last: bool,
}

/// The pieces of host memory that the first `bytes` of an SGL cover.
pub(crate) fn walk(
    host: &mut dyn HostPort,
    function: u8,
    first: SglDescriptor,
    bytes: u64,
) -> Result<Vec<Segment>, Status> {
    let mut segments = vec![];
    let (mut left, mut empties) = (bytes, 0);
    let mut open: Option<Open> = None;
    let mut descriptor = first;
    while left > 0 {
        let decoded = descriptor.decode()?;
        match decoded {
            Descriptor::Block { address, bytes } if bytes > 0 => {
                let bytes = left.min(bytes.into());
                segments.push(Segment { address, bytes });
                left -= bytes;
                if left == 0 {
                    break;
                }
            }
            Descriptor::Segment { .. } if open.as_ref().is_some_and(|open| open.is_last) => {
                return Err(Status::INVALID_SGL_SEGMENT);
            }
            Descriptor::Segment { .. } if open.as_ref().is_some_and(|open| open.descriptors > 0) => {
                return Err(Status::INVALID_SGL_NUMBER);
            }
            _ if empties == EMPTY_DESCRIPTORS_MAX => return Err(Status::INVALID_SGL_NUMBER),
            _ => empties += 1,
        }
        if let Descriptor::Segment { address, descriptors, is_last } = decoded {
            open = Some(Open { at: address, descriptors, is_last });
        }
        descriptor = match &mut open {
            Some(open) if open.descriptors > 0 => {
                open.descriptors -= 1;
                let at = open.at;
                open.at = at.wrapping_add(DESCRIPTOR_BYTES.into());
                read(host, function, at).map_err(|HostError| Status::DATA_TRANSFER_ERROR)?
            }
            Some(Open { is_last: false, .. }) => return Err(Status::INVALID_SGL_SEGMENT),
            _ => return Err(Status::INVALID_SGL_LENGTH),
        };
    }
    Ok(segments)
}

fn read(host: &mut dyn HostPort, function: u8, address: u64) -> Result<SglDescriptor, HostError> {
    let mut halves = [0; 2];
    for (half, at) in halves.iter_mut().zip([address, address.wrapping_add(8)]) {
        let mut raw = [0; 8];
        host.read(function, at, &mut raw)?;
        *half = u64::from_le_bytes(raw);
    }
    Ok(SglDescriptor::from_halves(halves))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nvme_spec::sgl::{BIT_BUCKET, DATA_BLOCK, LAST_SEGMENT, SEGMENT};

    use super::*;

    /// Host memory with segments only.
    struct Segments(BTreeMap<u64, u64>);

    impl Segments {
        fn new(segments: &[(u64, &[SglDescriptor])]) -> Self {
            let halves = segments.iter().flat_map(|(address, descriptors)| {
                let halves = descriptors.iter().flat_map(|descriptor| descriptor.halves());
                (*address..).step_by(8).zip(halves)
            });
            Self(halves.collect())
        }
    }

    impl HostPort for Segments {
        fn read(&mut self, _: u8, address: u64, data: &mut [u8]) -> Result<(), HostError> {
            data.copy_from_slice(&self.0.get(&address).ok_or(HostError)?.to_le_bytes());
            Ok(())
        }

        fn write(&mut self, _: u8, _: u64, _: &[u8]) -> Result<(), HostError> {
            Err(HostError)
        }
    }

    fn block(address: u64, length: u32) -> SglDescriptor {
        SglDescriptor::new(DATA_BLOCK, address, length)
    }

    fn link(identifier: u8, address: u64, descriptors: u32) -> SglDescriptor {
        SglDescriptor::new(identifier, address, 16 * descriptors)
    }

    /// The pieces of 1,000 bytes.
    fn pieces(first: SglDescriptor, segments: &[(u64, &[SglDescriptor])]) -> Result<Vec<(u64, u64)>, Status> {
        let segments = walk(&mut Segments::new(segments), 0, first, 1000)?;
        Ok(segments.iter().map(|s| (s.address, s.bytes)).collect())
    }

    #[test]
    fn data_blocks_follow_each_other_until_there_is_all_data() {
        assert_eq!(pieces(block(0x104, 1000), &[]), Ok(vec![(0x104, 1000)]));
        assert_eq!(pieces(block(0x104, 4000), &[]), Ok(vec![(0x104, 1000)]));
        let wrong = link(BIT_BUCKET, 0, 0);
        let two = [block(0x4000, 400), block(0, 0), block(0x3004, 600), wrong];
        let expected = Ok(vec![(0x4000, 400), (0x3004, 600)]);
        assert_eq!(pieces(link(LAST_SEGMENT, 0x808, 4), &[(0x808, &two)]), expected);
        // It need not be called the last one if nothing more is wanted.
        assert_eq!(pieces(link(SEGMENT, 0x808, 3), &[(0x808, &two)]), expected);
        let (head, tail) = ([two[0], two[1], link(LAST_SEGMENT, 0x2000, 1)], [two[2]]);
        assert_eq!(pieces(link(SEGMENT, 0x808, 3), &[(0x808, &head), (0x2000, &tail)]), expected);
    }

    #[test]
    fn each_mistake_has_its_status() {
        let whole = block(0, 1000);
        let cases: &[(SglDescriptor, &[SglDescriptor], Status)] = &[
            (link(BIT_BUCKET, 0, 1), &[], Status::INVALID_SGL_TYPE),
            (block(2, 1000), &[], Status::INVALID_SGL_GRANULARITY),
            (block(0, 998), &[], Status::INVALID_SGL_GRANULARITY),
            (block(0, 996), &[], Status::INVALID_SGL_LENGTH),
            (link(LAST_SEGMENT, 0, 1), &[block(0, 996)], Status::INVALID_SGL_LENGTH),
            (link(SEGMENT, 0, 1), &[block(0, 996)], Status::INVALID_SGL_SEGMENT),
            (link(LAST_SEGMENT, 4, 1), &[whole], Status::INVALID_SGL_SEGMENT),
            (link(LAST_SEGMENT, 0, 1), &[link(SEGMENT, 0, 1)], Status::INVALID_SGL_SEGMENT),
            (link(SEGMENT, 0, 2), &[link(SEGMENT, 0, 2), whole], Status::INVALID_SGL_NUMBER),
            (link(SEGMENT, 0, 1), &[link(SEGMENT, 0, 1)], Status::INVALID_SGL_NUMBER),
            (link(SEGMENT, 0x80, 1), &[whole], Status::DATA_TRANSFER_ERROR),
        ];
        for (first, segment, status) in cases {
            assert_eq!(pieces(*first, &[(0, segment)]), Err(*status), "{first:x?}, {segment:x?}");
        }
    }
}
