use proptest::prelude::*;

use super::*;

const MANIFEST: &str = "\
team = \"tv\"
script = \"home\"

[[endpoint]]
path = \"/hello\"
handler = \"main::hello\"
";

fn files<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> BTreeMap<BundlePath, Arc<[u8]>> {
    files.into_iter().map(|(path, bytes)| (BundlePath::parse(path).unwrap(), bytes.into())).collect()
}

fn hello(more: &[(&str, &[u8])]) -> BTreeMap<BundlePath, Arc<[u8]>> {
    let all = [("callboard.toml", MANIFEST.as_bytes()), ("main.rn", b"pub fn hello(request) { `Hello` }")];
    files(all.into_iter().chain(more.iter().copied()))
}

fn codes(found: &Diagnostics) -> Vec<&str> {
    found.iter().map(|diagnostic| diagnostic.code.as_ref()).collect()
}

#[test]
fn a_bundle_has_its_files_its_manifest_and_its_scripts() {
    let bundle =
        Bundle::from_files(hello(&[("main/rows.rn", b"pub fn rows() {}"), ("README.md", b"")])).unwrap();
    assert_eq!(bundle.manifest().script.as_str(), "home");
    assert_eq!(bundle.files().len(), 4);
    assert_eq!(bundle.file("README.md").map(|bytes| bytes.len()), Some(0));
    assert!(bundle.file("readme.md").is_none());
    let scripts: Vec<_> = bundle.scripts().map(|(path, _)| path.as_str()).collect();
    assert_eq!(scripts, ["main.rn", "main/rows.rn"]);
}

#[test]
fn everything_that_is_wrong_with_the_files_is_told() {
    let check = |files, expected: &[&str]| {
        assert_eq!(codes(&Bundle::from_files(files).unwrap_err()), expected);
    };
    check(files([("main.rn", b"".as_slice())]), &["manifest.missing"]);
    check(
        files([("callboard.toml", MANIFEST.as_bytes()), ("a.rn", b"\xff")]),
        &["script.not_utf8", "manifest.no_handler_file"],
    );
    check(hello(&[("Main.rn", b"")]), &["path.case_duplicate"]);
    check(hello(&[("a/b.rn", b""), ("A/c.rn", b"")]), &["path.case_duplicate"]);
    check(hello(&[("a", b""), ("a/c.rn", b"")]), &["path.file_and_directory"]);
    check(hello(&[("big", &vec![0; (1 << 20) + 1])]), &["bundle.file_too_large"]);
    let large = vec![0; 1 << 20];
    let names: Vec<String> = (0..8).map(|number| format!("large{number}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), large.as_slice())).collect();
    check(hello(&many), &["bundle.too_large"]);
    let names: Vec<String> = (0..999).map(|number| format!("small{number}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    check(hello(&many), &["bundle.too_many_files"]);
}

#[test]
fn a_hash_reads_what_it_writes() {
    let hash = Bundle::from_files(hello(&[])).unwrap().hash();
    assert_eq!(hash.to_string().parse(), Ok(hash));
    assert_eq!(BundleHash::from_bytes(*hash.as_bytes()), hash);
    for text in ["", "00", &"g".repeat(64), &"A".repeat(64), &"0".repeat(65), &"é".repeat(32)] {
        assert_eq!(text.parse::<BundleHash>(), Err(ParseBundleHashError), "{text}");
    }
    // Hashes are stored: a change of how they are counted needs a new domain.
    assert_eq!(hash.to_string(), "f4df974ac043727967c9004b7a8b411089d2fe8219553d20d1a6e6c9f03b4624");
}

#[test]
fn bytes_that_move_between_files_or_into_a_name_change_the_hash() {
    let hash = |more: &[(&str, &[u8])]| BundleHash::of(&hello(more));
    let all = [
        hash(&[]),
        hash(&[("a", b"")]),
        hash(&[("a", b""), ("b", b"")]),
        hash(&[("a", b"b")]),
        hash(&[("ab", b"")]),
        hash(&[("a", b"xy"), ("b", b"z")]),
        hash(&[("a", b"x"), ("b", b"yz")]),
        hash(&[("a", b"xyz"), ("b", b"")]),
        hash(&[("a", b"xyz"), ("c", b"")]),
    ];
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
}

proptest! {
    #[test]
    fn a_bundle_comes_out_of_its_archive_as_it_went_in(
        more in prop::collection::btree_map("[a-z0-9]{1,8}(/[a-zA-Z0-9_][a-z._-]{0,60}){0,3}", prop::collection::vec(any::<u8>(), 0..1_500), 0..8),
        changed in any::<prop::sample::Index>(),
    ) {
        let more: Vec<(&str, &[u8])> = more.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        // Names may get in each other's way or be scripts that are no text; that is not what is asked here.
        if let Ok(bundle) = Bundle::from_files(hello(&more)) {
            let archive = bundle.to_archive();
            let again = Bundle::from_archive(&archive, &ArchiveLimits::default()).unwrap();
            prop_assert_eq!(&again, &bundle);
            prop_assert_eq!(again.hash(), bundle.hash());
            prop_assert_eq!(again.to_archive(), archive);

            let mut files = bundle.files().clone();
            let path = changed.get(&files.keys().cloned().collect::<Vec<_>>()).clone();
            let bytes = files.remove(&path).unwrap();
            let mut longer = bytes.to_vec();
            longer.push(0);
            files.insert(path.clone(), longer.into());
            prop_assert_ne!(BundleHash::of(&files), bundle.hash());
            files.remove(&path);
            files.insert(BundlePath::parse("renamed-file").unwrap(), bytes);
            prop_assert_ne!(BundleHash::of(&files), bundle.hash());
        }
    }
}

/// A directory of its own that goes when the test ends.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("callboard-bundle-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> &Self {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_directory_gives_the_same_bundle_as_its_files_without_what_is_hidden_or_built() {
    let directory = Directory::new("plain");
    for (path, bytes) in hello(&[("main/rows.rn", b"pub fn rows() {}")]) {
        directory.write(path.as_str(), &bytes);
    }
    directory.write(".git/config", b"").write(".env", b"").write("target/x", b"").write("a/target/x", b"");
    let bundle = Bundle::from_dir(&directory.0).unwrap();
    assert_eq!(bundle, Bundle::from_files(hello(&[("main/rows.rn", b"pub fn rows() {}")])).unwrap());
}

#[test]
fn links_special_files_and_odd_names_in_a_directory_are_refused() {
    let directory = Directory::new("odd");
    directory.write("callboard.toml", MANIFEST.as_bytes()).write("main.rn", b"").write("a b", b"");
    std::os::unix::fs::symlink("/etc/passwd", directory.0.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc", directory.0.join("link_to_directory")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(directory.0.join("socket")).unwrap();
    directory.write("1/2/3/4/5/6/7/8/9", b"");
    let found = Bundle::from_dir(&directory.0).unwrap_err();
    assert_eq!(
        codes(&found),
        ["path.too_deep", "path.character", "bundle.symlink", "bundle.symlink", "bundle.special_file"]
    );
    let missing = Bundle::from_dir(&directory.0.join("missing")).unwrap_err();
    assert_eq!(codes(&missing), ["bundle.unreadable"]);
}
