//! Command lines: what they mean, and what they cannot.

use super::*;
use crate::config;
use crate::config::words::{GLOBAL, PLACE, RULES};
use crate::logging::{Format, Target};
use crate::server::Settings;
use crate::wire::framing::Framing;
use log::LevelFilter;

fn typed(args: &[&str]) -> Result<Command, Exit> {
    parse(args.iter().map(OsString::from))
}

fn served(args: &[&str]) -> Settings {
    match typed(&[&["serve"], args].concat()) {
        Ok(Command::Serve { source, .. }) => source.load().unwrap(),
        other => panic!("{args:?}: {other:?}"),
    }
}

/// The usage error without its hint.
fn refused(args: &[&str]) -> String {
    let exit = typed(args).unwrap_err();
    assert_eq!(exit.code, 2, "{args:?}");
    let (error, hint) = exit.text.rsplit_once('\n').unwrap();
    assert!(hint.starts_with("run \"adit ") && hint.ends_with("--help\" for what is allowed"));
    error.strip_prefix("adit: ").unwrap().to_owned()
}

fn help_of(args: &[&str]) -> String {
    let exit = typed(args).unwrap_err();
    assert_eq!(exit.code, 0, "{args:?}");
    exit.text
}

#[test]
fn two_addresses_are_enough() {
    let settings = served(&["8080", "127.0.0.1:5900"]);
    let mut file = config::parse(
        "[[listen]]\naddress = \"8080\"\n[[route]]\nbackend = \"127.0.0.1:5900\"\n",
        "f",
    )
    .unwrap();
    file.routes[0].line = None;
    assert_eq!(settings, file);
}

#[test]
fn the_same_words_mean_the_same_in_the_file() {
    let words = [
        ("host", "*.example.org"),
        ("path", "/t"),
        ("framing", "lines"),
        ("frame-type", "mirror"),
        ("invalid-utf8", "replace"),
        ("max-message", "64KiB"),
        ("ping-interval", "off"),
        ("idle-timeout", "10"),
        ("connect-timeout", "1s"),
        ("close-timeout", "2s"),
        ("max-connections-per-backend", "3"),
        ("new-connections-per-second-per-route", "7"),
    ];
    let global = [
        ("max-connections", "4"),
        ("max-connections-per-client", "8"),
        ("new-connections-per-second", "9"),
        ("new-connections-per-second-per-client", "10"),
        ("handshake-timeout", "5m"),
        ("drain-timeout", "6h"),
        ("user", "nobody"),
        ("group", "7"),
        ("chroot", "/srv"),
        ("sandbox", "off"),
        ("pid-file", "/run/adit.pid"),
    ];
    let lines = |words: &[(&str, &str)]| -> String {
        words
            .iter()
            .map(|(name, value)| format!("{name} = \"{value}\"\n"))
            .collect()
    };
    let file = lines(&global)
        + "[[listen]]\naddress = \"unix:/s\"\nmode = \"0660\"\n\
           [[route]]\nbackend = [\"h:1\", \"unix:@b\"]\nsubprotocol = [\"a\", \"b\"]\n\
           origin = [\"https://a.example\", \"null\"]\nrequire-origin = true\n\
           allow = [\"10.0.0.0/8\", \"::1\"]\ndeny = \"10.1.0.0/16\"\n"
        + &lines(&words);
    let mut file = config::parse(&file, "f").unwrap();
    file.routes[0].line = None;

    let options = words.iter().chain(&global);
    let apart: Vec<_> = options
        .clone()
        .flat_map(|(name, value)| [format!("--{name}"), value.to_string()])
        .collect();
    let joined: Vec<_> = options
        .map(|(name, value)| format!("--{name}={value}"))
        .collect();
    for options in [apart, joined] {
        let mut args = vec![
            "unix:/s",
            "--mode",
            "0660",
            "h:1",
            "--subprotocol",
            "a",
            "--origin",
        ];
        args.extend(["https://a.example", "--subprotocol=b", "--require-origin"]);
        args.extend(options.iter().map(String::as_str));
        args.extend(["--origin=null", "unix:@b", "--allow", "10.0.0.0/8"]);
        args.extend(["--allow=::1", "--deny=10.1.0.0/16"]);
        assert_eq!(served(&args), file);
    }
}

#[test]
fn every_word_of_a_route_is_an_option() {
    let names = PLACE.iter().chain(RULES).map(|word| word.name);
    let help = help_of(&["serve", "--help"]);
    for name in names
        .chain(GLOBAL.iter().map(|word| word.name))
        .chain(["mode"])
    {
        // The listener and the backends are typed without a name.
        let is_option = !["listener", "backend"].contains(&name);
        let is_listed = help
            .lines()
            .any(|line| line.split_whitespace().next() == Some(&format!("--{name}")));
        assert_eq!(is_listed, is_option, "{name}");
        if is_option && !["require-origin", "backend-insecure"].contains(&name) {
            let error = refused(&["serve", &format!("--{name}="), "--config", "f"]);
            assert_eq!(
                error,
                format!("--{name} together with --config; it stands in the file then, as {name}")
            );
        }
    }
}

