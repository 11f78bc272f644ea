//! Who is measured, and how each is started: on one port of loopback, in front
//! of one backend, with one thread where it can be told, and without a log of
//! each connection.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a peer is told to do.
pub struct Place<'a> {
    /// Where its files are, with ca.pem, cert.pem and key.pem.
    pub folder: &'a Path,
    pub listen: u16,
    pub backend: u16,
    pub tls: bool,
    /// How many there may be at a time.
    pub tunnels: usize,
}

pub struct Peer {
    pub name: &'static str,
    program: &'static str,
    /// The option that tells it; where that is none, the package does.
    version: &'static str,
    /// It only passes WebSocket on, so its backend has to speak it.
    pub passes: bool,
    pub tls: bool,
    /// How many tunnels it is tried with.
    pub most: usize,
    arguments: fn(&Place) -> io::Result<Vec<String>>,
}

pub const MANY: usize = 8000;
/// Peers with a process for each connection are not tried with many.
const FEW: usize = 64;

pub const PEERS: &[Peer] = &[
    Peer {
        name: "adit",
        program: "adit",
        version: "--version",
        passes: false,
        tls: true,
        most: MANY,
        arguments: adit,
    },
    Peer {
        name: "lighttpd",
        program: "lighttpd",
        version: "-v",
        passes: false,
        tls: true,
        most: MANY,
        arguments: lighttpd,
    },
    Peer {
        name: "websocat",
        program: "websocat",
        version: "--version",
        passes: false,
        tls: false,
        most: MANY,
        arguments: websocat,
    },
    Peer {
        name: "websockify",
        program: "websockify",
        version: "",
        passes: false,
        tls: false,
        most: FEW,
        arguments: websockify,
    },
    Peer {
        name: "websocketd",
        program: "websocketd",
        version: "",
        passes: false,
        tls: false,
        most: FEW,
        arguments: websocketd,
    },
    Peer {
        name: "nginx",
        program: "nginx",
        version: "-v",
        passes: true,
        tls: true,
        most: MANY,
        arguments: nginx,
    },
    Peer {
        name: "haproxy",
        program: "haproxy",
        version: "-v",
        passes: true,
        tls: true,
        most: MANY,
        arguments: haproxy,
    },
    Peer {
        name: "haproxy-tcp",
        program: "haproxy",
        version: "-v",
        passes: true,
        tls: false,
        most: MANY,
        arguments: haproxy_tcp,
    },
];

