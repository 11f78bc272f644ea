//! What a connection that gets no tunnel is told: a refusal, a page, or nothing
//! if it has gone.

use super::{Context, Link, Need, Phase, Refusal, Tunnel, report};
use crate::net::Transport;
use crate::wire::http;
use log::{debug, warn};
use std::io;
use std::time::{Duration, Instant};

/// How long the client may take to fetch a response that is not the 101.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

impl<T: Transport> Tunnel<T> {
    /// The request gets no tunnel.
    pub fn refuse(&mut self, refusal: &Refusal, cx: &mut Context<'_>) {
        self.unreachable(refusal, None, cx);
    }

    /// The request gets no tunnel, since no backend is there; a stream is told
    /// `why`, as far as it can be told anything.
    pub fn unreachable(&mut self, refusal: &Refusal, why: Option<&str>, cx: &mut Context<'_>) {
        if !self.visitor {
            cx.tally.refused(refusal);
        }
        if self.waits_as_stream() {
            let why = why.map_or_else(|| refusal.to_string(), str::to_owned);
            return self.turn_away(why);
        }
        report::refused(self.label, refusal, cx);
        let response = http::refusal(refusal);
        if refusal.is_guess() {
            let wait = cx.gate.failed(self.label.client.ip());
            self.hold(response, cx.now + wait);
        } else {
            self.answer(&response, cx.now);
        }
    }

    /// Whether this is a plain stream that waits for its server.
    fn waits_as_stream(&self) -> bool {
        matches!(&self.phase, Phase::Dialling(_, accepted) if accepted.downstream.is_stream())
    }

    /// A stream gets no tunnel. All that it sees is a reset.
    fn turn_away(&mut self, why: String) {
        warn!("{} refused: {why}", self.label);
        if let Phase::Dialling(mut link, _) = self.take() {
            link.transport().reset();
        }
        self.phase = Phase::Over(Some(why.into()));
    }

    /// The client left before it had its answer.
    pub(super) fn left(&mut self) -> Need {
        debug!("{}: gone before its answer was there", self.label);
        self.phase = Phase::Over(None);
        Need::Nothing
    }

    /// The client left without a whole request, or did not send one in time.
    pub(super) fn gone(&mut self, why: Option<&io::Error>, cx: &mut Context<'_>) {
        if let Phase::Opening(_, opening) = self.take() {
            if opening.is_shaking_hands() {
                cx.tally.broke_off();
            }
        }
        if !self.visitor {
            cx.tally.dropped("no_request");
        }
        report::gone(self.label, why, cx);
    }

    /// A trusted proxy did not say for whom it speaks. It is not told: what it
    /// speaks may not be HTTP.
    pub(super) fn no_proxy_header(&mut self, why: &str, cx: &mut Context<'_>) {
        cx.tally.dropped("no_proxy_header");
        let label = self.label;
        warn!("{label} refused: {why} (accept-proxy, trusted-proxies)");
        self.phase = Phase::Over(None);
    }

    /// Sends a response and then the end.
    pub(super) fn answer(&mut self, response: &[u8], now: Instant) {
        if let Phase::Opening(link, _) | Phase::Dialling(link, _) = self.take() {
            self.send(link, response, now);
        }
    }

    /// Keeps a response back until then.
    pub(super) fn hold(&mut self, response: Vec<u8>, until: Instant) {
        if let Phase::Opening(link, _) | Phase::Dialling(link, _) = self.take() {
            self.phase = Phase::Held(link, response);
            self.until = Some(until);
        }
    }

    pub(super) fn send(&mut self, mut link: Link<T>, response: &[u8], now: Instant) {
        link.queue().push(response);
        link.finish();
        self.phase = Phase::Answered(link);
        self.until = Some(now + RESPONSE_TIMEOUT);
    }
}
