//! The life of whole tunnels, in the [`world`] of fake connections.

use super::world::*;
use super::*;
use crate::tunnel::policy::Route;
use crate::wire::framing::Framing;
use crate::wire::ws::FrameType;
use std::collections::VecDeque;

#[cfg(feature = "connect")]
mod streams;

#[test]
fn messages_pass_both_ways() {
    let mut world = World::framed(Framing::Lines);
    world.client_sends(&frame(0x81, b"hello"));
    world.backend_sends(b"wor");
    world.pump();
    world.backend_sends(b"ld\n");
    world.pump();
    assert_eq!(world.backend_received(), b"hello\n");
    assert_eq!(
        frames(&world.take_client_received()),
        [(0x01, b"wor".to_vec()), (0x80, b"ld".to_vec())]
    );
}

#[test]
fn a_thousand_messages_in_one_read_are_one_write() {
    let mut world = World::framed(Framing::Lines);
    let before = (
        world.backend.0.borrow().writes,
        world.client.0.borrow().writes,
    );
    world.client_sends(&frame(0x81, b"up").repeat(1000));
    world.backend_sends(&b"down\n".repeat(1000));
    world.pump();
    assert_eq!(world.backend_received(), b"up\n".repeat(1000));
    assert_eq!(frames(&world.take_client_received()).len(), 1000);
    let after = (
        world.backend.0.borrow().writes,
        world.client.0.borrow().writes,
    );
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
}

#[test]
fn bytes_that_follow_the_head_in_the_same_read_are_not_lost() {
    let mut world = World::connected(Route {
        framing: Framing::Lines,
        ..Route::default()
    });
    world.client_sends(&[REQUEST, &frame(0x81, b"early"), &frame(0x81, b"bird")[..3]].concat());
    assert_eq!(world.pump(), Need::Backend(0));
    world.client_sends(&frame(0x81, b"bird")[3..]);
    world.backend_is_there();
    assert_eq!(world.backend_received(), b"early\nbird\n");
}

#[test]
fn a_head_in_any_pieces_is_one_request() {
    for size in 1..REQUEST.len() {
        let mut world = World::connected(Route::default());
        let mut pieces = REQUEST.chunks(size).peekable();
        while let Some(piece) = pieces.next() {
            world.client_sends(piece);
            let need = if pieces.peek().is_some() {
                Need::Event
            } else {
                Need::Backend(0)
            };
            assert_eq!(world.pump(), need, "pieces of {size}");
        }
    }
}

#[test]
fn a_slow_backend_stops_reads_and_bounds_the_queue() {
    let mut world = World::framed(Framing::Lines);
    world.backend.0.borrow_mut().room = 1000;
    world.client_sends(&frame(0x82, &[b'x'; 60_000]).repeat(100));
    world.pump();
    assert_eq!(world.backend_received().len(), 1000);
    let reads = world.client.0.borrow().reads;
    for _ in 0..10 {
        world.client_sends(&frame(0x82, &[b'x'; 60_000]));
        world.pump();
    }
    assert_eq!(
        world.client.0.borrow().reads,
        reads,
        "nothing is read while the backend is full"
    );
    assert!(
        world.tunnel.memory() <= 128 * 1024,
        "{}",
        world.tunnel.memory()
    );
    world.backend.0.borrow_mut().room = usize::MAX;
    world.pump();
    assert_eq!(world.backend_received().len(), 110 * 60_001);
    assert_eq!(world.tunnel.memory(), 0, "an idle tunnel owns no buffer");
}

