//! What the process gives up once it listens: user, root, files.
//!
//! Only root can become somebody else or change the root. Where the tests do
//! not run as root, each of those asserts the refusal that everybody else gets,
//! and no more. The sandbox is for everybody; where the kernel has none, the
//! tests assert that adit says so and goes on.

// What a reload may still read, and the demo, in the sandbox.
#![cfg(all(feature = "config-file", feature = "demo", feature = "sandbox"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use common::*;
use rustix::process::{Signal, geteuid};

/// Whether this is not root, whom alone these options are for; they are refused then.
fn is_refused(options: &[&str]) -> bool {
    if geteuid().is_root() {
        return false;
    }
    let args = [&["serve", "127.0.0.1:0", "127.0.0.1:9"], options].concat();
    let output = run(&args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("only root can"), "{text}");
    eprintln!("only the refusal was tried: this is not root");
    true
}

/// Whether the sandbox holds; it says why where it does not.
fn is_sandboxed(adit: &Adit) -> bool {
    let line = adit.wait_for_log("sandboxed: ");
    let holds = !line.contains("not sandboxed: ");
    if !holds {
        eprintln!("the sandbox was not tried: {line}");
    }
    holds
}

/// A line of each thread's status: proc_pid_status(5).
fn of_each_thread(process: &str, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let value = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_start_matches(':').trim().to_owned()
    };
    // A thread that loads the settings may end before it is read.
    let read = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).ok();
    tasks
        .filter_map(|task| read(task.unwrap()))
        .map(value)
        .collect()
}

/// The same where it is the same in all.
fn status(adit: &Adit, name: &str) -> String {
    let mut threads = of_each_thread(&adit.id().to_string(), name);
    threads.dedup();
    assert_eq!(threads.len(), 1, "{threads:?}");
    threads.remove(0)
}

/// The log of a start that is over: a tunnel is open.
fn log_of_start(adit: &Adit) -> String {
    let _client = adit.client();
    adit.wait_for_log("opened: ");
    adit.log()
}

/// `user` as a number, and its group's, as adit has them.
fn ids(adit: &Adit) -> (u32, u32) {
    let line = adit.wait_for_log("running as user ");
    let (rest, gid) = line.rsplit_once(", gid ").unwrap();
    let (_, uid) = rest.rsplit_once("uid ").unwrap();
    (uid.parse().unwrap(), gid.parse().unwrap())
}

fn file(globals: &str, listeners: &[&str], backend: &str) -> String {
    let listen = |address: &&str| format!("[[listen]]\naddress = \"{address}\"\n");
    let listeners: String = listeners.iter().map(listen).collect();
    format!("{globals}\n{listeners}[[route]]\nbackend = \"{backend}\"\n")
}

/// Makes a file everybody's, as a service does whose clients are other users.
fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

#[test]
fn root_becomes_the_user_for_good_and_tunnels_by_name_go_on() {
    if is_refused(&["--user", "root"]) {
        return;
    }
    for (options, expected_gid) in [
        (&["--user", "nobody"][..], None),
        (&["--user=nobody", "--group=12345"], Some(12345)),
        (&["--user=54321", "--group=12345"], Some(12345)),
    ] {
        let backend = Backend::echo();
        let (_, port) = backend.address.rsplit_once(':').unwrap();
        let by_name = format!("localhost:{port}");
        let adit = Adit::serve(&[&[by_name.as_str()], options].concat());
        let (uid, gid) = ids(&adit);
        assert_ne!(uid, 0);
        assert_eq!(gid, expected_gid.unwrap_or(gid));
        let mut client = adit.client();
        client.echoes(b"x");
        // Real, effective, saved and file system's.
        assert_eq!(status(&adit, "Uid"), vec![uid.to_string(); 4].join("\t"));
        assert_eq!(status(&adit, "Gid"), vec![gid.to_string(); 4].join("\t"));
        assert_eq!(status(&adit, "Groups"), gid.to_string());
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            assert_eq!(status(&adit, set).trim_matches('0'), "", "{set}");
        }
        assert!(!log_of_start(&adit).contains("running as root"));
    }
}