#[test]
fn the_help_names_every_framing_and_fits_a_terminal() {
    let help = help_of(&["serve", "--help"]);
    for framing in Framing::ALL.iter() {
        assert!(
            help.contains(&format!("\n    {:<20}", framing.name())),
            "{framing}"
        );
    }
    for command in [
        &["--help"][..],
        &["serve", "-h"],
        &["check", "-h"],
        &["token", "-h"],
        &["demo", "-h"],
    ] {
        for line in help_of(command).lines() {
            assert!(line.len() <= 90 && line == line.trim_end(), "{line:?}");
        }
    }
}

#[test]
fn what_clients_have_to_bring_is_typed_as_in_the_file() {
    let options = [
        "--token-file=t",
        "--hmac-key-file=k",
        "--basic-file=b",
        "--auth-cookie=c",
        "--auth-realm=r",
    ];
    let mut file = config::parse(
        "[[listen]]\naddress = \"80\"\n[[route]]\nbackend = \"h:1\"\n[route.auth]\n\
         token-file = \"t\"\nhmac-key-file = \"k\"\nbasic-file = \"b\"\ncookie = \"c\"\nrealm = \"r\"\n",
        "f",
    )
    .unwrap();
    file.routes[0].line = None;
    assert_eq!(served(&[&["80", "h:1"], &options[..]].concat()), file);
    let settings = served(&["80", "--token-map=m", "--auth-cookie=token"]);
    assert_eq!(settings.routes[0].token_map, Some("m".into()));
    assert_eq!(
        refused(&["serve", "80", "h:1", "--token-map=m"]),
        "token-map together with backend, where the token says which backend it is"
    );
    assert_eq!(
        refused(&["serve", "80", "h:1", "--auth-cookie=c"]),
        "a cookie for a token; write token-file or hmac-key-file too, or token-map"
    );
}

#[test]
fn a_file_stands_alone() {
    assert_eq!(
        typed(&["serve", "--config", "/etc/adit.toml", "-v"]),
        Ok(Command::Serve {
            source: Source::File("/etc/adit.toml".into()),
            log: Logging {
                level: LevelFilter::Debug,
                format: Format::Text,
                target: Target::Stderr,
            },
        })
    );
    for (args, expected) in [
        (
            &["80"][..],
            "\"80\" together with --config; addresses stand in the file then",
        ),
        (
            &["--require-origin"],
            "--require-origin together with --config; it stands in the file then, as require-origin",
        ),
    ] {
        assert_eq!(
            refused(&[&["serve", "--config=f"], args].concat()),
            expected
        );
    }
}

