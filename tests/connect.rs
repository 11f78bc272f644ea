//! `adit connect`: the framing on this side, the WebSocket client on the other.

// The client end.
#![cfg(feature = "connect")]
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output, Stdio};

use common::{
    Adit, BINARY, Backend, CLOSE, Checksum, Far, Noise, PING, PONG, Socket, TEXT, TempDir, close,
    connect, header, refusing,
};

/// `adit connect - ws://ADDRESS/ ARGS…` with pipes for everything.
fn stdio(address: &str, args: &[&str]) -> Child {
    let url = format!("ws://{address}/");
    piped(connect(&[&["-", &url][..], args].concat()))
}

fn piped(mut command: Command) -> Child {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// What it wrote, its one line of reason, and its exit code.
#[track_caller]
fn end(child: Child) -> (Vec<u8>, String, i32) {
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let reason = String::from_utf8(stderr).unwrap();
    let lines = usize::from(!status.success());
    assert_eq!(reason.lines().count(), lines, "{reason}");
    (stdout, reason, status.code().expect("no signal"))
}

/// A backend that says how many bytes came before the end, and their sum.
fn counting() -> Backend {
    Backend::each(|mut socket| {
        let mut all = Vec::new();
        if socket.read_to_end(&mut all).is_ok() {
            let answer = format!("{} {:?}", all.len(), Checksum::of(&all));
            let _ = socket.write_all(answer.as_bytes());
        }
    })
}

#[test]
fn the_end_of_the_input_reaches_the_backend_and_its_answer_arrives() {
    let backend = counting();
    let adit = Adit::serve(&[&backend.address]);
    for len in [0, 5, 1 << 20] {
        let bytes = Noise::new(7).bytes(len);
        let mut child = stdio(&adit.address, &[]);
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let (answer, _, code) = end(child);
        let expected = format!("{len} {:?}", Checksum::of(&bytes));
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
        assert_eq!(code, 0);
    }
}

#[test]
fn input_and_output_may_be_files_a_socket_or_nothing() {
    let backend = counting();
    let adit = Adit::serve(&[&backend.address]);
    let url = format!("ws://{}/", adit.address);
    let temp = TempDir::new();
    temp.write("in", "hello");
    let expected = format!("5 {:?}", Checksum::of(b"hello"));

    let output = File::create(temp.path("out")).unwrap();
    let status = connect(&["-", &url])
        .stdin(File::open(temp.path("in")).unwrap())
        .stdout(output)
        .status();
    assert!(status.unwrap().success());
    let written = std::fs::read_to_string(temp.path("out")).unwrap();
    assert_eq!(written, expected);

    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let mut child = connect(&["-", &url]);
    child.stdin(theirs.try_clone().unwrap()).stdout(theirs);
    let mut running = child.spawn().unwrap();
    drop(child);
    ours.write_all(b"hello").unwrap();
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    ours.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, expected);
    assert!(running.wait().unwrap().success());

    let nothing = connect(&["-", &url]).stdin(Stdio::null()).output().unwrap();
    assert!(nothing.status.success());
    assert!(nothing.stdout.starts_with(b"0 "), "{nothing:?}");
}

#[test]
fn an_output_that_takes_nothing_is_a_failure() {
    let adit = Adit::serve(&[&Backend::named("hello").address]);
    let url = format!("ws://{}/", adit.address);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = connect(&["-", &url]);
    let child = command.stdin(Stdio::null()).stdout(full);
    let (_, reason, code) = end(child.stderr(Stdio::piped()).spawn().unwrap());
    assert_eq!(code, 1);
    assert!(
        reason.starts_with("adit: standard output: No space left"),
        "{reason}"
    );
}

#[test]
fn an_input_that_cannot_be_read_is_a_failure() {
    let backend = counting();
    let adit = Adit::serve(&[&backend.address]);
    let mut command = connect(&["-", &format!("ws://{}/", adit.address)]);
    command.stdin(Stdio::from(File::open("/").unwrap()));
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let (_, reason, code) = end(child.unwrap());
    assert!(
        reason.starts_with("adit: standard input: Is a directory"),
        "{reason}"
    );
    assert_eq!(code, 1);
}