#[test]
fn root_that_stays_root_is_warned_unless_it_says_so() {
    let (adit, _backend) = echo(&[]);
    assert_eq!(
        log_of_start(&adit).contains("WARN  running as root"),
        geteuid().is_root()
    );
    if is_refused(&["--user", "root"]) {
        return;
    }
    let (adit, _backend) = echo(&["--user", "root"]);
    assert!(!log_of_start(&adit).contains("WARN"));
    assert!(status(&adit, "Uid").starts_with("0\t"));
}

#[test]
fn who_is_not_there_is_an_error_before_anything_is_opened() {
    for (options, expected) in [
        (
            &["--user", "no-such-user"][..],
            "adit: user \"no-such-user\": there is no such user\n",
        ),
        (
            &["--user", "root", "--group", "no-such-group"],
            "adit: group \"no-such-group\": there is no such group\n",
        ),
    ] {
        let args = [&["serve", "127.0.0.1:0", "127.0.0.1:9"], options].concat();
        let output = run(&args);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
}

#[test]
fn a_user_without_rights_can_reload_and_clean_up() {
    if is_refused(&["--user", "root"]) {
        return;
    }
    let (etc, sockets) = (TempDir::new(), TempDir::new());
    let (old, new) = (Backend::named("old"), sockets.unix("service"));
    let _new = Backend::each_on(&new, |mut socket| socket.say(b"new"));
    open_to_all(&sockets.path("service"));
    let (first, second) = (sockets.unix("first"), sockets.unix("second"));
    let globals = "user = \"nobody\"";
    let path = etc.write("adit.toml", &file(globals, &[&first], &old.address));
    let mut adit = Adit::configured(&path, &[]);
    let (uid, gid) = ids(&adit);
    chown(sockets.path(""), Some(uid), Some(gid)).unwrap();
    assert_eq!(Client::open(&first).payload(3), b"old");

    etc.write("adit.toml", &file(globals, &[&first, &second], &new));
    adit.signal(Signal::HUP);
    adit.wait_for_log("reloaded");
    assert_eq!(Client::open(&first).payload(3), b"new");
    assert_eq!(Client::open(&second).payload(3), b"new");

    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0));
    assert!(!sockets.path("first").exists());
    assert!(!sockets.path("second").exists());
}

#[test]
fn a_port_that_is_for_root_stays_closed_and_the_reload_says_why() {
    if is_refused(&["--user", "root"]) {
        return;
    }
    let first_free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if first_free.trim().parse::<u16>().unwrap() <= 1 {
        eprintln!("not tried: every port is everybody's here");
        return;
    }
    let temp = TempDir::new();
    let backend = Backend::named("hello");
    let front = temp.unix("front");
    let globals = "user = \"nobody\"";
    let path = temp.write("adit.toml", &file(globals, &[&front], &backend.address));
    let adit = Adit::configured(&path, &[]);
    ids(&adit);
    open_to_all(&temp.path("front"));
    temp.write(
        "adit.toml",
        &file(globals, &[&front, "127.0.0.1:1"], &backend.address),
    );
    adit.signal(Signal::HUP);
    let line = adit.wait_for_log("cannot reload");
    let why = "user nobody may not open a port below 1024, only a restart can";
    assert!(line.contains(why), "{line}");
    assert_eq!(Client::open(&front).payload(5), b"hello");
}

