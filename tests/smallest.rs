//! The smallest build: the tunnel alone, which says of all else what it wants.

// With a feature there is more, and the other tests have it.
#![cfg(not(any(
    feature = "tls",
    feature = "auth",
    feature = "config-file",
    feature = "demo",
    feature = "sandbox",
    feature = "connect",
    feature = "admin",
    feature = "activation"
)))]
#![allow(clippy::unwrap_used)]

mod common;

use common::*;

#[test]
fn a_tunnel_echoes_with_nothing_built_in() {
    let (adit, _backend) = echo(&["--framing", "lines", "--sandbox", "auto"]);
    let mut client = adit.client();
    client.send(TEXT, b"so small");
    assert_eq!(client.message(), (TEXT, b"so small".to_vec()));
    client.close(1000);
    adit.wait_for_log("not sandboxed: this adit was built without the feature \"sandbox\"");
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert!(version.ends_with("\nfeatures: none\n"), "{version}");
}

#[test]
fn what_is_not_built_in_names_the_feature_that_it_wants() {
    // (arguments, what is said of what, the feature)
    let wants: &[(&[&str], &str, &str)] = &[
        (
            &["serve", "80", "h:1", "--tls-cert", "c"],
            "--tls-cert",
            "tls",
        ),
        (&["serve", "80", "h:1", "--plain=allow"], "--plain", "tls"),
        (
            &["serve", "80", "h:1", "--backend-insecure"],
            "--backend-insecure",
            "tls",
        ),
        (&["serve", "80", "tls:h:1"], "backend \"tls:h:1\"", "tls"),
        (
            &["serve", "80", "h:1", "--token-file=t"],
            "--token-file",
            "auth",
        ),
        (
            &["serve", "80", "h:1", "--basic-file=t"],
            "--basic-file",
            "auth",
        ),
        (
            &["serve", "80", "h:1", "--auth-realm=r"],
            "--auth-realm",
            "auth",
        ),
        (&["serve", "80", "--token-map", "m"], "--token-map", "auth"),
        (
            &["serve", "80", "h:1", "--sandbox=require"],
            "sandbox \"require\"",
            "sandbox",
        ),
        (
            &["serve", "--config", "adit.toml"],
            "--config",
            "config-file",
        ),
        (
            &["check", "adit.toml", "--url", "ws://h/"],
            "check",
            "config-file",
        ),
        (&["check", "--help"], "check", "config-file"),
        (&["token", "--key", "k"], "token", "auth"),
        (&["connect", "-", "ws://h/"], "connect", "connect"),
        (&["connect", "--help"], "connect", "connect"),
        (&["inetd", "h:1"], "inetd", "activation"),
        (
            &["serve", "systemd", "h:1"],
            "listen address \"systemd\"",
            "activation",
        ),
        (
            &["serve", "fd:3", "h:1"],
            "listen address \"fd:3\"",
            "activation",
        ),
        (&["serve", "80", "h:1", "--admin=h:2"], "--admin", "admin"),
        (&["demo"], "demo", "demo"),
        (&["demo", "--listen=80"], "demo", "demo"),
    ];
    for (args, what, feature) in wants {
        let output = run(args);
        let error = String::from_utf8(output.stderr).unwrap();
        let says = format!("adit: {what}: this adit was built without the feature \"{feature}\"");
        assert!(error.starts_with(&says), "{args:?}: {error}");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let is_command = args[0] == *what;
        assert_eq!(error.contains("--help"), !is_command, "{args:?}: {error}");
    }
}
