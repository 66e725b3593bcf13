//! Uploads with something wrong in them, each with what has to be found.

use std::io::Write;

use api::Diagnostic;
use tar::{EntryType, Header};

const GZIP: &str = "application/gzip";
const ZSTD: &str = "application/zstd";
const TAR: &str = "application/x-tar";
const MANIFEST: &str =
    "team = \"tv\"\nscript = \"home\"\n[[endpoint]]\npath = \"/tv/home\"\nhandler = \"main::main\"\n";
const MAIN: &str = "pub fn main(request) { `other` }\n";

/// An upload with something wrong in it.
pub struct Wrong {
    /// What it is.
    pub name: &'static str,
    /// As what it is sent.
    pub media: &'static str,
    /// What is sent.
    pub bytes: Vec<u8>,
    /// The answer's status.
    pub status: u16,
    /// The answer's code.
    pub code: &'static str,
    /// What has to be found, where it is the files that are wrong.
    pub finding: Option<Finding>,
}

/// What has to be found.
#[derive(Debug, Clone, Copy)]
pub struct Finding {
    /// The diagnostic's code.
    pub code: &'static str,
    /// Its file, line and column, and what its line holds.
    place: Option<(&'static str, u32, u32, &'static str)>,
    /// What its hint says.
    hint: &'static str,
}

impl Finding {
    /// Whether a diagnostic is it.
    pub fn fits(&self, found: &Diagnostic) -> bool {
        let is_there = self.place.is_none_or(|(file, line, column, excerpt)| {
            let shown = found.excerpt.as_deref().is_some_and(|line| line.contains(excerpt));
            (found.file.as_str(), found.line, found.column) == (file, line, column) && shown
        });
        let hint = found.hint.as_deref().unwrap_or_default();
        is_there && !found.message.is_empty() && hint.contains(self.hint)
    }
}

/// One entry: its kind, name, and content.
type Entry<'a> = (u8, &'a str, &'a [u8]);

fn entry(out: &mut Vec<u8>, (kind, name, content): Entry<'_>) {
    let mut header = Header::new_gnu();
    // Past the checks of whoever writes tars with good intent.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::new(kind));
    if matches!(kind, b'1' | b'2') {
        header.set_link_name("/etc/passwd").expect("a name that fits");
    }
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
}

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    entries.iter().for_each(|one| entry(&mut out, *one));
    out.resize(out.len() + 1024, 0);
    out
}

/// A good bundle with more entries.
fn with(more: &[Entry<'_>]) -> Vec<u8> {
    let good = [(b'0', "callboard.toml", MANIFEST.as_bytes()), (b'0', "main.rn", MAIN.as_bytes())];
    tar(&[&good, more].concat())
}

fn sources(manifest: &str, main: &str) -> Vec<u8> {
    tar(&[(b'0', "callboard.toml", manifest.as_bytes()), (b'0', "main.rn", main.as_bytes())])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 19).expect("memory takes it")
}

/// Bytes that do not get smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let byte = |_| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..length).map(byte).collect()
}

