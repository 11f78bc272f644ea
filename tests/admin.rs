//! The admin pages: figures that are exact, health that is true, and an
//! entrance that serves nothing else and nobody else.

#![cfg(feature = "admin")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    Adit, Authority, BINARY, Backend, Client, Dialer, PATIENCE, Response, Socket, TEXT, TempDir,
    echo, refusing, request, run,
};
use rustix::process::Signal;
use std::time::Instant;

/// Where the admin pages are.
fn pages_of(adit: &Adit) -> String {
    address_in(&adit.wait_for_log("admin pages at "))
}

fn address_in(line: &str) -> String {
    let (_, rest) = line.split_once("admin pages at ").expect(line);
    rest.strip_suffix(": /healthz and /metrics")
        .expect(line)
        .to_owned()
}

#[track_caller]
fn ask(pages: &str, head: &str) -> Response {
    Client::over_with(Socket::connect(pages), format!("{head}\r\n\r\n").as_bytes()).1
}

#[track_caller]
fn get(pages: &str, path: &str) -> Response {
    ask(pages, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1"))
}

/// What `/metrics` says.
struct Scrape(String);

#[track_caller]
fn scrape(pages: &str) -> Scrape {
    let response = get(pages, "/metrics");
    assert_eq!(response.status, 200, "{response:?}");
    let content_type = response.header("content-type");
    assert_eq!(
        content_type,
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    Scrape(response.body)
}

impl Scrape {
    /// The value of this sample.
    #[track_caller]
    fn value(&self, sample: &str) -> f64 {
        let value = |line: &str| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok();
        let mut values = self.0.lines().filter_map(value);
        let value = values
            .next()
            .unwrap_or_else(|| panic!("no {sample} in\n{}", self.0));
        assert_eq!(values.next(), None, "{sample} stands twice");
        value
    }

    #[track_caller]
    fn expect(&self, samples: &[(&str, f64)]) {
        for &(sample, value) in samples {
            assert_eq!(self.value(sample), value, "{sample}");
        }
    }

    /// The sum of a metric's samples.
    fn sum(&self, metric: &str) -> f64 {
        let of = |line: &&str| line.starts_with(&format!("{metric}{{"));
        let lines = self.0.lines().filter(of);
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }
}

#[test]
fn the_figures_are_exact() {
    let (backend, dir) = (Backend::echo(), TempDir::new());
    let (refusing, _kept) = refusing();
    let file = dir.write(
        "adit.toml",
        &format!(
            "admin = \"127.0.0.1:0\"\nframing = \"lines\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\n\
             [[route]]\npath = \"/chat\"\nsubprotocol = [\"a\", \"b\"]\nbackend = \"{backend}\"\n\
             [[route]]\npath = \"/dead\"\nbackend = \"{refusing}\"\n",
            backend = backend.address
        ),
    );
    let adit = Adit::configured(&file, &[]);
    let pages = pages_of(&adit);
    let fresh = scrape(&pages);
    for metric in ["adit_requests_refused_total", "adit_tunnels_closed_total"] {
        assert_eq!(fresh.sum(metric), 0.0, "{metric}");
    }
    let open = |offer| {
        let offer = format!("Sec-WebSocket-Protocol: {offer}");
        Client::open_with(&adit.address, "/chat", &[&offer]).0
    };
    let (mut first, mut second) = (open("a"), open("b"));
    for text in ["one", "three", ""] {
        first.send(TEXT, text.as_bytes());
        assert_eq!(first.message(), (TEXT, text.into()));
    }
    second.send(BINARY, b"four");
    assert_eq!(second.message(), (TEXT, b"four".to_vec()));
    let of_chat =
        |metric: &str, more: &str| format!("{metric}{{route=\"/chat\",subprotocol=\"a b\"{more}}}");
    let traffic = |messages: f64, bytes: f64, open: f64| {
        let seen = scrape(&pages);
        for (direction, bytes) in [("in", bytes), ("out", bytes)] {
            let direction = format!(",direction=\"{direction}\"");
            seen.expect(&[
                (&of_chat("adit_messages_total", &direction), messages),
                (&of_chat("adit_payload_bytes_total", &direction), bytes),
            ]);
        }
        seen.expect(&[
            (&of_chat("adit_tunnels_open", ""), open),
            (&of_chat("adit_tunnels_opened_total", ""), 2.0),
        ]);
        seen
    };
    let seen = traffic(4.0, 12.0, 2.0);
    let backend_tunnels = format!("adit_backend_tunnels{{backend=\"{}\"}}", backend.address);
    seen.expect(&[("adit_clients", 2.0), (&backend_tunnels, 2.0)]);

    // Whether it is open still or not, what it has moved counts.
    first.close(1000);
    adit.wait_for_logs(1, " closed: ");
    traffic(4.0, 12.0, 1.0);
    second.close(4321);
    adit.wait_for_logs(2, " closed: ");
    for (path, status) in [("/nowhere", 404), ("/chat", 400), ("/dead", 502)] {
        assert_eq!(Client::ask(&adit.address, path, &[]).1.status, status);
    }
    drop(Client::connect(&adit.address));
    let seen = until(&pages, "adit_clients", 0.0);
    let refused = |reason| format!("adit_requests_refused_total{{reason=\"{reason}\"}}");
    seen.expect(&[
        ("adit_connections_accepted_total", 6.0),
        ("adit_connections_dropped_total{reason=\"no_request\"}", 1.0),
        (&refused("not_found"), 1.0),
        (&refused("subprotocol"), 1.0),
        (&refused("backend_unreachable"), 1.0),
        (
            "adit_tunnels_closed_total{cause=\"client_close\",code=\"1000\"}",
            1.0,
        ),
        (
            "adit_tunnels_closed_total{cause=\"client_close\",code=\"4xxx\"}",
            1.0,
        ),
        (&of_chat("adit_backend_connect_seconds_count", ""), 2.0),
        (
            "adit_requests_admitted_total{route=\"/dead\",subprotocol=\"\"}",
            1.0,
        ),
        (
            "adit_backend_connect_failures_total{route=\"/dead\",subprotocol=\"\",cause=\"refused\"}",
            1.0,
        ),
        (
            &format!("adit_backend_up{{backend=\"{}\"}}", backend.address),
            1.0,
        ),
        (&format!("adit_backend_up{{backend=\"{refusing}\"}}"), 0.0),
        (&backend_tunnels, 0.0),
        ("adit_draining", 0.0),
    ]);
    assert_eq!(seen.sum("adit_requests_refused_total"), 3.0);
    assert_eq!(seen.sum("adit_tunnels_closed_total"), 2.0);
    // The scrape is done by a process with a past, memory and files.
    assert!(seen.value("process_resident_memory_bytes") > 100_000.0);
    assert!(seen.value("process_cpu_seconds_total") > 0.0);
    assert!(seen.value("process_start_time_seconds") > 1.7e9);
    assert!(seen.value("process_open_fds") <= seen.value("process_max_fds"));
}

/// Scrapes until a sample has this value.
#[track_caller]
fn until(pages: &str, sample: &str, value: f64) -> Scrape {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = scrape(pages);
        if seen.value(sample) == value {
            return seen;
        }
        assert!(Instant::now() < deadline, "{sample} stays\n{}", seen.0);
        std::thread::yield_now();
    }
}

#[test]
fn what_waits_for_a_side_that_does_not_read_is_told() {
    let backend = Backend::bind();
    let adit = Adit::serve(&[&backend.address, "--admin", "127.0.0.1:0"]);
    let pages = pages_of(&adit);
    let (client, service) = (adit.client(), backend.accept());
    client.socket.small_buffers();
    service.small_buffers();
    let writer = {
        let mut client = client.socket.handle();
        std::thread::spawn(move || {
            let message = common::frame(BINARY, &[7; 60_000]);
            // Until the test ends the connection.
            while std::io::Write::write_all(&mut client, &message).is_ok() {}
        })
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = scrape(&pages);
        if seen.value("adit_queue_bytes{towards=\"backend\"}") > 0.0 {
            assert!(seen.value("adit_tunnel_buffer_bytes") > 0.0);
            break;
        }
        assert!(Instant::now() < deadline, "nothing waits\n{}", seen.0);
        std::thread::yield_now();
    }
    drop(service);
    client.socket.reset();
    drop(adit);
    writer.join().unwrap();
}

#[test]
fn the_health_is_503_while_it_drains() {
    let (mut adit, _backend) = echo(&["--admin", "127.0.0.1:0"]);
    let pages = pages_of(&adit);
    let client = adit.client();
    let health = get(&pages, "/healthz");
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    // Who is there already is not turned away.
    let mut early = Client::connect(&pages);
    adit.signal(Signal::TERM);
    adit.wait_for_log("stopping: connections left: 1;");
    let health = get(&pages, "/healthz");
    assert_eq!((health.status, health.body.as_str()), (503, "draining\n"));
    scrape(&pages).expect(&[("adit_draining", 1.0), ("adit_clients", 1.0)]);
    early.say(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(early.response().status, 503);
    // No visitor keeps it from its end.
    let _late = Client::connect(&pages);
    client.close(1000);
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn the_health_is_503_with_every_backend_down() {
    let (alive, dir) = (Backend::echo(), TempDir::new());
    let [(first, _a), (second, _b), (third, _c)] = [refusing(), refusing(), refusing()];
    let write = |more: &str| {
        dir.write(
            "adit.toml",
            &format!(
                "admin = \"127.0.0.1:0\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
                 [[route]]\npath = \"/one\"\nbackend = \"{first}\"\n\
                 [[route]]\npath = \"/two\"\nbackend = [\"{second}\", \"{third}\"]\n{more}"
            ),
        )
    };
    let adit = Adit::configured(&write(""), &[]);
    let pages = pages_of(&adit);
    let health = || {
        let health = get(&pages, "/healthz");
        (health.status, health.body)
    };
    let ask = |path, status| assert_eq!(Client::ask(&adit.address, path, &[]).1.status, status);
    assert_eq!(health(), (200, "ok\n".into()), "nobody has tried yet");
    ask("/two", 503);
    let two = "every backend of /two is down\n";
    assert_eq!(health(), (200, format!("ok\n{two}")));
    ask("/one", 502);
    let one = "every backend of /one is down\n";
    assert_eq!(health(), (503, format!("{one}{two}")));
    // A route that leads somewhere is worth to be sent here for.
    let third = format!("[[route]]\nbackend = \"{}\"\n", alive.address);
    write(&third);
    adit.signal(Signal::HUP);
    adit.wait_for_log(" reloaded ");
    assert_eq!(health(), (200, format!("ok\n{one}{two}")));
}

#[test]
fn a_full_server_still_answers() {
    let (adit, _backend) = echo(&["--admin", "127.0.0.1:0", "--max-connections", "1"]);
    let pages = pages_of(&adit);
    let client = adit.client();
    let mut waiting = Client::connect(&adit.address);
    waiting.say(request("/", &[]).as_bytes());
    // Who looks ends no pause and begins none.
    for _ in 0..3 {
        scrape(&pages).expect(&[
            ("adit_clients", 1.0),
            ("adit_clients_max", 1.0),
            ("adit_accept_pauses_total{cause=\"full\"}", 1.0),
            ("adit_accept_pauses_total{cause=\"error\"}", 0.0),
        ]);
    }
    assert_eq!(get(&pages, "/healthz").status, 200);
    client.close(1000);
    assert_eq!(waiting.response().status, 101);
    scrape(&pages).expect(&[("adit_accept_pauses_total{cause=\"full\"}", 2.0)]);
}

#[test]
fn visitors_are_few_and_take_no_clients_place() {
    let (adit, _backend) = echo(&[
        "--admin=127.0.0.1:0",
        "--handshake-timeout=3s",
        "--max-connections-per-client=1",
        "--new-connections-per-second-per-client=1",
    ]);
    let pages = pages_of(&adit);
    let _silent: Vec<_> = (0..24).map(|_| Client::connect(&pages)).collect();
    adit.client();
    // It waits until the silent ones have used up their time, 16 at once.
    let seen = scrape(&pages);
    seen.expect(&[
        ("adit_connections_accepted_total", 1.0),
        ("adit_connections_dropped_total{reason=\"no_request\"}", 0.0),
    ]);
    assert!(seen.value("process_open_fds") < 32.0);
}

#[test]
fn nothing_but_two_pages_is_served_there() {
    let (adit, backend) = tunnel_backend();
    let pages = pages_of(&adit);
    let upgrade = |path| request(path, &["Host: 127.0.0.1"]);
    for (head, status) in [
        ("GET / HTTP/1.1\r\nHost: localhost", 404),
        ("GET /metrics/x HTTP/1.1\r\nHost: localhost", 404),
        ("POST /metrics HTTP/1.1\r\nHost: localhost", 405),
        ("DELETE /healthz HTTP/1.1\r\nHost: localhost", 405),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example:9090", 421),
        ("GET /metrics HTTP/1.1", 400),
        // As haproxy's `option httpchk GET /healthz` asks.
        ("GET /healthz HTTP/1.0", 200),
        ("GET /metrics HTTP/1.0\r\nHost: evil.example", 421),
        ("nonsense", 400),
        (upgrade("/").trim_end(), 404),
        (upgrade("/metrics").trim_end(), 200),
    ] {
        let response = ask(&pages, head);
        assert_eq!(response.status, status, "{head}: {response:?}");
        let allow = (status == 405).then_some("GET, HEAD");
        assert_eq!(response.header("allow"), allow, "{head}");
    }
    // A HEAD gets the head that a GET would get, and nothing behind it.
    for path in ["/healthz", "/metrics"] {
        let mut socket = Socket::connect(&pages);
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: [::1]:9090\r\n\r\n");
        socket.say(head.as_bytes());
        let answer = String::from_utf8(socket.hear_all()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(!answer.contains("Content-Length: 0\r\n"), "{answer}");
    }
    assert!(backend.is_alone(), "nobody came to the backend from there");
    let seen = scrape(&pages);
    assert_eq!(seen.sum("adit_requests_refused_total"), 0.0);
    seen.expect(&[("adit_connections_accepted_total", 0.0)]);
    // Nor are the pages anywhere else.
    let elsewhere = get(&adit.address, "/metrics");
    assert_eq!(elsewhere.status, 426);
}

fn tunnel_backend() -> (Adit, Backend) {
    let backend = Backend::bind();
    let adit = Adit::serve(&[&backend.address, "--admin", "127.0.0.1:0"]);
    (adit, backend)
}

#[test]
fn tls_handshakes_are_counted() {
    let (authority, dir) = (Authority::new("adit test"), TempDir::new());
    let backend = Backend::echo();
    let (cert, key) = authority.issue(&["localhost"]).write(&dir, "own");
    let options = ["--tls-cert", &cert, "--tls-key", &key];
    let args = [&[&*backend.address, "--admin", "127.0.0.1:0"], &options[..]].concat();
    let adit = Adit::serve(&args);
    let pages = pages_of(&adit);
    let dialer = Dialer::new(&authority);
    for _ in 0..2 {
        let mut client = dialer.open(&adit.address);
        // The ticket comes before the echo.
        client.send(TEXT, b"x");
        client.message();
    }
    assert!(
        Dialer::new(&Authority::new("a stranger"))
            .try_dial(&adit.address)
            .is_err()
    );
    drop(Client::connect(&adit.address));
    let result = |result| format!("adit_tls_handshakes_total{{result=\"{result}\"}}");
    let seen = until(&pages, &result("failed"), 1.0);
    seen.expect(&[(&result("full"), 1.0), (&result("resumed"), 1.0)]);
}

#[test]
fn a_dead_admin_socket_is_replaced_and_a_live_one_refused() {
    let (dir, backend) = (TempDir::new(), Backend::echo());
    let pages = dir.unix("admin");
    drop(std::os::unix::net::UnixListener::bind(dir.path("admin")).unwrap());
    assert!(dir.path("admin").exists());
    let args = [backend.address.as_str(), "--admin", &pages];
    let mut adit = Adit::serve(&args);
    assert_eq!(pages_of(&adit), pages);
    scrape(&pages);
    // Nobody rebinds a Unix socket's name.
    let foreign = ask(&pages, "GET /healthz HTTP/1.1\r\nHost: anything");
    assert_eq!(foreign.status, 200);

    let second = run(&[&["serve", "127.0.0.1:0"], &args[..]].concat());
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    let expected =
        format!("adit: cannot listen on {pages}: another process listens on this socket");
    assert!(text.contains(&expected), "{text}");
    scrape(&pages);

    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0));
    assert!(!dir.path("admin").exists());
    dir.write("admin", "a file");
    let third = run(&[&["serve", "127.0.0.1:0"], &args[..]].concat());
    let text = String::from_utf8(third.stderr).unwrap();
    assert!(text.contains("the file exists and is no socket"), "{text}");
}

#[test]
fn its_address_is_nobody_elses() {
    let (adit, backend) = tunnel_backend();
    let taken = pages_of(&adit);
    let args = ["serve", "127.0.0.1:0", &backend.address, "--admin", &taken];
    for args in [&args[..], &[&args[..], &["--reuse-port"]].concat()] {
        let refused = run(args);
        assert_eq!(refused.status.code(), Some(1));
        let text = String::from_utf8(refused.stderr).unwrap();
        let expected = format!("adit: cannot listen on {taken}: Address already in use");
        assert!(text.contains(&expected), "{text}");
        assert!(!text.contains("reuse-port"), "it would not help: {text}");
    }
}

#[test]
fn a_reload_opens_moves_and_closes_it() {
    let (dir, backend) = (TempDir::new(), Backend::echo());
    let (first, second) = (dir.unix("first"), dir.unix("second"));
    let write = |admin: &str, listen: &str| {
        let rest = format!("[[route]]\nbackend = \"{}\"\n", backend.address);
        let listen = format!("[[listen]]\naddress = \"{listen}\"\n");
        dir.write("adit.toml", &format!("{admin}{listen}{rest}"))
    };
    let adit = Adit::configured(&write("", "127.0.0.1:0"), &[]);
    let reload = |n, admin: &str, listen: &str| {
        write(admin, listen);
        adit.signal(Signal::HUP);
        adit.wait_for_logs(n, " reloaded ");
    };
    let client = adit.client();
    // Beside the file, where no socket was at the start, none can be made in
    // the sandbox; a port can.
    reload(1, "admin = \"127.0.0.1:0\"\n", "127.0.0.1:0");
    let pages = pages_of(&adit);
    let admitted = "adit_requests_admitted_total{route=\"/\",subprotocol=\"\"}";
    scrape(&pages).expect(&[(admitted, 1.0)]);
    reload(2, "admin = \"localhost:0\"\n", "127.0.0.1:0");
    let line = adit.wait_for_logs(2, "admin pages at ").remove(1);
    let moved = address_in(&line);
    // What was counted is still known.
    scrape(&moved).expect(&[(admitted, 1.0)]);
    assert!(std::net::TcpStream::connect(&pages).is_err());
    reload(3, "", "127.0.0.1:0");
    assert!(std::net::TcpStream::connect(&moved).is_err());
    client.close(1000);

    // An address that changes sides is another entrance.
    let adit = Adit::configured(&write(&format!("admin = \"{first}\"\n"), &second), &[]);
    assert_eq!(get(&first, "/healthz").status, 200);
    Client::open(&second);
    adit.signal(Signal::HUP);
    adit.wait_for_log(" reloaded ");
    assert_eq!(get(&first, "/healthz").status, 200);
}

#[test]
fn who_opens_it_to_others_is_warned_and_a_bare_port_is_refused() {
    let (adit, _backend) = echo(&["--admin", "0.0.0.0:0"]);
    adit.wait_for_log(": whoever can connect there can read them");
    let (adit, _backend) = echo(&["--admin", "127.0.0.1:0"]);
    adit.wait_for_log("admin pages at 127.0.0.1:");
    adit.client();
    assert!(!adit.log().contains("whoever can connect"));
    let refused = run(&["serve", "127.0.0.1:0", "127.0.0.1:1", "--admin", "9090"]);
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8(refused.stderr).unwrap();
    let expected = "adit: admin \"9090\": no host; write 127.0.0.1:9090 for this machine alone";
    assert!(text.contains(expected), "{text}");
}