#[test]
fn the_log_has_three_levels() {
    for (option, expected) in [
        (&[][..], LevelFilter::Info),
        (&["-v"], LevelFilter::Debug),
        (&["--verbose"], LevelFilter::Debug),
        (&["-q"], LevelFilter::Warn),
        (&["--quiet"], LevelFilter::Warn),
    ] {
        match typed(&[&["serve", "80", "h:1"], option].concat()) {
            Ok(Command::Serve { log, .. }) => assert_eq!(log.level, expected),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        refused(&["serve", "80", "h:1", "-q", "-v"]),
        "--verbose and --quiet exclude each other"
    );
}

#[test]
fn the_log_goes_where_it_is_told_and_looks_so() {
    for (options, format, target) in [
        (&["80", "h:1"][..], Format::Text, Target::Stderr),
        (&["--config=f", "--syslog"], Format::Text, Target::Syslog),
        (
            &["--config=f", "--log-format=json"],
            Format::Json,
            Target::Stderr,
        ),
        (
            &["80", "h:1", "--log-format", "text"],
            Format::Text,
            Target::Stderr,
        ),
    ] {
        match typed(&[&["serve"], options].concat()) {
            Ok(Command::Serve { log, .. }) => {
                assert_eq!((log.format, log.target), (format, target));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        refused(&["serve", "80", "h:1", "--log-format", "xml"]),
        "log-format \"xml\": write text or json"
    );
    assert_eq!(
        refused(&["serve", "80", "h:1", "--syslog=/dev/log"]),
        "unrecognized argument: --syslog=/dev/log"
    );
}

#[test]
fn what_makes_no_sense_ends_with_2_and_a_hint() {
    for (args, expected) in [
        (
            &["serve"][..],
            "no addresses; give LISTEN and BACKEND, or --config",
        ),
        (&["serve", "80"], "\"80\" alone; give LISTEN and BACKEND"),
        (
            &["serve", "80", "h:1", "--frame"],
            "unrecognized argument: --frame",
        ),
        (&["serve", "80", "h:1", "-vv"], "unrecognized argument: -vv"),
        (
            &["serve", "80", "h:1", "--quiet=1"],
            "unrecognized argument: --quiet=1",
        ),
        (
            &["serve", "80", "h:1", "--path"],
            "no value provided for option '--path'.",
        ),
        (
            &["serve", "80", "--", "--path=/"],
            "backend \"--path=/\": no port; write HOST:PORT, tcp:HOST:PORT, tls:HOST:PORT, unix:/path or unix:@name",
        ),
        (
            &["serve", "80", "h:1", "--path=/a", "--path=/b"],
            "error parsing option '--path' with value '/b': duplicate values provided",
        ),
        (
            &["serve", "80", "h:1", "--path=a", "--idle-timeout", "0"],
            "path \"a\": write a path that begins with /\n\
             adit: idle-timeout \"0\": the range is 1ms to 8760h, or off",
        ),
        (
            &["serve", "80", "h:1", "--mode", "0660"],
            "mode with address :80; only unix:/path has a mode",
        ),
        (
            &[
                "serve",
                "80",
                "h:1",
                "--framing",
                "record",
                "--frame-type",
                "text",
            ],
            "frame-type with framing record, where each message carries its own type; leave it out",
        ),
        (
            &["serve", "80", "h:1", "--group", "a", "--user="],
            "user \"\": write a name like nobody, or a number\n\
             adit: group without user; write user too",
        ),
        (&["frob"], "unrecognized argument: frob"),
        (&["--frob"], "unrecognized argument: --frob"),
        (
            &["check"],
            "required positional arguments not provided: FILE",
        ),
        (&["check", "a", "b"], "unrecognized argument: b"),
        (&["check", "f", "--origin", "o"], "--origin without --url"),
        (
            &["check", "f", "--subprotocol", "o"],
            "--subprotocol without --url",
        ),
        (
            &["check", "f", "--url", "http://h"],
            "url \"http://h\": not a WebSocket URL; write ws://HOST[:PORT]/PATH or \
             wss://HOST[:PORT]/PATH",
        ),
        (
            &["demo", "--listen", "h"],
            "listen address \"h\": no port; write PORT, HOST:PORT, [IPV6]:PORT, unix:/path, systemd, systemd:NAME or fd:NUMBER",
        ),
        (&["demo", "80"], "unrecognized argument: 80"),
    ] {
        assert_eq!(refused(args), expected, "{args:?}");
    }
    let hint = typed(&["check"]).unwrap_err().text;
    assert!(hint.ends_with("\nrun \"adit check --help\" for what is allowed"));
}

#[cfg(unix)]
#[test]
fn a_client_to_try_is_an_address_and_needs_a_url() {
    let client = |args: &[&str]| match typed(&[&["check", "f"], args].concat()) {
        Ok(Command::Check(check)) => check.question.and_then(|question| question.client),
        other => panic!("{other:?}"),
    };
    let address = client(&["--url", "ws://h", "--client", "2001:db8::1"]);
    assert_eq!(address, "2001:db8::1".parse().ok());
    assert_eq!(client(&["--url", "ws://h"]), None);
    let refused = |args: &[&str]| refused(&[&["check", "f"], args].concat());
    assert_eq!(refused(&["--client", "::1"]), "--client without --url");
    assert_eq!(
        refused(&["--url", "ws://h", "--client", "10.0.0.0/8"]),
        "client \"10.0.0.0/8\": write an IP address like 192.0.2.1 or 2001:db8::1"
    );
}

#[test]
fn an_argument_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let exit = parse([OsString::from_vec(b"a\xff".to_vec())]).unwrap_err();
    assert_eq!(exit.code, 2);
    assert!(
        exit.text
            .starts_with("adit: argument \"a\\xFF\" is not UTF-8\n")
    );
}

#[test]
fn no_command_prints_the_help_and_fails() {
    let help = help_of(&["--help"]);
    assert!(help.starts_with("Usage: adit <command> [<args>]\n"));
    assert_eq!(
        typed(&[]),
        Err(Exit {
            text: help,
            code: 2
        })
    );
}

#[test]
fn the_version_is_the_crates_with_what_was_built_in() {
    let text = format!(
        "adit {}\nfeatures: {}",
        env!("CARGO_PKG_VERSION"),
        features::built_in()
    );
    for option in ["-V", "--version"] {
        assert_eq!(help_of(&[option]), text);
    }
}

#[test]
fn the_demo_listens_on_loopback() {
    let at = |text: &str| Ok(Command::Demo(Demo(text.parse().unwrap())));
    assert_eq!(typed(&["demo"]), at("127.0.0.1:8080"));
    assert_eq!(typed(&["demo", "--listen=[::1]:0"]), at("[::1]:0"));
}

#[test]
fn a_check_says_what_the_file_and_the_request_are() {
    let name = std::env::temp_dir().join(format!("adit-cli-test-{}", std::process::id()));
    let file = name.to_str().unwrap();
    let run = |args: &[&str]| match typed(&[&["check", file], args].concat()) {
        Ok(Command::Check(check)) => run_check(&check),
        other => panic!("{other:?}"),
    };
    let missing = run(&[]);
    std::fs::write(&name, "[[listen]]\naddress = \"80\"\n[[route]]\n").unwrap();
    let bad = run(&["--url", "ws://h"]);
    std::fs::write(
        &name,
        "[[listen]]\naddress = \"80\"\n[[route]]\nbackend = \"b:1\"\n",
    )
    .unwrap();
    let good = run(&[]);
    let let_in = run(&[
        "--url",
        "ws://h/",
        "--origin",
        "http://h",
        "--subprotocol=a",
    ]);
    let refused = run(&["--url", "ws://h/", "--origin", "http://x"]);
    std::fs::remove_file(&name).unwrap();

    assert_eq!(missing.code, 1);
    assert!(
        missing
            .text
            .starts_with(&format!("{file}: cannot be read: "))
    );
    assert_eq!(bad.code, 1);
    assert!(bad.text.starts_with(&format!("{file}:3: no backend")));
    assert_eq!(good.code, 0);
    assert_eq!(good.text, format!("{file}: good: 1 listener, 1 route"));
    assert_eq!(let_in.code, 0);
    assert!(let_in.text.starts_with("ws://h/ takes route 1 at line 3\n"));
    assert!(let_in.text.contains("\n  subprotocol   a\n"));
    assert_eq!(refused.code, 1);
    assert!(
        refused
            .text
            .starts_with("ws://h/ at listener :80: refused with HTTP 403: ")
    );
}

#[test]
fn inetd_takes_the_options_of_serve_in_any_order() {
    let expected = served(&["fd:0", "h:1", "--framing", "lines", "--exit-idle=60"]);
    for args in [
        &["inetd", "h:1", "--framing", "lines", "--exit-idle", "60"],
        &["inetd", "--framing", "lines", "--exit-idle=60", "h:1"][..],
    ] {
        match typed(args) {
            Ok(Command::Inetd(Inetd { source, .. })) => {
                assert_eq!(source.load().unwrap(), expected);
            }
            other => panic!("{args:?}: {other:?}"),
        }
    }
    match typed(&["inetd", "--config", "f"]) {
        Ok(Command::Inetd(Inetd { source, .. })) => assert_eq!(source, Source::File("f".into())),
        other => panic!("{other:?}"),
    }
    for (args, expected) in [
        (&["inetd"][..], "no address; give BACKEND, or --config"),
        (&["inetd", "h"], "backend \"h\": no port; write"),
        (
            &["inetd", "h:1", "--nonsense"],
            "unrecognized argument: --nonsense",
        ),
        (
            &["inetd", "h:1", "--mode=0600"],
            "mode with address fd:0; only",
        ),
    ] {
        assert!(
            refused(args).starts_with(expected),
            "{args:?}: {}",
            refused(args)
        );
    }
    for args in [
        &["inetd", "--help"][..],
        &["inetd", "h:1", "-h"],
        &["inetd", "help"],
    ] {
        assert!(help_of(args).starts_with("Usage: adit inetd "), "{args:?}");
    }
}

#[test]
fn the_flags_of_openwrts_script_are_the_switches_of_serve() {
    let script = include_str!("../../scripts/deploy/openwrt/adit.init");
    let (_, flags) = script.split_once("FLAGS='").unwrap();
    let (flags, _) = flags.split_once('\'').unwrap();
    let mut flags: Vec<_> = flags
        .split(' ')
        .map(|flag| format!("--{}", flag.replace('_', "-")))
        .collect();
    let takes = |switch: &str| {
        let exit = typed(&["serve", switch, "8080", "127.0.0.1:5900"]);
        !exit.is_err_and(|exit| exit.code == 0 || exit.text.contains("unrecognized"))
    };
    let mut switches: Vec<_> = SWITCHES.iter().filter(|switch| takes(switch)).collect();
    flags.sort();
    switches.sort();
    assert_eq!(flags.iter().collect::<Vec<_>>(), switches);
}
