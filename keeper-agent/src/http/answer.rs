//! Requests and answers, without the protocol.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Response, StatusCode, header};
use tokio::sync::mpsc;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const EVENTS: &str = "text/event-stream";
/// The page loads nothing from elsewhere, is shown in no frame, and runs no code but its own.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What is asked for.
pub(super) struct Request<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

impl Request<'_> {
    /// The value of a parameter; the last one counts.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)).next_back()
    }
}

/// Undoes the percent-encoding of a query; what is none stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%');
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    kind: &'static str,
    content: Content,
    /// For `401 Unauthorized`.
    challenge: Option<&'static str>,
}

/// The body of an answer.
pub(super) enum Content {
    /// All of it; `None` once it has been sent.
    Whole(Option<Bytes>),
    /// Pieces, as they come.
    Stream(mpsc::Receiver<Bytes>),
}

impl Answer {
    const fn new(status: StatusCode, kind: &'static str, content: Content) -> Self {
        Self { status, kind, content, challenge: None }
    }

    pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Self {
        Self::new(status, JSON, Content::Whole(Some(format!("{value}\n").into())))
    }

    /// JSON that is there already.
    pub(super) fn json_text(text: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, JSON, Content::Whole(Some(text.into())))
    }

    pub(super) fn text(status: StatusCode, line: &str) -> Self {
        Self::new(status, TEXT, Content::Whole(Some(format!("{line}\n").into())))
    }

    pub(super) fn page(html: &'static str) -> Self {
        Self::new(StatusCode::OK, HTML, Content::Whole(Some(Bytes::from_static(html.as_bytes()))))
    }

    pub(super) fn metrics(text: String) -> Self {
        Self::new(StatusCode::OK, METRICS, Content::Whole(Some(text.into())))
    }

    pub(super) const fn events(pieces: mpsc::Receiver<Bytes>) -> Self {
        Self::new(StatusCode::OK, EVENTS, Content::Stream(pieces))
    }

    pub(super) fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "there is nothing here")
    }

    pub(super) fn unauthorized(challenge: &'static str) -> Self {
        let answer = Self::text(StatusCode::UNAUTHORIZED, "this needs a password or a token");
        Self { challenge: Some(challenge), ..answer }
    }

    /// As it is sent.
    pub(super) fn into_response(self, has_body: bool) -> Response<Content> {
        let content = if has_body { self.content } else { Content::Whole(None) };
        let mut response = Response::new(content);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let mut set = |name, value| headers.insert(name, header::HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, self.kind);
        set(header::CACHE_CONTROL, "no-store");
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if self.kind == HTML {
            set(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
            set(header::REFERRER_POLICY, "no-referrer");
        }
        if let Some(challenge) = self.challenge {
            set(header::WWW_AUTHENTICATE, challenge);
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            set(header::ALLOW, "GET, HEAD, OPTIONS");
        }
        response
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let bytes = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_the_last_one_counts() {
        let lag = |query| Request { path: "/", query }.parameter("lag");
        assert_eq!(lag("lag=16MB").as_deref(), Some("16MB"));
        assert_eq!(lag("lag=1&x=2&lag=16%20MB").as_deref(), Some("16 MB"));
        assert_eq!(lag("lag=%zz+%4").as_deref(), Some("%zz %4"));
        assert_eq!(lag("flag=1&lag"), None);
    }
}
