//! An answer whose body goes on while the gateway runs.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Bytes, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Pieces on their way to the reader.
const BACKLOG: usize = 64;

/// The body, and where its pieces come from. The sender waits for the reader.
pub(super) fn body() -> (mpsc::Sender<Bytes>, Pieces) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (sender, Pieces(receiver))
}

/// An answer of this type with this body.
pub(super) fn response(kind: &'static str, body: Pieces) -> Response {
    ([(CONTENT_TYPE, kind)], Body::new(body)).into_response()
}

/// The pieces of a body as they come.
pub(super) struct Pieces(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|p| Ok(Frame::data(p))))
    }
}
