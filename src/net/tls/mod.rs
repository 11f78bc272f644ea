//! TLS over a stream, with rustls' unbuffered API.
//!
//! A session owns no buffer while it waits: records are read into and written
//! from the loop's own buffers, and only what is incomplete stays here, the
//! front of a record that has not come whole and the end of one that the
//! socket did not take.

mod certificate;
mod records;
pub(crate) mod x509;

use super::carrier::{Carrier, Received, Taken};
use super::lent::Lent;
use super::secured::Secured;
use crate::queue::WriteQueue;
use certificate::AskedName;
use log::debug;
use records::{OVERHEAD, Opened, RECORD, open, seal};
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, ServerConfig};
use std::fmt::Display;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

/// Reads in a row that bring records and no data: who sends more of them, such
/// as updates of keys, only wants to keep the loop busy.
const ROUNDS: usize = 32;

/// Most bytes of records that wait for what belongs to them. One record is at
/// most a third of it; a message of the handshake may come in many.
const MOST_HELD: usize = 64 * 1024;

/// How a listener answers TLS handshakes.
#[derive(Clone, Debug)]
pub struct Acceptor(Arc<ServerConfig>);

/// How a backend is asked for TLS.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connector {
    /// Asks a server of another name, with all else the same: what one
    /// connection learns for its resumption, the others know.
    ///
    /// # Errors
    /// That this is no name that a certificate can have.
    pub fn to(&self, host: &str) -> Result<Connector, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host}: no name that a certificate can have"))?;
        Ok(Connector {
            config: self.config.clone(),
            name,
        })
    }

    /// The name that the certificate must have.
    pub fn name(&self) -> String {
        self.name.to_str().into_owned()
    }

    /// Says that HTTP/1.1 will be spoken.
    pub fn for_http(mut self) -> Connector {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![b"http/1.1".to_vec()];
        self
    }
}

enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// Does the same with a connection of either kind.
macro_rules! each {
    ($connection:expr, $tls:ident => $do:expr) => {
        match $connection {
            Connection::Server($tls) => $do,
            Connection::Client($tls) => $do,
        }
    };
}

/// rustls' connections hold secrets, and so do not show themselves.
impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(each!(self, tls => if tls.is_handshaking() { "handshaking" } else { "open" }))
    }
}

/// One TLS connection, without its socket.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    /// At the server's side what the client asks for.
    asked_name: Option<Arc<AskedName>>,
    /// The front of a record that has not come whole, or bytes that came
    /// before the session began.
    held: Vec<u8>,
    /// Whether nothing was done yet: then nothing is read before that.
    fresh: bool,
    /// What came with the end of the handshake, deciphered.
    early: Vec<u8>,
    /// Enciphered bytes that the socket has not taken yet.
    sealed: WriteQueue,
    peer_closed: bool,
    close_sent: bool,
    /// Whether rustls has refused something: it must not be run again, since
    /// it would look for bytes that are gone.
    broken: bool,
}

impl Session {
    /// The server's side; `received` came from the socket already.
    ///
    /// # Errors
    /// What rustls says of its settings.
    pub fn accept(acceptor: &Acceptor, received: &[u8]) -> io::Result<Self> {
        let (config, asked) = acceptor.listening();
        let connection = UnbufferedServerConnection::new(Arc::new(config)).map_err(invalid)?;
        let mut session = Session::new(Connection::Server(connection), received);
        session.asked_name = Some(asked);
        Ok(session)
    }

    /// The client's side.
    ///
    /// # Errors
    /// What rustls says of its settings.
    pub fn connect(connector: &Connector) -> io::Result<Self> {
        let connection =
            UnbufferedClientConnection::new(connector.config.clone(), connector.name.clone())
                .map_err(invalid)?;
        Ok(Session::new(Connection::Client(connection), &[]))
    }

    fn new(connection: Connection, received: &[u8]) -> Self {
        Session {
            connection,
            asked_name: None,
            held: received.to_vec(),
            fresh: true,
            early: Vec::new(),
            sealed: WriteQueue::default(),
            peer_closed: false,
            close_sent: false,
            broken: false,
        }
    }

