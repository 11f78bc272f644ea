//! Plain streams that are led to a WebSocket server: adit is the client.

use super::*;
use crate::net::tls_files::ClientTls;
use crate::tunnel::remote::{Remote, Target};
use crate::url::Url;

/// A local stream, in the client's place, that is led to a WebSocket server, in
/// the backend's.
fn stream(half_close: bool, framing: Framing) -> World {
    let remote = Remote::at(Url::websocket("ws://h/").unwrap());
    let target = Target::new(&remote, &ClientTls::default()).unwrap();
    let (_, steps) = target.next_hop().unwrap();
    let mut world = World::connected(Route {
        remote: Some(remote),
        framing,
        ..Route::default()
    });
    assert_eq!(world.pump(), Need::Backend(0));
    world.dial(steps);
    world.pump();
    let request = std::mem::take(&mut world.backend.0.borrow_mut().received);
    world.backend_sends(&welcome(&request, half_close).unwrap());
    world.pump();
    assert_eq!(world.agreed.as_ref().unwrap().half_close, half_close);
    world
}

/// The frames of a client.
fn unmasked(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    frames_to(Role::Server, bytes)
}

#[test]
fn a_stream_speaks_as_a_client() {
    let mut world = stream(false, Framing::Lines);
    world.client_sends(b"one\ntwo\n");
    world.backend_sends(b"\x81\x05hello\x89\x01?\x82\x02\x00\x01");
    world.pump();
    assert_eq!(world.take_client_received(), b"hello\n\x00\x01\n");
    let pong = (0x8a, b"?".to_vec());
    let mut sent = unmasked(&world.backend_received());
    sent.retain(|frame| *frame != pong);
    assert_eq!(sent, [(0x81, b"one".to_vec()), (0x81, b"two".to_vec())]);
}

#[test]
fn a_client_answers_a_close_and_lets_the_server_end_first() {
    let mut world = stream(false, Framing::Raw);
    world.backend_sends(b"\x82\x04last\x88\x02\x03\xe8");
    world.pump();
    assert_eq!(world.take_client_received(), b"last");
    assert!(world.client.0.borrow().finished);
    assert_eq!(unmasked(&world.backend_received()), [(0x88, vec![3, 232])]);
    assert!(!world.backend.0.borrow().finished, "RFC 6455 7.1.1");
    world.backend.0.borrow_mut().ends = Some(EOF);
    world.client.0.borrow_mut().ends = Some(EOF);
    assert_eq!(world.pump(), Need::Nothing);
    assert!(world.backend.0.borrow().finished);
    assert_eq!(world.tunnel.failure(), None);
}

#[test]
fn a_stream_that_ends_says_so_as_far_as_the_server_understands_it() {
    for half_close in [false, true] {
        let mut world = stream(half_close, Framing::Raw);
        world.client_sends(b"question");
        world.client.0.borrow_mut().ends = Some(EOF);
        world.pump();
        let end = if half_close {
            (0x8b, Vec::new())
        } else {
            (0x88, vec![3, 232])
        };
        let sent = unmasked(&world.backend_received());
        assert_eq!(sent, [(0x82, b"question".to_vec()), end]);
        world.backend_sends(b"\x82\x06answer\x88\x02\x03\xe8");
        world.backend.0.borrow_mut().ends = Some(EOF);
        assert_eq!(world.pump(), Need::Nothing);
        assert_eq!(world.take_client_received(), b"answer");
        assert_eq!(world.tunnel.failure(), None);
    }
}

#[test]
fn a_stream_that_is_gone_ends_a_websocket_that_still_was_to_answer() {
    let mut world = stream(true, Framing::Raw);
    world.client.0.borrow_mut().ends = Some(EOF);
    world.pump();
    world.client.0.borrow_mut().refuses = Some(ErrorKind::BrokenPipe);
    world.backend_sends(b"\x82\x06answer");
    world.pump();
    let sent = unmasked(&world.backend_received());
    assert_eq!(sent.last(), Some(&(0x88, vec![3, 232])));
}

#[test]
fn a_stream_that_cannot_be_led_anywhere_is_reset() {
    let mut world = World::connected(Route {
        remote: stream(false, Framing::Raw).routes.remove(0).remote,
        ..Route::default()
    });
    assert_eq!(world.pump(), Need::Backend(0));
    let refusal = Refusal::BackendUnreachable;
    world.context(|tunnel, cx| tunnel.unreachable(&refusal, Some("nobody there"), cx));
    assert_eq!(world.pump(), Need::Nothing);
    assert!(world.client.0.borrow().reset);
    assert_eq!(world.client.0.borrow().received, b"");
    assert_eq!(world.tunnel.failure(), Some("nobody there"));
}

#[test]
fn a_slow_stream_bounds_the_queue_though_each_message_becomes_a_head() {
    let mut world = stream(false, Framing::ContentLength);
    world.client.0.borrow_mut().room = 0;
    // Two bytes become 21.
    world.backend_sends(&b"\x82\x00".repeat(500_000));
    world.pump();
    let held = world.tunnel.memory();
    assert!(held <= 768 * 1024, "{held}");
    world.client.0.borrow_mut().room = usize::MAX;
    world.pump();
    let head = b"Content-Length: 0\r\n\r\n";
    assert_eq!(world.take_client_received(), head.repeat(500_000));
    assert_eq!(world.tunnel.memory(), 0, "an idle tunnel owns no buffer");
}

#[test]
fn a_stream_that_ends_well_is_told_of_a_server_that_does_not() {
    for (answer, failure) in [
        (&b"\x88\x02\x03\xe8"[..], None),
        (b"\x88\x00", None),
        (b"\x88\x02\x03\xf3", Some("server close, 1011")),
        (b"", Some("server gone without a close, 1006")),
    ] {
        let mut world = stream(false, Framing::Raw);
        world.client.0.borrow_mut().ends = Some(EOF);
        world.pump();
        assert_eq!(world.ending(), Some(Ending::StreamEnded));
        world.backend_sends(answer);
        world.backend.0.borrow_mut().ends = Some(EOF);
        assert_eq!(world.pump(), Need::Nothing);
        assert_eq!(world.tunnel.failure(), failure);
    }
}
