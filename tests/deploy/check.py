"""Tries what scripts/deploy holds, as far as one machine can: see scripts/deploy.sh.

It runs as root in network and mount namespaces of its own, so the ports of the
examples are free and /dev/log is nobody's. Every check that only reads a file
is tried on a spoilt copy as well, which it has to refuse.
"""

import base64
import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "scripts/deploy"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="adit-deploy-"))
ADIT = str(WORK / "adit")
PATIENCE = 20
BACKEND = 5900  # that of all examples
WHOLE = 1024 * 1024  # more than any buffer of adit's
SUPERSERVER = {**os.environ, "LD_LIBRARY_PATH": os.environ["SUPERSERVER_LIBRARIES"]}
EXPOSURE = 15  # tenths; systemd-analyze calls less than 20 "OK"


def text(name):
    return (DEPLOY / name).read_text()


def placed(name, **changes):
    """A copy of an example with this machine's binary, and other changes."""
    content = text(name).replace("/usr/bin/adit", ADIT)
    for old, new in changes.items():
        content = content.replace(old, new)
    path = WORK / pathlib.Path(name).name
    path.write_text(content)
    return path


def run(*command, **options):
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=120, **options
    )


def good(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@contextlib.contextmanager
def running(*command, **options):
    with open(WORK / "log", "a") as log:
        options = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, **options}
        child = subprocess.Popen([str(word) for word in command], **options)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def eventually(what, ask):
    """The first answer that is not None, for as long as patience has."""
    until = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):
            answer = ask()
            if answer is not None:
                return answer
        assert time.monotonic() < until, f"{what}: not within {PATIENCE} s"
        time.sleep(0.05)


def serve_echo(port, at_once=1):
    """Gives back what comes, whenever it is so many bytes."""
    listener = socket.create_server(("127.0.0.1", port))

    def echo(client):
        held = b""
        with client, contextlib.suppress(OSError):
            while data := client.recv(65536):
                held += data
                if len(held) >= at_once:
                    client.sendall(held)
                    held = b""

    def accept():
        while True:
            client, _ = listener.accept()
            threading.Thread(target=echo, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def tunnel(port, path="/", word=b"hello", trusted=None):
    """Opens a tunnel, over TLS with an authority to trust, and a message comes back
    through it, whole or in parts."""
    with contextlib.ExitStack() as held:
        client = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        if trusted:
            context = ssl.create_default_context(cafile=trusted)
            client = held.enter_context(context.wrap_socket(client, server_hostname="localhost"))
        key = base64.b64encode(os.urandom(16)).decode()
        client.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        stream = held.enter_context(client.makefile("rb"))
        status = stream.readline().split()
        assert status[1:2] == [b"101"], status
        while stream.readline().strip():
            pass
        # Short or long, nothing between, and masked with zeroes.
        size = [len(word)] if len(word) < 126 else [127, *struct.pack("!Q", len(word))]
        client.sendall(bytes([0x82, 0x80 | size[0], *size[1:], 0, 0, 0, 0]) + word)
        heard = b""
        while len(heard) < len(word):
            _, size = stream.read(2)
            if size >= 126:
                size = int.from_bytes(stream.read({126: 2, 127: 8}[size]), "big")
            heard += stream.read(size)
        assert heard == word, heard[:100]


def tunnels(port):
    eventually(f"a tunnel at port {port}", lambda: tunnel(port) or True)


def health(port):
    def ask():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE) as page:
            return page.status

    assert eventually(f"health at port {port}", ask) == 200


def refuses(check, *arguments):
    """Whether a check can fail at all."""
    try:
        check(*arguments)
    except Exception:
        return
    raise AssertionError(f"{check.__name__} takes what is spoilt")


def setting(unit, key):
    """All values of a key in a unit."""
    return re.findall(rf"^{key}=(.*)$", text(unit), re.MULTILINE)


def command_of(unit, instance=""):
    [line] = setting(unit, "ExecStart")
    return shlex.split(line.replace("/usr/bin/adit", ADIT).replace("%i", instance))


# What is read.


def verify(*units):
    said = good("systemd-analyze", "verify", "--man=no", *units)
    # A unit of this machine's may be wrong; these may not.
    wrong = [line for line in said.splitlines() if "adit" in line]
    assert not wrong, wrong