#[test]
fn a_slow_client_bounds_the_queue_and_does_not_stop_its_own_upload() {
    let mut world = World::framed(Framing::Nul);
    world.client.0.borrow_mut().room = 1000;
    // Empty messages: each byte becomes a frame of two.
    world.backend_sends(&[0; 500_000]);
    world.pump();
    assert!(
        world.tunnel.memory() <= 160 * 1024,
        "{}",
        world.tunnel.memory()
    );
    world.client_sends(&frame(0x82, b"still heard"));
    world.pump();
    assert_eq!(world.backend_received(), b"still heard\0");
    world.client.0.borrow_mut().room = usize::MAX;
    world.pump();
    assert_eq!(world.take_client_received(), [0x82, 0].repeat(500_000));
    assert_eq!(world.tunnel.memory(), 0, "an idle tunnel owns no buffer");
}

#[test]
fn a_head_that_is_cut_is_all_that_an_idle_tunnel_holds() {
    let mut world = World::framed(Framing::Raw);
    world.client_sends(&frame(0x82, b"x")[..1]);
    world.pump();
    assert!(world.tunnel.memory() <= 16, "{}", world.tunnel.memory());
    world.client_sends(&frame(0x82, b"x")[1..]);
    world.pump();
    assert_eq!(world.backend_received(), b"x");
    assert_eq!(world.tunnel.memory(), 0);
}

#[test]
fn a_flood_of_pings_whose_pongs_are_never_read_costs_little() {
    let mut world = World::framed(Framing::Raw);
    world.client.0.borrow_mut().room = 0;
    world.client_sends(&frame(0x89, &[b'p'; 125]).repeat(10_000));
    world.pump();
    assert!(
        world.client.0.borrow().sends.is_empty(),
        "pings are read on"
    );
    assert!(
        world.tunnel.memory() <= 64 * 1024,
        "{}",
        world.tunnel.memory()
    );
    world.client_sends(&frame(0x89, b"newest"));
    world.pump();
    world.client.0.borrow_mut().room = usize::MAX;
    world.pump();
    assert_eq!(
        frames(&world.take_client_received()).last(),
        Some(&(0x8a, b"newest".to_vec()))
    );
}

#[test]
fn pongs_go_between_the_fragments_of_a_message() {
    let mut world = World::framed(Framing::Lines);
    world.backend_sends(b"first half, ");
    world.client_sends(&frame(0x89, b"?"));
    world.pump();
    world.backend_sends(b"second half\n");
    world.pump();
    let kinds: Vec<u8> = frames(&world.take_client_received())
        .iter()
        .map(|f| f.0)
        .collect();
    assert!(
        kinds == [0x01, 0x8a, 0x80] || kinds == [0x8a, 0x01, 0x80],
        "{kinds:x?}"
    );
}

#[test]
fn client_close_reaches_the_backend_behind_all_data_and_is_echoed() {
    for code in [1000, 1001, 3000, 4999] {
        let mut world = World::framed(Framing::Lines);
        world.backend.0.borrow_mut().room = 3;
        world.client_sends(&[frame(0x81, b"last words"), close(code)].concat());
        world.pump();
        assert_eq!(close_code(&world.take_client_received()), Some(code));
        assert!(world.client.0.borrow().finished, "the server ends first");
        assert!(
            !world.backend.0.borrow().finished,
            "data still waits for the backend"
        );
        world.backend.0.borrow_mut().room = usize::MAX;
        world.pump();
        assert_eq!(world.backend_received(), b"last words\n");
        assert!(world.backend.0.borrow().finished);
        world.client.0.borrow_mut().ends = Some(EOF);
        assert_eq!(world.pump(), Need::Event);
        world.backend.0.borrow_mut().ends = Some(EOF);
        assert_eq!(world.pump(), Need::Nothing);
    }
}

#[test]
fn a_close_without_code_is_echoed_without_one() {
    let mut world = World::framed(Framing::Raw);
    world.client_sends(&frame(0x88, b""));
    world.pump();
    assert_eq!(frames(&world.take_client_received()), [(0x88, vec![])]);
}

