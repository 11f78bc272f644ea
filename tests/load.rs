//! Much at once: bytes that must all arrive, peers that never read, more
//! clients than there are descriptors.
//!
//! No test here says how fast anything is. That something stops is seen by a
//! write that makes no progress for [`STALL`]; on a slow machine it is seen
//! too early, which proves less but never fails.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{ErrorKind, Write};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use common::*;
#[cfg(target_os = "linux")]
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

const STALL: Duration = Duration::from_millis(500);

/// More than the kernel holds for the sockets between a flooder and a deaf peer.
const FLOOD: usize = 64 << 20;

/// Memory that a build with debug assertions may take for its own reasons.
const SLACK: usize = 2 << 20;

#[test]
fn random_bytes_pass_both_ways_under_random_stalls() {
    const LEN: usize = 8 << 20;
    for seed in 1..=3 {
        let (_adit, mut client, service) = tunnel(&[]);
        let (up, down) = (
            Noise::new(seed).bytes(LEN),
            Noise::new(seed + 99).bytes(LEN),
        );
        let (up_sum, down_sum) = (Checksum::of(&up), Checksum::of(&down));

        let (mut speaking, mut hearing) = (service.handle(), service);
        let speaker = thread::spawn(move || in_pieces(seed, &down, |piece| speaking.say(piece)));
        let hearer = thread::spawn(move || {
            let (mut sum, mut noise) = (Checksum::new(), Noise::new(seed));
            while sum.len < LEN {
                let piece = noise.below(100_000).min(LEN - sum.len);
                sum.add(&hearing.hear(piece));
                stall(&mut noise);
            }
            sum
        });
        let mut writing = client.socket.handle();
        let writer = thread::spawn(move || {
            let mut begun = false;
            in_pieces(seed + 1, &up, |piece| {
                let last = piece.len() % 3 == 0;
                let kind = if begun { 0x00 } else { 0x02 };
                begun = !last;
                writing.say(&frame(kind | if last { 0x80 } else { 0 }, piece));
            });
            writing.say(&frame(if begun { CONT } else { BINARY }, b""));
        });
        let (mut sum, mut noise) = (Checksum::new(), Noise::new(seed + 2));
        while sum.len < LEN {
            sum.add(&client.message().1);
            stall(&mut noise);
        }
        assert_eq!(sum, down_sum);
        assert_eq!(hearer.join().unwrap(), up_sum);
        speaker.join().unwrap();
        writer.join().unwrap();
        client.close(1000);
    }
}

#[test]
fn a_large_download_stalls_goes_on_and_arrives_whole() {
    let (_adit, mut client, service) = tunnel(&[]);
    let longest = stalled_download(&mut client, &service);
    // Longer than a read: the kernel moved it (net/pipe.rs).
    assert!(
        !cfg!(target_os = "linux") || longest > 64 << 10,
        "{longest}"
    );
    drop(service);
    client.expect_close(1000);
}

/// Sends much while the client reads nothing, then reads it all; the length of
/// the longest frame.
fn stalled_download(client: &mut Client, service: &Socket) -> usize {
    const LEN: usize = 24 << 20;
    let down = Noise::new(5).bytes(LEN);
    let down_sum = Checksum::of(&down);
    let mut speaking = service.handle();
    let (told, stalled) = mpsc::channel();
    let speaker = thread::spawn(move || {
        speaking.patience(STALL);
        let first = loop {
            match speaking.write(&down) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                written => break written.unwrap(),
            }
        };
        told.send(()).unwrap();
        speaking.patience(PATIENCE);
        speaking.say(&down[first..]);
    });
    // The client reads only once the backend's first write was cut short.
    stalled.recv().unwrap();
    let (mut sum, mut longest) = (Checksum::new(), 0);
    client.send(PING, b"between");
    let mut pongs = 0;
    while sum.len < LEN {
        let frame = client.frame();
        match frame.first {
            PONG => pongs += 1,
            BINARY => {
                longest = longest.max(frame.payload.len());
                sum.add(&frame.payload);
            }
            other => panic!("a frame that begins with {other:#x}"),
        }
    }
    assert_eq!(sum, down_sum);
    assert_eq!(pongs, 1);
    speaker.join().unwrap();
    longest
}

