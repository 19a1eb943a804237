//! Reading a request's body ahead, so that it can be sent more than once.
//!
//! The body of a unary call is encoded at once and waits in memory, so looking whether
//! all of it is there costs no time. What is longer than the limit, or still has to
//! come, is sent once.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame};
use tonic::Status;
use tonic::body::Body;

use super::body::RequestBody;

/// The default limit of what is kept to be sent again, in bytes.
pub const DEFAULT_LIMIT: usize = 64 * 1024;

/// Takes what is there of `body`, up to `limit` bytes. Fails if the body does, as when
/// a message cannot be encoded.
///
/// It never waits. What it read is part of the result in any case, so nothing is lost
/// if the body turns out to be too long or not yet complete.
pub fn read_ahead(mut body: Body, limit: usize) -> Result<RequestBody, Status> {
    // Whoever sends the rest polls it again, with a waker that is heard.
    let mut cx = Context::from_waker(Waker::noop());
    let mut first: Option<Bytes> = None;
    let mut more: VecDeque<Bytes> = VecDeque::new();
    let mut length = 0;
    loop {
        let frame = match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Pending => return Ok(streamed(first, more, None, body)),
            Poll::Ready(None) => return Ok(RequestBody::whole(joined(first, &more, length))),
            Poll::Ready(Some(frame)) => frame?,
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return Ok(streamed(first, more, Some(trailers), body)),
        };
        length += data.len();
        match first {
            None => first = Some(data),
            Some(_) => more.push_back(data),
        }
        if limit < length {
            return Ok(streamed(first, more, None, body));
        }
    }
}

fn streamed(
    first: Option<Bytes>,
    more: VecDeque<Bytes>,
    last: Option<Frame<Bytes>>,
    rest: Body,
) -> RequestBody {
    let ahead = first.into_iter().chain(more).map(Frame::data).chain(last).collect();
    RequestBody::Streamed { ahead, rest }
}

fn joined(first: Option<Bytes>, more: &VecDeque<Bytes>, length: usize) -> Bytes {
    let first = first.unwrap_or_default();
    if more.is_empty() {
        return first;
    }
    let mut all = BytesMut::with_capacity(length);
    all.extend_from_slice(&first);
    for data in more {
        all.extend_from_slice(data);
    }
    all.freeze()
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    type Piece = Result<Frame<Bytes>, Status>;

    fn pieces(sizes: &[usize]) -> Vec<Piece> {
        let piece = |(index, size): (usize, &usize)| {
            let byte = u8::try_from(index).unwrap();
            Ok(Frame::data(Bytes::from(vec![byte; *size])))
        };
        sizes.iter().enumerate().map(piece).collect()
    }

    fn body(pieces: Vec<Piece>) -> Body {
        Body::new(StreamBody::new(stream::iter(pieces)))
    }

    async fn content(body: RequestBody) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_body_that_is_there_is_read_whole() {
        for sizes in [vec![], vec![5], vec![5, 0, 7], vec![DEFAULT_LIMIT]] {
            let expected = content(RequestBody::streamed(body(pieces(&sizes)))).await;

            let read = read_ahead(body(pieces(&sizes)), DEFAULT_LIMIT).unwrap();

            assert!(matches!(read, RequestBody::Whole(_)), "{sizes:?}");
            assert_eq!(content(read).await, expected);
        }
    }

    #[tokio::test]
    async fn one_piece_is_not_copied() {
        let data = Bytes::from(vec![1; 100]);

        let read = read_ahead(body(vec![Ok(Frame::data(data.clone()))]), DEFAULT_LIMIT).unwrap();

        let RequestBody::Whole(Some(kept)) = read else { panic!("{read:?}") };
        assert_eq!(kept.as_ptr(), data.as_ptr());
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_delivered_and_not_kept() {
        let sizes = [60, 41, 500];

        let read = read_ahead(body(pieces(&sizes)), 100).unwrap();

        let RequestBody::Streamed { ahead, .. } = &read else { panic!("{read:?}") };
        assert_eq!(ahead.len(), 2);
        assert_eq!(content(read).await, content(RequestBody::streamed(body(pieces(&sizes)))).await);
    }

    #[tokio::test]
    async fn a_body_that_still_has_to_come_is_delivered() {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Piece>(4);
        sender.try_send(Ok(Frame::data(Bytes::from_static(b"now ")))).unwrap();
        let frames = stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|piece| (piece, receiver))
        });

        let read = read_ahead(Body::new(StreamBody::new(frames.boxed())), 100).unwrap();

        assert!(matches!(&read, RequestBody::Streamed { ahead, .. } if ahead.len() == 1));
        let reading = content(read);
        let sending = async {
            tokio::task::yield_now().await;
            sender.send(Ok(Frame::data(Bytes::from_static(b"later")))).await.unwrap();
            drop(sender);
        };
        let (content, ()) = tokio::join!(reading, sending);
        assert_eq!(content, "now later");
    }

    #[tokio::test]
    async fn trailers_are_delivered_too() {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-end", http::HeaderValue::from_static("1"));
        let mut frames = pieces(&[3]);
        frames.push(Ok(Frame::trailers(trailers.clone())));

        let read = read_ahead(body(frames), 100).unwrap();

        assert_eq!(read.collect().await.unwrap().trailers(), Some(&trailers));
    }

    #[tokio::test]
    async fn a_body_that_fails_fails_the_call() {
        let mut frames = pieces(&[3]);
        frames.push(Err(Status::internal("cannot be encoded")));

        let failed = read_ahead(body(frames), 100).unwrap_err();

        assert_eq!(failed.message(), "cannot be encoded");
    }
}