#[test]
fn backend_eof_is_1000_behind_everything_it_sent() {
    let mut world = World::framed(Framing::Lines);
    world.client.0.borrow_mut().room = 10;
    world.backend_sends(b"one\ntwo without end");
    world.backend.0.borrow_mut().ends = Some(EOF);
    world.pump();
    world.client.0.borrow_mut().room = usize::MAX;
    // What the client sends until it has seen the Close still arrives.
    world.client_sends(&frame(0x81, b"meanwhile"));
    world.pump();
    let got = world.take_client_received();
    let text: Vec<u8> = frames(&got)
        .iter()
        .filter(|f| f.0 != 0x88)
        .flat_map(|f| f.1.clone())
        .collect();
    assert_eq!(text, b"onetwo without end");
    assert_eq!(close_code(&got), Some(1000));
    assert_eq!(world.ending(), Some(Ending::StreamEnded));
    assert!(
        !world.client.0.borrow().finished,
        "the client's Close is waited for"
    );
    assert_eq!(world.backend_received(), b"meanwhile\n");
    world.client_sends(&close(1000));
    world.pump();
    assert!(world.client.0.borrow().finished);
    world.client.0.borrow_mut().ends = Some(EOF);
    assert_eq!(world.pump(), Need::Nothing);
}

#[test]
fn a_backend_that_breaks_is_1011() {
    let mut world = World::framed(Framing::Raw);
    world.backend_sends(b"before");
    world.backend.0.borrow_mut().ends = Some(RESET);
    world.pump();
    let got = world.take_client_received();
    assert_eq!(frames(&got)[0], (0x82, b"before".to_vec()));
    assert_eq!(close_code(&got), Some(1011));

    let mut world = World::framed(Framing::Raw);
    world.backend.0.borrow_mut().refuses = Some(RESET);
    world.client_sends(&frame(0x82, b"x"));
    world.pump();
    world.backend.0.borrow_mut().ends = Some(EOF);
    world.pump();
    assert_eq!(close_code(&world.take_client_received()), Some(1011));
}

#[test]
fn a_line_that_a_reset_cut_off_is_no_message() {
    // Who writes is told of the reset, and who reads after that only of an end.
    for refuses in [None, Some(RESET)] {
        let mut world = World::framed(Framing::Lines);
        world.backend.0.borrow_mut().refuses = refuses;
        world.backend.0.borrow_mut().ends = Some(refuses.map_or(RESET, |_| EOF));
        world.client_sends(&frame(0x81, b"x"));
        world.backend_sends(b"whole\ncut o");
        world.pump();
        let got = world.take_client_received();
        assert_eq!(
            frames(&got)[..2],
            [(0x81, b"whole".to_vec()), (0x01, b"cut o".to_vec())]
        );
        assert_eq!((frames(&got).len(), close_code(&got)), (3, Some(1011)));
    }
}

#[test]
fn a_backend_that_ended_before_it_refused_has_just_ended() {
    let mut world = World::framed(Framing::Raw);
    world.backend.0.borrow_mut().refuses = Some(ErrorKind::BrokenPipe);
    world.client_sends(&frame(0x82, b"x"));
    world.pump();
    assert_eq!(world.ending(), None);
    world.backend_sends(b"farewell");
    world.backend.0.borrow_mut().ends = Some(EOF);
    world.pump();
    let got = world.take_client_received();
    assert_eq!(frames(&got)[0], (0x82, b"farewell".to_vec()));
    assert_eq!(close_code(&got), Some(1000));
}

#[test]
fn a_backend_that_breaks_its_framing_or_text_is_1011() {
    for (framing, sent, ends) in [
        (
            Framing::ContentLength,
            &b"Content-Length: x\r\n\r\n"[..],
            None,
        ),
        (
            Framing::ContentLength,
            b"Content-Length: 5\r\n\r\nabc",
            Some(EOF),
        ),
        (Framing::Record, b"\x84\0\0\0\0", None),
        (Framing::Lines, b"\xff\n", None),
        (Framing::Json, b"{", Some(EOF)),
    ] {
        let mut world = World::framed(framing);
        world.backend_sends(sent);
        world.backend.0.borrow_mut().ends = ends;
        world.pump();
        assert_eq!(
            close_code(&world.take_client_received()),
            Some(1011),
            "{framing}"
        );
    }
}