#[test]
fn a_server_without_half_closes_gets_a_close_and_is_heard_until_its_own() {
    let server = Backend::bind();
    let mut child = stdio(&server.address, &[]);
    let mut far = Far::open(&server);
    child.stdin.take().unwrap().write_all(b"question").unwrap();
    far.expect(BINARY, b"question");
    far.expect_close(1000);
    far.send(BINARY, b"answer");
    far.send(CLOSE, &close(1000, ""));
    far.socket.finish();
    let (answer, _, code) = end(child);
    assert_eq!((&answer[..], code), (&b"answer"[..], 0));
}

#[test]
fn a_server_with_half_closes_gets_one_and_then_only_control_frames() {
    let server = Backend::bind();
    let mut child = stdio(&server.address, &[]);
    let mut far = Far::open_with(&server, &["Sec-WebSocket-Extensions: adit-half-close"]);
    drop(child.stdin.take());
    far.expect(0x8b, b"");
    far.send(PING, b"there?");
    far.expect(PONG, b"there?");
    far.send(TEXT, b"answer");
    far.close(1000);
    let (answer, _, code) = end(child);
    assert_eq!((&answer[..], code), (&b"answer"[..], 0));
}

#[test]
fn only_a_clean_close_is_a_success() {
    let (violation, too_big) = (
        &[0xc1, 0][..],
        &[0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0, b'x'][..],
    );
    for (frame, answer, reason) in [
        (&[CLOSE, 2, 3, 232][..], 1000, ""),
        (&[CLOSE, 0], 0, ""),
        (&[CLOSE, 2, 3, 233], 1001, "server close, 1001"),
        (&[CLOSE, 4, 3, 243, b'n', b'o'], 1011, "server close, 1011"),
        (&[CLOSE, 2, 15, 160], 4000, "server close, 4000"),
        (
            violation,
            1002,
            "reserved bit set without an extension, 1002",
        ),
        (
            &[0x81, 0x81, 1, 2, 3, 4, 5],
            1002,
            "masked frame from a server, 1002",
        ),
        (&[0x81, 1, 0xff], 1007, "text is not valid UTF-8, 1007"),
        (
            too_big,
            1009,
            "message of 4294967296 bytes exceeds length-u8 255, 1009",
        ),
        (&[0x8b, 0], 1002, "reserved opcode, 1002"),
    ] {
        let server = Backend::bind();
        let mut child = stdio(&server.address, &["--framing", "length-u8"]);
        let input = child.stdin.take();
        let mut far = Far::open_with(&server, &["Sec-WebSocket-Extensions: adit-half-close"]);
        far.socket.say(frame);
        match answer {
            0 => far.expect(CLOSE, b""),
            code => far.expect_close(code),
        }
        far.socket.finish();
        assert_eq!(far.socket.hear_all(), b"");
        let (_, seen, code) = end(child);
        drop(input);
        let expected = if reason.is_empty() {
            (String::new(), 0)
        } else {
            (format!("adit: {reason}\n"), 1)
        };
        assert_eq!((seen, code), expected);
    }
}

#[test]
fn a_server_that_is_gone_without_a_close_is_a_failure() {
    for ended_first in [false, true] {
        let server = Backend::bind();
        let mut child = stdio(&server.address, &[]);
        let mut far = Far::open(&server);
        let input = child.stdin.take().filter(|_| !ended_first);
        if ended_first {
            far.expect_close(1000);
        }
        drop(far);
        let (_, reason, code) = end(child);
        drop(input);
        assert_eq!(code, 1);
        assert!(reason.starts_with("adit: server gone without"), "{reason}");
    }
}