    /// What is known of the other side, once the handshake is over.
    pub fn secured(&self) -> Option<Secured> {
        each!(&self.connection, tls => {
            if tls.is_handshaking() {
                return None;
            }
            let own = tls.peer_certificates().and_then(|chain| chain.first());
            Some(Secured {
                version: match tls.protocol_version() {
                    Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                    _ => "TLSv1.3",
                },
                server_name: self.asked_name.as_ref().and_then(|asked| asked.name().map(str::to_owned)),
                alpn: tls.alpn_protocol().map(<[u8]>::to_vec),
                certificate: own.is_some(),
                common_name: own.and_then(|own| x509::common_name(own)),
                alternative_names: own.map_or(Vec::new(), |own| x509::alternative_names(own)),
                resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
            })
        })
    }

    /// Drives the handshake; says whether it is done.
    ///
    /// # Errors
    /// Why it failed.
    pub fn handshake(&mut self, carrier: &mut impl Carrier, lent: &mut Lent) -> io::Result<bool> {
        while each!(&self.connection, tls => tls.is_handshaking()) {
            let mut early = vec![0; 2 * RECORD];
            match self.read_records(carrier, &mut early, lent) {
                Ok(Received { bytes: 0, .. }) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(Received { bytes, .. }) => self.early.extend_from_slice(&early[..bytes]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(each!(&self.connection, tls => !tls.is_handshaking()))
    }

    /// See [`Transport::read`](crate::net::Transport::read).
    ///
    /// # Errors
    /// `WouldBlock`, or what broke the connection or its protection.
    pub fn read(
        &mut self,
        carrier: &mut impl Carrier,
        into: &mut [u8],
        lent: &mut Lent,
    ) -> io::Result<Received> {
        if !self.early.is_empty() {
            let bytes = self.early.len().min(into.len());
            into[..bytes].copy_from_slice(&self.early[..bytes]);
            self.early.drain(..bytes);
            return Ok(Received {
                bytes,
                drained: false,
            });
        }
        self.read_records(carrier, into, lent)
    }

    fn read_records(
        &mut self,
        carrier: &mut impl Carrier,
        into: &mut [u8],
        lent: &mut Lent,
    ) -> io::Result<Received> {
        let mut buffer = std::mem::take(&mut lent.received);
        let received = self.read_with(carrier, into, &mut buffer);
        lent.received = buffer;
        received
    }

    fn read_with(
        &mut self,
        carrier: &mut impl Carrier,
        into: &mut [u8],
        buffer: &mut Vec<u8>,
    ) -> io::Result<Received> {
        for _ in 0..ROUNDS {
            if self.peer_closed {
                return Ok(Received {
                    bytes: 0,
                    drained: true,
                });
            }
            let held = self.held.len();
            if held > MOST_HELD {
                self.broken = true;
                return Err(self.failure("a message of the handshake in too many pieces"));
            }
            // Plaintext is shorter than its records, so it always fits.
            let room = into.len().max(held + 1);
            if buffer.len() < room {
                buffer.resize(room, 0);
            }
            buffer[..held].copy_from_slice(&self.held);
            let mut socket = Received {
                bytes: 0,
                drained: false,
            };
            // A client speaks first, and what a server has received is there.
            if !std::mem::take(&mut self.fresh) {
                socket = carrier.read(&mut buffer[held..room])?;
                if socket.bytes == 0 {
                    return self.cut();
                }
            }
            let records = &mut buffer[..held + socket.bytes];
            let opened = self.open(records, into);
            self.flush(carrier)?;
            let Opened { plain, used } = opened?;
            self.hold(&records[used..]);
            if plain > 0 {
                return Ok(Received {
                    bytes: plain,
                    drained: socket.drained && !self.peer_closed,
                });
            }
            // Nothing to hand on yet. The socket is asked once more even if it
            // is drained: its end may have come along, and no event tells twice.
        }
        Err(self.failure("records without end and without data"))
    }

    /// The socket ended. Without a close_notify that may be an attacker's
    /// doing, but WebSocket has a Close of its own that tells.
    fn cut(&self) -> io::Result<Received> {
        if each!(&self.connection, tls => tls.is_handshaking()) {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "ended within the handshake",
            ));
        }
        debug!("a TLS connection ended without close_notify");
        Ok(Received {
            bytes: 0,
            drained: true,
        })
    }

    fn hold(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            self.held = Vec::new();
        } else {
            self.held.clear();
            self.held.extend_from_slice(rest);
        }
    }

