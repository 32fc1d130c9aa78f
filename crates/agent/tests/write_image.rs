//! The writer as a program, with the machine's own curl and decompressors, real transfers, and a
//! file instead of a disk.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is test code")]

mod web;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use agent_proto::image::{
    Checksum, Compression, Format, ImageSource, WriteEvent, WriteFailure, WriteOrder, WritePhase,
    Written,
};
use tempfile::TempDir;
use web::{Manner, Web};

const MIB: usize = 1 << 20;

/// A directory with an image of zeros and noise, and a disk with other content.
struct Desk {
    directory: TempDir,
    web: Web,
}

impl Desk {
    fn new() -> Desk {
        let desk = Desk {
            directory: tempfile::tempdir().unwrap(),
            web: Web::start(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        };
        std::fs::write(desk.image(), image()).unwrap();
        std::fs::write(desk.disk(), vec![0xa5; 40 * MIB]).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn image(&self) -> PathBuf {
        self.path("image.raw")
    }

    fn disk(&self) -> PathBuf {
        self.path("disk")
    }

    /// The image as a compressed file.
    fn compressed(&self, program: &str, suffix: &str) -> PathBuf {
        let path = self.path(&format!("image.raw.{suffix}"));
        let file = std::fs::File::create(&path).unwrap();
        let status =
            Command::new(program).arg("--stdout").arg(self.image()).stdout(file).status().unwrap();
        assert!(status.success());
        path
    }

    fn order(&self, source: ImageSource) -> WriteOrder {
        let device = self.disk().display().to_string();
        WriteOrder {
            device,
            source,
            compression: Compression::Auto,
            format: Format::Auto,
            checksum: None,
        }
    }

    fn order_from(&self, file: &Path, manner: Manner) -> WriteOrder {
        let url = self.web.serve("source", file, manner);
        self.order(ImageSource::Url { url, stall_seconds: 2, attempts: 2 })
    }

    /// Checks that the disk holds the image, followed by zeros.
    fn holds(&self, image: &[u8]) {
        let disk = std::fs::read(self.disk()).unwrap();
        assert_eq!(disk.len(), 40 * MIB);
        assert!(disk[..image.len()] == *image, "the image is not on the disk");
        assert!(disk[image.len()..].iter().all(|byte| *byte == 0), "zeros follow the image");
    }
}

/// 9.3 MiB: noise, a hole, a block with a single byte, and an end within a block.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; 9 * MIB + 300_001];
    let mut state = 1_u64;
    for (at, byte) in bytes.iter_mut().enumerate() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if !(3 * MIB..=7 * MIB).contains(&at) {
            *byte = (state >> 33) as u8;
        }
    }
    bytes[5 * MIB + 77] = 1;
    bytes
}

/// All events of the writer, for an order and further input.
fn events_of(order: &WriteOrder, input: &[u8]) -> Vec<WriteEvent> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dockbridge-agent"))
        .arg("write-image")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut bytes = serde_json::to_vec(order).unwrap();
    bytes.push(b'\n');
    bytes.extend_from_slice(input);
    // A writer that refuses the order reads no further.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let events = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    feeding.join().unwrap();
    assert!(child.wait().unwrap().success());
    events
}

fn written(order: &WriteOrder, input: &[u8]) -> Written {
    let events = events_of(order, input);
    match events.last() {
        Some(WriteEvent::Done(written)) => written.clone(),
        _ => panic!("{events:?}"),
    }
}

fn failed(order: &WriteOrder, input: &[u8]) -> (WriteFailure, String) {
    let events = events_of(order, input);
    match events.last() {
        Some(WriteEvent::Failed { kind, message }) => (*kind, message.clone()),
        _ => panic!("{events:?}"),
    }
}

