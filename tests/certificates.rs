//! Certificates: which of several is shown, whose is asked for, what is wrong
//! with their files, and how they are replaced.

// Several certificates of a listener stand in a file.
#![cfg(all(feature = "tls", feature = "config-file"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;

use common::*;
use rustix::process::Signal;

/// A file with one TLS listener, its certificates, and further lines for it.
fn config(backend: &Backend, certificates: &[(String, String)], lines: &str) -> String {
    let mut text = format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{lines}");
    for (cert, key) in certificates {
        text += &format!("[[listen.certificate]]\ncert = \"{cert}\"\nkey = \"{key}\"\n");
    }
    text + &format!("[[route]]\nbackend = \"{}\"\n", backend.address)
}

/// The first certificate that adit shows.
#[track_caller]
fn shown(dialer: &Dialer, adit: &Adit) -> Vec<u8> {
    dialer.dial(&adit.address).tls().certificate().to_vec()
}

#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let (backend, temp) = (Backend::echo(), TempDir::new());
    let authority = Authority::new("adit test");
    let first = authority.issue(&["a.example", "127.0.0.1"]);
    let second = authority.issue(&["b.example", "*.wild.example"]);
    let files = [first.write(&temp, "first"), second.write(&temp, "second")];
    let file = temp.write("adit.toml", &config(&backend, &files, ""));
    let adit = Adit::configured(&file, &[]);
    let dialer = Dialer::new(&authority);
    for (name, certificate) in [
        ("a.example", &first),
        ("b.example", &second),
        ("B.EXAMPLE", &second),
        ("any.wild.example", &second),
        // No name is sent with an address.
        ("127.0.0.1", &first),
    ] {
        let dialer = dialer.clone().asking_for(name);
        assert_eq!(shown(&dialer, &adit), *der(&certificate.cert), "{name}");
        dialer.open(&adit.address).close(1000);
    }
    for name in ["unknown.example", "wild.example", "a.b.wild.example"] {
        let error = dialer.clone().asking_for(name).refusal(&adit.address);
        assert!(error.to_string().contains("a.example"), "{name}: {error}");
    }
}

#[test]
fn a_certificate_of_the_command_line_comes_with_its_chain() {
    let (backend, temp) = (Backend::echo(), TempDir::new());
    let authority = Authority::new("adit test");
    let own = authority.issue(&["localhost"]);
    let chain = temp.write("chain.pem", &[&*own.cert, &authority.pem].concat());
    let (_, key) = own.write(&temp, "own");
    let adit = Adit::serve(&[&backend.address, "--tls-cert", &chain, "--tls-key", &key]);
    let mut socket = Dialer::new(&authority).dial(&adit.address);
    let shown = socket.tls().connection.peer_certificates().unwrap().len();
    assert_eq!(shown, 2);
}

/// A listener that wants clients' certificates, and who signs what.
struct Asking {
    adit: Adit,
    backend: Backend,
    servers: Authority,
    clients: Authority,
    _temp: TempDir,
}

impl Asking {
    fn serve(client_auth: &str) -> Self {
        let (backend, temp) = (Backend::bind(), TempDir::new());
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let ca = temp.write("clients.pem", &clients.pem);
        let (cert, key) = servers.issue(&["localhost"]).write(&temp, "own");
        let options = [
            &*backend.address,
            "--tls-cert",
            &cert,
            "--tls-key",
            &key,
            "--client-ca",
            &ca,
            "--client-auth",
            client_auth,
            "--greeting",
            r"[%c][%C]\n",
        ];
        Asking {
            adit: Adit::serve(&options),
            backend,
            servers,
            clients,
            _temp: temp,
        }
    }

    /// The backend learns the names in a verified certificate.
    #[track_caller]
    fn admits(&self, dialer: &Dialer, greeting: &str) {
        let _client = dialer.open(&self.adit.address);
        let heard = self.backend.accept().hear(greeting.len());
        assert_eq!(String::from_utf8(heard).unwrap(), greeting);
    }

    #[track_caller]
    fn refuses(&self, dialer: &Dialer) {
        dialer.refusal(&self.adit.address);
        assert!(self.backend.is_alone());
    }

    fn showing(&self, certificate: &Certificate) -> Dialer {
        Dialer::showing(&self.servers, certificate)
    }
}

