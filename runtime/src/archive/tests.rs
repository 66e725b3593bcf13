use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::bundle::Bundle;

const MANIFEST: &str =
    "team = \"tv\"\nscript = \"home\"\n[[endpoint]]\npath = \"/hello\"\nhandler = \"main::hello\"\n";

/// A tar that can be as wrong as a test wants it to be.
#[derive(Clone, Default)]
struct Tar(Vec<u8>);

impl Tar {
    /// With a manifest and a script, so that nothing else is wrong.
    fn hello() -> Self {
        Self::default().file("callboard.toml", MANIFEST.as_bytes()).file("main.rn", b"pub fn hello() {}")
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name.as_bytes(), content)
    }

    fn entry(self, kind: u8, name: &[u8], content: &[u8]) -> Self {
        self.with(kind, name, content, |_| {})
    }

    fn with(mut self, kind: u8, name: &[u8], content: &[u8], change: impl FnOnce(&mut tar::Header)) -> Self {
        let at = self.0.len();
        entries::append(&mut self.0, tar::EntryType::new(kind), name, content);
        let mut header = tar::Header::from_byte_slice(&self.0[at..at + BLOCK]).clone();
        change(&mut header);
        header.set_cksum();
        self.0[at..at + BLOCK].copy_from_slice(header.as_bytes());
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd_window(bytes: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(window_log).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn code(archive: &[u8]) -> String {
    match Bundle::from_archive(archive, &ArchiveLimits::default()) {
        Ok(_) => "taken".to_owned(),
        Err(found) => found.iter().next().unwrap().code.to_string(),
    }
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn hostile_archives_are_refused_by_name() {
    let hello = Tar::hello;
    let end = |tar: Tar| tar.end();
    let entry = |kind, name: &str| end(hello().entry(kind, name.as_bytes(), b""));
    let named = |name: &[u8]| end(hello().entry(b'0', name, b"x"));
    let long_name =
        |long: &[u8], short: &[u8]| end(hello().entry(b'L', b"././@LongLink", long).entry(b'0', short, b"x"));
    let long = "a".repeat(150);
    let plain = end(hello());
    let many = (0..1_100).fold(hello(), |tar, number| tar.file(&format!("f{number}"), b""));
    let directories =
        (0..5_000).fold(hello(), |tar, number| tar.entry(b'5', format!("d{number}/").as_bytes(), b""));
    let large = (0..9).fold(hello(), |tar, number| tar.file(&format!("f{number}"), &noise(1 << 20)));
    let size_of = |size: u64| hello().with(b'0', b"huge", b"", |header| header.set_size(size)).end();
    let join = |parts: &[&[u8]]| parts.concat();
    let mut damaged_gzip = gzip(&plain);
    let checksum = damaged_gzip.len() - 6;
    damaged_gzip[checksum] ^= 1;
    let mut bad_checksum = hello().file("a", b"").0;
    let last = bad_checksum.len() - BLOCK;
    bad_checksum[last] = b'b';

    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("symlink", entry(b'2', "link"), "archive.symlink"),
        ("symlink over a file", entry(b'2', "main.rn"), "archive.symlink"),
        ("hard link", entry(b'1', "link"), "archive.hardlink"),
        ("character device", entry(b'3', "device"), "archive.device"),
        ("block device", entry(b'4', "device"), "archive.device"),
        ("fifo", entry(b'6', "pipe"), "archive.fifo"),
        ("contiguous file", entry(b'7', "file"), "archive.entry_type"),
        ("unknown type", entry(b'9', "file"), "archive.entry_type"),
        ("type beyond ASCII", entry(0xff, "file"), "archive.entry_type"),
        ("sparse file", entry(b'S', "file"), "archive.sparse"),
        (
            "pax header",
            end(hello().entry(b'x', b"pax", b"15 path=../evil\n").file("a", b"")),
            "archive.extension",
        ),
        ("pax size", end(hello().entry(b'x', b"pax", b"11 size=99\n").file("a", b"")), "archive.extension"),
        ("pax sparse", end(hello().entry(b'x', b"p", b"22 GNU.sparse.major=1\n")), "archive.extension"),
        ("global pax header", entry(b'g', "pax"), "archive.extension"),
        ("solaris pax header", entry(b'X', "pax"), "archive.extension"),
        ("long link", entry(b'K', "././@LongLink"), "archive.extension"),
        ("dump directory", entry(b'D', "directory"), "archive.extension"),
        ("volume header", entry(b'V', "volume"), "archive.extension"),
        ("continued file", entry(b'M', "file"), "archive.extension"),
        ("long name that disagrees", long_name(long.as_bytes(), b"b"), "archive.extension"),
        ("long name over a short one", long_name(b"../evil", b"good"), "archive.extension"),
        (
            "two long names",
            end(hello()
                .entry(b'L', b"././@LongLink", b"a")
                .entry(b'L', b"././@LongLink", b"a")
                .file("a", b"")),
            "archive.extension",
        ),
        ("long name of nothing", end(hello().entry(b'L', b"././@LongLink", b"a")), "archive.extension"),
        (
            "long name with another name",
            end(hello().entry(b'L', b"x", b"a").file("a", b"")),
            "archive.extension",
        ),
        ("long name that is huge", long_name(&[b'a'; 5_000], &[b'a'; 100]), "archive.extension"),
        (
            "long name with a NUL",
            long_name(&[&[b'a'; 100], b"\0b".as_slice()].concat(), &[b'a'; 100]),
            "path.nul",
        ),
        ("two names with a NUL", long_name(b"a\0b", b"a\0b"), "path.nul"),
        (
            "long name of a link",
            end(hello().entry(b'L', b"././@LongLink", b"a").entry(b'2', b"a", b"")),
            "archive.symlink",
        ),
        ("long name beyond the rules", long_name(&[b'a'; 201], &[b'a'; 100]), "path.too_long"),
        ("absolute path", named(b"/etc/passwd"), "path.absolute"),
        ("absolute path behind a dot", named(b".//etc/passwd"), "path.absolute"),
        ("parent", named(b"../evil"), "path.parent"),
        ("parent behind a dot", named(b"./../evil"), "path.parent"),
        ("parent within", named(b"a/../../evil"), "path.parent"),
        ("parent at the end", named(b"a/.."), "path.parent"),
        ("dot within", named(b"a/./b"), "path.dot"),
        ("two dots before", named(b"././a"), "path.dot"),
        ("a file named dot", named(b"."), "path.dot"),
        ("empty name", named(b""), "path.empty"),
        ("empty segment", named(b"a//b"), "path.empty_segment"),
        ("a file that ends in a slash", named(b"a/"), "path.empty_segment"),
        ("backslash", named(b"..\\evil"), "path.backslash"),
        ("drive", named(b"C:evil"), "path.character"),
        ("newline", named(b"a\nb"), "path.character"),
        ("escape", named(b"a\x1b[2J"), "path.character"),
        ("NUL in a name", named(b"good\0/../evil"), "path.nul"),
        ("not ASCII", named("ä.rn".as_bytes()), "path.non_ascii"),
        ("not UTF-8", named(b"\xff.rn"), "path.non_ascii"),
        ("homoglyph", named("m\u{430}in.rn".as_bytes()), "path.non_ascii"),
        ("hidden file", named(b".env"), "path.hidden"),
        ("hidden directory", named(b".git/config"), "path.hidden"),
        ("too deep", named(b"a/b/c/d/e/f/g/h/i"), "path.too_deep"),
        ("absolute directory", entry(b'5', "/"), "path.empty"),
        ("parent directory", entry(b'5', "../"), "path.parent"),
        ("directory with a content", end(hello().entry(b'5', b"a/", b"x")), "archive.entry_type"),
        (
            "parent in a prefix",
            end(hello().with(b'0', b"evil", b"", |header| {
                header.as_mut_bytes()[257..265].copy_from_slice(b"ustar\x0000");
                header.as_mut_bytes()[345..347].copy_from_slice(b"..");
            })),
            "path.parent",
        ),
        ("duplicate", end(hello().file("main.rn", b"evil")), "path.duplicate"),
        ("duplicate behind a dot", end(hello().file("./main.rn", b"evil")), "path.duplicate"),
        ("duplicate in another case", end(hello().file("MAIN.rn", b"evil")), "path.case_duplicate"),
        ("directory in another case", end(hello().file("a/b", b"").file("A/c", b"")), "path.case_duplicate"),
        ("file then directory", end(hello().file("a", b"").file("a/b", b"")), "path.file_and_directory"),
        (
            "directory then file",
            end(hello().entry(b'5', b"a/", b"").file("a", b"")),
            "path.file_and_directory",
        ),
        ("too many files", end(many), "bundle.too_many_files"),
        ("too many directories", end(directories), "bundle.too_many_files"),
        ("file too large", end(hello().file("a", &noise((1 << 20) + 1))), "bundle.file_too_large"),
        ("too large in all", end(large), "bundle.too_large"),
        ("too large as it is", vec![b'x'; 20 << 20], "bundle.too_large"),
        ("size that is a lie", size_of(600 << 10), "archive.truncated"),
        ("size that is too large a lie", size_of(1 << 32), "bundle.file_too_large"),
        ("size beyond all", size_of(u64::MAX), "archive.damaged"),
        ("gzip bomb", gzip(&vec![0; 64 << 20]), "archive.bomb"),
        ("zstd bomb", zstd_window(&vec![0; 64 << 20], 20), "archive.bomb"),
        ("bomb in a file", gzip(&end(hello().file("a", &vec![b'a'; 1 << 20]))), "archive.bomb"),
        ("compressed too large", gzip(&noise(9 << 20)), "archive.compressed_too_large"),
        ("zstd window", zstd_window(&end(hello().file("a", &noise(1 << 20))), 27), "archive.zstd_window"),
        ("garbage at the end", join(&[&plain, b"garbage"]), "archive.trailing_garbage"),
        ("a second archive behind", join(&[&plain, &plain]), "archive.trailing_garbage"),
        (
            "an entry behind one block of zeros",
            join(&[&hello().0, &[0; BLOCK], &plain]),
            "archive.trailing_garbage",
        ),
        ("garbage behind gzip", join(&[&gzip(&plain), b"garbage"]), "archive.trailing_garbage"),
        ("zeros behind gzip", join(&[&gzip(&plain), &[0; 512]]), "archive.trailing_garbage"),
        ("garbage behind zstd", join(&[&zstd_window(&plain, 20), b"garbage"]), "archive.trailing_garbage"),
        ("two members", join(&[&gzip(&plain), &gzip(&plain)]), "archive.many_members"),
        (
            "an archive in two members",
            join(&[&gzip(&plain[..700]), &gzip(&plain[700..])]),
            "archive.many_members",
        ),
        ("an empty second member", join(&[&gzip(&plain), &gzip(b"")]), "archive.many_members"),
        ("two frames", join(&[&zstd_window(&plain, 20), &zstd_window(&plain, 20)]), "archive.many_members"),
        ("gzip in gzip", gzip(&gzip(&plain)), "archive.not_an_archive"),
        ("truncated in a header", plain[..700].to_vec(), "archive.truncated"),
        ("truncated in a file", plain[..520].to_vec(), "archive.truncated"),
        ("no end marker", hello().0, "archive.truncated"),
        ("half an end marker", join(&[&hello().0, &[0; BLOCK]]), "archive.truncated"),
        ("truncated gzip", gzip(&plain)[..60].to_vec(), "archive.truncated"),
        ("truncated zstd", zstd_window(&plain, 20)[..60].to_vec(), "archive.truncated"),
        ("damaged gzip", damaged_gzip, "archive.damaged"),
        ("damaged header", join(&[&bad_checksum, &[0; 1024]]), "archive.damaged"),
        ("nothing", Vec::new(), "archive.not_an_archive"),
        ("text", b"hello".to_vec(), "archive.not_an_archive"),
        ("noise", noise(4_096), "archive.not_an_archive"),
        ("zip", join(&[b"PK\x03\x04", &[1; 600]]), "archive.not_an_archive"),
        ("only zeros", vec![0; 10_240], "archive.empty"),
        ("skippable zstd frame", b"\x50\x2a\x4d\x18\x04\0\0\0abcd".to_vec(), "archive.not_an_archive"),
        ("only gzip's magic", vec![0x1f, 0x8b], "archive.truncated"),
        ("no manifest", Tar::default().file("main.rn", b"").end(), "manifest.missing"),
    ];
    assert!(table.len() >= 40);
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|(what, archive, expected)| {
            let code = code(archive);
            (code != *expected).then(|| format!("{what}: {code} instead of {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_archive_is_taken_in_every_usual_wrapping() {
    let tar = Tar::default()
        .entry(b'5', b"./", b"")
        .file("./callboard.toml", MANIFEST.as_bytes())
        .entry(b'\0', b"main.rn", b"pub fn hello() {}")
        .entry(b'5', b"./main/", b"")
        .entry(b'5', b"main", b"")
        .file("main/rows.rn", b"")
        .with(b'0', b"f.rn", b"", |header| {
            header.as_mut_bytes()[257..265].copy_from_slice(b"ustar\x0000");
            header.as_mut_bytes()[345..349].copy_from_slice(b"main");
        });
    let plain = tar.end();
    let padded = [plain.as_slice(), &vec![0; 8_192]].concat();
    let bundle = Bundle::from_archive(&plain, &ArchiveLimits::default()).unwrap();
    let paths: Vec<_> = bundle.files().keys().map(|path| path.as_str()).collect();
    assert_eq!(paths, ["callboard.toml", "main.rn", "main/f.rn", "main/rows.rn"]);
    for archive in
        [padded, gzip(&plain), zstd_window(&plain, 20), zstd::encode_all(plain.as_slice(), 3).unwrap()]
    {
        assert_eq!(Bundle::from_archive(&archive, &ArchiveLimits::default()).unwrap(), bundle);
    }
}

#[test]
fn the_smallest_limit_decides() {
    let archive = Tar::hello().end();
    for (limits, code) in [
        (ArchiveLimits { files: 1, ..ArchiveLimits::default() }, "bundle.too_many_files"),
        (ArchiveLimits { file: Bytes::new(20), ..ArchiveLimits::default() }, "bundle.file_too_large"),
        (ArchiveLimits { total: Bytes::new(90), ..ArchiveLimits::default() }, "bundle.too_large"),
        (
            ArchiveLimits { compressed: Bytes::new(20), ..ArchiveLimits::default() },
            "archive.compressed_too_large",
        ),
        (ArchiveLimits { ratio: 1, ratio_from: Bytes::new(1), ..ArchiveLimits::default() }, "archive.bomb"),
    ] {
        let found = Bundle::from_archive(&gzip(&archive), &limits).unwrap_err();
        assert_eq!(found.iter().next().unwrap().code, code);
    }
}

proptest::proptest! {
    #[test]
    fn an_archive_with_any_bytes_changed_is_answered(
        changes in proptest::collection::vec((proptest::prelude::any::<u16>(), proptest::prelude::any::<u8>()), 1..4),
        wrapping in 0..3_u8,
        mend in proptest::prelude::any::<bool>(),
    ) {
        let long = "a".repeat(120);
        let mut archive = Tar::hello()
            .entry(b'5', b"d/", b"")
            .entry(b'L', b"././@LongLink", long.as_bytes())
            .file(&long, b"x")
            .end();
        archive = match wrapping {
            0 => archive,
            1 => gzip(&archive),
            _ => zstd_window(&archive, 20),
        };
        for (at, byte) in changes {
            let at = usize::from(at) % archive.len();
            archive[at] = byte;
            // A header whose checksum is right again is looked at more closely.
            let header = at / BLOCK * BLOCK;
            if mend && wrapping == 0 && archive.len() >= header + BLOCK {
                let mut mended = tar::Header::from_byte_slice(&archive[header..header + BLOCK]).clone();
                mended.set_cksum();
                archive[header..header + BLOCK].copy_from_slice(mended.as_bytes());
            }
        }
        match Bundle::from_archive(&archive, &ArchiveLimits::default()) {
            Ok(bundle) => proptest::prop_assert!(bundle.files().len() <= 4),
            Err(found) => proptest::prop_assert!(found.has_errors()),
        }
    }
}

/// What the tar program of this machine packs and unpacks, in its several formats.
#[test]
fn what_a_tar_program_packs_is_taken_and_what_we_pack_it_unpacks() {
    let directory = std::env::temp_dir().join(format!("callboard-archive-{}", std::process::id()));
    let long = format!("{}/{}.txt", "d".repeat(60), "f".repeat(60));
    std::fs::create_dir_all(directory.join("in").join("d".repeat(60))).unwrap();
    std::fs::create_dir_all(directory.join("out")).unwrap();
    for (path, content) in [("callboard.toml", MANIFEST), ("main.rn", "pub fn hello() {}"), (&long, "long")] {
        std::fs::write(directory.join("in").join(path), content).unwrap();
    }
    let bundle = Bundle::from_dir(&directory.join("in")).unwrap();
    let run = |arguments: &[&str], input: &[u8]| -> Vec<u8> {
        let mut child = Command::new("tar")
            .args(arguments)
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        output.stdout
    };
    for arguments in [
        ["-czf", "-", "-C", "in", "."].as_slice(),
        &["-cf", "-", "-C", "in", "."],
        &["--format=gnu", "-czf", "-", "-C", "in", "callboard.toml", "main.rn", &long],
        &["--format=ustar", "-czf", "-", "-C", "in", "."],
    ] {
        let archive = run(arguments, b"");
        assert_eq!(
            Bundle::from_archive(&archive, &ArchiveLimits::default()).unwrap(),
            bundle,
            "{arguments:?}"
        );
    }
    run(&["-xf", "-", "-C", "out"], &bundle.to_archive());
    assert_eq!(Bundle::from_dir(&directory.join("out")).unwrap(), bundle);
    std::fs::remove_dir_all(&directory).unwrap();
}
