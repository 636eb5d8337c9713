//! The kernel as an ELF file, out of Debian's compressed image: QEMU starts it directly, and the guest need not decompress it first, which under
//! emulation takes longer than the boot.

use crate::compression::decompress;
use crate::Error;

/// The kernel's ELF file in a bzImage.
///
/// Fields of the setup header are those of the kernel's documentation, "The Linux/x86 Boot Protocol", "Details of Header Fields".
pub(crate) fn vmlinux(image: &[u8], name: &str) -> Result<Vec<u8>, Error> {
    const SETUP_SECTORS: usize = 0x1f1;
    const MAGIC: usize = 0x202;
    const PAYLOAD_OFFSET: usize = 0x248;
    const PAYLOAD_LENGTH: usize = 0x24c;
    const SECTOR_BYTES: usize = 512;

    let fail = |detail: &str| Error::Format { file: name.into(), detail: detail.into() };
    let cut = || fail("it is cut off");
    if image.get(MAGIC..MAGIC + 4) != Some(b"HdrS") {
        return Err(fail("it is no kernel image (bzImage)"));
    }
    let word = |offset: usize| {
        let bytes = image.get(offset..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    // The boot sector and the setup code come before the protected-mode code, in which the payload is.
    let protected_mode = (1 + usize::from(image[SETUP_SECTORS])) * SECTOR_BYTES;
    let start = protected_mode + word(PAYLOAD_OFFSET).ok_or_else(cut)?;
    let payload = image.get(start..).and_then(|rest| rest.get(..word(PAYLOAD_LENGTH)?)).ok_or_else(cut)?;
    let kernel = decompress(payload, name)?;
    if !kernel.starts_with(b"\x7fELF") {
        return Err(fail("its content is no ELF file"));
    }
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image with two sectors of setup and this payload 16 bytes into the protected-mode code.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 3 * 512 + 16];
        image[0x1f1] = 2;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        image.extend_from_slice(payload);
        image
    }

    /// A frame of zstd with one raw block.
    fn zstd(content: &[u8]) -> Vec<u8> {
        let size = content.len() as u8;
        [b"\x28\xb5\x2f\xfd\x20", [size, 1 | size << 3, 0, 0].as_slice(), content].concat()
    }

    #[test]
    fn the_payload_is_found_and_decompressed() {
        let mut file = image(&zstd(b"\x7fELF kernel"));
        file.extend_from_slice(b"signature");
        assert_eq!(vmlinux(&file, "vmlinuz").unwrap(), b"\x7fELF kernel");
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        let whole = image(&zstd(b"\x7fELF kernel"));
        let refused = |image: &[u8]| vmlinux(image, "vmlinuz").unwrap_err().to_string();
        assert!(refused(&[0; 4096]).contains("no kernel image"));
        assert!(refused(b"short").contains("no kernel image"));
        assert!(refused(&whole[..whole.len() - 1]).contains("cut off"));
        assert!(refused(&whole[..0x24a]).contains("cut off"));
        assert!(refused(&image(&zstd(b"script"))).contains("no ELF"));
        assert!(refused(&image(b"\x1f\x8b")).contains("gzip"));
    }
}
