//! The load: clients on one side of the peer, backends on the other, both in
//! one epoll loop of one thread.
//!
//! Sockets are level-triggered, so a turn may do a bounded amount and leave the
//! rest to the next. There are two listeners for backends: one for plain TCP
//! and, for peers that only pass WebSocket on, one that speaks WebSocket itself.

use crate::connection::{BUDGET, Connection, Counters, Role};
use crate::job::{Job, Shape};
use crate::link::Link;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, accept_with, connect, listen, socket_with, sockopt,
};
use rustls::ClientConfig;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No listen queue gets more at once.
const OPENING: usize = 64;
const BACKENDS: u64 = 1 << 32;

pub struct Rig {
    epoll: OwnedFd,
    listeners: [TcpListener; 2],
    connections: Vec<Option<Box<Connection>>>,
    free: Vec<usize>,
    scratch: Vec<u8>,
    events: Vec<epoll::Event>,
    tls: Option<Arc<ClientConfig>>,
    job: Rc<Job>,
    /// Connect cycles that still may begin.
    pub cycles_left: usize,
    pub count: Counters,
}

impl Rig {
    pub fn new(tls: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let listeners = [backend_listener()?, backend_listener()?];
        for (which, listener) in listeners.iter().enumerate() {
            let data = epoll::EventData::new_u64(BACKENDS + which as u64);
            epoll::add(&epoll, listener, data, epoll::EventFlags::IN)?;
        }
        Ok(Rig {
            epoll,
            listeners,
            connections: vec![],
            free: vec![],
            scratch: vec![0; BUDGET],
            events: Vec::with_capacity(1024),
            tls,
            job: Rc::new(Job::new(Shape::Hold, 0, 0, false)),
            cycles_left: 0,
            count: Counters::default(),
        })
    }

    /// The ports of the backends: plain TCP, and WebSocket.
    pub fn backend_ports(&self) -> io::Result<[u16; 2]> {
        Ok([
            self.listeners[0].local_addr()?.port(),
            self.listeners[1].local_addr()?.port(),
        ])
    }

    /// From now on clients and backends do this; those that are there go on.
    pub fn take_up(&mut self, job: Job) {
        self.job = Rc::new(job);
        self.count = Counters::default();
    }

    /// Opens `n` more clients, and waits until they and their backends are there.
    pub fn open(&mut self, n: usize, patience: Duration) -> Result<(), String> {
        let (opened, accepted) = (self.count.opened, self.count.accepted);
        let until = Instant::now() + patience;
        let mut begun = 0;
        loop {
            while begun < n && opened + begun < self.count.opened + OPENING {
                self.connect().map_err(|error| error.to_string())?;
                begun += 1;
            }
            if self.count.opened - opened >= n && self.count.accepted - accepted >= n {
                return Ok(());
            }
            self.go_on(Duration::from_millis(10))?;
            if Instant::now() > until {
                let open = self.count.opened - opened;
                return Err(format!("{open} of {n} tunnels opened in {patience:?}"));
            }
        }
    }

    /// Lets the load begin.
    pub fn begin(&mut self) -> Result<(), String> {
        self.job.began.set(true);
        for index in 0..self.connections.len() {
            self.serve(index).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Does what there is to do, for so long or until `done`.
    pub fn go_on_until(
        &mut self,
        time: Duration,
        done: impl Fn(&Counters) -> bool,
    ) -> Result<(), String> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || done(&self.count) {
                return Ok(());
            }
            self.go_on(left)?;
        }
    }

    /// One turn; fails if a tunnel did.
    pub fn go_on(&mut self, longest: Duration) -> Result<(), String> {
        self.turn(longest)
            .map_err(|error| format!("generator: {error}"))?;
        self.count.failure.take().map_or(Ok(()), Err)
    }

    /// Closes all connections.
    pub fn clear(&mut self) {
        self.connections.clear();
        self.free.clear();
        self.cycles_left = 0;
        // Those that wait in a listen queue belong to the past as well.
        let _ = self.turn(Duration::ZERO);
        self.connections.clear();
        self.free.clear();
    }

    pub fn connect(&mut self) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(
            &socket,
            &SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.job.port),
        ) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(refused) => return Err(refused.into()),
        }
        let socket = TcpStream::from(socket);
        let link = match &self.tls {
            Some(config) if self.job.tls => Link::tls(socket, config)?,
            _ => Link::plain(socket),
        };
        let out = self.job.request.clone();
        self.add(link, Role::client(), out)
    }

    fn add(&mut self, link: Link, role: Role, out: Vec<u8>) -> io::Result<()> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let connection = Box::new(Connection::new(link, Rc::clone(&self.job), role, out));
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(
            &self.epoll,
            &connection.link.socket,
            data,
            connection.interest,
        )?;
        self.connections[index] = Some(connection);
        Ok(())
    }

    fn turn(&mut self, longest: Duration) -> io::Result<()> {
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        let longest = Timespec::try_from(longest).map_err(io::Error::other)?;
        epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&longest))?;
        for event in &events {
            match event.data.u64().checked_sub(BACKENDS) {
                Some(which) => self.accept(which as usize)?,
                None => self.serve(event.data.u64() as usize)?,
            }
        }
        self.events = events;
        Ok(())
    }

    fn accept(&mut self, which: usize) -> io::Result<()> {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = match accept_with(&self.listeners[which], flags) {
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                accepted => accepted?,
            };
            // A bulk source leaves it to the kernel to gather what it writes.
            sockopt::set_tcp_nodelay(&socket, self.job.shape != Shape::Down)?;
            self.count.accepted += 1;
            self.add(
                Link::plain(socket.into()),
                Role::backend(which == 1),
                vec![],
            )?;
        }
    }

    fn serve(&mut self, index: usize) -> io::Result<()> {
        let Some(mut connection) = self.connections.get_mut(index).and_then(Option::take) else {
            return Ok(());
        };
        let (scratch, count) = (&mut self.scratch, &mut self.count);
        let stays = connection.serve(scratch, count);
        if stays.unwrap_or(false) {
            let wants = connection.wants();
            if wants != connection.interest {
                connection.interest = wants;
                let data = epoll::EventData::new_u64(index as u64);
                epoll::modify(&self.epoll, &connection.link.socket, data, wants)?;
            }
            self.connections[index] = Some(connection);
            return Ok(());
        }
        self.free.push(index);
        let was_client = matches!(connection.role, Role::Client(_));
        drop(connection);
        if was_client && self.cycles_left > 0 {
            self.cycles_left -= 1;
            self.connect()?;
        }
        Ok(())
    }
}

fn backend_listener() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    // A longer queue than the standard library asks for.
    listen(&listener, 4096)?;
    Ok(listener)
}
