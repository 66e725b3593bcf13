//! Control: where the warden is told to go over to the program on the disk.
//!
//! A socket in the data directory. Who may open it may stop the server, too: it answers the user that the server
//! runs as, and root.
//!
//! Invariant: one request at a time; whoever asks meanwhile is told so at once.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// The socket's name in the data directory.
const SOCKET: &str = "warden.sock";
/// What is asked.
const UPGRADE: &str = "upgrade";
/// How long who connects may take to ask.
const ASK_WAIT: Duration = Duration::from_secs(2);

/// How long an answer may take to be written.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether another process serves now.
    pub done: bool,
    /// Which, or why not.
    pub message: String,
}

/// Somebody asks for an upgrade, and waits for the answer.
pub struct Request {
    answer: oneshot::Sender<Answer>,
    /// Ends when the answer was written.
    written: oneshot::Receiver<()>,
}

impl Request {
    /// Answers it, and returns when the answer is on its way. Who asked may have gone.
    pub async fn answer(self, done: bool, message: String) {
        let _ = self.answer.send(Answer { done, message });
        let _ = tokio::time::timeout(ANSWER_WAIT, self.written).await;
    }
}

/// The warden's end.
pub struct Control {
    requests: mpsc::Receiver<Request>,
    /// Kept until it is opened, and so that there is no end of requests.
    sender: mpsc::Sender<Request>,
    is_open: bool,
}

impl Control {
    /// One that nobody can reach yet.
    pub fn closed() -> Self {
        let (sender, requests) = mpsc::channel(1);
        Self { requests, sender, is_open: false }
    }

    /// Listens in this directory, which is this server's own: a child serves from it. Where that cannot be, the
    /// server goes on and cannot be upgraded.
    pub fn open(&mut self, directory: &Path) {
        if self.is_open {
            return;
        }
        self.is_open = true;
        match listen(directory) {
            Ok(listener) => drop(tokio::spawn(serve(listener, self.sender.clone()))),
            Err(error) => tracing::warn!(%error, "there is no socket for upgrades"),
        }
    }

    /// The next request.
    pub async fn next(&mut self) -> Request {
        match self.requests.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

/// A path has to be short for a socket; that of a directory's descriptor is.
fn in_directory<T>(directory: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let directory = std::fs::File::open(directory)?;
    work(Path::new(&format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd())))
}

fn listen(directory: &Path) -> io::Result<UnixListener> {
    in_directory(directory, |path| {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    })
}

async fn serve(listener: UnixListener, requests: mpsc::Sender<Request>) {
    while let Ok((stream, _)) = listener.accept().await {
        let requests = requests.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(stream, requests).await {
                tracing::debug!(%error, "a request to the warden was not answered");
            }
        });
    }
}

async fn answer(stream: UnixStream, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let who = stream.peer_cred()?.uid();
    let is_known = who == 0 || who == rustix::process::geteuid().as_raw();
    let (read, mut write) = stream.into_split();
    let _is_written;
    let mut asked = String::new();
    let mut read = BufReader::new(read.take(64));
    tokio::time::timeout(ASK_WAIT, read.read_line(&mut asked)).await??;
    let refused = |why: &str| Answer { done: false, message: why.to_owned() };
    let answer = if !is_known {
        refused("that is for the user that the server runs as")
    } else if asked.trim_end() != UPGRADE {
        refused("the server is of another version and does not understand")
    } else {
        let (sender, answered) = oneshot::channel();
        let (is_written, written) = oneshot::channel();
        // Dropped at the end of this function, which is what it tells.
        _is_written = is_written;
        match requests.try_send(Request { answer: sender, written }) {
            Ok(()) => answered.await.unwrap_or_else(|_| refused("the server is about to stop")),
            Err(_) => refused("an upgrade is under way"),
        }
    };
    write.write_all(format!("{}\n", serde_json::to_string(&answer)?).as_bytes()).await?;
    write.shutdown().await
}

/// Asks the server of this directory for an upgrade, and waits until it is done.
///
/// # Errors
/// No server runs there, or it ended.
pub async fn ask(directory: &Path) -> io::Result<Answer> {
    let stream = in_directory(directory, |path| std::os::unix::net::UnixStream::connect(path))?;
    stream.set_nonblocking(true)?;
    let (read, mut write) = UnixStream::from_std(stream)?.into_split();
    write.write_all(format!("{UPGRADE}\n").as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(read).read_line(&mut line).await?;
    serde_json::from_str(&line).map_err(|_| io::Error::other("the server ended before it answered"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_is_answered_and_who_asks_meanwhile_is_told_so() {
        // Longer than the path of a socket may be.
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("d".repeat(120));
        std::fs::create_dir(&directory).unwrap();
        assert!(ask(&directory).await.is_err(), "nobody is there");
        let mut control = Control::closed();
        control.open(&directory);
        let answer = |done| Answer { done, message: "so".to_owned() };
        for done in [true, false] {
            let warden = async { control.next().await.answer(done, "so".to_owned()).await };
            let (answered, ()) = tokio::join!(ask(&directory), warden);
            assert_eq!(answered.unwrap(), answer(done));
        }
        // Two wait: one for the warden, one to be refused.
        let (one, two) = (ask(&directory), ask(&directory));
        let warden = async {
            // Both have asked when one of them is refused, so the other is answered last.
            tokio::task::yield_now().await;
            control.next().await
        };
        tokio::pin!(one, two);
        let (refused, waits) = tokio::select! {
            refused = &mut one => (refused, two),
            refused = &mut two => (refused, one),
        };
        assert_eq!(refused.unwrap().message, "an upgrade is under way");
        let answer_it = async { warden.await.answer(true, "so".to_owned()).await };
        let (answered, ()) = tokio::join!(waits, answer_it);
        assert_eq!(answered.unwrap(), answer(true));
    }
}
