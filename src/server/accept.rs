//! Connections come in, and each gets a tunnel.

use super::Server;
use super::limits::MOST_VISITORS;
use super::listening::Room;
use super::table::Slot;
use super::tokens::{token_of, watch};
use crate::net::{Peer, Socket, Stream};
use crate::tunnel::{Entrance, Label, Opening, Readiness, Side, Tunnel};
use log::{error, warn};

impl Server {
    /// How many more may come.
    pub(super) fn room(&self) -> Room {
        Room {
            clients: match self.turns_away() {
                true => usize::MAX,
                false => self.most.saturating_sub(self.table.clients()),
            },
            visitors: MOST_VISITORS.saturating_sub(self.table.visitors()),
        }
    }

    /// Whether those for whom there is no room are turned away. Browsers wait
    /// well; what waits for a server far away is a program of this machine,
    /// which had better know.
    pub(super) fn turns_away(&self) -> bool {
        let route = self.settings.routes.first();
        route.is_some_and(|route| route.remote.is_some())
    }

    /// Accepts who waits, as far as there is room.
    pub(super) fn accept(&mut self) {
        let room = self.room();
        let mut listeners = std::mem::take(&mut self.listeners);
        listeners.accept(room, self.now, |stream, peer, entrance| {
            self.receive(stream, peer, entrance);
        });
        self.listeners = listeners;
    }

    /// Gives a connection a tunnel, if the guard lets it through.
    pub(super) fn receive(&mut self, stream: Stream, peer: Peer, entrance: &Entrance) {
        // Clients are counted from 1, and visitors not at all.
        self.accepted += u64::from(!entrance.admin);
        let number = if entrance.admin { 0 } else { self.accepted };
        let label = Label::new(number, peer);
        if self.turns_away() && self.table.clients() >= self.most {
            stream.reset();
            if self.log_limit.allows(self.now) {
                warn!(
                    "{label} refused: as many connections as may be: {}",
                    self.most
                );
            }
            return;
        }
        let (settings, now) = (&self.settings, self.now);
        let is_proxy = settings.trusted.is_proxy(peer);
        let owes_header = settings.takes_header(&entrance.address) && is_proxy;
        // Whom a proxy speaks for is known only later.
        let is_known = !is_proxy && !entrance.admin;
        let known = peer.ip().filter(|_| is_known);
        let pass = match self.guard.arrive(known, now) {
            Ok(pass) => pass,
            Err(refusal) => {
                self.tally.dropped(refusal.reason());
                if self.log_limit.allows(now) {
                    warn!("{label} dropped without an answer: {refusal}");
                }
                return;
            }
        };
        let key = self.table.vacant_key();
        let mut socket = Socket::new(stream);
        let token = token_of(key, Side::Downstream);
        if let Err(e) = watch(self.poll.registry(), &mut socket, token) {
            error!("{label}: cannot watch the connection: {e}");
            return self.guard.leave(pass);
        }
        let opening = Opening::new(entrance.clone(), owes_header);
        let mut tunnel = Tunnel::new(label, socket, opening, settings.handshake_timeout, now);
        // Who connects mostly speaks at once: reading spares waiting for that.
        let perhaps = Readiness {
            readable: true,
            ..Readiness::default()
        };
        tunnel.ready(Side::Downstream, perhaps);
        self.table.insert(Slot::new(tunnel, pass));
    }
}
