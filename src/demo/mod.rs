//! The demo: a page, and a service for the page to speak to.
//!
//! The service stands for the many that never heard of WebSocket. It listens
//! on a loopback port of its own, takes JSON requests, one a line, and answers
//! each with one or more lines. It knows nothing of adit: threads that block,
//! as a small service would have, and a tunnel in front of them. What the page
//! shows is therefore what any such service gets.
//!
//! A request is an object whose `do` names what to do; its `id`, if it has
//! one, is in each answer. An answer holds a `value` or an `error`.
//!
//! | `do` | further members | answers |
//! |---|---|---|
//! | `echo` | `value` | the value |
//! | `time` | | milliseconds since 1970 |
//! | `add` | `numbers`, an array | their sum |
//! | `count` | `to`, at most 100 | 1, 2, 3, … one line each |
//! | `bye` | | `"bye"`; then the service closes the connection |

mod json;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::address::Listen;
use crate::net::Manner;
use crate::server::{ListenerSettings, Settings};
use crate::tunnel::pages::Page;
use crate::tunnel::policy::Route;
use crate::wire::framing::Framing;
use json::NotJson;

/// The page, whole: HTML, CSS and script in one.
pub const PAGE: &str = include_str!("page.html");

/// The subprotocol that the page offers and the demo's tunnel speaks.
pub const SUBPROTOCOL: &str = "json.adit.demo";

/// As many connections at a time; each has a thread.
const MAX_CONNECTIONS: usize = 64;

/// The longest request, without its line end.
const MAX_LINE: usize = 1 << 20;

/// The highest number that `count` counts to.
const MAX_COUNT: u32 = 100;

/// How long the service waits for the other side to close after `bye`, and
/// before it accepts again after a failure.
const PATIENCE: Duration = Duration::from_secs(1);

/// What serves the page and a tunnel to the service, and the socket for
/// [`start_backend`]: its thread must not run before the server is confined.
///
/// # Errors
/// The service has no socket.
pub fn settings(listen: Listen) -> io::Result<(Settings, TcpListener)> {
    let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let route = Route {
        path: "/tunnel".to_owned(),
        subprotocols: vec![SUBPROTOCOL.to_owned()],
        backends: vec![service.local_addr()?.into()],
        framing: Framing::JsonLines,
        ..Route::default()
    };
    let page = Page {
        path: "/",
        content_type: "text/html; charset=utf-8",
        body: PAGE,
    };
    let settings = Settings {
        listeners: vec![ListenerSettings {
            address: listen,
            manner: Manner::default(),
            accept_proxy: false,
            tls: None,
        }],
        routes: vec![route],
        pages: vec![page],
        ..Settings::default()
    };
    Ok((settings, service))
}

/// What to open in a browser for a demo that listens on this address.
pub fn url(address: &str) -> String {
    // Every address is none that a browser could go to.
    let address = address
        .replace("[::]", "localhost")
        .replace("0.0.0.0", "localhost");
    format!("http://{address}/")
}

/// Starts the service.
///
/// # Errors
/// There is no thread for it.
pub fn start_backend(service: TcpListener) -> io::Result<()> {
    thread::Builder::new()
        .name("demo-backend".into())
        .spawn(move || accept(&service))
        .map(drop)
}

fn accept(listener: &TcpListener) {
    // The count of handles is the count of connections, this one's included.
    let open = Arc::new(());
    loop {
        let Ok((mut stream, _)) = listener.accept() else {
            thread::sleep(PATIENCE);
            continue;
        };
        if Arc::strong_count(&open) > MAX_CONNECTIONS {
            // The stream is closed in any case; whether the answer still
            // leaves is the peer's affair.
            let _ = stream.write_all(full().as_bytes());
            continue;
        }
        let place = Arc::clone(&open);
        // Without a thread the closure is dropped, and the stream closed with it.
        let _ = thread::Builder::new()
            .name("demo-connection".into())
            .spawn(move || {
                // A peer that is gone is the normal end of a connection.
                let _ = serve(&stream);
                drop(place);
            });
    }
}

fn full() -> String {
    answer(
        None,
        "error",
        &json::string(&format!("{MAX_CONNECTIONS} connections are open already")),
    )
}

/// Answers requests until the peer or a `bye` ends the connection.
fn serve(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        reader
            .by_ref()
            .take(MAX_LINE as u64 + 1)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.len() > MAX_LINE && !line.ends_with(b"\n") {
            reader.skip_until(b'\n')?;
            let error = format!("a line is longer than {MAX_LINE} bytes");
            stream.write_all(answer(None, "error", &json::string(&error)).as_bytes())?;
            continue;
        }
        let reply = Reply::to(&line);
        stream.write_all(reply.lines.as_bytes())?;
        if reply.is_last {
            return close(stream, &mut reader);
        }
    }
}

/// Closes so that the last answer arrives: a socket closed with bytes unread
/// would be reset.
fn close(stream: &TcpStream, reader: &mut impl Read) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    io::copy(&mut reader.take(MAX_LINE as u64), &mut io::sink())?;
    Ok(())
}