#[test]
fn the_sandbox_keeps_files_elsewhere_out_of_reach() {
    let (etc, elsewhere) = (TempDir::new(), TempDir::new());
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    for (globals, holds) in [("", true), ("sandbox = \"off\"", false)] {
        let front = etc.unix("front");
        let other = file(globals, &[&front], &new.address);
        let other = elsewhere.write("adit.toml", &other);
        let named = etc.write("adit.toml", &file(globals, &[&front], &old.address));
        let adit = Adit::configured(&named, &[]);
        if holds && !is_sandboxed(&adit) {
            continue;
        }
        fs::remove_file(&named).unwrap();
        symlink(other, &named).unwrap();
        adit.signal(Signal::HUP);
        if holds {
            adit.wait_for_log("adit.toml: cannot be read: Permission denied");
            adit.wait_for_log("cannot be read any more in the sandbox");
            assert_eq!(Client::open(&front).payload(3), b"old");
        } else {
            adit.wait_for_log("reloaded");
            assert_eq!(Client::open(&front).payload(3), b"new");
        }
        drop(adit);
        fs::remove_file(&named).unwrap();
    }
}

#[test]
fn the_sandbox_lets_sockets_be_made_only_beside_those_of_the_start() {
    let (etc, elsewhere) = (TempDir::new(), TempDir::new());
    let backend = Backend::named("hello");
    let (front, beside, far) = (etc.unix("front"), etc.unix("beside"), elsewhere.unix("far"));
    let path = etc.write("adit.toml", &file("", &[&front], &backend.address));
    let mut adit = Adit::configured(&path, &[]);
    if !is_sandboxed(&adit) {
        return;
    }
    etc.write("adit.toml", &file("", &[&front, &far], &backend.address));
    adit.signal(Signal::HUP);
    let line = adit.wait_for_log("cannot listen");
    assert!(line.contains("confined since its start"), "{line}");
    assert!(line.contains("in the sandbox"), "{line}");
    assert!(!elsewhere.path("far").exists());

    etc.write("adit.toml", &file("", &[&front, &beside], &backend.address));
    adit.signal(Signal::HUP);
    adit.wait_for_log("reloaded");
    assert_eq!(Client::open(&beside).payload(5), b"hello");
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0));
    assert!(!etc.path("front").exists() && !etc.path("beside").exists());
}

#[test]
fn a_file_that_is_replaced_and_a_linked_one_are_read_again() {
    let (etc, lies) = (TempDir::new(), TempDir::new());
    let front = etc.unix("front");
    let backends = ["1", "2"].map(Backend::named);
    let texts = backends
        .each_ref()
        .map(|b| file("sandbox = \"auto\"", &[&front], &b.address));
    let target = lies.write("real.toml", &texts[0]);
    symlink(target, etc.path("adit.toml")).unwrap();
    let adit = Adit::configured(etc.path("adit.toml").to_str().unwrap(), &[]);
    assert_eq!(Client::open(&front).payload(1), b"1");
    // As editors and package managers do it: the name is another file then.
    lies.write("real.toml.new", &texts[1]);
    fs::rename(lies.path("real.toml.new"), lies.path("real.toml")).unwrap();
    adit.signal(Signal::HUP);
    adit.wait_for_log("reloaded");
    assert_eq!(Client::open(&front).payload(1), b"2");
    etc.write("adit.toml.new", &texts[0]);
    fs::rename(etc.path("adit.toml.new"), etc.path("adit.toml")).unwrap();
    adit.signal(Signal::HUP);
    adit.wait_for_logs(2, "reloaded");
    assert_eq!(Client::open(&front).payload(1), b"1");
}

#[test]
fn the_sandbox_can_be_required_and_be_off() {
    let before = of_each_thread("self", "NoNewPrivs").remove(0);
    let (adit, _backend) = echo(&["--sandbox", "off"]);
    assert!(!log_of_start(&adit).contains("sandboxed"));
    assert_eq!(status(&adit, "NoNewPrivs"), before);

    let (adit, _backend) = echo(&[]);
    drop(adit.client());
    if is_sandboxed(&adit) {
        let (adit, _backend) = echo(&["--sandbox=require"]);
        let line = adit.wait_for_log("sandboxed: Landlock");
        assert!(line.contains("no new privileges"), "{line}");
        drop(adit.client());
        assert_eq!(status(&adit, "NoNewPrivs"), "1");
    } else {
        let args = ["serve", "127.0.0.1:0", "127.0.0.1:9", "--sandbox=require"];
        let output = run(&args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("adit: sandbox \"require\": "), "{text}");
    }
}