#[test]
fn an_answer_that_is_no_welcome_is_shown() {
    let sample =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let wrong_key = format!("{sample}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    for (answer, reason) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nno\n",
            "the server answered \"HTTP/1.1 403 Forbidden\": \"no\"",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 4\r\n\r\nbody",
            "the server answered \"HTTP/1.1 302 Found\", so go to \"/other\" (--follow)",
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
            "the server answered \"HTTP/1.1 103 Early Hints\"",
        ),
        (&wrong_key, "Sec-WebSocket-Accept does not fit the key"),
        (
            "SSH-2.0-OpenSSH\r\n",
            "the server answered \"SSH-2.0-OpenSSH\", which is not HTTP/1.1",
        ),
        ("", "the server ended the connection without a whole answer"),
    ] {
        let server = Backend::bind();
        let child = stdio(&server.address, &[]);
        let (mut far, _) = Far::accept(&server);
        far.socket.say(answer.as_bytes());
        far.socket.finish();
        let (_, seen, code) = end(child);
        assert_eq!(code, 1);
        assert!(
            seen.starts_with(&format!("adit: ws://{}/: ", server.address)),
            "{seen}"
        );
        assert!(seen.contains(reason), "{seen}");
    }
}

#[test]
fn what_was_not_asked_for_is_refused() {
    for (line, reason) in [
        (
            "Sec-WebSocket-Protocol: mqtt",
            "subprotocol \"mqtt\", which was not asked for",
        ),
        (
            "Sec-WebSocket-Extensions: permessage-deflate",
            "extension \"permessage-deflate\", which",
        ),
    ] {
        let server = Backend::bind();
        let child = stdio(&server.address, &["--subprotocol", "chat"]);
        let far = Far::open_with(&server, &[line]);
        let (_, reason_seen, code) = end(child);
        drop(far);
        assert_eq!(code, 1);
        assert!(reason_seen.contains(reason), "{reason_seen}");
    }
}

#[test]
fn the_request_says_what_the_options_say() {
    let server = Backend::bind();
    let temp = TempDir::new();
    let token = temp.write("token", "abc.def\n");
    let url = format!("ws://{}/a?b=c", server.address);
    let child = piped(connect(&[
        "-",
        &url,
        "--header=X-Key: one",
        "--header",
        "X-Key:two",
        "--origin",
        "https://app.example",
        "--host",
        "front.example:8080",
        "--subprotocol=superchat",
        "--subprotocol=chat",
        "--token-file",
        &token,
    ]));
    let (mut far, request) = Far::accept(&server);
    assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\nHost: front.example:8080\r\n"));
    for line in [
        "X-Key: one",
        "X-Key: two",
        "Origin: https://app.example",
        "Sec-WebSocket-Protocol: superchat, chat",
        "Sec-WebSocket-Version: 13",
        "Authorization: Bearer abc.def",
    ] {
        assert!(
            request.contains(&format!("\r\n{line}\r\n")),
            "{line}: {request}"
        );
    }
    far.welcome(&request, &["Sec-WebSocket-Protocol: chat"]);
    far.close(1000);
    assert_eq!(end(child).2, 0);
}

#[test]
fn credentials_come_from_the_url_or_the_environment() {
    let server = Backend::bind();
    let url = format!("ws://me:p%40ss@{}/", server.address);
    for (url, token, expected) in [
        (url.clone(), "", "Basic bWU6cEBzcw=="),
        (url.replace("me:p%40ss@", ""), "t.o.k", "Bearer t.o.k"),
    ] {
        let mut command = connect(&["-", &url, "-v"]);
        command.env("ADIT_TOKEN", token).stdin(Stdio::null());
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (mut far, request) = Far::accept(&server);
        assert_eq!(header(&request, "Authorization"), Some(expected));
        far.welcome(&request, &[]);
        far.close(1000);
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains("opened") && !log.contains("p%40ss"), "{log}");
        assert!(!log.contains("t.o.k") && !log.contains("bWU6"), "{log}");
    }
}

