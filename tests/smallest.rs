//! Smaller builds, down to the tunnel alone: of all that they lack they say what
//! it wants.

// With every feature nothing is lacking.
#![cfg(not(feature = "default"))]
#![allow(clippy::unwrap_used)]

mod common;

use adit::features::{self, Feature};
use common::*;

#[test]
fn a_tunnel_echoes_whatever_is_built_in() {
    let (adit, _backend) = echo(&["--framing", "lines", "--sandbox", "auto"]);
    let mut client = adit.client();
    client.send(TEXT, b"so small");
    assert_eq!(client.message(), (TEXT, b"so small".to_vec()));
    client.close(1000);
    if !Feature::Sandbox.is_built_in() {
        adit.wait_for_log("not sandboxed: this adit was built without the feature \"sandbox\"");
    }
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    let built_in = features::built_in();
    let has_any = Feature::ALL.iter().any(|feature| feature.is_built_in());
    assert_eq!(built_in == "none", !has_any);
    let features = format!("\nfeatures: {built_in}\n");
    assert!(version.ends_with(&features), "{version}");
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
    let lacking = |name: &str| {
        let mut all = Feature::ALL.iter();
        let feature = all.find(|feature| feature.name() == name);
        !feature.unwrap().is_built_in()
    };
    for (args, what, feature) in wants.iter().filter(|(.., name)| lacking(name)) {
        let output = run(args);
        let error = String::from_utf8(output.stderr).unwrap();
        let says = format!("adit: {what}: this adit was built without the feature \"{feature}\"");
        assert!(error.starts_with(&says), "{args:?}: {error}");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let is_command = args[0] == *what;
        assert_eq!(error.contains("--help"), !is_command, "{args:?}: {error}");
    }
}