#[test]
fn the_sandbox_holds_in_every_thread() {
    let (adit, _backend) = echo(&[]);
    if !is_sandboxed(&adit) {
        return;
    }
    // Landlock does not show in /proc, but comes with what does.
    let adit = Adit::demo();
    let threads = of_each_thread(&adit.id().to_string(), "NoNewPrivs");
    assert!(threads.len() > 1, "{threads:?}");
    assert!(threads.iter().all(|value| value == "1"), "{threads:?}");
}

#[test]
fn what_was_given_up_stays_so_after_a_reload() {
    let temp = TempDir::new();
    let backend = Backend::named("hello");
    let front = temp.unix("front");
    let path = temp.write("adit.toml", &file("", &[&front], &backend.address));
    let adit = Adit::configured(&path, &[]);
    assert_eq!(Client::open(&front).payload(5), b"hello");
    // What looks names up is loaded with the first name.
    let by_name = backend.address.replace("127.0.0.1", "localhost");
    let no_new_privileges = status(&adit, "NoNewPrivs");
    temp.write("adit.toml", &file("sandbox = \"off\"", &[&front], &by_name));
    adit.signal(Signal::HUP);
    adit.wait_for_log("user, group, chroot and sandbox stay as they are until a restart");
    adit.wait_for_log("reloaded");
    assert_eq!(status(&adit, "NoNewPrivs"), no_new_privileges);
    assert_eq!(Client::open(&front).payload(5), b"hello");
}

#[test]
fn after_chroot_paths_begin_at_the_new_root() {
    if is_refused(&["--chroot", "/"]) {
        return;
    }
    let root = TempDir::new();
    let shown = root
        .path("")
        .to_str()
        .unwrap()
        .trim_end_matches('/')
        .to_owned();
    let _inside = Backend::each_on(&root.unix("service"), |mut socket| socket.say(b"inside"));
    open_to_all(&root.path("service"));
    let outside = Backend::named("tcp");
    let front = "127.0.0.1:0";
    let globals = format!("user = \"nobody\"\nchroot = \"{shown}\"");
    let path = root.write("adit.toml", &file(&globals, &[front], &outside.address));

    let adit = Adit::configured(&path, &[]);
    let warning = format!("{path}: cannot be read any more as user nobody, in the root {shown}");
    adit.wait_for_log(&warning);
    drop(adit);

    fs::create_dir_all(root.path(shown.trim_start_matches('/'))).unwrap();
    let copy = root.path(path.trim_start_matches('/'));
    fs::copy(&path, &copy).unwrap();
    let adit = Adit::configured(&path, &[]);
    assert_eq!(adit.client().payload(3), b"tcp");
    let link = fs::read_link(format!("/proc/{}/root", adit.id())).unwrap();
    assert_eq!(link, fs::canonicalize(&shown).unwrap());
    fs::write(copy, file(&globals, &[front], "unix:/service")).unwrap();
    adit.signal(Signal::HUP);
    adit.wait_for_log("reloaded");
    assert_eq!(adit.client().payload(6), b"inside");
    assert!(!adit.log().contains("cannot be read any more"));
}

#[test]
fn a_root_that_is_not_there_is_an_error() {
    if is_refused(&["--chroot", "/no/such/folder"]) {
        return;
    }
    let args = [
        "serve",
        "127.0.0.1:0",
        "127.0.0.1:9",
        "--chroot=/no/such/folder",
    ];
    let output = run(&args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let why = "adit: cannot change the root to /no/such/folder: No such file or directory";
    assert!(text.contains(why), "{text}");
}