#[test]
fn lines_are_messages_and_each_type_is_passed_on() {
    let server = Backend::bind();
    let mut child = stdio(&server.address, &["--framing", "lines"]);
    let mut far = Far::open(&server);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"{\"a\":1}\nlast").unwrap();
    far.expect(TEXT, b"{\"a\":1}");
    far.send(TEXT, b"text");
    far.send(BINARY, b"binary");
    far.send(TEXT & 0x7f, b"in two ");
    far.send(0x80, b"parts");
    drop(input);
    let first = far.frame();
    assert_eq!(first.first & 0x7f, 1, "{first:?}");
    let mut rest = first;
    let mut last = rest.payload.clone();
    while rest.first & 0x80 == 0 {
        rest = far.frame();
        last.extend_from_slice(&rest.payload);
    }
    assert_eq!(last, b"last");
    far.answer_close(1000);
    let (lines, _, code) = end(child);
    assert_eq!(
        (&lines[..], code),
        (&b"text\nbinary\nin two parts\n"[..], 0)
    );
}

#[test]
fn the_type_of_frames_can_be_chosen() {
    for (frame_type, first) in [("text", TEXT), ("binary", BINARY)] {
        let server = Backend::bind();
        let mut child = stdio(&server.address, &["--frame-type", frame_type]);
        let mut far = Far::open(&server);
        child.stdin.take().unwrap().write_all(b"hello").unwrap();
        far.expect(first, b"hello");
        far.expect_close(1000);
        far.send(CLOSE, &close(1000, ""));
        drop(far);
        assert_eq!(end(child).2, 0);
    }
}

#[test]
fn no_key_masks_two_frames() {
    let server = Backend::bind();
    let adit = Adit::start(connect(&["0", &format!("ws://{}/", server.address)]));
    let mut local = Socket::connect(&adit.address);
    let mut far = Far::open(&server);
    let mut keys = std::collections::HashSet::new();
    for _ in 0..200 {
        local.say(b"x");
        let masked = far.socket.hear(7);
        assert_eq!(masked[..2], [BINARY, 0x81]);
        assert_eq!(masked[6] ^ masked[2], b'x');
        keys.insert(masked[2..6].to_vec());
    }
    assert!(keys.len() > 198, "{}", keys.len());
}

#[test]
fn each_local_connection_has_a_websocket_of_its_own() {
    let temp = TempDir::new();
    let unix = temp.path("local.sock");
    let server = Backend::bind();
    let url = format!("ws://{}/", server.address);
    let by_option = connect(&["--unix-listen", unix.to_str().unwrap(), "--mode=0600", &url]);
    for command in [connect(&["0", &url]), by_option] {
        let adit = Adit::start(command);
        let mut locals = Vec::new();
        for n in 0..3_u8 {
            let mut local = Socket::connect(&adit.address);
            local.say(&[n]);
            let mut far = Far::open(&server);
            far.expect(BINARY, &[n]);
            locals.push((local, far));
        }
        for (n, (local, far)) in locals.iter_mut().enumerate() {
            far.send(BINARY, &[n as u8]);
            assert_eq!(local.hear(1), [n as u8]);
            far.close(1000);
            assert!(local.is_over());
        }
        adit.wait_for_logs(3, "closed: server close, 1000");
    }
}

#[test]
fn a_local_connection_that_cannot_be_led_anywhere_is_reset() {
    let (address, _kept) = refusing();
    let adit = Adit::start(connect(&["0", &format!("ws://{address}/")]));
    assert!(adit.address.starts_with("127.0.0.1:"), "{}", adit.address);
    for _ in 0..2 {
        let mut local = Socket::connect(&adit.address);
        let e = local.read(&mut [0]).unwrap_err();
        assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
    }
    adit.wait_for_logs(2, &format!("refused: ws://{address}/: Connection refused"));
}

#[test]
fn a_local_connection_too_many_is_reset_and_does_not_wait() {
    let server = Backend::bind();
    let url = format!("ws://{}/", server.address);
    let adit = Adit::start(connect(&["--max-connections", "1", "0", &url]));
    let mut first = Socket::connect(&adit.address);
    let mut far = Far::open(&server);
    for _ in 0..2 {
        let mut second = Socket::connect(&adit.address);
        let e = second.read(&mut [0]).unwrap_err();
        assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
    }
    adit.wait_for_logs(2, "refused: as many connections as may be: 1");
    first.say(b"a");
    far.expect(BINARY, b"a");
    drop(first);
    far.answer_close(1000);
    adit.wait_for_log("closed");
    // There is room again.
    let _third = Socket::connect(&adit.address);
    Far::open(&server);
}

