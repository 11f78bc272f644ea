//! TLS at the test's ends: a dialer for clients, an answerer for backends.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, Connection, HandshakeKind, RootCertStore, ServerConfig,
    ServerConnection, Stream, SupportedProtocolVersion,
};

use super::certs::{Authority, Certificate, der};
use super::{Client, PATIENCE, Socket, request};

pub use rustls::version::{TLS12, TLS13};

/// A stream and the TLS on it.
pub struct Secured {
    pub connection: Connection,
    pub tcp: TcpStream,
}

/// How a client of the test asks for TLS. One dialer's connections share the
/// tickets that they are given.
#[derive(Clone)]
pub struct Dialer {
    pub config: ClientConfig,
    name: ServerName<'static>,
}

impl Dialer {
    /// Trusts one authority, asks for `localhost` and speaks both versions.
    pub fn new(authority: &Authority) -> Self {
        Self::speaking(authority, &[&TLS13, &TLS12], None)
    }

    /// Speaks one version only.
    pub fn of_version(authority: &Authority, version: &'static SupportedProtocolVersion) -> Self {
        Self::speaking(authority, &[version], None)
    }

    /// Shows a certificate if it is asked for one.
    pub fn showing(authority: &Authority, certificate: &Certificate) -> Self {
        Self::speaking(authority, &[&TLS13, &TLS12], Some(certificate))
    }

    /// The same for one version only.
    pub fn showing_over(
        authority: &Authority,
        certificate: &Certificate,
        version: &'static SupportedProtocolVersion,
    ) -> Self {
        Self::speaking(authority, &[version], Some(certificate))
    }

    fn speaking(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&Certificate>,
    ) -> Self {
        let provider = Arc::new(default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots(authority), provider.clone());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_webpki_verifier(verifier.build().unwrap());
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(own) => builder
                .with_client_auth_cert(own.chain(), own.private_key())
                .unwrap(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Dialer {
            config,
            name: "localhost".try_into().unwrap(),
        }
    }

    /// Asks for another name, and expects a certificate that has it.
    pub fn asking_for(mut self, name: &str) -> Self {
        self.name = name.to_owned().try_into().unwrap();
        self
    }

    /// A connection that has said nothing yet.
    pub fn connection(&self) -> ClientConnection {
        ClientConnection::new(Arc::new(self.config.clone()), self.name.clone()).unwrap()
    }

    /// The bytes of a hello, and the connection that says it.
    pub fn hello(&self) -> (Vec<u8>, ClientConnection) {
        let mut connection = self.connection();
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).unwrap();
        (hello, connection)
    }

    /// Shakes hands, or says why not. What refuses a TLS 1.3 client's
    /// certificate comes only with the first read.
    pub fn try_dial(&self, address: &str) -> io::Result<Socket> {
        self.try_over(tcp(address))
    }

    /// The same on a connection that is there.
    pub fn try_over(&self, tcp: TcpStream) -> io::Result<Socket> {
        Secured::over(self.connection(), tcp)
    }

    #[track_caller]
    pub fn dial(&self, address: &str) -> Socket {
        self.try_dial(address)
            .unwrap_or_else(|e| panic!("shaking hands with {address}: {e}"))
    }

    /// An open tunnel to `/`.
    #[track_caller]
    pub fn open(&self, address: &str) -> Client {
        let (client, response) = Client::over(self.dial(address), "/", &[]);
        assert_eq!(response.status, 101, "{response:?}");
        client
    }

    /// Why there is no tunnel.
    #[track_caller]
    pub fn refusal(&self, address: &str) -> io::Error {
        let failed = self.try_dial(address).and_then(|mut socket| {
            socket.write_all(request("/", &[]).as_bytes())?;
            socket.read_exact(&mut [0])
        });
        failed.expect_err("the handshake should fail")
    }
}

impl Secured {
    /// Shakes hands over a stream that is there.
    pub fn over(connection: ClientConnection, tcp: TcpStream) -> io::Result<Socket> {
        Self::shaken(Connection::Client(connection), tcp)
    }

    fn shaken(mut connection: Connection, mut tcp: TcpStream) -> io::Result<Socket> {
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp)?;
        }
        Ok(Socket::Tls(Box::new(Secured { connection, tcp })))
    }

    /// The certificate of the other side.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.connection.peer_certificates().unwrap()[0].clone()
    }

    /// Whether the handshake took up an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Ends what this side says: close_notify, and the stream's end behind it.
    pub fn finish(&mut self) {
        self.connection.send_close_notify();
        // Nobody may be there any more to hear it.
        let _ = self.flush();
        let _ = self.tcp.shutdown(Shutdown::Write);
    }
}

impl Read for Secured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.connection {
            Connection::Client(tls) => Stream::new(tls, &mut self.tcp).read(buffer),
            Connection::Server(tls) => Stream::new(tls, &mut self.tcp).read(buffer),
        }
    }
}

impl Write for Secured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.connection {
            Connection::Client(tls) => Stream::new(tls, &mut self.tcp).write(bytes)?,
            Connection::Server(tls) => Stream::new(tls, &mut self.tcp).write(bytes)?,
        };
        self.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }
}

/// How a backend of the test answers.
#[derive(Clone)]
pub struct Answerer(Arc<ServerConfig>);

impl Answerer {
    pub fn new(certificate: &Certificate) -> Self {
        Self::asking(certificate, None)
    }

    /// Wants a certificate of this authority, if one is given.
    pub fn asking(certificate: &Certificate, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots(authority), provider)
                    .build()
                    .unwrap(),
            ),
        };
        let config = builder
            .with_single_cert(certificate.chain(), certificate.private_key())
            .unwrap();
        Answerer(Arc::new(config))
    }

    /// Splits what it says into records of so many bytes.
    pub fn in_fragments(certificate: &Certificate, size: usize) -> Self {
        let mut config = ServerConfig::clone(&Self::new(certificate).0);
        config.max_fragment_size = Some(size);
        Answerer(Arc::new(config))
    }

    /// A connection that has heard nothing yet.
    pub fn connection(&self) -> ServerConnection {
        ServerConnection::new(self.0.clone()).unwrap()
    }

    /// Shakes hands with whoever connected.
    pub fn answer(&self, socket: Socket) -> io::Result<Socket> {
        let Socket::Tcp(tcp) = socket else {
            return Err(ErrorKind::Unsupported.into());
        };
        Secured::shaken(Connection::Server(self.connection()), tcp)
    }
}

/// A plain connection for TLS to be spoken on.
#[track_caller]
pub fn tcp(address: &str) -> TcpStream {
    let Socket::Tcp(tcp) = Socket::connect(address) else {
        panic!("{address} is no TCP address");
    };
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp
}

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(der(&authority.pem)).unwrap();
    Arc::new(roots)
}
