//! The compressions of kernels and modules.

use std::io::Read as _;

use crate::Error;

/// How a compressed file begins, and what that compression is called.
const MAGICS: [(&[u8], &str); 6] = [
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x1f\x8b", "gzip"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"BZh", "bzip2"),
    (b"\x89LZO", "lzo"),
];

/// The content of a compressed file; `name` is for messages.
///
/// What Debian uses can be read: xz and zstd. What follows the compressed data is ignored: in a kernel that is its size.
pub(crate) fn decompress(content: &[u8], name: &str) -> Result<Vec<u8>, Error> {
    let fail = |detail: String| Error::Format { file: name.into(), detail };
    let kind = MAGICS.iter().find(|(magic, _)| content.starts_with(magic)).map(|(_, kind)| *kind);
    let mut plain = Vec::new();
    let read = match kind {
        Some("xz") => lzma_rust2::XzReader::new(content, false).read_to_end(&mut plain),
        Some("zstd") => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(content);
            decoder.map_err(|error| fail(error.to_string()))?.read_to_end(&mut plain)
        }
        Some(kind) => return Err(fail(format!("it is compressed with {kind}; only xz and zstd can be read"))),
        None => return Err(fail("it is not compressed in a way that is known".into())),
    };
    read.map_err(|error| fail(format!("its compressed content is damaged ({error})")))?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "flashdock\n" as `xz --check=crc32 --x86 --lzma2=dict=64KiB` writes it, which is how kernels are compressed.
    const XZ: &[u8] = b"\xfd\x37\x7a\x58\x5a\x00\x00\x01\x69\x22\xde\x36\x02\x01\x04\x00\x21\x01\x08\x00\xd2\xb9\x74\xcb\x01\x00\x09\x66\x6c\x61\x73\x68\x64\x6f\x63\x6b\x0a\x00\x00\x00\x86\x91\xf8\x83\x00\x01\x1e\x0a\xea\x63\x12\x14\x90\x42\x99\x0d\x01\x00\x00\x00\x00\x01\x59\x5a";
    /// "flashdock\n" as `zstd` writes it: one raw block.
    const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x20\x0a\x51\x00\x00flashdock\n";

    #[test]
    fn xz_and_zstd_are_read_and_what_follows_is_not() {
        for compressed in [XZ, ZSTD] {
            let with_size = [compressed, &10_u32.to_le_bytes()].concat();
            assert_eq!(decompress(&with_size, "vmlinuz").unwrap(), b"flashdock\n");
        }
    }

    #[test]
    fn other_compressions_are_named() {
        for (magic, kind) in &MAGICS[2..] {
            let error = decompress(magic, "vmlinuz").unwrap_err().to_string();
            assert!(error.contains(kind) && error.contains("vmlinuz"), "{error}");
        }
        assert!(decompress(b"\x7fELF", "vmlinuz").unwrap_err().to_string().contains("not compressed"));
    }

    #[test]
    fn damaged_content_is_an_error() {
        for compressed in [XZ, ZSTD] {
            let error = decompress(&compressed[..compressed.len() - 5], "vmlinuz").unwrap_err().to_string();
            assert!(error.contains("damaged"), "{error}");
        }
    }
}