#[cfg(target_os = "linux")]
#[test]
fn a_want_of_descriptors_does_not_outlast_itself() {
    let (adit, mut client, service) = tunnel(&[]);
    let limit = |current| {
        let process = Pid::from_raw(adit.id() as i32);
        let files = getrlimit(Resource::Nofile);
        let limit = Rlimit { current, ..files };
        prlimit(process, Resource::Nofile, limit).unwrap();
    };
    // None is left for a pipe, so the bytes are copied.
    limit(Some(descriptors(&adit) as u64));
    assert!(stalled_download(&mut client, &service) <= 64 << 10);
    limit(getrlimit(Resource::Nofile).maximum);
    assert!(stalled_download(&mut client, &service) > 64 << 10);
}

/// Gives `say` all of `bytes` in pieces of random length, with stalls between.
fn in_pieces(seed: u64, mut bytes: &[u8], mut say: impl FnMut(&[u8])) {
    let mut noise = Noise::new(seed);
    while !bytes.is_empty() {
        let most = [10, 1000, 100_000][noise.below(3)];
        let (piece, rest) = bytes.split_at((1 + noise.below(most)).min(bytes.len()));
        say(piece);
        bytes = rest;
        stall(&mut noise);
    }
}

fn stall(noise: &mut Noise) {
    if noise.below(50) == 0 {
        thread::sleep(Duration::from_millis(noise.below(5) as u64));
    }
}

#[test]
fn messages_of_random_lengths_keep_their_bounds() {
    let (adit, _backend) = echo(&["--framing", "length-u32"]);
    let mut client = adit.client();
    let mut noise = Noise::new(7);
    let messages: Vec<_> = (0..400)
        .map(|_| {
            let most = [20, 2000, 70_000][noise.below(3)];
            let len = noise.below(most);
            noise.bytes(len)
        })
        .collect();
    let frames: Vec<_> = messages.iter().map(|m| frame(BINARY, m)).collect();
    let mut writer = client.socket.handle();
    let writer = thread::spawn(move || in_pieces(8, &frames.concat(), |piece| writer.say(piece)));
    for message in messages {
        assert_eq!(Checksum::of(&client.message().1), Checksum::of(&message));
    }
    writer.join().unwrap();
}

/// Writes `bytes` over and over until no more is taken; how much that was.
fn flood(socket: &mut Socket, bytes: &[u8]) -> usize {
    socket.patience(STALL);
    let mut taken = 0;
    let end = loop {
        // Each round goes on where the last write was cut.
        match socket.write(&bytes[taken % bytes.len()..]) {
            Ok(n) => taken += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => break taken,
            Err(e) => panic!("after {taken} bytes: {e}"),
        }
        assert!(taken < FLOOD, "{taken} bytes taken, and no end");
    };
    socket.patience(PATIENCE);
    end
}

#[test]
fn a_client_that_never_reads_stops_its_backend_and_costs_little() {
    let (adit, mut client, mut service) = tunnel(&["--ping-interval", "off"]);
    let before = memory(&adit);
    let said = flood(&mut service, &[b'x'; 65536]);
    assert!(
        memory(&adit) < before + SLACK,
        "{before} bytes became {}",
        memory(&adit)
    );

    // Its own way to the backend is not stopped by that.
    client.send(BINARY, b"still speaking");
    assert_eq!(service.hear(14), b"still speaking");

    // And nothing was lost.
    service.finish();
    assert!(client.payload(said).iter().all(|byte| *byte == b'x'));
    client.expect_close(1000);
}

