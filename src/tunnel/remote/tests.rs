//! What is dialled for which URL, and who learns what on the way.

use super::*;

fn environment(url: &str, pairs: &[(&str, &str)]) -> Result<Proxies, String> {
    let url = Url::websocket(url).unwrap();
    Proxies::from_environment(&url, |name| {
        let set = pairs.iter().find(|(known, _)| *known == name);
        set.map(|(_, value)| (*value).to_owned())
    })
}

fn leads(proxies: &Proxies, url: &str) -> Option<String> {
    let url = Url::websocket(url).unwrap();
    proxies.to(&url).map(Url::to_string)
}

#[test]
fn the_environment_is_read_as_curl_reads_it() {
    let (plain, secure) = ("ws://h/", "wss://h/");
    for (set, to_plain, to_secure) in [
        (&[][..], None, None),
        (&[("http_proxy", "p:1")], Some("http://p:1"), None),
        (&[("HTTP_PROXY", "p:1")], None, None),
        (&[("https_proxy", "p:1")], None, Some("http://p:1")),
        (&[("HTTPS_PROXY", "https://p")], None, Some("https://p:443")),
        (
            &[("all_proxy", "socks5h://p")],
            Some("socks5h://p:1080"),
            Some("socks5h://p:1080"),
        ),
        (
            &[("ALL_PROXY", "p")],
            Some("http://p:1080"),
            Some("http://p:1080"),
        ),
        (
            &[("HTTPS_PROXY", "b"), ("https_proxy", "a")],
            None,
            Some("http://a:1080"),
        ),
        (
            &[("https_proxy", ""), ("HTTPS_PROXY", "b")],
            None,
            Some("http://b:1080"),
        ),
        (
            &[("wss_proxy", "c"), ("https_proxy", "a")],
            None,
            Some("http://c:1080"),
        ),
        (&[("ALL_PROXY", "p"), ("NO_PROXY", "h")], None, None),
        (&[("ALL_PROXY", "p"), ("no_proxy", "*")], None, None),
    ] {
        let proxies = environment(plain, set).unwrap();
        assert_eq!(leads(&proxies, plain).as_deref(), to_plain, "{set:?}");
        assert_eq!(leads(&proxies, secure).as_deref(), to_secure, "{set:?}");
        let proxies = environment(secure, set).unwrap();
        assert_eq!(leads(&proxies, secure).as_deref(), to_secure, "{set:?}");
    }
    let wrong = [("https_proxy", "ftp://u:secret@p")];
    let why = environment(secure, &wrong).unwrap_err();
    assert!(why.starts_with("the environment's https_proxy: no known scheme"));
    let desktop = [("https_proxy", "p"), ("all_proxy", "socks://s:1/")];
    let proxies = environment(secure, &desktop).unwrap();
    assert_eq!(leads(&proxies, secure).as_deref(), Some("http://p:1080"));
    assert!(environment(plain, &desktop).is_err());
}

#[test]
fn no_proxy_leads_to_what_is_excepted() {
    let list = "example.org, .Local,10.0.0.0/8 192.0.2.1,[2001:db8::1],dot.,0.0.1";
    let proxies = environment("ws://h/", &[("all_proxy", "p"), ("no_proxy", list)]).unwrap();
    for (host, is_excepted) in [
        ("example.org", true),
        ("www.example.org", true),
        ("example.org.", true),
        ("badexample.org", false),
        ("example.org.evil", false),
        ("printer.local", true),
        ("local", true),
        ("10.255.0.1", true),
        ("11.0.0.1", false),
        ("192.0.2.1", true),
        ("192.0.2.10", false),
        ("[2001:db8::1]", true),
        ("[2001:db8::2]", false),
        ("dot", true),
        ("0.0.1", true),
        ("127.0.0.1", false),
    ] {
        let proxy = leads(&proxies, &format!("wss://{host}/"));
        assert_eq!(proxy.is_none(), is_excepted, "{host}");
    }
}

