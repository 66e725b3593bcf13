//! The wire to a node: the others reach it at the wire's address, and what is sent there comes to the node.
//!
//! Invariant: what passes is whole and in its order; while the wire is cut nothing passes, and nobody is told.
//! Not here: what nodes say to each other.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};

use crate::cassandra::{STORAGE, free_address};

/// A wire. It ends with its handle.
pub(super) struct Wire {
    address: Ipv4Addr,
    is_cut: watch::Sender<bool>,
    /// Keeps the address from other programs.
    _held: TcpListener,
    /// Ends the thread that serves.
    _serving: oneshot::Sender<()>,
}

impl Wire {
    /// A wire to the node that has, or will have, this address.
    pub(super) fn to(node: Ipv4Addr) -> Self {
        let (address, held) = free_address();
        let listener = TcpListener::bind((address, STORAGE)).expect("the address is free");
        listener.set_nonblocking(true).expect("a listener of this program");
        let is_cut = watch::Sender::new(false);
        let (serving, ended) = oneshot::channel();
        let watched = is_cut.subscribe();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                tokio::select! {
                    result = listen(listener, node, watched) => result.expect("a wire can listen"),
                    _ = ended => {}
                }
            });
        });
        Self { address, is_cut, _held: held, _serving: serving }
    }

    /// Where the others reach the node.
    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
    }

    pub(super) fn cut(&self, cut: bool) {
        self.is_cut.send_replace(cut);
    }
}

async fn listen(listener: TcpListener, node: Ipv4Addr, mut is_cut: watch::Receiver<bool>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (near, _) = listener.accept().await?;
        mended(&mut is_cut).await;
        let is_cut = is_cut.clone();
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect((node, STORAGE)).await else { return };
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            // A connection that broke on one side has broken.
            tokio::select! {
                _ = pass(from_near, to_far, is_cut.clone()) => {}
                _ = pass(from_far, to_near, is_cut) => {}
            }
        });
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut is_cut: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        mended(&mut is_cut).await;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}

/// Waits until the wire is whole, or its handle is gone.
async fn mended(is_cut: &mut watch::Receiver<bool>) {
    let _ = is_cut.wait_for(|cut| !cut).await;
}
