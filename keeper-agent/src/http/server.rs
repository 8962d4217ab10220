//! The server: a thread with a runtime of its own that listens, bounds what clients may do, and lets a site answer.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request as HttpRequest, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use openssl::ssl::{Ssl, SslAcceptor, SslFiletype, SslMethod, SslVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_openssl::SslStream;

use super::answer::{Answer, Content, Request};
use super::counters::Counters;
use super::lives::{Life, Lives};
use super::secret::Secret;
use crate::config::{HttpConfig, SslConfig};

/// A client has this long to send the head of a request, and for the handshake of TLS.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// At the end of its time a connection has this long for the answer that is under way.
const LAST_ANSWER: Duration = Duration::from_secs(5);
/// The least that the library allows; a head must fit.
const HEAD_BYTES: usize = 8192;
const HEADERS: usize = 64;
/// An address that cannot be had is tried again this much later.
const RETRY: Duration = Duration::from_secs(2);
const BACKLOG: u32 = 128;
const STACK_BYTES: usize = 1 << 20;

/// What answers.
pub(super) trait Site: Send + Sync + 'static {
    /// The path needs no password: load balancers have none.
    fn is_open(&self, path: &str, is_bearer: bool) -> bool;

    /// Others than this machine must not get in without a secret.
    fn needs_secret(&self) -> bool {
        false
    }

    /// Answers at once, from what is known.
    fn answer(&self, request: &Request<'_>) -> Answer;

    /// This path is the stream of what is news.
    fn is_stream(&self, _path: &str) -> bool {
        false
    }

    /// Begins it. Each piece that a client has taken extends its life.
    fn stream(&self, _life: &Arc<Life>) -> Answer {
        Answer::not_found()
    }

    fn counters(&self) -> &Counters;
}

/// What is served how; changed by a reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[http]`.
    pub http: HttpConfig,
    /// `[ssl]`.
    pub ssl: SslConfig,
    /// Where the secret is unless the configuration says.
    pub secret: PathBuf,
}

impl Settings {
    fn is_tls(&self) -> bool {
        self.http.tls.unwrap_or(self.ssl.is_active)
    }
}

/// The server; it ends when this is dropped.
pub struct Http {
    settings: watch::Sender<Settings>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// Starts the thread, which serves as these settings say: nothing when they name no address.
    pub(super) fn start(site: Arc<dyn Site>, settings: Settings) -> Self {
        let (sender, receiver) = watch::channel(settings);
        let started = thread::Builder::new()
            .name("http".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || serve(&site, receiver));
        if let Err(error) = started {
            tracing::error!("could not start the HTTP server: cannot start a thread: {error}");
        }
        Self { settings: sender }
    }

    /// Serves as these settings say from now on; certificate and secret are read again.
    pub fn reconfigure(&self, settings: Settings) {
        // That the thread could not be started was told.
        let _ = self.settings.send(settings);
    }
}

fn serve(site: &Arc<dyn Site>, mut settings: watch::Receiver<Settings>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!("could not start the HTTP server: {error}"),
    };
    runtime.block_on(async {
        loop {
            let present = settings.borrow_and_update().clone();
            tokio::select! {
                changed = settings.changed() => if changed.is_err() { return },
                never = serve_as(site, &present) => match never {},
            }
        }
    });
    runtime.shutdown_background();
}