fn target(url: &str, change: impl FnOnce(&mut Remote)) -> Target {
    let mut remote = Remote::at(Url::websocket(url).unwrap());
    change(&mut remote);
    Target::new(&remote, &ClientTls::default()).unwrap()
}

/// What is dialled, and the steps in short.
fn hop(target: &Target) -> (String, String) {
    let (backend, steps) = target.next_hop().unwrap();
    let short = |step: &Step| match step {
        Step::Tls(connector) => format!("tls {}", connector.name()),
        Step::Ask(Request::Connect(connect)) => {
            let request = String::from_utf8(connect.request()).unwrap();
            request
                .replace(" HTTP/1.1\r\n", " ")
                .replace("\r\n", " ")
                .trim()
                .to_owned()
        }
        Step::Ask(Request::Socks(_)) => "socks".to_owned(),
        Step::Ask(Request::WebSocket(request)) => {
            format!("GET {} {}", request.target, request.host)
        }
    };
    let steps: Vec<_> = steps.iter().map(short).collect();
    (backend.to_string(), steps.join(", "))
}

#[test]
fn the_way_goes_through_each_proxy_in_its_own_tongue() {
    for (url, proxy, backend, steps) in [
        ("ws://h:81/a?b", "", "h:81", "GET /a?b h:81"),
        ("wss://h/", "", "h:443", "tls h, GET / h"),
        (
            "wss://h/",
            "http://p:3128",
            "p:3128",
            "CONNECT h:443 Host: h:443, tls h, GET / h",
        ),
        (
            "ws://h/",
            "https://u:w@p:8443",
            "p:8443",
            "tls p, CONNECT h:80 Host: h:80 Proxy-Authorization: Basic dTp3, GET / h",
        ),
        (
            "wss://[::1]:8/",
            "socks5h://p",
            "p:1080",
            "socks, tls ::1, GET / [::1]:8",
        ),
    ] {
        let target = target(url, |remote| {
            remote.proxies = Proxies::always(Url::proxy(proxy).ok());
        });
        assert_eq!(hop(&target), (backend.to_owned(), steps.to_owned()));
    }
}

#[test]
fn redirects_are_followed_as_often_as_allowed_and_never_away_from_tls() {
    let mut plain = target("ws://h/", |remote| remote.follow = 1);
    plain.redirect("https://h/").unwrap();
    assert_eq!(hop(&plain).1, "tls h, GET / h");
    let mut target = target("wss://h/a", |remote| remote.follow = 2);
    assert!(
        target
            .redirect("http://h/b")
            .unwrap_err()
            .contains("away from TLS")
    );
    target.redirect("/b").unwrap();
    assert_eq!(hop(&target).1, "tls h, GET /b h");
    target.redirect("https://other:8443/c").unwrap();
    assert_eq!(hop(&target).0, "other:8443");
    assert_eq!(
        target.redirect("/d"),
        Err("more redirects than 2 (--follow)".to_owned())
    );
    target.reset();
    assert_eq!(hop(&target).0, "h:443");
}

#[test]
fn another_server_learns_no_secret_of_the_first() {
    let mut target = target("wss://me:pw@h/a", |remote| {
        remote.follow = 2;
        remote.host = Some("front".to_owned());
        remote.server_name = Some("inner".to_owned());
        let field = |name: &str| (name.to_owned(), "x".to_owned());
        remote.fields = ["Cookie", "X-Key"].map(field).to_vec();
    });
    let names = |target: &Target| {
        let request = target.request(target.is_redirected());
        let names: Vec<_> = request.fields.into_iter().map(|(name, _)| name).collect();
        (names.join(" "), request.host)
    };
    let all = ("Cookie X-Key Authorization".to_owned(), "front".to_owned());
    assert_eq!(names(&target), all);
    target.redirect("/b").unwrap();
    assert_eq!(names(&target), all);
    assert_eq!(hop(&target).1, "tls inner, GET /b front");
    target.redirect("https://other/b").unwrap();
    assert_eq!(names(&target), ("X-Key".to_owned(), "other".to_owned()));
    assert_eq!(hop(&target).1, "tls other, GET /b other");
}
