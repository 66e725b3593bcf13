//! `dev`: a project is deployed again whenever its files change.
//!
//! Files are looked at, not watched: three times a second, names, sizes and times of change. It works on every
//! file system, and a project is small.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use api::client::Upload;

use super::arguments::DevArguments;
use super::deploy;
use super::exit::{Exit, Failure};
use super::out::Out;

/// How often files are looked at.
const EVERY: Duration = Duration::from_millis(300);
/// The most files that are looked at; a bundle cannot have more.
const FILES_MAX: usize = 4_096;

/// `dev`
pub(super) async fn run(arguments: &DevArguments, out: &Out) -> Result<Exit, Failure> {
    let directory = &arguments.project.directory;
    let client = arguments.server.client()?;
    let upload = Upload { message: "dev".to_owned(), ..Upload::default() };
    let mut seen = None;
    loop {
        let now = look(directory);
        if seen.as_ref() != Some(&now) {
            let first = seen.is_none();
            seen = Some(now);
            match deploy::send(&client, directory, &upload, out).await {
                Ok((script, answer)) => {
                    out.result("deploy", &answer, |out| deploy::describe(&script, &answer, out));
                    out.note("watching; Ctrl-C ends it");
                }
                // A wrong command does not get better by waiting, a wrong script does.
                Err(failure) if first && failure.exit != Exit::Failed => return Err(failure),
                Err(failure) => out.failed(&failure),
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What can be seen of a project from outside of its files.
type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Looks at a project's files.
fn look(directory: &Path) -> Seen {
    let mut seen = Seen::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        // What cannot be read now is told by the deploy.
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Ok(metadata) = entry.metadata() else { continue };
            if seen.len() >= FILES_MAX || name.as_encoded_bytes().starts_with(b".") || name == "target" {
                continue;
            }
            if metadata.is_dir() {
                open.push(entry.path());
            }
            seen.insert(entry.path(), (metadata.modified().ok(), metadata.len()));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_and_what_is_no_part_of_the_project_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        write("main.rn", "a");
        let first = look(directory.path());
        assert_eq!(look(directory.path()), first);
        write(".git/HEAD", "x");
        write(".main.rn.swp", "x");
        assert_eq!(look(directory.path()), first);
        write("main.rn", "ab");
        let second = look(directory.path());
        assert_ne!(second, first);
        write("lib/rows.rn", "x");
        assert_ne!(look(directory.path()), second);
        assert!(look(&directory.path().join("missing")).is_empty());
    }
}