#[test]
fn what_fails_for_now_is_tried_again() {
    let (address, socket) = refusing();
    let mut child = stdio(&address, &["--retry", "-v"]);
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Connection refused (os error 111); again in 0.") {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut log, &mut line).unwrap(), 0);
    }
    socket.listen(5).unwrap();
    let (stream, _) = socket.accept().unwrap();
    let (mut far, request) = Far::over(Socket::Tcp(stream.into()).prepared());
    far.welcome(&request, &[]);
    far.close(1000);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_will_not_change_is_not_tried_again() {
    let server = Backend::bind();
    let child = stdio(&server.address, &["--retry"]);
    let (mut far, _) = Far::accept(&server);
    far.socket.say(b"HTTP/1.1 404 Not Found\r\n\r\n");
    let (_, reason, code) = end(child);
    assert!(reason.contains("404 Not Found"), "{reason}");
    assert_eq!(code, 1);
}

#[test]
fn redirects_are_followed_when_that_is_asked_for() {
    let (first, second) = (Backend::bind(), Backend::bind());
    for (limit, status) in [("2", 0), ("1", 1)] {
        let child = stdio(
            &first.address,
            &["--follow", limit, "--header=Cookie: secret"],
        );
        let (mut far, request) = Far::accept(&first);
        assert_eq!(header(&request, "Cookie"), Some("secret"));
        far.socket
            .say(b"HTTP/1.1 307 Go\r\nLocation: /b?c\r\nContent-Length: 2\r\n\r\nhm");
        let (mut far, request) = Far::accept(&first);
        assert!(request.starts_with("GET /b?c "), "{request}");
        let location = format!("http://{}/d", second.address);
        let answer = format!("HTTP/1.1 301 Go\r\nLocation: {location}\r\n\r\n");
        far.socket.say(answer.as_bytes());
        if status == 0 {
            let (mut far, request) = Far::accept(&second);
            assert!(request.starts_with("GET /d "), "{request}");
            assert_eq!(header(&request, "Cookie"), None);
            far.welcome(&request, &[]);
            far.close(1000);
        }
        let (_, reason, code) = end(child);
        assert_eq!(code, status, "{reason}");
        assert_eq!(
            reason.contains("more redirects than 1 (--follow)"),
            status == 1,
            "{reason}"
        );
    }
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let server = Backend::bind();
    let child = stdio(&server.address, &["--handshake-timeout", "100ms"]);
    let _silent = server.accept();
    let (_, reason, code) = end(child);
    assert!(reason.ends_with("handshake timeout\n"), "{reason}");
    assert_eq!(code, 1);
}

#[test]
fn a_server_that_dies_is_noticed_by_pings() {
    let server = Backend::bind();
    let mut child = stdio(
        &server.address,
        &["--ping-interval", "50ms", "--close-timeout", "50ms"],
    );
    let mut far = Far::open(&server);
    far.expect(PING, b"");
    far.send(PONG, b"");
    far.expect(PING, b"");
    let (_, reason, code) = {
        let input = child.stdin.take();
        let ended = end(child);
        drop(input);
        ended
    };
    assert!(
        reason.contains("no sign of life from the server"),
        "{reason}"
    );
    assert_eq!(code, 1);
}

#[test]
fn stopping_closes_each_websocket() {
    let server = Backend::bind();
    let url = format!("ws://{}/", server.address);
    let mut adit = Adit::start(connect(&["0", &url]));
    let mut local = Socket::connect(&adit.address);
    let mut far = Far::open(&server);
    adit.wait_for_log("opened");
    adit.signal(rustix::process::Signal::TERM);
    adit.wait_for_log("stopping: connections left: 1");
    local.say(b"last");
    far.expect(BINARY, b"last");
    drop(local);
    far.answer_close(1000);
    assert_eq!(adit.wait().code(), Some(0));
}

