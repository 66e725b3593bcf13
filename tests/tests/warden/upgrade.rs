//! A program on the disk that can be replaced, and the server that runs from it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tests::server::{Options, Server};

use crate::PROGRAM;

/// A file that a server is started from.
pub struct OnDisk {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl OnDisk {
    /// The program for tests under a name of its own.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("callboard");
        let on_disk = Self { _directory: directory, path };
        on_disk.replace_with_the_same();
        on_disk
    }

    /// Starts a server from it.
    pub fn start(&self, options: Options) -> Server {
        Server::start_with(self.path.to_str().unwrap(), options)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces it by another file with the same program.
    pub fn replace_with_the_same(&self) {
        let fresh = self.path.with_extension("new");
        std::fs::copy(PROGRAM, &fresh).unwrap();
        std::fs::rename(&fresh, &self.path).unwrap();
    }

    /// Replaces it by something for the shell.
    pub fn replace_with(&self, script: &str) {
        let fresh = self.path.with_extension("new");
        std::fs::write(&fresh, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&fresh, &self.path).unwrap();
    }
}

/// Runs `callboard upgrade` for a server.
#[allow(clippy::disallowed_methods, reason = "a thread of the test, which ends with it")]
pub async fn upgrade(server: &Server) -> Output {
    let data = server.data().to_owned();
    let run = move || {
        let mut command = Command::new(PROGRAM);
        command.arg("upgrade").arg("--data").arg(data).env("NO_COLOR", "1").output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}