def systemd_takes_the_units():
    service, listener = placed("adit.service"), placed("adit.socket")
    core = placed("adit@.service").rename(WORK / "adit@01.service")
    verify(service, listener, core)
    for spoilt in ["[Service]\nNonsense=1\n", "[Service]\nType=sometimes\n"]:
        bad = WORK / "adit-bad.service"
        bad.write_text(service.read_text() + spoilt)
        refuses(verify, bad)


def exposed(unit, most):
    good("systemd-analyze", "security", "--offline=yes", f"--threshold={most}", unit)


def systemd_calls_them_hardened():
    for name in ["adit.service", "adit@.service"]:
        unit = placed(name).rename(WORK / name.replace("@", "@1"))
        exposed(unit, EXPOSURE)
        unit.write_text(unit.read_text().replace("NoNewPrivileges=yes", "").replace("User=", "#"))
        refuses(exposed, unit, EXPOSURE)
    hardening = [text(name).split("# Nobody")[1] for name in ["adit.service", "adit@.service"]]
    assert hardening[0] == hardening[1], "the two services are hardened differently"


def filtered(words):
    """The system calls that a SystemCallFilter= line means."""
    calls = set()
    for word in words.split():
        if word.startswith("@"):
            listed = good("systemd-analyze", "syscall-filter", word).splitlines()[1:]
            listed = [line.strip() for line in listed]
            calls |= filtered(" ".join(name for name in listed if not name.startswith("#")))
        else:
            calls.add(word)
    return calls


def traced(trace, allowed, families):
    calls, wrong = set(), []
    for line in trace.splitlines():
        call = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if not call:
            continue
        calls.add(call[1])
        executable = "PROT_EXEC" in line
        if executable and (call[1] == "mprotect" or "PROT_WRITE" in line):
            wrong.append(line)
        if call[1] == "socket" and not re.search(rf"\(({'|'.join(families)}),", line):
            wrong.append(line)
    assert len(calls) > 20, f"nothing was traced: {calls}"
    assert calls <= allowed, f"forbidden: {calls - allowed}"
    assert not wrong, wrong


def the_filters_let_adit_work():
    # systemd itself needs to start it.
    allowed = {"execve"}
    for words in setting("adit.service", "SystemCallFilter"):
        calls = filtered(words.lstrip("~"))
        allowed = allowed - calls if words.startswith("~") else allowed | calls
    [families] = setting("adit.service", "RestrictAddressFamilies")
    good(ROOT / "scripts/certs.sh", WORK / "tls")
    listeners = (
        f'"127.0.0.1:8079"\n\n[[listen]]\naddress = "127.0.0.1:8078"\n'
        f'tls-cert = "{WORK}/tls/cert.pem"\ntls-key = "{WORK}/tls/key.pem"'
    )
    whole = f'\n[[route]]\npath = "/whole"\nbackend = "127.0.0.1:{BACKEND + 1}"\n'
    config = WORK / "traced.toml"
    config.write_text(text("adit.toml").replace('"systemd"', listeners).replace(
        "127.0.0.1:5900", "localhost:5900") + whole)
    serve_echo(BACKEND + 1, WHOLE)
    trace = WORK / "trace"
    with manager() as (environment, hear):
        strace = ["strace", "-f", "-o", trace, ADIT, "serve", "--config", config, "-v"]
        with running(*strace, env=environment) as child:
            hear("READY=1", "WATCHDOG=1")
            [adit] = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
            for _ in range(2):
                tunnel(8079)
                tunnel(8079, "/whole", os.urandom(WHOLE))
                tunnel(8078, "/whole", os.urandom(WHOLE), WORK / "tls/ca.pem")
                os.kill(int(adit), signal.SIGHUP)
                hear("RELOADING=1", "READY=1")
            os.kill(int(adit), signal.SIGTERM)
            hear("STOPPING=1")
            child.wait(PATIENCE)
    traced(trace.read_text(), allowed, families.split())
    # What has to be among the calls, or little was tried.
    for call in ["accept4", "splice", "pipe2"]:
        refuses(traced, trace.read_text(), allowed - {call}, families.split())
    refuses(traced, trace.read_text(), allowed, ["AF_UNIX"])


