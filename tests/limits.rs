//! Who may connect: counts and rates of clients, networks, and what a flood of
//! refused connections may cost.

// Limits of several routes, and by a reload, stand in a file.
#![cfg(feature = "config-file")]
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use common::*;

/// The client of this number.
fn loopback(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, n)
}

/// Resident KiB of the process.
fn resident(adit: &Adit) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", adit.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let text = line.unwrap()[6..].trim_end_matches("kB").trim();
    text.parse().unwrap()
}

/// Asks again and again; at least one answer is a refusal with this status, and
/// no more are let in than `rate` a second, and a second's worth at once.
fn expect_rate(rate: u64, status: u16, mut ask: impl FnMut(u8) -> Response) {
    let start = Instant::now();
    let answers: Vec<_> = (0..10).map(|n| (n, ask(n))).collect();
    let most = rate + rate * (start.elapsed().as_secs() + 1);
    let (open, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.1.status == 101);
    assert!(open.len() as u64 <= most, "{} of 10 are let in", open.len());
    assert_eq!(open[0].0, 0, "the first is let in");
    for (_, answer) in &refused {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert!(!refused.is_empty());
    // What the answer says is true.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(ask(0).status, 101);
}

#[test]
fn a_client_has_so_many_connections_at_a_time() {
    let (adit, _backend) = echo(&["--max-connections-per-client", "2"]);
    let _first = adit.client();
    let second = adit.client();
    let (_third, refused) = Client::ask(&adit.address, "/", &[]);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert!(refused.body.contains("`max-connections-per-client`"));
    let line = adit.wait_for_log(" refused: 429, ");
    assert!(line.contains("#3 127.0.0.1:"), "{line}");
    let (_other, answer) = Client::ask_from(loopback(2), &adit.address);
    assert_eq!(answer.status, 101);

    second.close(1000);
    adit.wait_for_log(" closed: ");
    adit.client();
}

#[test]
fn who_comes_over_a_unix_socket_is_nobody_in_particular() {
    let dir = TempDir::new();
    let backend = Backend::echo();
    let options = ["--max-connections-per-client", "1"];
    let rates = ["--new-connections-per-second-per-client", "1"];
    let args = [&[backend.address.as_str()], &options[..], &rates[..]].concat();
    let mut adit = Adit::serve_on(&dir.unix("s"), &args);
    adit.address = dir.unix("s");
    let _clients = [0; 3].map(|_| adit.client());
}

#[test]
fn who_is_far_beyond_gets_no_answer_at_all() {
    let (adit, _backend) = echo(&["--max-connections-per-client", "1"]);
    let connect = || Socket::connect_from(loopback(3).into(), &adit.address);
    // Twice as many and 16 are far beyond; these say nothing.
    let _silent: Vec<_> = (0..18).map(|_| connect()).collect();
    assert!(connect().is_over());
    let line = adit.wait_for_log(" dropped without an answer: too many connections");
    assert!(line.contains(" 127.0.0.3:"), "{line}");
    adit.client();
}

#[test]
fn new_connections_of_a_client_have_a_rate() {
    let (adit, _backend) = echo(&["--new-connections-per-second-per-client", "2"]);
    expect_rate(2, 429, |_| Client::ask(&adit.address, "/", &[]).1);
    for n in 2..10 {
        let (_client, answer) = Client::ask_from(loopback(n), &adit.address);
        assert_eq!(answer.status, 101, "each client has its own");
    }
}

#[test]
fn new_connections_in_all_have_a_rate() {
    let (adit, _backend) = echo(&["--new-connections-per-second", "2"]);
    let ask = |n| Client::ask_from(loopback(n + 1), &adit.address).1;
    expect_rate(2, 503, ask);
}

#[test]
fn new_connections_to_a_route_have_a_rate_and_no_other_routes_suffer() {
    let (slow, fast) = (Backend::bind(), Backend::echo());
    let dir = TempDir::new();
    let file = dir.write(
        "adit.toml",
        &format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\n\
             [[route]]\npath = \"/slow\"\nbackend = \"{}\"\n\
             new-connections-per-second-per-route = 1\n\
             [[route]]\nbackend = \"{}\"\n",
            slow.address, fast.address
        ),
    );
    let adit = Adit::configured(&file, &[]);
    let mut open = 0;
    expect_rate(1, 503, |_| {
        adit.client();
        let (_, answer) = Client::ask(&adit.address, "/slow", &[]);
        open += usize::from(answer.status == 101);
        answer
    });
    (0..open).for_each(|_| drop(slow.accept()));
    assert!(slow.is_alone(), "who is refused never reaches the backend");
}