#[test]
fn a_backend_that_never_reads_stops_its_client_and_costs_little() {
    let (adit, mut client, mut service) = tunnel(&["--ping-interval", "off"]);
    let before = memory(&adit);
    let bytes = frame(BINARY, &[b'x'; 1000]);
    let taken = flood(&mut client.socket, &bytes);
    assert!(
        memory(&adit) < before + SLACK,
        "{before} bytes became {}",
        memory(&adit)
    );

    // Its way to the client is not stopped by that.
    service.say(b"still speaking");
    assert_eq!(client.payload(14), b"still speaking");

    // And nothing was lost.
    let frames = taken.div_ceil(bytes.len());
    let rest = bytes[bytes.len() - (frames * bytes.len() - taken)..].to_vec();
    let mut writer = client.socket.handle();
    let writer = thread::spawn(move || writer.say(&rest));
    assert!(service.hear(frames * 1000).iter().all(|byte| *byte == b'x'));
    writer.join().unwrap();
    client.close(1000);
}

#[test]
fn small_frames_to_a_backend_that_never_reads_cost_little() {
    for framing in ["lines", "length-u32", "record"] {
        let options = ["--framing", framing, "--ping-interval", "off"];
        let (adit, mut client, _service) = tunnel(&options);
        let before = memory(&adit);
        flood(&mut client.socket, &frame(TEXT, b"").repeat(1000));
        assert!(memory(&adit) < before + SLACK, "{framing}");
    }
}

#[test]
fn a_backend_of_small_messages_and_a_client_that_never_reads_cost_little() {
    for (framing, message) in [("lines", &b"\n"[..]), ("length-u8", b"\0"), ("json", b"1 ")] {
        let options = ["--framing", framing, "--ping-interval", "off"];
        let (adit, _client, mut service) = tunnel(&options);
        let before = memory(&adit);
        flood(&mut service, &message.repeat(30_000));
        assert!(memory(&adit) < before + SLACK, "{framing}");
    }
}

#[test]
fn two_hundred_tunnels_echo_while_one_floods() {
    let backend = Backend::each(|mut socket| {
        let order = socket.hear(1);
        let mut bytes = vec![b'x'; 65536];
        if order == b"f" {
            while socket.write_all(&bytes).is_ok() {}
        }
        while let Ok(n) = std::io::Read::read(&mut socket, &mut bytes) {
            if n == 0 || socket.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
    });
    let adit = Adit::serve(&[&backend.address]);
    let mut flooded = adit.client();
    flooded.send(BINARY, b"f");
    flooded.message();
    let (stop, stopped) = mpsc::channel::<()>();
    let reader = thread::spawn(move || {
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            flooded.message();
        }
    });
    let mut clients: Vec<_> = (0..200).map(|_| adit.client()).collect();
    clients
        .iter_mut()
        .for_each(|client| client.send(BINARY, b"e"));
    for round in 0..5_u8 {
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(BINARY, &[round, n as u8]);
        }
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.payload(2), [round, n as u8]);
        }
    }
    drop(stop);
    reader.join().unwrap();
}

#[test]
fn pings_of_a_client_that_never_reads_cost_little_and_the_newest_is_answered() {
    let (adit, mut client, _service) = tunnel(&["--ping-interval", "off"]);
    let before = memory(&adit);
    let mut writer = client.socket.handle();
    let (done, is_done) = mpsc::channel();
    let count = 200_000_u32;
    let writer = thread::spawn(move || {
        for n in 0..count / 1000 {
            let pings = (0..1000).map(|i| ping(n * 1000 + i));
            writer.say(&pings.collect::<Vec<_>>().concat());
        }
        done.send(()).unwrap();
    });
    // Until all are sent or adit takes no more: both are right.
    let _ = is_done.recv_timeout(STALL);
    assert!(memory(&adit) < before + SLACK);
    let mut newest = None;
    while newest != Some(count - 1) {
        let pong = client.frame();
        assert_eq!((pong.first, pong.payload.len()), (PONG, 125));
        let n = u32::from_be_bytes(pong.payload[..4].try_into().unwrap());
        assert!(newest < Some(n), "{n} after {newest:?}");
        newest = Some(n);
    }
    writer.join().unwrap();
}

