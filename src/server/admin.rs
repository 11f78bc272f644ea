//! The admin pages: whether new tunnels have a chance, and all that is counted.
//!
//! Who asks is a visitor: a tunnel that never becomes one. Visitors are no
//! clients, so they come in though the server is full or drains, and no client
//! is refused on their account. They keep nobody waiting either: what they ask
//! is answered from memory, within one turn.

use super::Server;
use super::metrics::{self, Figures, Open};
use super::process::Process;
use crate::tunnel::admin::{Answer, PLAIN, Page, Visit};

impl Server {
    /// A visitor gets its page.
    pub(super) fn show(&mut self, key: usize, visit: Visit) {
        let answer = match visit.page {
            Page::Health => self.health(),
            Page::Metrics => self.metrics(),
        };
        self.with_context(key, |slot, cx| slot.tunnel.show(visit, &answer, cx));
    }

    fn is_draining(&self) -> bool {
        self.stopping.is_some()
    }

    /// 503 where nobody gets a tunnel now. While some route still leads
    /// somewhere it is 200: who is sent away from here because of one dead
    /// backend would lose the others too.
    fn health(&self) -> Answer {
        let routes = &self.settings.routes;
        let down = routes.iter().filter(|route| {
            let backends = &route.backends;
            let is_down = |backend| self.backends.is_down(backend, self.now);
            !backends.is_empty() && backends.iter().all(is_down)
        });
        let down: Vec<_> = down.map(ToString::to_string).collect();
        let lines = down
            .iter()
            .map(|route| format!("every backend of {route} is down\n"));
        let lines: String = lines.collect();
        let (status, body) = if self.is_draining() {
            (503, "draining\n".to_owned())
        } else if !down.is_empty() && down.len() == routes.len() {
            (503, lines)
        } else {
            (200, format!("ok\n{lines}"))
        };
        Answer {
            status,
            content_type: PLAIN,
            body,
        }
    }

    fn metrics(&self) -> Answer {
        let mut open = vec![Open::default(); self.tally.routes().len()];
        let (mut queued, mut memory) = ((0, 0), 0);
        for tunnel in self.table.tunnels() {
            memory += tunnel.memory();
            let Some(figures) = tunnel.figures() else {
                continue;
            };
            queued.0 += figures.queued.0;
            queued.1 += figures.queued.1;
            if let Some(open) = open.get_mut(figures.place) {
                open.add(&figures.totals);
            }
        }
        let body = metrics::text(&Figures {
            accepted: self.accepted,
            tally: &self.tally,
            open,
            queued,
            memory,
            backends: &self.backends,
            settings: &self.settings,
            pauses: self.listeners.pauses,
            clients: self.table.clients(),
            most_clients: self.most,
            is_draining: self.is_draining(),
            started: self.run,
            now: self.now,
            process: Process::now(),
        });
        Answer {
            status: 200,
            content_type: metrics::CONTENT_TYPE,
            body,
        }
    }
}