#[test]
fn raw_text_that_ends_within_a_character_is_1011() {
    let mut world = World::open(Route {
        frame_type: FrameType::Text,
        ..Route::default()
    });
    world.backend_sends(b"x\xe2\x82");
    world.pump();
    assert_eq!(
        frames(&world.take_client_received()),
        [(0x81, b"x".to_vec())]
    );
    world.backend.0.borrow_mut().ends = Some(EOF);
    world.pump();
    assert_eq!(close_code(&world.take_client_received()), Some(1011));
}

#[test]
fn a_client_that_ends_without_close_leaves_all_it_sent_and_gets_the_answer() {
    let mut world = World::framed(Framing::Lines);
    world.client_sends(&frame(0x81, b"question"));
    world.client.0.borrow_mut().ends = Some(EOF);
    world.pump();
    assert_eq!(world.backend_received(), b"question\n");
    assert!(world.backend.0.borrow().finished);
    assert_eq!(world.ending(), Some(Ending::PeerGone));
    world.backend_sends(b"answer\n");
    world.backend.0.borrow_mut().ends = Some(EOF);
    assert_eq!(world.pump(), Need::Nothing);
    let got = world.take_client_received();
    assert_eq!(frames(&got)[0], (0x81, b"answer".to_vec()));
    assert_eq!(close_code(&got), Some(1000));
}

#[test]
fn a_client_that_breaks_leaves_all_it_sent() {
    let mut world = World::framed(Framing::Lines);
    world.client_sends(&frame(0x81, b"last words"));
    world.client.0.borrow_mut().ends = Some(RESET);
    world.pump();
    assert_eq!(world.backend_received(), b"last words\n");
    assert!(world.backend.0.borrow().finished);
    world.backend_sends(b"nobody hears this");
    world.backend.0.borrow_mut().ends = Some(EOF);
    assert_eq!(world.pump(), Need::Nothing);

    // It broke where it was written to; what it had sent is still read.
    let mut world = World::framed(Framing::Lines);
    world.client.0.borrow_mut().refuses = Some(RESET);
    world.backend_sends(b"news\n");
    world.pump();
    world.client_sends(&frame(0x81, b"last words"));
    world.client.0.borrow_mut().ends = Some(RESET);
    world.pump();
    assert_eq!(world.backend_received(), b"last words\n");
}

#[test]
fn a_violation_is_told_and_then_nothing_counts() {
    for (bytes, code) in [
        (frame(0x83, b""), 1002),
        (frame(0xc1, b""), 1002),
        (vec![0x81, 0x00], 1002),
        (frame(0x81, b"\xff"), 1007),
        (frame(0x88, b"\x03"), 1002),
    ] {
        let mut world = World::framed(Framing::Lines);
        world.client_sends(&[frame(0x81, b"good"), bytes, frame(0x81, b"after")].concat());
        world.pump();
        assert_eq!(close_code(&world.take_client_received()), Some(code));
        assert_eq!(world.backend_received(), b"good\n");
        assert!(world.client.0.borrow().finished && world.backend.0.borrow().finished);
        world.client_sends(&frame(0x81, b"ignored").repeat(10_000));
        world.pump();
        assert!(
            world.client.0.borrow().sends.is_empty(),
            "read and dropped, so that no reset is sent"
        );
        assert_eq!(world.backend_received(), b"good\n");
    }
}

#[test]
fn records_get_their_last_answers_before_a_violation_is_told() {
    let mut world = World::framed(Framing::Record);
    world.client_sends(&[frame(0x81, b"good"), frame(0x83, b"")].concat());
    world.pump();
    assert!(
        world.backend.0.borrow().finished,
        "the backend knows that no more will come"
    );
    assert_eq!(world.take_client_received(), b"");
    let echo = world.backend_received();
    world.backend_sends(&echo);
    world.pump();
    assert_eq!(
        frames(&world.take_client_received()),
        [(0x81, b"good".to_vec())]
    );
    world.after(Duration::from_millis(299));
    assert_eq!(world.take_client_received(), b"");
    world.after(Duration::from_millis(1));
    assert_eq!(close_code(&world.take_client_received()), Some(1002));
    assert!(world.client.0.borrow().finished);
}

