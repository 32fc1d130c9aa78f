//! Recognizes files that are no disk image by their first bytes: disks of other virtual machines,
//! archives, documents and text. Pure.
//!
//! A raw image has no signature of its own, so everything that is not recognized counts as one.

/// How many bytes are enough: the descriptor of an ISO file system is at 32 KiB.
pub const HEAD: usize = 36 * 1024;

/// Signatures: offset, bytes, description.
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (0, b"KDMV", "a VMDK disk of VMware"),
    (0, b"COWD", "a VMDK disk of VMware"),
    (0, b"# Disk DescriptorFile", "the descriptor of a VMDK disk of VMware"),
    (0, b"vhdxfile", "a VHDX disk of Hyper-V"),
    (0, b"conectix", "a VHD disk of Hyper-V"),
    (64, &[0x7f, 0x10, 0xda, 0xbe], "a VDI disk of VirtualBox"),
    (0, b"WithoutFreeSpace", "a disk of Parallels"),
    (0, b"WithouFreSpacExt", "a disk of Parallels"),
    (0, b"QED\0", "a QED disk"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x04\x22\x4d\x18", "an LZ4 file"),
    (0, b"LZIP", "an lzip file"),
    (0, b"MSWIM\0\0\0", "a WIM file of Windows"),
    (0, b"hsqs", "a squashfs file system"),
    (0, b"\x7fELF", "a program"),
    (0, b"%PDF", "a PDF document"),
    (0, b"!<arch>", "a Debian package"),
    (0, b"\xed\xab\xee\xdb", "an RPM package"),
    (0, b"\x89PNG", "a picture"),
    (0, b"\xff\xd8\xff", "a picture"),
];

/// The offset of `55 aa` on a disk with an MBR or a hybrid ISO image.
const BOOT_SIGNATURE: usize = 510;
/// How many bytes of a text are examined.
const TEXT: usize = 512;

/// A description of a file with these first bytes, if it is neither a raw nor a qcow2 image. It
/// completes the phrase "it is".
pub fn foreign(head: &[u8]) -> Option<&'static str> {
    let has = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    if let Some((_, _, what)) = FOREIGN.iter().find(|(at, magic, _)| has(*at, magic)) {
        return Some(what);
    }
    if has(32_769, b"CD001") && !has(BOOT_SIGNATURE, &[0x55, 0xaa]) {
        return Some("an ISO image that boots from a CD only");
    }
    let start = head.get(..head.len().min(TEXT)).unwrap_or_default();
    let is_text =
        |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace() || *byte >= 0x80;
    if start.is_empty() || !start.iter().all(is_text) || !is_utf8(start) {
        return None;
    }
    let text = start.trim_ascii_start();
    let begins = |with: &str| {
        text.len() >= with.len() && text[..with.len()].eq_ignore_ascii_case(with.as_bytes())
    };
    Some(match () {
        () if begins("<!doctype html") || begins("<html") || begins("<head") => "a web page",
        () if begins("{") || begins("[") => "a JSON answer",
        () if begins("<?xml") => "an XML document",
        () => "text",
    })
}

/// The last character may be cut off.
fn is_utf8(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(place: usize, magic: &[u8]) -> Vec<u8> {
        let mut head = vec![0; place];
        head.extend_from_slice(magic);
        head.resize(HEAD, 0);
        head
    }

    #[test]
    fn signatures_of_other_formats_are_recognized() {
        for (place, magic, what) in FOREIGN {
            assert_eq!(foreign(&at(*place, magic)), Some(*what));
        }
        assert_eq!(foreign(b"<!DOCTYPE html><title>Not found</title>"), Some("a web page"));
        assert_eq!(foreign(b"\n {\"error\": \"not found\"}"), Some("a JSON answer"));
        assert_eq!(foreign("Zugriff verweigert: für".as_bytes()), Some("text"));
        assert_eq!(foreign(&at(32_769, b"CD001")), Some("an ISO image that boots from a CD only"));
    }

    #[test]
    fn disks_are_accepted() {
        let mut hybrid = at(32_769, b"CD001");
        hybrid[BOOT_SIGNATURE..BOOT_SIGNATURE + 2].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(foreign(&hybrid), None);
        assert_eq!(foreign(&at(BOOT_SIGNATURE, &[0x55, 0xaa])), None);
        assert_eq!(foreign(&at(512, b"EFI PART")), None);
        assert_eq!(foreign(&vec![0; HEAD]), None);
        assert_eq!(foreign(b"QFI\xfb\0\0\0\x03"), None);
        assert_eq!(foreign(b""), None);
    }
}