/// Serves until it is dropped; what cannot be served is told once, and tried again.
async fn serve_as(site: &Arc<dyn Site>, settings: &Settings) -> std::convert::Infallible {
    let Some(listen) = settings.http.listen else { return std::future::pending().await };
    let mut told = None;
    let doors = loop {
        match Doors::open(settings, site.needs_secret()) {
            Ok(doors) => break doors,
            Err(reason) => {
                if told.as_ref() != Some(&reason) {
                    tracing::error!("could not serve HTTP on {listen}: {reason}");
                    told = Some(reason);
                }
                sleep(RETRY).await;
            }
        }
    };
    let scheme = if doors.acceptor.is_some() { "https" } else { "http" };
    tracing::info!("serving HTTP: {scheme}://{listen}/");
    // Connections end with the settings under which they began.
    let mut connections = tokio::task::JoinSet::new();
    let lives = Lives::new();
    let doors = Arc::new(doors);
    loop {
        let stream = tokio::select! {
            accepted = doors.listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match stream {
            Ok((stream, _)) => {
                let Some(life) = lives.begin() else { continue };
                let (site, lives, doors) = (Arc::clone(site), Arc::clone(&lives), Arc::clone(&doors));
                connections.spawn(async move {
                    admit(stream, &site, &doors, &lives, &life).await;
                    lives.forget(&life);
                });
            }
            // No file descriptors: those that are open end some time.
            Err(error) => {
                tracing::debug!("could not accept an HTTP connection: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// What a connection has to pass.
struct Doors {
    listener: TcpListener,
    acceptor: Option<SslAcceptor>,
    secret: Option<Secret>,
}

impl Doors {
    fn open(settings: &Settings, needs_secret: bool) -> Result<Self, String> {
        if needs_secret && settings.http.is_open_to_others() {
            return Err("other machines could read it without a password: set http.auth to basic or bearer"
                .to_owned());
        }
        let listen = settings.http.listen.ok_or_else(|| "no address is set".to_owned())?;
        let acceptor = if settings.is_tls() { Some(acceptor(&settings.ssl)?) } else { None };
        let secret = Secret::load(&settings.http, &settings.secret).map_err(|error| error.to_string())?;
        let listener = bind(listen.0).map_err(|error| error.to_string())?;
        Ok(Self { listener, acceptor, secret })
    }
}

fn bind(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn acceptor(ssl: &SslConfig) -> Result<SslAcceptor, String> {
    let (Some(certificate), Some(key)) = (&ssl.cert_file, &ssl.key_file) else {
        return Err(
            "http.tls is on and this node has no certificate: use \"pg_autoctl enable ssl\"".to_owned()
        );
    };
    let build = || {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        builder.set_certificate_chain_file(certificate)?;
        builder.set_private_key_file(key, SslFiletype::PEM)?;
        builder.check_private_key()?;
        Ok(builder.build())
    };
    build().map_err(|error: openssl::error::ErrorStack| {
        format!("the certificate \"{}\" cannot be used: {error}", certificate.display())
    })
}

async fn admit(
    stream: TcpStream,
    site: &Arc<dyn Site>,
    doors: &Arc<Doors>,
    lives: &Arc<Lives>,
    life: &Arc<Life>,
) {
    // It only makes small answers quicker.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = &doors.acceptor else {
        return converse(stream, site, doors, lives, life).await;
    };
    let Ok(mut stream) = Ssl::new(acceptor.context()).and_then(|ssl| SslStream::new(ssl, stream)) else {
        return;
    };
    let shaken = tokio::select! {
        shaken = timeout(HEAD_DEADLINE, Pin::new(&mut stream).accept()) => shaken,
        () = life.over() => return,
    };
    if matches!(shaken, Ok(Ok(()))) {
        converse(stream, site, doors, lives, life).await;
    }
}

async fn converse<S>(
    stream: S,
    site: &Arc<dyn Site>,
    doors: &Arc<Doors>,
    lives: &Arc<Lives>,
    life: &Arc<Life>,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(|request: HttpRequest<Incoming>| {
        life.is_busy();
        let response = respond(&request, site.as_ref(), doors, lives, life);
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // How a connection ends is the client's business.
        _ended = connection.as_mut() => return,
        () = life.over() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ended = timeout(LAST_ANSWER, connection).await;
}

fn respond(
    request: &HttpRequest<Incoming>,
    site: &dyn Site,
    doors: &Doors,
    lives: &Lives,
    life: &Arc<Life>,
) -> Response<Content> {
    let asked = Request { path: request.uri().path(), query: request.uri().query().unwrap_or_default() };
    let authorization = request.headers().get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    let answer = match (request.method(), &doors.secret) {
        (&Method::GET | &Method::HEAD | &Method::OPTIONS, Some(secret))
            if !site.is_open(asked.path, secret.is_bearer()) && !secret.is_shown(authorization) =>
        {
            Answer::unauthorized(secret.challenge)
        }
        (&Method::GET, _) if site.is_stream(asked.path) => match lives.stream(life) {
            true => site.stream(life),
            false => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "too many watch this page already"),
        },
        (&Method::GET | &Method::HEAD | &Method::OPTIONS, _) => {
            life.is_idle();
            site.answer(&asked)
        }
        _ => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "this only answers GET, HEAD and OPTIONS"),
    };
    site.counters().note_request(answer.status.as_u16());
    // A load balancer that asks for options wants the status.
    answer.into_response(request.method() != Method::OPTIONS)
}