#[test]
fn a_message_too_long_for_its_framing_is_1009() {
    let mut world = World::open(Route {
        framing: Framing::ContentLength,
        max_message: 10,
        ..Route::default()
    });
    world.client_sends(&[frame(0x01, b"123456"), frame(0x80, b"78901")].concat());
    world.pump();
    assert_eq!(close_code(&world.take_client_received()), Some(1009));
    assert_eq!(world.backend_received(), b"");
}

#[test]
fn a_silent_client_is_pinged_and_then_left() {
    let mut world = World::framed(Framing::Raw);
    world.after(Duration::from_secs(30));
    assert_eq!(frames(&world.take_client_received()), [(0x89, vec![])]);
    world.client_sends(&frame(0x8a, b""));
    world.pump();
    world.after(Duration::from_secs(30));
    assert_eq!(frames(&world.take_client_received()), [(0x89, vec![])]);
    world.after(Duration::from_secs(30));
    assert_eq!(close_code(&world.take_client_received()), Some(1001));
    assert_eq!(world.ending(), Some(Ending::Silent));
    world.after(Duration::from_secs(5));
    assert!(
        world.client.0.borrow().finished,
        "its Close is not waited for longer"
    );
    assert_eq!(world.after(Duration::from_secs(5)), Need::Nothing);
}

#[test]
fn a_client_that_cannot_be_heard_is_not_called_silent() {
    let mut world = World::framed(Framing::Raw);
    world.backend.0.borrow_mut().room = 0;
    world.client_sends(&frame(0x82, b"stuck"));
    world.pump();
    for _ in 0..100 {
        world.after(Duration::from_secs(30));
    }
    assert_eq!(world.ending(), None);
}

#[test]
fn a_client_that_takes_what_it_refused_before_is_alive() {
    let mut world = World::framed(Framing::Raw);
    world.client.0.borrow_mut().room = 0;
    world.backend_sends(&[0; 10_000]);
    world.pump();
    for _ in 0..10 {
        world.client.0.borrow_mut().room = 100;
        world.after(Duration::from_secs(29));
    }
    assert_eq!(world.ending(), None);
    world.after(Duration::from_secs(30));
    world.after(Duration::from_secs(30));
    assert_eq!(world.ending(), Some(Ending::Silent));
}

#[test]
fn an_idle_tunnel_is_left_though_pings_pass() {
    let mut route = Route::default();
    route.timeouts.idle = Some(Duration::from_secs(60));
    let mut world = World::open(route);
    world.after(Duration::from_secs(50));
    world.client_sends(&frame(0x89, b""));
    world.pump();
    world.after(Duration::from_secs(9));
    assert_eq!(world.ending(), None);
    world.after(Duration::from_secs(1));
    assert_eq!(world.ending(), Some(Ending::Idle));
    assert_eq!(close_code(&world.take_client_received()), Some(1001));
}

#[test]
fn an_empty_message_keeps_a_tunnel_from_being_idle() {
    let mut route = Route::default();
    route.timeouts.idle = Some(Duration::from_secs(60));
    let mut world = World::open(route);
    world.after(Duration::from_secs(50));
    world.client_sends(&frame(0x82, b""));
    world.pump();
    world.after(Duration::from_secs(20));
    assert_eq!(world.ending(), None);
}