#[test]
fn a_required_certificate_is_required_and_verified() {
    let asking = Asking::serve("required");
    asking.admits(
        &asking.showing(&asking.clients.issue(&["alice", "192.0.2.1", "::1"])),
        "[alice][DNS:alice,IP:192.0.2.1,IP:::1]\n",
    );
    let stranger = Authority::new("clients").issue(&["alice"]);
    let expired = asking.clients.issue_expired(&["alice"], 1);
    asking.refuses(&Dialer::new(&asking.servers));
    asking.refuses(&asking.showing(&stranger));
    asking.refuses(&asking.showing(&expired));
    asking
        .adit
        .wait_for_logs(3, " refused: TLS handshake failed: ");
}

#[test]
fn an_optional_certificate_is_verified_if_it_is_there() {
    let asking = Asking::serve("optional");
    asking.admits(&Dialer::new(&asking.servers), "[][]\n");
    asking.admits(
        &asking.showing(&asking.clients.issue(&["bob"])),
        "[bob][DNS:bob]\n",
    );
    let stranger = Authority::new("clients").issue(&["bob"]);
    asking.refuses(&asking.showing(&stranger));
    asking.refuses(&asking.showing(&asking.clients.issue_expired(&["bob"], 1)));
    asking
        .adit
        .wait_for_logs(2, " refused: TLS handshake failed: ");
}

#[test]
fn a_resumed_session_still_knows_its_client() {
    let asking = Asking::serve("required");
    let dialer = asking.showing(&asking.clients.issue(&["alice"]));
    for _ in 0..3 {
        asking.admits(&dialer, "[alice][DNS:alice]\n");
    }
}

#[test]
fn a_reload_is_for_new_handshakes_and_old_tunnels_go_on() {
    let (backend, temp) = (Backend::echo(), TempDir::new());
    let authority = Authority::new("adit test");
    let (old, new) = (
        authority.issue(&["localhost"]),
        authority.issue(&["localhost"]),
    );
    let files = [old.write(&temp, "own")];
    let file = temp.write("adit.toml", &config(&backend, &files, ""));
    let adit = Adit::configured(&file, &[]);
    let dialer = Dialer::new(&authority);
    let mut before = dialer.open(&adit.address);
    assert_eq!(shown(&dialer, &adit), *der(&old.cert));

    new.write(&temp, "own");
    adit.signal(Signal::HUP);
    adit.wait_for_log("reloaded");
    assert_eq!(shown(&Dialer::new(&authority), &adit), *der(&new.cert));
    before.send(BINARY, b"as before");
    assert_eq!(before.payload(9), b"as before");
    before.close(1000);
}

#[test]
fn a_certificate_of_the_command_line_is_reloaded_too() {
    let (backend, temp) = (Backend::echo(), TempDir::new());
    let authority = Authority::new("adit test");
    let (old, new) = (
        authority.issue(&["localhost"]),
        authority.issue(&["localhost"]),
    );
    let (cert, key) = old.write(&temp, "own");
    let adit = Adit::serve(&[&backend.address, "--tls-cert", &cert, "--tls-key", &key]);
    new.write(&temp, "own");
    adit.signal(Signal::HUP);
    adit.wait_for_log("reloaded");
    assert_eq!(shown(&Dialer::new(&authority), &adit), *der(&new.cert));
}

/// As renewal tools do it: links that point to the next version, elsewhere.
#[test]
fn a_link_to_a_new_certificate_is_followed() {
    let (backend, temp) = (Backend::echo(), TempDir::new());
    let authority = Authority::new("adit test");
    let (live, archive) = (temp.path("live"), temp.path("archive"));
    fs::create_dir(&live).unwrap();
    fs::create_dir(&archive).unwrap();
    let renew = |certificate: &Certificate, version: u32| {
        for (name, pem) in [("cert", &certificate.cert), ("key", &certificate.key)] {
            let file = archive.join(format!("{name}{version}"));
            fs::write(&file, pem).unwrap();
            symlink(file, live.join("next")).unwrap();
            fs::rename(live.join("next"), live.join(name)).unwrap();
        }
    };
    let (old, new) = (
        authority.issue(&["localhost"]),
        authority.issue(&["localhost"]),
    );
    renew(&old, 1);
    let files = ["cert", "key"].map(|name| live.join(name).display().to_string());
    let options = ["--tls-cert", &files[0], "--tls-key", &files[1]];
    let adit = Adit::serve(&[&[&*backend.address], &options[..]].concat());
    assert_eq!(shown(&Dialer::new(&authority), &adit), *der(&old.cert));

    renew(&new, 2);
    adit.signal(Signal::HUP);
    adit.wait_for_log("reloaded");
    assert_eq!(shown(&Dialer::new(&authority), &adit), *der(&new.cert));
}

