//! The first message: which version is spoken, and what the two sides can take. "`VFIO_USER_VERSION`".

use super::wire::{Version, FILES_MAX, PAGE_SIZES, TRANSFER_BYTES_MAX, VERSION, WINDOWS_MAX};
use rustix::io::Errno;
use serde_json::{json, Map, Value};
use zerocopy::{FromBytes, IntoBytes};

/// What a client and this server have agreed on.
#[derive(Debug)]
pub(super) struct Agreement {
    /// Most bytes that the client takes with one message.
    pub transfer_bytes_max: u32,
    /// The payload of the reply.
    pub reply: Vec<u8>,
}

/// Answers a proposal. The reply names only capabilities that were proposed: clients have room for no more. A proposal without JSON gets none.
pub(super) fn negotiate(body: &[u8]) -> Result<Agreement, Errno> {
    let (proposed, json) = Version::read_from_prefix(body).map_err(|_| Errno::INVAL)?;
    if proposed.major != VERSION.major {
        return Err(Errno::NOTSUP);
    }
    let version = Version { minor: proposed.minor.get().min(VERSION.minor.get()).into(), ..VERSION };
    let mut reply = version.as_bytes().to_vec();
    let mut transfer_bytes_max = TRANSFER_BYTES_MAX;
    if !json.is_empty() {
        let proposed = capabilities(json)?;
        if let Some(value) = proposed.get(TRANSFER_SIZE) {
            let bytes = value.as_u64().filter(|&bytes| bytes > 0).ok_or(Errno::INVAL)?;
            transfer_bytes_max = u32::try_from(bytes).unwrap_or(u32::MAX);
        }
        let ours = [
            ("max_msg_fds", FILES_MAX as u64),
            (TRANSFER_SIZE, TRANSFER_BYTES_MAX.into()),
            ("max_dma_maps", WINDOWS_MAX as u64),
            ("pgsizes", PAGE_SIZES),
        ];
        let agreed = ours.into_iter().filter(|(name, _)| proposed.contains_key(*name));
        let agreed: Map<String, Value> = agreed.map(|(name, value)| (name.to_owned(), value.into())).collect();
        reply.extend_from_slice(json!({ "capabilities": agreed }).to_string().as_bytes());
        reply.push(0);
    }
    Ok(Agreement { transfer_bytes_max, reply })
}

const TRANSFER_SIZE: &str = "max_data_xfer_size";

/// The capabilities in the JSON of a proposal, which ends with a NUL.
fn capabilities(json: &[u8]) -> Result<Map<String, Value>, Errno> {
    let json = json.strip_suffix(&[0]).ok_or(Errno::INVAL)?;
    let mut object: Map<String, Value> = serde_json::from_slice(json).map_err(|_| Errno::INVAL)?;
    match object.remove("capabilities") {
        None => Ok(Map::new()),
        Some(Value::Object(capabilities)) => Ok(capabilities),
        Some(_) => Err(Errno::INVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(minor: u16, json: &str) -> Vec<u8> {
        [&[0, 0][..], &minor.to_ne_bytes(), json.as_bytes()].concat()
    }

    fn reply(body: &[u8]) -> (u16, String) {
        let reply = negotiate(body).expect("a proposal").reply;
        let minor = u16::from_ne_bytes([reply[2], reply[3]]);
        (minor, String::from_utf8(reply[4..].to_vec()).expect("text"))
    }

    /// "Version": the minor version is at most the one proposed, and capabilities are a subset.
    #[test]
    fn the_reply_is_within_the_proposal() {
        assert_eq!(reply(&proposal(0, "")), (0, String::new()));
        assert_eq!(reply(&proposal(9, "{}\0")), (1, "{\"capabilities\":{}}\0".to_owned()));
        let some = proposal(1, "{\"capabilities\":{\"max_msg_fds\":1,\"twin_socket\":{\"supported\":true}}}\0");
        assert_eq!(reply(&some), (1, "{\"capabilities\":{\"max_msg_fds\":16}}\0".to_owned()));
        // What QEMU 10.1 proposes: it has room for a reply as long as that, takes 16 files, and knows no larger number of maps than 65535.
        let qemu = "{\"capabilities\": {\"migration\": {\"pgsize\": 4096, \"max_bitmap_size\": 268435456}, \"max_msg_fds\": 16, \
                    \"max_data_xfer_size\": 1048576, \"pgsizes\": 4096, \"max_dma_maps\": 65535, \"write_multiple\": true}}\0";
        let (_, answer) = reply(&proposal(1, qemu));
        assert!(answer.len() <= qemu.len());
        assert_eq!(
            answer,
            "{\"capabilities\":{\"max_data_xfer_size\":1048576,\"max_dma_maps\":16384,\"max_msg_fds\":16,\"pgsizes\":4096}}\0"
        );
    }

    #[test]
    fn what_the_client_takes_is_remembered() {
        let limit = |json: &str| negotiate(&proposal(1, json)).expect("a proposal").transfer_bytes_max;
        assert_eq!(limit(""), 1 << 20);
        assert_eq!(limit("{\"capabilities\":{\"max_data_xfer_size\":4096}}\0"), 4096);
        assert_eq!(limit("{\"capabilities\":{\"max_data_xfer_size\":99999999999}}\0"), u32::MAX);
    }

    #[test]
    fn proposals_that_are_none_are_refused() {
        let refused = |body: &[u8]| negotiate(body).expect_err("no proposal");
        for body in [&b""[..], &[0], &[0, 0, 1]] {
            assert_eq!(refused(body), Errno::INVAL, "{body:?}");
        }
        assert_eq!(refused(&[1, 0, 0, 0]), Errno::NOTSUP);
        let deep = "[".repeat(100_000);
        for json in [
            "{}",
            "\0",
            "{\0",
            "[]\0",
            "1\0",
            "{}\0\0",
            "{\"capabilities\":1}\0",
            &deep,
            "\u{7f}\0",
            "{\"capabilities\":{\"max_data_xfer_size\":0}}\0",
            "{\"capabilities\":{\"max_data_xfer_size\":-1}}\0",
            "{\"capabilities\":{\"max_data_xfer_size\":\"1\"}}\0",
        ] {
            assert_eq!(refused(&proposal(1, json)), Errno::INVAL, "{json:.40}");
        }
    }
}