@contextlib.contextmanager
def manager():
    """A service manager: what it puts into the environment, and how to hear that it
    is told something."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(WORK / "notify"))
        told.settimeout(PATIENCE)

        def hear(*words):
            missing = set(words)
            while missing:
                missing.discard(told.recv(4096).decode().splitlines()[0])

        yield {**os.environ, "NOTIFY_SOCKET": str(WORK / "notify"), "WATCHDOG_USEC": "30000000"}, hear


def dockerfile(content, root):
    """The syntax, and whether what is copied is there: nothing is built."""
    content = re.sub(r"\\\n", " ", content)
    stages, copies = [], []
    arguments = {
        "FROM": r"(?P<image>\S+)(?: AS (?P<stage>\w+))?$",
        "RUN": r"\S.*$",
        "WORKDIR": r"/\S*$",
        "COPY": r"(?:--from=(?P<origin>\w+) )?(?P<sources>\S.*) (?P<target>\S+)$",
        "USER": r"\d+:\d+$",
        "EXPOSE": r"\d+$",
        "ENTRYPOINT": r"(?P<list>\[.*\])$",
        "CMD": r"(?P<list>\[.*\])$",
    }
    for line in content.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, _, rest = line.partition(" ")
        match = re.match(arguments[instruction], rest)
        assert match, line
        assert stages or instruction == "FROM", f"{line}: before the first FROM"
        found = match.groupdict()
        if instruction == "FROM":
            stages.append(found["stage"])
        if found.get("list"):
            assert all(isinstance(word, str) for word in json.loads(found["list"])), line
        if found.get("origin"):
            assert found["origin"] in stages[:-1], line
        elif "sources" in found:
            copies += found["sources"].split()
    for name in copies:
        assert (root / name).exists(), f"{name} is not there"
    return copies


def the_dockerfile_is_one():
    content = text("Dockerfile")
    copies = dockerfile(content, ROOT)
    for old, new in [("--from=build", "--from=other"), ('"/adit"]', '"/adit"'), ("src ./src", "no ./src"),
                     ("FROM scratch", "FORM scratch")]:
        assert old in content
        refuses(dockerfile, content.replace(old, new), ROOT)
    # What is copied is enough for cargo.
    context = WORK / "context"
    context.mkdir()
    for name in copies:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, context / name)
    platform = "x86_64-unknown-linux-musl"
    good("cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", platform, cwd=context)


def kubernetes(content, directory):
    """References within the file, and the configuration that it holds."""
    objects = {item["kind"]: item for item in yaml.safe_load_all(content)}
    pod = objects["Deployment"]["spec"]["template"]
    assert objects["Deployment"]["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert objects["Service"]["spec"]["selector"] == pod["metadata"]["labels"]
    [container] = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert objects["Service"]["spec"]["ports"][0]["targetPort"] in ports
    assert container["livenessProbe"]["tcpSocket"]["port"] in ports
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}
    [volume] = pod["spec"]["volumes"]
    [mount] = container["volumeMounts"]
    assert mount["name"] == volume["name"]
    assert volume["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    directory.mkdir(exist_ok=True)
    for name, data in objects["ConfigMap"]["data"].items():
        (directory / name).write_text(data.replace("desktop:", "127.0.0.1:"))
    words = [word.replace(mount["mountPath"], str(directory)) for word in container["args"]]
    return words, ports


def kubernetes_can_read_its_file():
    content = text("kubernetes.yaml")
    words, ports = kubernetes(content, WORK / "pod")
    for old, new in [("port: admin", "port: other"), ("{ app: adit }", "{ app: x }"), ("name: config", "name: x")]:
        refuses(kubernetes, content.replace(old, new, 1), WORK / "spoilt")
    with running(ADIT, *words):
        tunnels(ports["websocket"])
        health(ports["admin"])


# OpenWrt.


def procd(config):
    """The command line of each instance that the init script would start."""
    said = good("busybox", "ash", ROOT / "tests/deploy/openwrt.sh", config, DEPLOY / "openwrt/adit.init")
    instances = {}
    for part in said.split("instance ")[1:]:
        name, parameter, *words = part.splitlines()
        assert parameter == "command"
        instances[name] = words[: words.index("respawn")]
    return instances


def openwrt_starts_what_is_configured():
    sample = text("openwrt/adit.config")
    config = WORK / "uci"
    config.write_text(sample)
    assert procd(config) == {}, "the sample is not disabled"
    config.write_text(sample.replace("enabled '0'", "enabled '1'"))
    expected = {
        "vnc": ["--origin=https://desk.example.org", "--max-connections=50", "--quiet", "8080", "192.168.1.10:5900"],
        "file": ["--config=/etc/adit/adit.toml"],
    }
    assert procd(config) == {name: ["/usr/bin/adit", "serve", *words] for name, words in expected.items()}
    # Values are what they are, and the order is nobody's.
    config.write_text(
        "config tunnel 'x'\n\tlist backend '127.0.0.1:5900'\n\toption listen '127.0.0.1:8077'\n"
        "\toption require_origin '0'\n\toption path '/a b$(x)\"'\n\toption reuse_port 'off'\n\toption verbose 'on'\n"
    )
    assert procd(config)["x"][2:] == ["--path=/a b$(x)\"", "--verbose", "127.0.0.1:8077", "127.0.0.1:5900"]
    config.write_text(config.read_text().replace("/a b$(x)\"", "/"))
    with running(ADIT, *procd(config)["x"][1:]):
        tunnels(8077)


def openwrt_packages_what_is_there():
    """Runs the package's recipe with the build system's variables made up."""
    top = WORK / "openwrt"
    (top / "feeds/packages/lang/rust").mkdir(parents=True)
    (top / "include").mkdir()
    (top / "rules.mk").write_text(
        "INCLUDE_DIR:=$(TOPDIR)/include\nINSTALL_DIR:=install -d -m0755\n"
        "INSTALL_BIN:=install -m0755\nINSTALL_CONF:=install -m0600\n"
    )
    (top / "include/package.mk").write_text(
        "define BuildPackage\nall:\n$(call Package/$(1)/install,$(DESTINATION))\nendef\n"
    )
    (top / "feeds/packages/lang/rust/rust-package.mk").write_text("RustBinPackage=\n")
    (top / "bin").mkdir()
    shutil.copy(ADIT, top / "bin/adit")
    done = top / "done"
    good("make", "-C", DEPLOY / "openwrt", f"TOPDIR={top}", f"PKG_INSTALL_DIR={top}", f"DESTINATION={done}")
    found = {str(path.relative_to(done)): path.stat().st_mode & 0o777 for path in done.rglob("*") if path.is_file()}
    assert found == {"usr/bin/adit": 0o755, "etc/init.d/adit": 0o755, "etc/config/adit": 0o600}, found


# What runs.


def systemd_hands_sockets_over():
    (WORK / "etc").mkdir()
    shutil.copy(DEPLOY / "adit.toml", WORK / "etc/adit.toml")
    command = [word.replace("/etc/adit", str(WORK / "etc")) for word in command_of("adit.service")]
    good(*[word if word != "serve" else "check" for word in command if word != "--config"])
    listens = [f"--listen={address}" for address in setting("adit.socket", "ListenStream")]
    with running("systemd-socket-activate", *listens, *command):
        tunnels(8080)


def two_cores_share_a_port():
    with running(*command_of("adit@.service", "01")), running(*command_of("adit@.service", "16")):
        health(9001)
        health(9016)
        tunnels(8080)


def inetd_starts_it():
    with syslog() as lines:
        with running("inetd", "-i", placed("inetd.conf"), env=SUPERSERVER):
            tunnels(8080)
            tunnels(8081)
        assert any(" adit " in line for line in lines), lines
    # Who serves for all outlives inetd, and would keep the port.
    for exe in pathlib.Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            if os.readlink(exe) == ADIT:
                os.kill(int(exe.parent.name), signal.SIGKILL)


def xinetd_starts_it():
    with syslog() as lines:
        options = ["-dontfork", "-f", placed("xinetd.conf"), "-pidfile", WORK / "xinetd.pid"]
        with running("xinetd", *options, env=SUPERSERVER):
            tunnels(8080)
        assert any(" adit " in line for line in lines), lines


@contextlib.contextmanager
def syslog():
    lines = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        log.settimeout(0.1)
        over = threading.Event()

        def listen():
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    lines.append(log.recv(65536).decode())

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield lines
        finally:
            time.sleep(0.3)
            over.set()
            thread.join()
            os.unlink("/dev/log")


def rsyslog_reads_its_lines():
    log = WORK / "adit.log"
    config = placed("rsyslog.conf", **{"/var/log/adit.log": str(log)})
    good("rsyslogd", "-N1", "-f", config)
    with running("rsyslogd", "-n", "-f", config, "-i", WORK / "rsyslog.pid"):
        eventually("/dev/log", lambda: os.path.exists("/dev/log") or None)
        with running(ADIT, "serve", "127.0.0.1:8076", "127.0.0.1:5900", "--syslog") as adit:
            tunnels(8076)
            line = rf"adit\[{adit.pid}\].* INFO .*opened: "
            eventually("a line in rsyslog's file", lambda: re.search(line, log.read_text()))
    with contextlib.suppress(FileNotFoundError):
        os.unlink("/dev/log")


def front(name, expected_options, check, start):
    """Two adits as the example's head says, and the example before them."""
    head = re.sub(r"\s+", " ", text(name)[: text(name).index("(8082")].replace("#", " "))
    words = shlex.split(head[head.index("adit serve"):])[1:]
    assert set(expected_options) == {word for word in words if word.startswith("--")}, words
    words = [word.replace("BACKEND", f"127.0.0.1:{BACKEND}") for word in words]
    second = [word.replace("8081", "8082").replace("9091", "9092") for word in words]
    config = placed(name)
    check(config)
    with running(ADIT, *words) as one, running(ADIT, *second), running(*start(config)):
        tunnels(8080)
        one.terminate()
        one.wait(PATIENCE)
        # The other has them all, and the proxy's clients notice nothing.
        for _ in range(10):
            tunnel(8080)