impl Peer {
    /// Where its program lies: where the variable of its name says, or on the path.
    pub fn program(&self) -> Option<PathBuf> {
        if let Some(path) = env::var_os(self.program.to_uppercase()) {
            return Some(path.into());
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        folders
            .map(|folder| folder.join(self.program))
            .find(|program| program.is_file())
    }

    /// The first thing in what it says that looks like a version.
    pub fn version(&self) -> Option<String> {
        let output = if self.version.is_empty() {
            Command::new("dpkg-query")
                .args(["-W", "-f${Version}", self.program])
                .output()
                .ok()?
        } else {
            Command::new(self.program()?)
                .arg(self.version)
                .output()
                .ok()?
        };
        let text = String::from_utf8([output.stdout, output.stderr].concat()).ok()?;
        let of_version = |c: char| c.is_ascii_digit() || c == '.';
        text.split(|c| !of_version(c))
            .map(|word| word.trim_matches('.'))
            .find(|word| word.contains('.'))
            .map(str::to_owned)
    }

    pub fn command(&self, place: &Place) -> io::Result<Command> {
        let program = self
            .program()
            .ok_or_else(|| io::Error::other("not installed"))?;
        let log = fs::File::create(
            place
                .folder
                .join(format!("{}-{}.log", self.name, place.listen)),
        )?;
        let mut command = Command::new(program);
        command
            .args((self.arguments)(place)?)
            .current_dir(place.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }
}

/// Writes a configuration file; gives its path.
fn file(place: &Place, name: &str, text: &str) -> io::Result<String> {
    let path = place.folder.join(format!("{}-{name}", place.listen));
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

fn strings<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

fn adit(place: &Place) -> io::Result<Vec<String>> {
    let listen = format!("127.0.0.1:{}", place.listen);
    let backend = format!("127.0.0.1:{}", place.backend);
    let mut words = strings(["serve", &listen, &backend, "--quiet"]);
    if place.tls {
        let file = |name| place.folder.join(name).display().to_string();
        words.extend([
            "--tls-cert".into(),
            file("cert.pem"),
            "--tls-key".into(),
            file("key.pem"),
        ]);
    }
    Ok(words)
}

fn lighttpd(place: &Place) -> io::Result<Vec<String>> {
    let folder = place.folder.display();
    let tls = if place.tls {
        format!(
            "server.modules += (\"mod_openssl\")\nssl.engine = \"enable\"\n\
             ssl.pemfile = \"{folder}/cert.pem\"\nssl.privkey = \"{folder}/key.pem\"\n"
        )
    } else {
        String::new()
    };
    let text = format!(
        r#"server.modules = ("mod_wstunnel")
{tls}server.document-root = "{folder}"
server.bind = "127.0.0.1"
server.port = {}
server.max-fds = {}
server.max-connections = {}
wstunnel.server = ("" => (("host" => "127.0.0.1", "port" => {})))
wstunnel.frame-type = "binary"
"#,
        place.listen,
        // It stops accepting somewhat before these run out.
        3 * place.tunnels,
        place.tunnels + 50,
        place.backend,
    );
    Ok(strings(["-D", "-f", &file(place, "lighttpd.conf", &text)?]))
}

fn websocat(place: &Place) -> io::Result<Vec<String>> {
    let listen = format!("ws-listen:127.0.0.1:{}", place.listen);
    Ok(strings([
        "--binary",
        "--exit-on-eof",
        &listen,
        &format!("tcp:127.0.0.1:{}", place.backend),
    ]))
}

fn websockify(place: &Place) -> io::Result<Vec<String>> {
    let listen = format!("127.0.0.1:{}", place.listen);
    Ok(strings([&listen, &format!("127.0.0.1:{}", place.backend)]))
}

/// It has no TCP backends of its own: each client gets a socat.
fn websocketd(place: &Place) -> io::Result<Vec<String>> {
    Ok(strings([
        "--address=127.0.0.1",
        &format!("--port={}", place.listen),
        "--binary=true",
        "--loglevel=error",
        "socat",
        "-",
        &format!("TCP:127.0.0.1:{},nodelay", place.backend),
    ]))
}

fn nginx(place: &Place) -> io::Result<Vec<String>> {
    let folder = place.folder.display();
    let tls = if place.tls { " ssl" } else { "" };
    let text = format!(
        r#"daemon off;
master_process off;
pid {folder}/{}-nginx.pid;
error_log stderr error;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/temp;
  proxy_temp_path {folder}/temp;
  fastcgi_temp_path {folder}/temp;
  uwsgi_temp_path {folder}/temp;
  scgi_temp_path {folder}/temp;
  ssl_certificate {folder}/cert.pem;
  ssl_certificate_key {folder}/key.pem;
  ssl_protocols TLSv1.2 TLSv1.3;
  server {{
    listen 127.0.0.1:{}{tls};
    location / {{
      proxy_pass http://127.0.0.1:{};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_set_header Host $http_host;
    }}
  }}
}}
"#,
        place.listen,
        place.listen,
        place.backend,
        // It ends young connections once a sixteenth is left.
        files = 5 * place.tunnels / 2,
    );
    Ok(strings([
        "-e",
        "stderr",
        "-c",
        &file(place, "nginx.conf", &text)?,
    ]))
}

fn haproxy(place: &Place) -> io::Result<Vec<String>> {
    haproxy_in(place, "http")
}

fn haproxy_tcp(place: &Place) -> io::Result<Vec<String>> {
    haproxy_in(place, "tcp\n  option splice-auto")
}

fn haproxy_in(place: &Place, mode: &str) -> io::Result<Vec<String>> {
    let tls = if place.tls {
        let read = |name| fs::read_to_string(place.folder.join(name));
        let both = read("cert.pem")? + &read("key.pem")?;
        format!(" ssl crt {}", file(place, "haproxy.pem", &both)?)
    } else {
        String::new()
    };
    let text = format!(
        "global\n  nbthread 1\n  maxconn {}\n\
         defaults\n  mode {mode}\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  timeout tunnel 1h\n\
         listen all\n  bind 127.0.0.1:{}{tls}\n  server backend 127.0.0.1:{}\n",
        place.tunnels + 50,
        place.listen,
        place.backend,
    );
    Ok(strings(["-db", "-f", &file(place, "haproxy.cfg", &text)?]))
}