/// All of them.
pub fn wrong() -> Vec<Wrong> {
    let mut all = Vec::new();
    let mut add = |name, media, bytes: Vec<u8>, finding| {
        all.push(Wrong { name, media, bytes, status: 422, code: "script.invalid", finding: Some(finding) });
    };
    let plain = |code| Finding { code, place: None, hint: "" };
    let whole = with(&[]);

    // Not an archive, or not all of one.
    add("nothing", TAR, Vec::new(), plain("archive.not_an_archive"));
    add("a text", TAR, b"hello".to_vec(), plain("archive.not_an_archive"));
    add("a long text", TAR, b"hello ".repeat(1000), plain("archive.not_an_archive"));
    add("a zip", TAR, [b"PK\x03\x04".as_slice(), &[0; 600]].concat(), plain("archive.not_an_archive"));
    add("an archive of nothing", TAR, tar(&[]), plain("archive.empty"));
    add("half an archive", TAR, whole[..700].to_vec(), plain("archive.truncated"));
    add("an archive without its end", TAR, whole[..whole.len() - 1024].to_vec(), plain("archive.truncated"));
    add("more behind the end", TAR, [whole.as_slice(), b"more"].concat(), plain("archive.trailing_garbage"));
    let packed = gzip(&whole);
    add("half a gzip", GZIP, packed[..packed.len() / 2].to_vec(), plain("archive.truncated"));
    add("two gzips", GZIP, [packed.as_slice(), &packed].concat(), plain("archive.many_members"));
    add("more behind a gzip", GZIP, [packed.as_slice(), b"more"].concat(), plain("archive.trailing_garbage"));
    let packed = zstd(&whole);
    add("half a zstd", ZSTD, packed[..packed.len() / 2].to_vec(), plain("archive.truncated"));
    add("two zstds", ZSTD, [packed.as_slice(), &packed].concat(), plain("archive.many_members"));
    add("a gzip of text", GZIP, gzip(b"hello"), plain("archive.not_an_archive"));
    add("a zstd of text", ZSTD, zstd(b"hello"), plain("archive.not_an_archive"));

    // Names with tricks.
    for (name, path, code) in [
        ("a step up", "../x", "path.parent"),
        ("a step up within", "a/../../x", "path.parent"),
        ("a step up at the end", "a/..", "path.parent"),
        ("an absolute path", "/etc/passwd", "path.absolute"),
        ("a step that is none", "a/./b", "path.dot"),
        ("an empty step", "a//b", "path.empty_segment"),
        ("a backslash", "..\\x", "path.backslash"),
        ("a NUL", "a.rn\0../x", "path.nul"),
        ("a drive", "C:x", "path.character"),
        ("a line break", "a\nb", "path.character"),
        ("a letter beyond ASCII", "ä.rn", "path.non_ascii"),
        ("a hidden file", ".env", "path.hidden"),
        ("a hidden directory", ".git/config", "path.hidden"),
        ("nine levels", "a/b/c/d/e/f/g/h/i", "path.too_deep"),
        ("a name twice", "main.rn", "path.duplicate"),
        ("a name in another case", "MAIN.rn", "path.case_duplicate"),
        ("a file that is a directory", "main.rn/x", "path.file_and_directory"),
    ] {
        add(name, TAR, with(&[(b'0', path, b"x")]), plain(code));
    }
    for (name, kind, code) in [
        ("a hard link", b'1', "archive.hardlink"),
        ("a symbolic link", b'2', "archive.symlink"),
        ("a character device", b'3', "archive.device"),
        ("a block device", b'4', "archive.device"),
        ("a named pipe", b'6', "archive.fifo"),
        ("an extended header", b'x', "archive.extension"),
        ("a header for all", b'g', "archive.extension"),
        ("a long link", b'K', "archive.extension"),
        ("a sparse file", b'S', "archive.sparse"),
        ("something unknown", b'z', "archive.entry_type"),
    ] {
        add(name, TAR, with(&[(kind, "link", b"")]), plain(code));
    }

    // Too much.
    let zeros = vec![0; 64 << 20];
    add("a bomb of gzip", GZIP, gzip(&zeros), plain("archive.bomb"));
    add("a bomb of zstd", ZSTD, zstd(&zeros), plain("archive.bomb"));
    let names: Vec<String> = (0..1_000).map(|number| format!("{number}.rn")).collect();
    let many: Vec<Entry<'_>> = names.iter().map(|name| (b'0', name.as_str(), &b""[..])).collect();
    add("too many files", TAR, with(&many), plain("bundle.too_many_files"));
    // Not so small when packed that it would be taken for a bomb.
    let contents = noise(64 * names.len());
    let many: Vec<Entry<'_>> =
        names.iter().zip(contents.chunks(64)).map(|(name, noise)| (b'0', name.as_str(), noise)).collect();
    add("too many files, packed", GZIP, gzip(&with(&many)), plain("bundle.too_many_files"));
    let large = noise((1 << 20) + 1);
    add("a file that is too large", TAR, with(&[(b'0', "a", &large)]), plain("bundle.file_too_large"));
    let nine: Vec<Entry<'_>> = names[..9].iter().map(|name| (b'0', name.as_str(), &large[1..])).collect();
    add("files that are too large in all", TAR, with(&nine), plain("bundle.too_large"));

    // Manifests.
    let only = |bytes: &[u8]| tar(&[(b'0', "main.rn", bytes)]);
    add("no manifest", TAR, only(MAIN.as_bytes()), plain("manifest.missing"));
    let at = |code, line, column, excerpt, hint| Finding {
        code,
        place: Some(("callboard.toml", line, column, excerpt)),
        hint,
    };
    let manifest = |text: String| sources(&text, MAIN);
    let unknown = at("manifest.unknown_key", 5, 1, "handlr", "did you mean `handler`?");
    add("an unknown key", TAR, manifest(MANIFEST.replace("handler", "handlr")), unknown);
    let missing = Finding { code: "manifest.missing_key", place: None, hint: "" };
    add("no path", TAR, manifest(MANIFEST.replace("path = \"/tv/home\"\n", "")), missing);
    let value = |line, column, excerpt| at("manifest.invalid_value", line, column, excerpt, "");
    for (name, path) in [
        ("a route with a step up", "/tv/../home"),
        ("a route without a slash", "tv/home"),
        ("a route with an escape", "/tv%2fhome"),
        ("a route of one name twice", "/{a}/{a}"),
    ] {
        add(name, TAR, manifest(MANIFEST.replace("/tv/home", path)), value(4, 8, path));
    }
    add("a team that cannot be", TAR, manifest(MANIFEST.replace("\"tv\"", "\"../x\"")), value(1, 8, "../x"));
    let no_file = at("manifest.no_handler_file", 5, 11, "none::main", "");
    add("a handler in no file", TAR, manifest(MANIFEST.replace("main::main", "none::main")), no_file);
    let no_function = at("manifest.handler", 5, 11, "main::none", "pub fn none(request)");
    let mistyped = at("manifest.handler", 5, 11, "main::mian", "did you mean `main::main`?");
    add("a handler with a typo", TAR, manifest(MANIFEST.replace("main::main", "main::mian")), mistyped);
    add(
        "a handler that is no function",
        TAR,
        manifest(MANIFEST.replace("main::main", "main::none")),
        no_function,
    );
    let no_endpoint = Finding { code: "manifest.no_endpoint", place: None, hint: "[[endpoint]]" };
    add("no endpoint", TAR, manifest("team = \"tv\"\nscript = \"home\"\n".to_owned()), no_endpoint);
    let syntax = at("manifest.syntax", 1, 8, "team = tv", "");
    add("no quotes", TAR, manifest(MANIFEST.replace("\"tv\"", "tv")), syntax);
    let no_text = tar(&[(b'0', "callboard.toml", b"\xff\xfe"), (b'0', "main.rn", MAIN.as_bytes())]);
    add("a manifest that is no text", TAR, no_text, plain("manifest.not_utf8"));

    // Scripts.
    let script = |text: &str| sources(MANIFEST, text);
    let at = |code, line, column, excerpt| Finding {
        code,
        place: Some(("main.rn", line, column, excerpt)),
        hint: "",
    };
    add(
        "a missing value",
        TAR,
        script("pub fn main(request) {\n    let x = ;\n}\n"),
        at("script.syntax", 2, 13, "let x = ;"),
    );
    add(
        "an unknown name",
        TAR,
        script("pub fn main(request) {\n    requst\n}\n"),
        at("script.compile", 2, 5, "requst"),
    );
    add("no end", TAR, script("pub fn main(request) {\n"), at("script.unbalanced", 1, 22, "main(request) {"));
    add(
        "a script that is no text",
        TAR,
        tar(&[(b'0', "callboard.toml", MANIFEST.as_bytes()), (b'0', "main.rn", b"pub fn \xff\xfe")]),
        plain("script.not_utf8"),
    );
    let two = Finding { code: "script.handler_arguments", place: None, hint: "pub fn main(request)" };
    add("a handler of two arguments", TAR, script("pub fn main(request, more) { 1 }\n"), two);

    // Not the files, but the request.
    let mut refuse = |name, media, bytes, status, code| {
        all.push(Wrong { name, media, bytes, status, code, finding: None });
    };
    let other = MANIFEST.replace("\"tv\"", "\"sky\"");
    refuse("a manifest of another team", TAR, sources(&other, MAIN), 422, "team.mismatch");
    let other = MANIFEST.replace("\"home\"", "\"away\"");
    refuse("a manifest of another script", TAR, sources(&other, MAIN), 422, "team.mismatch");
    refuse("a packed archive that is too large", GZIP, noise((8 << 20) + 1), 413, "request.too_large");
    refuse("a plain archive that is too large", TAR, vec![0; (16 << 20) + 1], 413, "request.too_large");
    refuse("a web page", "text/html", b"<html>".to_vec(), 415, "request.media_type");
    all
}
