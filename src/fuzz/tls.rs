//! TLS: a client and a server with somebody between them.

use super::Choices;
use crate::net::tls::{Acceptor, Connector, Session, x509};
use crate::net::tls_files::{CertificateFiles, ClientTls, ServerTls};
use crate::net::{Lent, Stream};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// A certificate: whatever it is, nothing worse comes of it than no names.
pub(super) fn certificate(bytes: &[u8]) {
    let _ = x509::not_after(bytes);
    let _ = x509::common_name(bytes);
    let _ = x509::alternative_names(bytes);
}

/// Two sides that shake hands and talk while their bytes come late, in pieces
/// or altered: what one hears is what the other said, as far as it goes.
pub(super) fn records(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let (acceptor, connector) = settings();
    let mut client = Side::new(Session::connect(connector).expect("good settings"));
    let mut server = Side::new(Session::accept(acceptor, &[]).expect("good settings"));
    // rustls' server has nothing yet that it was asked to look at first.
    server.read();
    client.read();
    for _ in 0..400 {
        if choices.0.is_empty() {
            break;
        }
        let code = choices.byte();
        let (from, to) = match code & 1 {
            0 => (&mut client, &mut server),
            _ => (&mut server, &mut client),
        };
        match (code >> 1) % 8 {
            0..=2 => from.pass(to, usize::MAX, None),
            3 => from.pass(to, choices.number() % 512, None),
            4 => {
                let at = choices.number();
                from.pass(to, usize::MAX, Some((at, choices.byte())));
            }
            5 => {
                to.disturbed = true;
                to.receive(choices.take(64));
            }
            6 => from.write(choices.number()),
            _ => from.finish(),
        }
        assert!(server.heard.len() <= client.said && client.heard.len() <= server.said);
    }
    for side in [&mut client, &mut server] {
        assert!(
            side.heard
                .iter()
                .eq(pattern().take(side.heard.len()).collect::<Vec<_>>().iter())
        );
        side.finish();
    }
}

/// What either side says.
fn pattern() -> impl Iterator<Item = u8> {
    (0_u32..).map(|n| (n ^ (n >> 8)) as u8)
}

/// A session, and the far end of its socket.
struct Side {
    session: Session,
    near: Stream,
    far: UnixStream,
    lent: Lent,
    said: usize,
    heard: Vec<u8>,
    broken: bool,
    finished: bool,
    /// Whether something came that the other side did not send.
    disturbed: bool,
}

impl Side {
    fn new(session: Session) -> Side {
        let (near, far) = UnixStream::pair().expect("two descriptors");
        for socket in [&near, &far] {
            socket.set_nonblocking(true).expect("a socket");
        }
        Side {
            session,
            near: Stream::Unix(mio::net::UnixStream::from_std(near)),
            far,
            lent: Lent::default(),
            said: 0,
            heard: Vec::new(),
            broken: false,
            finished: false,
            disturbed: false,
        }
    }

    /// Moves as many bytes of what it has sent to the other side, with one of
    /// them changed.
    fn pass(&mut self, to: &mut Side, most: usize, change: Option<(usize, u8)>) {
        let mut buffer = vec![0; most.min(64 * 1024)];
        let Ok(len) = self.far.read(&mut buffer) else {
            return;
        };
        if let (Some((at, by)), 1..) = (change, len) {
            buffer[at % len] ^= by;
            to.disturbed = true;
        }
        to.receive(&buffer[..len]);
    }

    fn receive(&mut self, bytes: &[u8]) {
        // What does not fit is lost, as an attacker may have it.
        let _ = self.far.write(bytes);
        self.read();
    }

    fn read(&mut self) {
        let mut into = vec![0; 64 * 1024];
        for _ in 0..100 {
            // Nobody reads again what has failed. And rustls, where it is built
            // with assertions, has one that a bad record behind its own
            // close_notify breaks.
            if self.broken || (self.finished && self.disturbed) {
                return;
            }
            match self.session.read(&mut self.near, &mut into, &mut self.lent) {
                Ok(received) if received.bytes == 0 => return,
                Ok(received) => self.heard.extend_from_slice(&into[..received.bytes]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.broken = true,
            }
        }
        panic!("it reads without end");
    }

    fn write(&mut self, len: usize) {
        let bytes: Vec<u8> = pattern().skip(self.said).take(len).collect();
        let slices = [IoSlice::new(&bytes)];
        let written = self.session.write(&mut self.near, &slices, &mut self.lent);
        if let Ok(taken) = written {
            assert!(taken.bytes <= len);
            self.said += taken.bytes;
        }
    }

    fn finish(&mut self) {
        self.finished = true;
        let _ = self.session.finish(&mut self.near);
        let _ = self.session.flush(&mut self.near);
    }
}

/// The key is known to everybody, and good for nothing but this.
fn settings() -> (&'static Acceptor, &'static Connector) {
    static SETTINGS: OnceLock<(Acceptor, Connector)> = OnceLock::new();
    let (acceptor, connector) = SETTINGS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/tls");
        let files = CertificateFiles {
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        };
        let server = ServerTls {
            certificates: vec![files],
            client_ca: None,
            client_required: false,
            plain: false,
            resumes: true,
        };
        let client = ClientTls {
            insecure: true,
            ..ClientTls::default()
        };
        // The certificate is good then, whenever this runs.
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let (acceptor, _) = server.load(then).expect("good files");
        let connector = client.load("localhost").expect("good settings");
        (acceptor, connector)
    });
    (acceptor, connector)
}