#[test]
fn leaving_tells_the_client_and_still_hears_it() {
    let mut world = World::framed(Framing::Lines);
    world.context(Tunnel::leave);
    world.pump();
    assert_eq!(close_code(&world.take_client_received()), Some(1001));
    world.client_sends(&[frame(0x81, b"unsaved"), close(1001)].concat());
    world.pump();
    assert_eq!(world.backend_received(), b"unsaved\n");
    assert!(world.backend.0.borrow().finished && world.client.0.borrow().finished);
    assert_eq!(world.take_client_received(), b"", "one Close is enough");
}

#[test]
fn nobody_is_waited_for_longer_than_close_timeout() {
    let mut world = World::framed(Framing::Raw);
    world.client_sends(&close(1000));
    world.pump();
    assert_eq!(world.after(Duration::from_millis(4999)), Need::Event);
    assert_eq!(world.after(Duration::from_millis(1)), Need::Nothing);
}

#[test]
fn a_broken_client_is_noticed_though_its_backend_takes_nothing() {
    let mut world = World::framed(Framing::Raw);
    world.backend.0.borrow_mut().room = 0;
    world.client_sends(&frame(0x82, b"stuck"));
    world.pump();
    world.client.0.borrow_mut().breaks = true;
    world.pump();
    assert_eq!(world.ending(), Some(Ending::PeerGone));
    world.after(Duration::from_secs(5));
    assert_eq!(world.after(Duration::from_secs(5)), Need::Nothing);
}

#[test]
fn a_client_that_ignores_its_close_cannot_keep_a_tunnel() {
    let mut world = World::framed(Framing::Raw);
    world.backend.0.borrow_mut().room = 100;
    world.client_sends(&frame(0x82, &[7; 1000]).repeat(1000));
    world.pump();
    world.context(Tunnel::leave);
    let mut need = Need::Event;
    for _ in 0..20 {
        world.backend.0.borrow_mut().room = 100;
        need = world.after(Duration::from_secs(4));
    }
    assert!(world.client.0.borrow().finished, "it was let go");
    assert!(
        world.client.0.borrow().sends.is_empty(),
        "nothing new is taken for the backend"
    );
    assert_ne!(need, Need::Turn);
}

#[test]
fn stopping_ends_a_half_closed_tunnel_too() {
    let mut world = World::framed(Framing::Lines);
    world.client.0.borrow_mut().ends = Some(EOF);
    world.pump();
    world.backend_sends(b"still talking\n");
    world.pump();
    world.context(Tunnel::leave);
    world.pump();
    assert_eq!(close_code(&world.take_client_received()), Some(1000));
    assert!(world.client.0.borrow().finished);
}

#[test]
fn a_close_behind_data_counts_though_the_backend_breaks_at_it() {
    let mut world = World::framed(Framing::Raw);
    world.backend.0.borrow_mut().refuses = Some(RESET);
    world.client_sends(&[frame(0x82, b"data"), close(4000)].concat());
    world.pump();
    assert_eq!(close_code(&world.take_client_received()), Some(4000));
    assert!(world.client.0.borrow().finished);
}

#[test]
fn a_client_that_breaks_while_its_backend_is_dialled_is_gone() {
    let mut world = World::connected(Route::default());
    world.client_sends(REQUEST);
    assert_eq!(world.pump(), Need::Backend(0));
    world.client.0.borrow_mut().breaks = true;
    assert_eq!(world.pump(), Need::Nothing);
}

#[test]
fn a_client_on_its_way_to_its_close_is_not_cut_off() {
    for leaves in [false, true] {
        let mut world = World::framed(Framing::Lines);
        world.backend.0.borrow_mut().ends = Some(EOF);
        world.pump();
        assert_eq!(close_code(&world.take_client_received()), Some(1000));
        if leaves {
            world.context(Tunnel::leave);
        }
        for _ in 0..5 {
            world.after(Duration::from_secs(3));
            world.client_sends(&frame(0x81, b"late"));
            world.pump();
        }
        let taken = world.backend_received().len() / b"late\n".len();
        // Who is told to go by adit itself has its time, and no more.
        assert_eq!(taken == 5, !leaves, "{taken}");
        if !leaves {
            world.client_sends(&close(1000));
            world.client.0.borrow_mut().ends = Some(EOF);
            assert_eq!(world.pump(), Need::Nothing);
            assert!(world.backend.0.borrow().finished);
        }
    }
}