def haproxy_is_a_front():
    def check(config):
        good("haproxy", "-c", "-f", config)

    front(
        "haproxy.cfg",
        ["--admin", "--accept-proxy", "--trusted-proxies"],
        check,
        lambda config: ["haproxy", "-db", "-f", config],
    )
    bad = WORK / "bad.cfg"
    bad.write_text(text("haproxy.cfg").replace("leastconn", "most"))
    refuses(check, bad)


def nginx_is_a_front():
    whole = WORK / "whole.conf"

    def around(config):
        whole.write_text(
            f"pid {WORK}/nginx.pid;\nerror_log stderr;\nworker_processes 1;\ndaemon off;\n"
            f"events {{}}\nhttp {{ access_log off; include {config}; }}\n"
        )
        return whole

    def check(config):
        good("nginx", "-t", "-e", "stderr", "-c", around(config))

    front(
        "nginx.conf",
        ["--trusted-proxies"],
        check,
        lambda config: ["nginx", "-e", "stderr", "-c", around(config)],
    )
    bad = WORK / "bad.conf"
    bad.write_text(text("nginx.conf").replace("least_conn", "most_conn"))
    refuses(check, bad)


CHECKS = [
    systemd_takes_the_units,
    systemd_calls_them_hardened,
    the_filters_let_adit_work,
    systemd_hands_sockets_over,
    two_cores_share_a_port,
    inetd_starts_it,
    xinetd_starts_it,
    openwrt_starts_what_is_configured,
    openwrt_packages_what_is_there,
    the_dockerfile_is_one,
    kubernetes_can_read_its_file,
    haproxy_is_a_front,
    nginx_is_a_front,
    rsyslog_reads_its_lines,
]


def main():
    wanted, names = sys.argv[2:], [check.__name__ for check in CHECKS]
    if unknown := [name for name in wanted if name not in names]:
        WORK.rmdir()
        print(f"deploy: no check {', '.join(unknown)}; there are\n  " + "\n  ".join(names), file=sys.stderr)
        sys.exit(2)
    WORK.chmod(0o755)
    shutil.copy(sys.argv[1], ADIT)
    serve_echo(BACKEND)
    failed = []
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        if wanted and check.__name__ not in wanted:
            continue
        try:
            check()
            print(f"ok      {name}", flush=True)
        except Exception as e:
            failed.append(name)
            print(f"FAILED  {name}: {type(e).__name__}: {e}", flush=True)
    if failed:
        print(f"---- what was started said\n{(WORK / 'log').read_text()[-8000:]}----")
    shutil.rmtree(WORK)
    sys.exit(bool(failed))


main()