/// What a request gets.
struct Reply {
    lines: String,
    is_last: bool,
}

impl Reply {
    fn to(line: &[u8]) -> Reply {
        let mut id = None;
        let (values, is_last) = match values(line, &mut id) {
            Ok(found) => found,
            Err(error) => {
                return Reply {
                    lines: answer(id, "error", &json::string(&error)),
                    is_last: false,
                };
            }
        };
        let lines = values
            .iter()
            .map(|value| answer(id, "value", value))
            .collect();
        Reply { lines, is_last }
    }
}

/// The values that answer a request, and whether they are the last ones. Notes
/// the request's `id` as soon as it is known, for an error has it too.
fn values<'a>(line: &'a [u8], id: &mut Option<&'a str>) -> Result<(Vec<String>, bool), String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| not_json(&NotJson(error.valid_up_to())))?
        .trim_end_matches(['\r', '\n']);
    let members = json::members(text)
        .map_err(|error| not_json(&error))?
        .ok_or("a request is an object")?;
    // Of members with one name the last counts, as in a browser.
    let member = |name: &str| {
        let found = members
            .iter()
            .rev()
            .find(|(quoted, _)| quoted.trim_matches('"') == name);
        found.map(|&(_, value)| value)
    };
    *id = member("id");
    let value = match member("do") {
        Some(r#""echo""#) => member("value").unwrap_or("null").to_string(),
        Some(r#""time""#) => milliseconds().to_string(),
        Some(r#""add""#) => sum(member("numbers"))?,
        Some(r#""count""#) => return Ok((count(member("to"))?, false)),
        Some(r#""bye""#) => return Ok((vec![json::string("bye")], true)),
        Some(other) => return Err(format!("cannot do {other}")),
        None => return Err("a request needs a member \"do\"".into()),
    };
    Ok((vec![value], false))
}

fn not_json(error: &NotJson) -> String {
    format!("not JSON: at byte {}", error.0)
}

fn milliseconds() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis())
}

fn sum(numbers: Option<&str>) -> Result<String, String> {
    let wanted = "add needs \"numbers\": an array of numbers";
    let numbers = json::elements(numbers.ok_or(wanted)?)
        .map_err(|error| not_json(&error))?
        .ok_or(wanted)?;
    let mut sum = 0.0;
    for number in numbers {
        // All that JSON allows besides numbers is text which Rust refuses.
        sum += number.parse::<f64>().map_err(|_| wanted)?;
    }
    // JSON has no infinity.
    if !sum.is_finite() {
        return Err("the sum is too large".into());
    }
    Ok(sum.to_string())
}

fn count(to: Option<&str>) -> Result<Vec<String>, String> {
    match to.and_then(|to| to.parse::<u32>().ok()) {
        Some(to @ 1..=MAX_COUNT) => Ok((1..=to).map(|n| n.to_string()).collect()),
        _ => Err(format!("count needs \"to\": a number of 1 to {MAX_COUNT}")),
    }
}

/// One line of answer; `json` is the value of the member called `name`.
fn answer(id: Option<&str>, name: &str, json: &str) -> String {
    match id {
        Some(id) => format!("{{\"id\":{id},\"{name}\":{json}}}\n"),
        None => format!("{{\"{name}\":{json}}}\n"),
    }
}

#[cfg(test)]
mod tests {

    use std::net::SocketAddr;
    use std::time::Instant;

    use super::*;

    fn started() -> SocketAddr {
        let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = service.local_addr().unwrap();
        start_backend(service).unwrap();
        address
    }

    struct Client {
        reader: BufReader<TcpStream>,
    }

    impl Client {
        fn connect(address: SocketAddr) -> Client {
            let stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            Client {
                reader: BufReader::new(stream),
            }
        }

        fn start() -> Client {
            Client::connect(started())
        }

        fn send(&mut self, bytes: &[u8]) {
            self.reader.get_mut().write_all(bytes).unwrap();
        }

        /// The next line without its end; empty at the end of the stream.
        fn line(&mut self) -> String {
            let mut line = String::new();
            self.reader.read_line(&mut line).unwrap();
            line.trim_end().to_string()
        }

        fn ask(&mut self, request: &str) -> String {
            self.send(request.as_bytes());
            self.send(b"\n");
            self.line()
        }
    }

    #[test]
    fn each_request_gets_its_answer() {
        let mut client = Client::start();
        for (request, answer) in [
            (
                r#"{"id":1,"do":"echo","value":{"a":[1,"\"}"]}}"#,
                r#"{"id":1,"value":{"a":[1,"\"}"]}}"#,
            ),
            (
                r#"{"do":"echo","id":"x","id":"y"}"#,
                r#"{"id":"y","value":null}"#,
            ),
            (
                r#"{"id":{"n":[1]},"do":"add","numbers":[1,2.5,-1e1]}"#,
                r#"{"id":{"n":[1]},"value":-6.5}"#,
            ),
            (r#"{"do":"add","numbers":[]}"#, r#"{"value":0}"#),
            (r#"{"do":"count","to":1}"#, r#"{"value":1}"#),
        ] {
            assert_eq!(client.ask(request), answer, "{request}");
        }
    }

    #[test]
    fn each_wrong_request_gets_an_error_and_the_connection_goes_on() {
        let mut client = Client::start();
        for (request, answer) in [
            ("hello", r#"{"error":"not JSON: at byte 0"}"#),
            (r#"{"do":"#, r#"{"error":"not JSON: at byte 6"}"#),
            ("", r#"{"error":"not JSON: at byte 0"}"#),
            ("[1]", r#"{"error":"a request is an object"}"#),
            (
                r#"{"id":7}"#,
                r#"{"id":7,"error":"a request needs a member \"do\""}"#,
            ),
            (
                r#"{"id":7,"do":"sing"}"#,
                r#"{"id":7,"error":"cannot do \"sing\""}"#,
            ),
            (
                r#"{"do":"add","numbers":[1,"2"]}"#,
                r#"{"error":"add needs \"numbers\": an array of numbers"}"#,
            ),
            (
                r#"{"do":"add","numbers":3}"#,
                r#"{"error":"add needs \"numbers\": an array of numbers"}"#,
            ),
            (
                r#"{"do":"add","numbers":[1e308,1e308]}"#,
                r#"{"error":"the sum is too large"}"#,
            ),
            (
                r#"{"do":"count","to":101}"#,
                r#"{"error":"count needs \"to\": a number of 1 to 100"}"#,
            ),
        ] {
            assert_eq!(client.ask(request), answer, "{request}");
        }
        assert_eq!(client.ask(r#"{"do":"echo","value":1}"#), r#"{"value":1}"#);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_not_json() {
        let mut client = Client::start();
        client.send(b"{\"id\":\"\xff\"}\n");
        assert_eq!(client.line(), r#"{"error":"not JSON: at byte 7"}"#);
    }

    #[test]
    fn time_is_milliseconds_since_1970() {
        let before = milliseconds();
        let answer = Client::start().ask(r#"{"do":"time"}"#);
        let members = json::members(&answer).unwrap().unwrap();
        let time: u128 = members[0].1.parse().unwrap();
        assert!((before..=milliseconds()).contains(&time), "{answer}");
    }

    #[test]
    fn a_count_is_several_answers() {
        let mut client = Client::start();
        client.send(b"{\"id\":4,\"do\":\"count\",\"to\":3}\r\n");
        for n in 1..=3 {
            assert_eq!(client.line(), format!(r#"{{"id":4,"value":{n}}}"#));
        }
    }

    #[test]
    fn after_bye_the_service_closes_whatever_else_was_sent() {
        let mut client = Client::start();
        client.send(b"{\"do\":\"bye\"}\n{\"do\":\"echo\"}\n");
        assert_eq!(client.line(), r#"{"value":"bye"}"#);
        assert_eq!(client.line(), "");
    }

    #[test]
    fn a_line_too_long_is_refused_and_the_next_one_answered() {
        let mut client = Client::start();
        let padded = |len| r#"{"do":"echo"}"#.to_string() + &" ".repeat(len - 13);
        assert_eq!(client.ask(&padded(MAX_LINE)), r#"{"value":null}"#);
        for len in [MAX_LINE + 1, 3 * MAX_LINE] {
            assert_eq!(
                client.ask(&padded(len)),
                r#"{"error":"a line is longer than 1048576 bytes"}"#
            );
        }
        assert_eq!(client.ask(r#"{"do":"echo"}"#), r#"{"value":null}"#);
    }

    #[test]
    fn connections_are_bounded_and_their_places_used_again() {
        let address = started();
        let mut clients: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|_| Client::connect(address))
            .collect();
        for client in &mut clients {
            assert_eq!(client.ask(r#"{"do":"echo"}"#), r#"{"value":null}"#);
        }
        let mut refused = Client::connect(address);
        assert_eq!(
            refused.line(),
            r#"{"error":"64 connections are open already"}"#
        );
        assert_eq!(refused.line(), "");
        drop(clients);
        // A place is free once its thread has seen the end, which is soon.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_served(address) {
            assert!(Instant::now() < deadline);
        }
    }

    fn is_served(address: SocketAddr) -> bool {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut answer = String::new();
        let asked = stream.write_all(b"{\"do\":\"bye\"}\n");
        let answered = asked.and_then(|()| stream.read_to_string(&mut answer));
        answered.is_ok() && answer == "{\"value\":\"bye\"}\n"
    }

    #[test]
    fn the_page_is_small_and_needs_nothing_from_elsewhere() {
        assert!(PAGE.len() < 20_000, "{} bytes", PAGE.len());
        assert!(PAGE.contains(SUBPROTOCOL));
        for word in ["http://", "https://", "src=", "innerHTML", "eval("] {
            assert!(!PAGE.contains(word), "{word}");
        }
    }
}