    /// Deciphers what is whole in `records`, and does what else they ask for.
    fn open(&mut self, records: &mut [u8], into: &mut [u8]) -> io::Result<Opened> {
        if self.broken {
            return Err(invalid("TLS has failed before"));
        }
        // Nothing goes out behind close_notify (RFC 8446 section 6.1).
        let mut nowhere = WriteQueue::default();
        let sealed = match self.close_sent {
            true => &mut nowhere,
            false => &mut self.sealed,
        };
        let closed = &mut self.peer_closed;
        let opened = each!(&mut self.connection, tls => {
            open(tls, records, into, sealed, closed)
        });
        self.broken = opened.is_err();
        opened.map_err(|e| self.failure(e))
    }

    /// What is wrong with what came, and when it was.
    fn failure(&self, what: impl Display) -> io::Error {
        match each!(&self.connection, tls => tls.is_handshaking()) {
            true => invalid(format!("TLS handshake failed: {what}")),
            false => invalid(format!("TLS failed: {what}")),
        }
    }

    /// Lets rustls say what it has to, without anything new from the socket.
    fn speak(&mut self) -> io::Result<()> {
        let mut held = std::mem::take(&mut self.held);
        let opened = self.open(&mut held, &mut []);
        self.held = held;
        self.held.drain(..opened?.used);
        Ok(())
    }

    /// See [`Transport::write`](crate::net::Transport::write).
    ///
    /// # Errors
    /// `WouldBlock`, or what broke the connection.
    pub fn write(
        &mut self,
        carrier: &mut impl Carrier,
        slices: &[IoSlice<'_>],
        lent: &mut Lent,
    ) -> io::Result<Taken> {
        // An answer to a key update goes first.
        self.speak()?;
        self.flush(carrier)?;
        if !self.sealed.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut output = std::mem::take(&mut lent.sealed);
        let held = &mut self.held;
        let len = each!(&mut self.connection, tls => {
            let status = tls.process_tls_records(held);
            match status.state {
                Ok(ConnectionState::WriteTraffic(traffic)) => {
                    seal(traffic, slices, &mut lent.plain, &mut output).map_err(invalid)
                }
                Ok(_) => Err(ErrorKind::WouldBlock.into()),
                Err(e) => Err(invalid(e)),
            }
        });
        lent.sealed = output;
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        let sealed = &lent.sealed[..len?];
        let sent = match send(carrier, sealed) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
            sent => sent?,
        };
        if sent < sealed.len() {
            self.sealed.reserve(sealed.len() - sent);
            self.sealed.push(&sealed[sent..]);
        }
        Ok(Taken {
            bytes,
            full: !self.sealed.is_empty(),
        })
    }

    /// Bytes that the socket has not taken yet.
    pub fn waiting(&self) -> usize {
        self.sealed.len()
    }

    /// Sends what the socket did not take yet, as far as it does now.
    ///
    /// # Errors
    /// What broke the connection.
    pub fn flush(&mut self, carrier: &mut impl Carrier) -> io::Result<()> {
        while !self.sealed.is_empty() {
            match send(carrier, self.sealed.bytes()) {
                Ok(sent) => self.sealed.advance(sent),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Ends the writing side: close_notify, and the socket's end behind it.
    ///
    /// # Errors
    /// What broke the connection.
    pub fn finish(&mut self, carrier: &mut impl Carrier) -> io::Result<()> {
        if !self.close_sent && self.speak().is_ok() {
            let mut alert = [0; OVERHEAD];
            let (sealed, held) = (&mut self.sealed, &mut self.held);
            each!(&mut self.connection, tls => {
                let status = tls.process_tls_records(held);
                if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
                    if let Ok(len) = traffic.queue_close_notify(&mut alert) {
                        sealed.push(&alert[..len]);
                    }
                }
            });
        }
        self.close_sent = true;
        self.flush(carrier)?;
        if self.sealed.is_empty() {
            carrier.finish()
        } else {
            Ok(())
        }
    }
}

/// Writes to the socket, past interruptions.
fn send(carrier: &mut impl Carrier, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match carrier.write(&[IoSlice::new(bytes)]) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            sent => return sent.map(|taken| taken.bytes),
        }
    }
}

/// An error of TLS as one of the connection.
fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