#[test]
fn the_networks_of_a_route_say_who_may_connect() {
    let backend = Backend::echo();
    let dir = TempDir::new();
    let (port, backend) = ("0", backend.address.as_str());
    let file = dir.write(
        "adit.toml",
        &format!(
            "[[listen]]\naddress = \"{port}\"\n\
             [[listen]]\naddress = \"{}\"\n\
             [[route]]\nbackend = \"{backend}\"\n\
             allow = [\"127.0.0.0/29\", \"::1\"]\ndeny = \"127.0.0.2\"\n\
             [[route]]\npath = \"/all\"\nbackend = \"{backend}\"\n\
             [[route]]\npath = \"/but\"\nbackend = \"{backend}\"\ndeny = [\"127.0.0.0/8\"]\n",
            dir.unix("s")
        ),
    );
    let adit = Adit::configured(&file, &[]);
    // All IPv6 and IPv4 addresses: an IPv4 client comes as an IPv4-mapped one.
    let port = adit.address.rsplit(':').next().unwrap().to_owned();
    let over_4 = format!("127.0.0.1:{port}");
    for (n, expected) in [(1, 101), (2, 403), (7, 101), (8, 403)] {
        let (_, answer) = Client::ask_from(loopback(n), &over_4);
        assert_eq!(answer.status, expected, "127.0.0.{n}");
    }
    let line = adit.wait_for_log(" refused: 403, this address may not connect");
    assert!(line.contains(" 127.0.0.2:"), "{line}");
    let status = |address: &str, path| Client::ask(address, path, &[]).1.status;
    if adit.address.starts_with('[') {
        let over_6 = format!("[::1]:{port}");
        assert_eq!(status(&over_6, "/"), 101);
        assert_eq!(status(&over_6, "/but"), 101);
    }
    assert_eq!(status(&over_4, "/all"), 101);
    assert_eq!(status(&over_4, "/but"), 403);
    // No address lies in no network.
    assert_eq!(status(&dir.unix("s"), "/"), 403);
    assert_eq!(status(&dir.unix("s"), "/but"), 101);
}

#[test]
fn a_check_tries_the_clients_address() {
    let dir = TempDir::new();
    let file = dir.write(
        "adit.toml",
        "[[listen]]\naddress = \"80\"\n[[route]]\nbackend = \"127.0.0.1:1\"\n\
         allow = \"10.0.0.0/8\"\n",
    );
    let check = |client| run(&["check", &file, "--url", "ws://h/", "--client", client]);
    assert_eq!(check("10.1.2.3").status.code(), Some(0));
    let refused = check("192.0.2.1");
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("HTTP 403: this address may not"), "{text}");
    assert_eq!(check("nobody").status.code(), Some(2));
}

#[test]
fn new_limits_hold_from_a_reload_on() {
    let backend = Backend::echo();
    let dir = TempDir::new();
    let write = |limit: &str| {
        let rest = format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\n[[route]]\nbackend = \"{}\"\n",
            backend.address
        );
        dir.write("adit.toml", &format!("{limit}{rest}"))
    };
    let adit = Adit::configured(&write(""), &[]);
    let _clients = [0; 2].map(|_| adit.client());
    write("max-connections-per-client = 2\n");
    adit.signal(rustix::process::Signal::HUP);
    adit.wait_for_log(" reloaded ");
    // Who came before counts.
    let (_client, answer) = Client::ask(&adit.address, "/", &[]);
    assert_eq!(answer.status, 429);
}

/// The number in front of `text`, summed over all lines that have it.
fn told(log: &str, text: &str) -> usize {
    let numbers = log.lines().filter_map(|line| {
        let (before, _) = line.split_once(text)?;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    });
    numbers.sum()
}

/// Waits until the log tells of all `lines`, written or left out, and asserts
/// that few were written.
#[track_caller]
fn expect_rationed(adit: &Adit, lines: usize, written: &str, left_out: &str, since: Instant) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = adit.log();
        let seen = log.lines().filter(|line| line.contains(written)).count();
        if seen + told(&log, left_out) == lines {
            // In any second ten, and the first and the last are not whole.
            let seconds = since.elapsed().as_secs() as usize;
            assert!(seen <= 10 * (seconds + 2), "{seen} lines in {seconds} s");
            return;
        }
        assert!(Instant::now() < deadline, "{seen} of {lines} lines");
        thread::yield_now();
    }
}

#[test]
fn ten_thousand_refused_clients_cost_no_memory_and_few_lines() {
    let (adit, _backend) = echo(&[
        "--max-connections-per-client=1",
        "--new-connections-per-second-per-client=1",
        "--new-connections-per-second=1",
    ]);
    let start = Instant::now();
    let client = |n: u16| {
        let [high, low] = n.to_be_bytes();
        let (_, answer) = Client::ask_from(Ipv4Addr::new(127, 1, high, low), &adit.address);
        assert!([101, 503].contains(&answer.status), "{answer:?}");
        usize::from(answer.status == 503)
    };
    let mut refused: usize = (0..1000).map(client).sum();
    let before = resident(&adit);
    refused += (1000..10_000).map(client).sum::<usize>();
    let grown = resident(&adit).saturating_sub(before);
    assert!(grown <= 2048, "{grown} KiB more");
    expect_rationed(&adit, refused, " refused: 503,", " more refusals", start);
}

#[test]
fn ten_thousand_refused_connections_of_one_client_cost_no_memory_and_few_lines() {
    let (adit, _backend) = echo(&["--max-connections-per-client=1"]);
    let _open = Client::ask_from(loopback(9), &adit.address);
    let start = Instant::now();
    let refused = |_| {
        let (_, answer) = Client::ask_from(loopback(9), &adit.address);
        assert_eq!(answer.status, 429);
    };
    (0..500).for_each(refused);
    let before = resident(&adit);
    (500..10_000).for_each(refused);
    let grown = resident(&adit).saturating_sub(before);
    assert!(grown <= 1024, "{grown} KiB more");
    expect_rationed(&adit, 10_000, " refused: 429,", " more refusals", start);
    adit.client();
}

#[test]
fn a_dead_backend_does_not_fill_the_log() {
    let (address, _bound) = refusing();
    let adit = Adit::serve(&[&address]);
    let start = Instant::now();
    for _ in 0..200 {
        let (_, answer) = Client::ask(&adit.address, "/", &[]);
        assert_eq!(answer.status, 502);
    }
    let failures = format!(" backend {address}: ");
    expect_rationed(&adit, 200, &failures, " more failures of backends", start);
    expect_rationed(&adit, 200, " refused: 502,", " more refusals", start);
}