#[test]
fn standard_input_and_output_are_stopped_at_once() {
    let server = Backend::bind();
    let mut child = stdio(&server.address, &[]);
    let mut far = Far::open(&server);
    // Both sides know that it is open.
    far.send(BINARY, b"a");
    let mut seen = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut seen)
        .unwrap();
    // The input stays open, as a terminal does.
    let input = child.stdin.take();
    interrupt(&child);
    far.expect_close(1001);
    far.send(CLOSE, &close(1001, ""));
    far.socket.finish();
    let (_, reason, code) = end(child);
    assert!(reason.ends_with("is stopping, 1001\n"), "{reason}");
    assert_eq!(code, 1);
    drop(input);
}

fn interrupt(child: &Child) {
    let id = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
}

#[test]
fn what_is_stopped_on_its_way_does_not_blame_the_server() {
    let server = Backend::bind();
    let mut child = stdio(&server.address, &[]);
    let (_silent, _) = Far::accept(&server);
    let input = child.stdin.take();
    interrupt(&child);
    let (_, reason, code) = end(child);
    assert_eq!(reason, "adit: stopped before the server was reached\n");
    assert_eq!(code, 1);
    drop(input);
}

#[test]
fn a_command_line_that_makes_no_sense_says_why() {
    let temp = TempDir::new();
    let empty = temp.write("empty", "\n");
    let url = "ws://h/";
    for (args, reason) in [
        (&[][..], "no addresses; give LOCAL and URL"),
        (&["-"], "one address alone; give LOCAL and URL"),
        (&["-", url, "x"], "more than two addresses"),
        (
            &["--unix-listen=/s", "-", url],
            "--unix-listen together with LOCAL",
        ),
        (
            &["x", url],
            "listen address \"x\": no port; write PORT, HOST:PORT, [IPV6]:PORT",
        ),
        (
            &["-", "http://h/"],
            "URL: no WebSocket URL; write ws://HOST",
        ),
        (
            &["-", "ws://me:secret@h:x/"],
            "URL: the port is not a number; write",
        ),
        (
            &["-", url, "--framing=line"],
            "framing \"line\": write raw, lines",
        ),
        (
            &["-", url, "--framing=record", "--frame-type=text"],
            "frame-type with framing record",
        ),
        (
            &["-", url, "--proxy=ftp://me:secret@p"],
            "proxy: no known scheme; write http://",
        ),
        (
            &["-", url, "--proxy-auth-file=/f"],
            "proxy-auth-file without a proxy",
        ),
        (
            &["-", url, "--follow=6"],
            "follow \"6\": write how many redirects, at most 5",
        ),
        (&["-", url, "--header=secret"], "header: write NAME: VALUE"),
        (
            &["-", url, "--header=Host: x"],
            "header: the option host is for that",
        ),
        (
            &["-", url, "--header=Upgrade: secret"],
            "header: upgrade belongs to the handshake",
        ),
        (
            &["-", url, "--header=Sec-WebSocket-Key: x"],
            "header: sec-websocket-key belongs",
        ),
        (
            &["-", url, "--client-cert=/f"],
            "client-cert without client-key; write client-key too",
        ),
        (
            &["-", url, "--insecure"],
            "insecure with ws://, where there is nothing to verify",
        ),
        (
            &["-", "wss://h/", "--insecure", "--ca=/f"],
            "insecure together with an authority",
        ),
        (
            &["-", "wss://h/", "--ca=/f", "--ca-only=/f"],
            "ca together with ca-only",
        ),
        (
            &["-", "ws://a:b@h/", "--token-file", &empty],
            "empty: its first line is empty",
        ),
        (&["-", url, "--mode=0600"], "mode without a Unix socket"),
        (
            &["-", url, "-v", "-q"],
            "--verbose and --quiet exclude each other",
        ),
    ] {
        let output = connect(args).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(
            said.contains(&format!("adit: {reason}")) || said.contains(reason),
            "{said}"
        );
        assert!(!said.contains("secret"), "{said}");
        assert!(
            said.ends_with("run \"adit connect --help\" for what is allowed\n"),
            "{said}"
        );
    }
}