fn ping(n: u32) -> Vec<u8> {
    frame(PING, &[&n.to_be_bytes()[..], &[0; 121]].concat())
}

#[test]
fn a_stuck_client_is_dropped_for_its_silence() {
    let options = ["--ping-interval", "300ms", "--close-timeout", "300ms"];
    let (adit, _client, mut service) = tunnel(&options);
    while service.write_all(&[b'x'; 65536]).is_ok() {}
    adit.wait_for_log("closed");
}

#[test]
fn at_max_connections_clients_wait_and_are_served_in_turn() {
    let backend = Backend::named("hello");
    let adit = Adit::serve(&[&backend.address, "--max-connections", "2"]);
    let greeted = |mut client: Client| {
        assert_eq!(client.payload(5), b"hello");
        client
    };
    let mut open = vec![greeted(adit.client()), greeted(adit.client())];
    let mut waiting: Vec<_> = (0..5)
        .map(|_| {
            let mut client = Client::connect(&adit.address);
            client.say(request("/", &[]).as_bytes());
            client
        })
        .collect();
    while !waiting.is_empty() {
        open.remove(0).close(1000);
        let mut next = waiting.remove(0);
        assert_eq!(next.response().status, 101);
        open.push(greeted(next));
    }
}

#[test]
fn out_of_descriptors_it_waits_without_spinning_and_recovers() {
    let backend = Backend::named("hello");
    for options in ["", "--max-connections 1000"] {
        let mut command = Command::new("sh");
        let script = format!("ulimit -n 40; exec \"$0\" serve 127.0.0.1:0 \"$1\" {options}");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_adit"), &backend.address]);
        let adit = Adit::start(command);
        let mut crowd: Vec<_> = (0..100)
            .map(|_| {
                let mut client = Client::connect(&adit.address);
                client.say(request("/", &[]).as_bytes());
                client
            })
            .collect();
        let cpu = cpu_ticks(&adit);
        thread::sleep(Duration::from_secs(1));
        let spent = cpu_ticks(&adit) - cpu;
        assert!(
            spent < 50,
            "{spent} ticks of CPU time in a second of waiting"
        );

        // Everyone is answered as soon as there is room, by a tunnel or a whole refusal.
        for mut client in crowd.drain(..) {
            let status = client.response().status;
            assert!([101, 502, 503].contains(&status), "{status}");
        }
        let deadline = Instant::now() + PATIENCE;
        while Client::ask(&adit.address, "/", &[]).1.status != 101 {
            assert!(Instant::now() < deadline, "no recovery");
        }
    }
}

#[test]
fn an_ended_tunnel_leaves_nothing_behind() {
    let (adit, _backend) = echo(&[]);
    let files = descriptors(&adit);
    let rounds = |n: usize| {
        for _ in 0..n {
            let mut client = adit.client();
            client.send(BINARY, &[7; 10_000]);
            client.payload(10_000);
            client.close(1000);
        }
    };
    rounds(20);
    let before = memory(&adit);
    rounds(300);
    adit.wait_for_logs(320, "closed");
    assert!(memory(&adit) < before + SLACK);
    // A socket may be closed a moment after the log says so.
    let deadline = Instant::now() + PATIENCE;
    while descriptors(&adit) > files {
        assert!(Instant::now() < deadline, "more than {files} descriptors");
        thread::yield_now();
    }
}

/// Resident bytes of the process.
fn memory(adit: &Adit) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", adit.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: usize = line.unwrap()[6..]
        .trim_end_matches("kB")
        .trim()
        .parse()
        .unwrap();
    kib << 10
}

/// CPU time of the process, user and system, in hundredths of a second.
fn cpu_ticks(adit: &Adit) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", adit.id())).unwrap();
    // The name, in parentheses, may hold spaces; times are fields 14 and 15.
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    fields
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u64>().unwrap())
        .sum()
}

/// Open file descriptors of the process.
fn descriptors(adit: &Adit) -> usize {
    fs::read_dir(format!("/proc/{}/fd", adit.id()))
        .unwrap()
        .count()
}