#[test]
fn a_broken_backend_is_noticed_though_the_client_takes_nothing() {
    let mut world = World::framed(Framing::Raw);
    world.client.0.borrow_mut().room = 0;
    world.backend_sends(b"stuck");
    world.pump();
    world.backend.0.borrow_mut().breaks = true;
    world.pump();
    assert_eq!(world.ending(), Some(Ending::StreamReset));
    world.after(Duration::from_secs(5));
    assert_eq!(world.after(Duration::from_secs(5)), Need::Nothing);
}

#[test]
fn a_backend_that_is_slow_but_takes_gets_all_that_a_client_left() {
    let mut world = World::framed(Framing::Raw);
    world.backend.0.borrow_mut().room = 0;
    world.client_sends(&[frame(0x82, &[7; 50_000]), close(1000)].concat());
    world.pump();
    for _ in 0..50 {
        // Nobody tells of the room: a Unix socket does so late.
        world.backend.0.borrow_mut().room = 1000;
        assert_eq!(world.after(Duration::from_secs(5)), Need::Event);
    }
    assert_eq!(world.backend_received().len(), 50_000);
    assert!(world.backend.0.borrow().finished);
}

#[test]
fn a_head_that_never_ends_is_408_and_a_silent_connection_just_ends() {
    let mut world = World::connected(Route::default());
    world.client_sends(&REQUEST[..20]);
    world.pump();
    world.after(Duration::from_secs(10));
    assert!(world.take_client_received().starts_with(b"HTTP/1.1 408 "));
    let mut world = World::connected(Route::default());
    assert_eq!(world.after(Duration::from_secs(10)), Need::Nothing);
    assert_eq!(world.take_client_received(), b"");
}