#[test]
fn what_cannot_be_loaded_leaves_the_old_certificate_and_says_so() {
    let (backend, temp) = (Backend::echo(), TempDir::new());
    let authority = Authority::new("adit test");
    let own = authority.issue(&["localhost"]);
    let files = [own.write(&temp, "own")];
    let file = temp.write("adit.toml", &config(&backend, &files, ""));
    let adit = Adit::configured(&file, &[]);
    let stranger = authority.issue(&["localhost"]);
    for (count, cert) in ["garbage", &*stranger.cert, &own.cert[..200]]
        .iter()
        .enumerate()
    {
        temp.write("own.pem", cert);
        adit.signal(Signal::HUP);
        adit.wait_for_logs(count + 1, "keeping the old");
        adit.wait_for_logs(count + 1, "own.pem");
        let dialer = Dialer::new(&authority);
        assert_eq!(shown(&dialer, &adit), *der(&own.cert));
    }
    fs::remove_file(temp.path("own.pem")).unwrap();
    adit.signal(Signal::HUP);
    adit.wait_for_logs(4, "keeping the old");
    Dialer::new(&authority).open(&adit.address).close(1000);
}

/// What adit says of its end before it began.
#[track_caller]
fn failure(args: &[&str]) -> String {
    let output = run(args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
    assert!(!text.contains("listening on"), "{text}");
    text
}

#[test]
fn a_start_with_bad_files_fails_and_names_file_and_reason() {
    let (backend, temp) = (Backend::echo(), TempDir::new());
    let authority = Authority::new("adit test");
    let (cert, key) = authority.issue(&["localhost"]).write(&temp, "own");
    let (_, other) = authority.issue(&["localhost"]).write(&temp, "other");
    let (old, old_key) = authority
        .issue_expired(&["localhost"], 3)
        .write(&temp, "old");
    let (nothing, text) = (temp.path("nothing"), temp.write("text", "no PEM\n"));
    let nothing = nothing.to_str().unwrap();
    for (cert, key, file, reason) in [
        (
            nothing,
            &*key,
            "nothing: the certificate cannot be read: ",
            "No such file",
        ),
        (
            &*cert,
            nothing,
            "nothing: the key cannot be read: ",
            "No such file",
        ),
        (&*text, &*key, "text", "no certificate in PEM"),
        (&*key, &*key, "own.key", "no certificate in PEM"),
        (&*cert, &*text, "text", "no private key in PEM"),
        (&*cert, &*cert, "own.pem", "no private key in PEM"),
        (&*cert, &*other, "other.key", "does not belong to"),
        (&*old, &*old_key, "old.pem", "expired 3 days ago"),
    ] {
        let options = [&*backend.address, "--tls-cert", cert, "--tls-key", key];
        let said = failure(&[&["serve", "127.0.0.1:0"], &options[..]].concat());
        assert!(said.contains(file) && said.contains(reason), "{said}");

        let files = [(cert.to_owned(), key.to_owned())];
        let config = temp.write("adit.toml", &config(&backend, &files, ""));
        let said = failure(&["check", &config]);
        assert!(said.contains(file) && said.contains(reason), "{said}");
    }
}

#[test]
fn a_start_with_a_bad_client_ca_fails_and_names_it() {
    let (backend, temp) = (Backend::echo(), TempDir::new());
    let authority = Authority::new("adit test");
    let (cert, key) = authority.issue(&["localhost"]).write(&temp, "own");
    let text = temp.write("text", "no PEM\n");
    let options = [&*backend.address, "--tls-cert", &cert, "--tls-key", &key];
    let client_ca = ["--client-ca", &*text, "--client-auth", "required"];
    let said = failure(&[&["serve", "127.0.0.1:0"], &options[..], &client_ca].concat());
    assert!(said.contains("text: no certificate in PEM"), "{said}");
}

#[test]
fn a_certificate_that_ends_soon_is_warned_of() {
    let (backend, temp) = (Backend::echo(), TempDir::new());
    let authority = Authority::new("adit test");
    for (days, warned) in [(13, true), (0, true), (15, false)] {
        let (cert, key) = authority
            .issue_expiring(&["localhost"], days)
            .write(&temp, "own");
        let adit = Adit::serve(&[&backend.address, "--tls-cert", &cert, "--tls-key", &key]);
        Dialer::new(&authority).open(&adit.address).close(1000);
        adit.wait_for_log(" opened: ");
        let said = adit.log();
        let warning = format!("own.pem expires in {days} days");
        assert_eq!(said.contains(&warning), warned, "{said}");
    }
}
