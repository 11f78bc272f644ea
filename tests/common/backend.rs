//! Backends: listeners on threads of the test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Type};

use super::{PATIENCE, Socket};

/// A listener and the connections that came to it, unless a handler has them.
pub struct Backend {
    /// As adit's command line takes it.
    pub address: String,
    accepted: Receiver<Socket>,
}

impl Backend {
    /// On a free port; connections wait for [`Backend::accept`].
    pub fn bind() -> Self {
        Self::bind_to("127.0.0.1:0")
    }

    /// On `HOST:PORT`, `unix:/path` or `unix:@name`.
    pub fn bind_to(address: &str) -> Self {
        let (address, mut next) = listen(address);
        let (sender, accepted) = mpsc::channel();
        // Ends when the backend is dropped and one more connection comes, or with the test.
        thread::spawn(move || while sender.send(next()).is_ok() {});
        Backend { address, accepted }
    }

    /// Hands each connection to `handler` on a thread of its own.
    pub fn each(handler: impl Fn(Socket) + Clone + Send + 'static) -> Self {
        Self::each_on("127.0.0.1:0", handler)
    }

    pub fn each_on(address: &str, handler: impl Fn(Socket) + Clone + Send + 'static) -> Self {
        let (address, mut next) = listen(address);
        let (sender, accepted) = mpsc::channel();
        thread::spawn(move || {
            let _open = sender;
            loop {
                let (socket, handler) = (next(), handler.clone());
                thread::spawn(move || handler(socket));
            }
        });
        Backend { address, accepted }
    }

    /// Says back what it hears, until the other side's FIN or an error.
    pub fn echo() -> Self {
        Self::each(echo)
    }

    /// Says `name` to everyone, then listens until the FIN.
    pub fn named(name: &'static str) -> Self {
        Self::each(move |mut socket| {
            socket.say(name.as_bytes());
            let _ = socket.read_to_end(&mut Vec::new());
        })
    }

    /// The next connection that came.
    #[track_caller]
    pub fn accept(&self) -> Socket {
        self.accepted
            .recv_timeout(PATIENCE)
            .expect("no connection came to the backend")
    }

    /// Whether no connection has come that was not accepted.
    pub fn is_alone(&self) -> bool {
        self.accepted.try_recv().is_err()
    }
}

fn echo(mut socket: Socket) {
    let mut buffer = vec![0; 65536];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(n) if socket.write_all(&buffer[..n]).is_err() => return,
            Ok(_) => {}
        }
    }
}

type Accept = Box<dyn FnMut() -> Socket + Send>;

/// The address with its real port, and what waits for the next connection.
fn listen(address: &str) -> (String, Accept) {
    match address.strip_prefix("unix:") {
        None => {
            let listener = TcpListener::bind(address).unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let accept = move || Socket::Tcp(listener.accept().unwrap().0).prepared();
            (address, Box::new(accept))
        }
        Some(path) => {
            let listener = match path.strip_prefix('@') {
                None => UnixListener::bind(path),
                Some(name) => SocketAddr::from_abstract_name(name)
                    .and_then(|name| UnixListener::bind_addr(&name)),
            };
            let listener = listener.unwrap();
            let accept = move || Socket::Unix(listener.accept().unwrap().0).prepared();
            (address.to_owned(), Box::new(accept))
        }
    }
}

/// An address that refuses connections for as long as the socket is kept: bound, so
/// nobody else gets the port, and not listening.
pub fn refusing() -> (String, socket2::Socket) {
    let socket = bound();
    (address_of(&socket), socket)
}

/// An address that never answers a SYN: its backlog is full.
pub fn silent() -> (String, impl Sized) {
    let socket = bound();
    socket.listen(0).unwrap();
    let address = address_of(&socket);
    let mut queued = Vec::new();
    while let Ok(stream) =
        TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_millis(300))
    {
        queued.push(stream);
    }
    (address, (socket, queued))
}

fn bound() -> socket2::Socket {
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket
}

fn address_of(socket: &socket2::Socket) -> String {
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    address.to_string()
}