fn sum(program: &str, file: &Path) -> String {
    let output = Command::new(program).arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn each_compression_is_written_byte_for_byte_from_the_web_and_from_a_file() {
    let desk = Desk::new();
    let image = image();
    let sources = [
        desk.image(),
        desk.compressed("xz", "xz"),
        desk.compressed("zstd", "zst"),
        desk.compressed("gzip", "gz"),
        desk.compressed("bzip2", "bz2"),
    ];
    for file in sources {
        let (name, bytes) = (file.display().to_string(), std::fs::read(&file).unwrap());
        for from_web in [true, false] {
            std::fs::write(desk.disk(), vec![0xa5; 40 * MIB]).unwrap();
            let order = if from_web {
                desk.order_from(&file, Manner::Good)
            } else {
                desk.order(ImageSource::Input { length: bytes.len() as u64 })
            };
            let written = written(&order, if from_web { b"" } else { &bytes });
            desk.holds(&image);
            assert_eq!(
                (written.source_bytes, written.image_bytes),
                (bytes.len() as u64, image.len() as u64),
                "{name}"
            );
            assert_eq!(written.source_sha256, sum("sha256sum", &file), "{name}");
            assert_eq!(written.image_sha256, sum("sha256sum", &desk.image()), "{name}");
            assert!(written.skipped_bytes > 3 * MIB as u64, "{name}: zeros are skipped");
            assert_eq!(written.repaired_bytes, 0, "{name}");
        }
    }
}

#[test]
fn a_qcow2_image_is_written_as_the_disk_that_it_describes() {
    let found = Command::new("qemu-img").arg("--version").output();
    if found.is_err() {
        testkit::passed_over!("no qemu-img");
        return;
    }
    let desk = Desk::new();
    // A disk ends with a whole sector, so the image grows to one.
    let mut image = image();
    image.resize(image.len().next_multiple_of(512), 0);
    let forms: [&[&str]; 5] = [
        &["-o", "compat=0.10"],
        &["-o", "compat=1.1,cluster_size=4096"],
        &["-c"],
        &["-c", "-o", "compression_type=zstd"],
        &["-o", "cluster_size=2M"],
    ];
    for form in forms {
        let file = desk.path("image.qcow2");
        let status = Command::new("qemu-img")
            .args(["convert", "-f", "raw", "-O", "qcow2"])
            .args(form)
            .arg(desk.image())
            .arg(&file)
            .status();
        assert!(status.unwrap().success(), "{form:?}");
        std::fs::write(desk.disk(), vec![0xa5; 40 * MIB]).unwrap();
        let written = written(&desk.order_from(&file, Manner::Good), b"");
        assert_eq!(written.image_bytes, image.len() as u64, "{form:?}");
        desk.holds(&image);
    }
    // Compressed once more, as some are published.
    let file = desk.path("image.qcow2");
    assert!(Command::new("gzip").arg("-k").arg(&file).status().unwrap().success());
    std::fs::write(desk.disk(), vec![0xa5; 40 * MIB]).unwrap();
    written(&desk.order_from(&desk.path("image.qcow2.gz"), Manner::Good), b"");
    desk.holds(&image);

    let (_, message) = {
        let overlay = desk.path("overlay.qcow2");
        let status = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
            .arg(&file)
            .arg(&overlay)
            .status();
        assert!(status.unwrap().success());
        failed(&desk.order_from(&overlay, Manner::Good), b"")
    };
    assert!(message.contains("backing file"), "{message}");
    let huge = desk.path("huge.qcow2");
    assert!(
        Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2"])
            .arg(&huge)
            .arg("1T")
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(failed(&desk.order_from(&huge, Manner::Good), b"").0, WriteFailure::TooBig);
    let mut cut = std::fs::read(&file).unwrap();
    cut.truncate(cut.len() / 2);
    std::fs::write(desk.path("cut.qcow2"), &cut).unwrap();
    assert_eq!(
        failed(&desk.order_from(&desk.path("cut.qcow2"), Manner::Good), b"").0,
        WriteFailure::Archive
    );
}

#[test]
fn a_download_that_breaks_off_resumes_at_the_same_byte() {
    let desk = Desk::new();
    let file = desk.compressed("zstd", "zst");
    let events = events_of(&desk.order_from(&file, Manner::Cut(2 * MIB as u64)), b"");
    assert!(matches!(events.last(), Some(WriteEvent::Done(_))), "{events:?}");
    desk.holds(&image());
    let resumed: Vec<u64> = events
        .iter()
        .filter_map(
            |event| if let WriteEvent::Resumed { at, .. } = event { Some(*at) } else { None },
        )
        .collect();
    assert_eq!(resumed, [2 * MIB as u64, 4 * MIB as u64], "{:?}", desk.web.requests());
    assert_eq!(desk.web.sent(), std::fs::metadata(&file).unwrap().len(), "nothing is sent twice");
}

#[test]
fn redirects_are_followed_and_a_busy_server_is_retried() {
    let desk = Desk::new();
    let file = desk.compressed("gzip", "gz");
    desk.web.serve("there", &file, Manner::BusyFor(2));
    let url = desk.web.serve("source", &file, Manner::Elsewhere("/there"));
    let order = desk.order(ImageSource::Url { url, stall_seconds: 2, attempts: 3 });
    written(&order, b"");
    desk.holds(&image());
}

#[test]
fn an_incomplete_or_missing_source_is_reported_with_its_reason() {
    let desk = Desk::new();
    let file = desk.compressed("zstd", "zst");
    for (manner, words) in [
        (Manner::Status(404), "404"),
        (Manner::Status(403), "403"),
        (Manner::CutWithoutRanges(MIB as u64), "cannot be resumed"),
        (Manner::CutAndChanged(MIB as u64), "has changed"),
        (Manner::StalledAt(MIB as u64), "sent nothing for 2 s"),
        (Manner::StalledAt(0), "sent nothing for 2 s"),
    ] {
        let (kind, message) = failed(&desk.order_from(&file, manner), b"");
        assert_eq!(kind, WriteFailure::Source, "{manner:?}: {message}");
        assert!(message.contains(words), "{manner:?}: {message}");
    }
    let closed =
        ImageSource::Url { url: "http://127.0.0.1:9/x".to_owned(), stall_seconds: 2, attempts: 2 };
    let (kind, message) = failed(&desk.order(closed), b"");
    assert!(kind == WriteFailure::Source && message.contains("2 times in a row"), "{message}");
    let bytes = std::fs::read(&file).unwrap();
    let (kind, message) =
        failed(&desk.order(ImageSource::Input { length: bytes.len() as u64 + 1 }), &bytes);
    assert!(kind == WriteFailure::Source && message.contains("broke off"), "{message}");
    assert_eq!(
        failed(&desk.order(ImageSource::Input { length: 0 }), b"").0,
        WriteFailure::Source,
        "an empty source"
    );
}

#[test]
fn a_wrong_checksum_and_a_damaged_archive_are_refused() {
    let desk = Desk::new();
    // Host programs: xz zstd gzip bzip2
    for (program, suffix) in [("xz", "xz"), ("zstd", "zst"), ("gzip", "gz"), ("bzip2", "bz2")] {
        let file = desk.compressed(program, suffix);
        let (right256, right512) = (sum("sha256sum", &file), sum("sha512sum", &file));
        for right in [Checksum::Sha256(right256), Checksum::Sha512(right512)] {
            written(
                &WriteOrder { checksum: Some(right), ..desk.order_from(&file, Manner::Good) },
                b"",
            );
        }
        let wrong = Some(Checksum::Sha256("0".repeat(64)));
        let (kind, message) = failed(
            &WriteOrder { checksum: wrong.clone(), ..desk.order_from(&file, Manner::Good) },
            b"",
        );
        assert_eq!(kind, WriteFailure::Checksum, "{suffix}: {message}");

        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        let damaged = desk.path("damaged");
        std::fs::write(&damaged, &bytes).unwrap();
        let (kind, message) = failed(&desk.order_from(&damaged, Manner::Good), b"");
        assert_eq!(kind, WriteFailure::Archive, "{suffix}: {message}");
        bytes[middle] ^= 0x55;
        bytes.truncate(middle);
        std::fs::write(&damaged, &bytes).unwrap();
        let (kind, message) = failed(&desk.order_from(&damaged, Manner::Good), b"");
        assert_eq!(kind, WriteFailure::Archive, "{suffix}, cut: {message}");
    }
}

#[test]
fn an_image_that_does_not_fit_is_refused_before_the_transfer_if_its_size_is_known() {
    let desk = Desk::new();
    std::fs::write(desk.disk(), vec![0xa5; 8 * MIB]).unwrap();
    let (kind, message) = failed(&desk.order_from(&desk.image(), Manner::Good), b"");
    assert!(kind == WriteFailure::TooBig && message.contains("8388608"), "{message}");
    let disk = std::fs::read(desk.disk()).unwrap();
    assert!(disk.iter().all(|byte| *byte == 0), "nothing was written");
    assert_eq!(
        failed(&desk.order_from(&desk.compressed("zstd", "zst"), Manner::Good), b"").0,
        WriteFailure::TooBig
    );
}

#[test]
fn phases_are_reported_in_order_and_a_given_compression_is_not_detected() {
    let desk = Desk::new();
    let phases: Vec<WritePhase> = events_of(&desk.order_from(&desk.image(), Manner::Good), b"")
        .into_iter()
        .filter_map(|event| if let WriteEvent::Phase(phase) = event { Some(phase) } else { None })
        .collect();
    assert_eq!(
        phases,
        [WritePhase::Discard, WritePhase::Write, WritePhase::Sync, WritePhase::Verify]
    );
    let missing =
        WriteOrder { compression: Compression::Xz, ..desk.order_from(&desk.image(), Manner::Good) };
    assert_eq!(failed(&missing, b"").0, WriteFailure::Archive, "a raw image is no xz archive");
}
