//! The end of a connection, on the side of a server.
//!
//! If a server closes while bytes that its caller sent are still unread, TCP answers
//! with a reset, and what the server said last may be thrown away on both sides: the
//! answers to the last calls, and the GOAWAY that tells which calls were not processed.
//! That is how a graceful stop loses calls (RFC 9112, 9.6, tells the same of HTTP/1.1).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a caller is heard out.
pub const LONGEST: Duration = Duration::from_secs(2);

/// A stream that, when it is shut down, says so and then reads what its caller still
/// sends, until the caller closes too or [`LONGEST`] is over.
#[derive(Debug)]
pub struct Lingering<S> {
    stream: S,
    /// Set when everything was said.
    limit: Option<Pin<Box<Sleep>>>,
}

impl<S> Lingering<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, limit: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.limit.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let limit = this.limit.get_or_insert_with(|| Box::pin(tokio::time::sleep(LONGEST)));
        if limit.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        loop {
            let mut scrap = [0; 4096];
            let mut buffer = ReadBuf::new(&mut scrap);
            // A caller who is gone does not send anything more either.
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn what_was_said_last_arrives_before_the_caller_is_done() {
        let (near, mut caller) = duplex(16 * 1024);
        let mut server = Lingering::new(near);
        caller.write_all(b"never read").await.unwrap();
        server.write_all(b"goodbye").await.unwrap();

        let hear_out = async {
            let mut heard = Vec::new();
            caller.read_to_end(&mut heard).await.unwrap();
            drop(caller);
            heard
        };
        let (shut, heard) = tokio::join!(server.shutdown(), hear_out);

        shut.unwrap();
        assert_eq!(heard, b"goodbye");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_does_not_close_is_not_waited_for_without_end() {
        let (near, _caller) = duplex(64);
        let start = Instant::now();

        Lingering::new(near).shutdown().await.unwrap();

        assert_eq!(start.elapsed(), LONGEST);
    }
}
