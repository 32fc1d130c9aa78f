//! One request over one stream. Nothing is spawned: reading the response drives the connection, and
//! dropping it closes the stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body_util::Empty;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::Error;

/// A request without a body, with the headers that dockerd requires.
pub fn request(method: Method, uri: Uri) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    // dockerd requires a host and ignores its name.
    request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
    request
}

/// Sends a request over a new stream, which carries no other. Returns when the head of the response
/// has arrived, whatever its status.
///
/// # Errors
/// [`Error::Exchange`] if the stream ends before that.
pub async fn send<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Body>, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(Error::Exchange)?;
    let mut driver: Driver = Box::pin(async move {
        // The reader of the response gets its error.
        let _ = connection.await;
    });
    let (response, driver) = {
        let answer = sender.send_request(request);
        tokio::pin!(answer);
        tokio::select! {
            response = &mut answer => (response, Some(driver)),
            // The response came with the stream's last bytes, or the request has the error.
            () = &mut driver => (answer.await, None),
        }
    };
    // The sender is dropped here: the connection ends with this response.
    Ok(response.map_err(Error::Exchange)?.map(|incoming| Body { incoming, driver }))
}

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The body of a response. Reading it drives the connection.
pub struct Body {
    incoming: Incoming,
    /// `None` once the connection has ended. The rest of the body can still be read.
    driver: Option<Driver>,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("incoming", &self.incoming).finish_non_exhaustive()
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        loop {
            if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
                return Poll::Ready(frame);
            }
            let Some(driver) = &mut this.driver else { return Poll::Pending };
            match driver.as_mut().poll(cx) {
                Poll::Ready(()) => this.driver = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
