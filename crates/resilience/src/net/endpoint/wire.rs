//! What lies between HTTP/2 and the bytes of a connection.
//!
//! It hears the peer's first word. Every HTTP/2 peer begins with a SETTINGS frame
//! without being asked (RFC 9113, 3.4). Until that has come, all that is known is that
//! someone accepts connections: a proxy without a backend, a full backlog, a server
//! that closes at once. A call that is only written after it is never lost to those.
//!
//! And it hears the peer out. A peer that said goodbye and closed while calls were
//! still being written breaks the pipe for them (TCP answers with a reset), and HTTP/2
//! would then give up without reading what came before: answers, and up to which call
//! there will be any. So a write that fails is taken as if it had gone well, and the
//! connection ends where the peer's words do.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::net::connect::Connection;

/// The kind of a frame stands after its length of three bytes.
const KIND_AT: usize = 3;
const SETTINGS: u8 = 0x4;

#[derive(Debug)]
pub(super) struct Wire {
    connection: Connection,
    /// Bytes of the first frame's head that were read, while it is not known.
    heard: usize,
    tell: Option<oneshot::Sender<()>>,
    /// Nothing that is written arrives any more.
    broken: bool,
}

impl Wire {
    /// The receiver is told when the peer begins to speak HTTP/2, and gets an error if
    /// the connection ends before, or if what comes is something else.
    pub(super) fn new(connection: Connection) -> (Self, oneshot::Receiver<()>) {
        let (tell, greeted) = oneshot::channel();
        (Self { connection, heard: 0, tell: Some(tell), broken: false }, greeted)
    }

    fn hear(&mut self, bytes: &[u8]) {
        if let Some(kind) = bytes.get(KIND_AT - self.heard) {
            let tell = self.tell.take().filter(|_| *kind == SETTINGS);
            // Nobody waits for it any more if the attempt was given up.
            let _ = tell.map(|tell| tell.send(()));
        } else {
            self.heard += bytes.len();
        }
    }

    /// Writes, unless that is in vain. `all` is what a write says that goes well.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        all: T,
        write: impl FnOnce(Pin<&mut Connection>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if !self.broken {
            match ready!(write(Pin::new(&mut self.connection), cx)) {
                Ok(written) => return Poll::Ready(Ok(written)),
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "broken"),
            }
            self.broken = true;
            // The rest is read now, and not when the peer says more, which it cannot.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(all))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.connection).poll_read(cx, buffer))?;
        if self.tell.is_some() {
            self.hear(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, bytes.len(), |connection, cx| connection.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = slices.iter().map(|slice| slice.len()).sum();
        self.write(cx, all, |connection, cx| connection.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, (), AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, (), AsyncWrite::poll_shutdown)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn is_greeted_by(pieces: &[&[u8]]) -> bool {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut wire, greeted) = Wire::new(Connection::new(near));
        for piece in pieces {
            far.write_all(piece).await.unwrap();
            let mut read = vec![0; piece.len()];
            wire.read_exact(&mut read).await.unwrap();
            assert_eq!(read, *piece, "nothing is taken away");
        }
        drop(wire);
        greeted.await.is_ok()
    }

    #[tokio::test]
    async fn the_greeting_is_a_settings_frame_however_it_is_cut() {
        assert!(is_greeted_by(&[&[0, 0, 6, 4, 0, 0, 0, 0, 0]]).await);
        assert!(is_greeted_by(&[&[0], &[0, 6], &[4], &[0]]).await);
        assert!(!is_greeted_by(&[&[0, 0, 6]]).await, "it ended too early");
        assert!(!is_greeted_by(&[b"HTT", b"P/1.1 400 Bad Request"]).await);
        assert!(!is_greeted_by(&[&[0, 0, 4, 7, 0], &[4, 4, 4, 4]]).await, "it was another frame");
    }

    #[tokio::test]
    async fn a_peer_that_left_is_heard_out() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut wire, _greeted) = Wire::new(Connection::new(near));
        wire.write_all(b"are you there?").await.unwrap();
        far.write_all(b"I am leaving").await.unwrap();
        drop(far);

        wire.write_all(b"too late").await.unwrap();
        wire.flush().await.unwrap();
        let mut heard = Vec::new();
        wire.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"I am leaving");
        wire.shutdown().await.unwrap();
    }
}