#[test]
fn a_refused_request_gets_its_answer_and_the_end() {
    let mut world = World::connected(Route::default());
    world.client_sends(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    world.pump();
    let answer = String::from_utf8(world.take_client_received()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(world.client.0.borrow().finished);
    world.client_sends(b"more that nobody asked for");
    assert_eq!(world.pump(), Need::Event);
    world.client.0.borrow_mut().ends = Some(EOF);
    assert_eq!(world.pump(), Need::Nothing);
}

// Without tokens there is nothing to guess.
#[cfg(feature = "auth")]
#[test]
fn who_guesses_waits_for_the_answer() {
    // No token is in a map that was never read.
    let mut world = World::connected(Route {
        token_map: Some("map".into()),
        ..Route::default()
    });
    let request = String::from_utf8(REQUEST.to_vec()).unwrap();
    world.client_sends(request.replace("GET / ", "GET /?token=guess ").as_bytes());
    assert_eq!(world.pump(), Need::Event);
    world.after(Duration::from_millis(199));
    assert_eq!(world.take_client_received(), b"");
    world.after(Duration::from_millis(1));
    assert!(world.take_client_received().starts_with(b"HTTP/1.1 403 "));
    world.client.0.borrow_mut().ends = Some(EOF);
    assert_eq!(world.pump(), Need::Nothing);
}

#[test]
fn who_brings_nothing_is_answered_at_once() {
    let mut world = World::connected(Route {
        token_map: Some("map".into()),
        ..Route::default()
    });
    world.client_sends(REQUEST);
    world.pump();
    assert!(world.take_client_received().starts_with(b"HTTP/1.1 401 "));
}

/// Bytes in order and none lost, under random pieces, room and stalls.
#[test]
fn whatever_the_pieces_and_the_room_all_bytes_arrive_in_order() {
    arbtest::arbtest(|u| {
        let mut world = World::framed(Framing::Raw);
        let up: Vec<u8> = (0..u.int_in_range(0..=50_000)?)
            .map(|n: u32| n as u8)
            .collect();
        let down: Vec<u8> = up.iter().rev().map(|b| b ^ 0x55).collect();
        let mut sends: VecDeque<u8> = VecDeque::new();
        for piece in up.chunks(u.int_in_range(1..=60_000)?) {
            sends.extend(frame(0x82, piece));
        }
        let mut answers: VecDeque<u8> = down.iter().copied().collect();
        for fake in [&world.client, &world.backend] {
            fake.0.borrow_mut().room = 0;
        }
        while !(sends.is_empty() && answers.is_empty()) {
            let size = u.int_in_range(1..=20_000)?;
            let piece: Vec<u8> = sends.drain(..size.min(sends.len())).collect();
            world.client_sends(&piece);
            let piece: Vec<u8> = answers.drain(..size.min(answers.len())).collect();
            world.backend_sends(&piece);
            for fake in [&world.client, &world.backend] {
                fake.0.borrow_mut().room += u.int_in_range(0..=20_000)?;
            }
            world.turn();
        }
        for fake in [&world.client, &world.backend] {
            fake.0.borrow_mut().room = usize::MAX;
        }
        world.pump();
        assert_eq!(world.backend_received(), up);
        let got: Vec<u8> = frames(&world.take_client_received())
            .into_iter()
            .flat_map(|f| f.1)
            .collect();
        assert_eq!(got, down);
        assert_eq!(world.tunnel.memory(), 0);
        Ok(())
    });
}

#[test]
fn the_gate_is_asked_once_before_a_route_is_looked_up() {
    let mut world = World::connected(Route {
        path: "/elsewhere".to_owned(),
        ..Route::default()
    });
    world.gate.refuses = Some(Refusal::ClientRate);
    world.client_sends(&REQUEST[..10]);
    world.pump();
    assert!(world.gate.asked.is_empty(), "the head is not whole");
    world.client_sends(&REQUEST[10..]);
    world.pump();
    assert_eq!(world.gate.asked, [None], "a Unix socket has no address");
    let answer = world.take_client_received();
    assert!(answer.starts_with(b"HTTP/1.1 429 "));
}

#[test]
fn who_has_no_address_is_in_no_network() {
    let mut route = Route::default();
    route.addresses.allow = vec!["::/0".parse().unwrap()];
    let mut world = World::connected(route);
    world.client_sends(REQUEST);
    world.pump();
    let answer = world.take_client_received();
    assert!(answer.starts_with(b"HTTP/1.1 403 "));
}

/// A request that offers to end its half alone.
fn request_with_half_close() -> Vec<u8> {
    let offer = "Sec-WebSocket-Extensions: adit-half-close\r\n\r\n";
    let end = REQUEST.len() - 2;
    [&REQUEST[..end], offer.as_bytes()].concat()
}

#[test]
fn a_client_that_ends_its_half_still_gets_the_answer() {
    let mut world = World::connected(Route::default());
    world.client_sends(&request_with_half_close());
    assert_eq!(world.pump(), Need::Backend(0));
    world.backend_is_there();
    let head = String::from_utf8(world.take_client_received()).unwrap();
    assert!(head.contains("\r\nSec-WebSocket-Extensions: adit-half-close\r\n"));
    world.client_sends(&[frame(0x82, b"question"), frame(0x8b, b"")].concat());
    world.pump();
    assert_eq!(world.backend_received(), b"question");
    assert!(world.backend.0.borrow().finished);
    assert_eq!(world.ending(), None);
    world.client_sends(&frame(0x89, b"there?"));
    world.backend_sends(b"answer");
    world.pump();
    assert_eq!(
        frames(&world.take_client_received()),
        [(0x8a, b"there?".to_vec()), (0x82, b"answer".to_vec())]
    );
    world.backend.0.borrow_mut().ends = Some(EOF);
    world.pump();
    assert_eq!(close_code(&world.take_client_received()), Some(1000));
}
