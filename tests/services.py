"""Real servers for tests, each on a free loopback port, in a directory of its own, gone when its block ends.

As a command, `python -m tests.services mariadb COMMAND …` runs COMMAND with a fresh MariaDB as its database.
"""

import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port nobody listens on, below the kernel's ephemeral range so that no client takes it meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


class ServerProcess:
    """A server that was started, with its log; stopped with its whole process group."""

    def __init__(self, name: str, argv: Sequence[str], *, directory: Path, env: Mapping[str, str] = {}) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=os.environ | dict(env),
                start_new_session=True,
            )

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 30) -> None:
        """Poll `ready` until it is true; a server that died or takes too long is ended, and its log shown."""
        deadline = time.monotonic() + seconds
        try:
            while not ready():
                status = self.process.poll()
                assert status is None, f"{self.name} ended with status {status}:\n{self.log_tail()}"
                assert time.monotonic() < deadline, f"{self.name} was not ready in {seconds} s:\n{self.log_tail()}"
                time.sleep(0.05)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End the server and all its children at once, as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, *, seconds: float = 10) -> None:
        """Ask the server to end by SIGTERM; taking longer than `seconds` is a failure."""
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not stop in {seconds} s:\n{self.log_tail()}") from None
        finally:
            self.kill()


@contextmanager
def workspace(name: str) -> Iterator[Path]:
    """A directory with a short path (unix sockets allow 107 bytes), removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running(server: ServerProcess) -> Iterator[ServerProcess]:
    """Stop the server when the block ends, and kill it when the block failed."""
    try:
        yield server
    except BaseException:
        server.kill()
        raise
    server.stop(seconds=30)


def _answers(url: str) -> bool:
    """Whether an HTTP server answers at `url`, be it with a refusal."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500
    except OSError:
        return False


# --- MariaDB ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MariaDB:
    port: int
    password: str
    user: str = "harbor"

    def url(self, name: str) -> str:
        return f"mysql://{self.user}@{LOOPBACK}:{self.port}/{name}"

    def environment(self, name: str) -> dict[str, str]:
        return {"HARBOR_DATABASE": self.url(name), "HARBOR_DB_PASSWORD": self.password}

    def run(self, statement: str) -> str:
        argv = ["mariadb", "--no-defaults", f"--host={LOOPBACK}", f"--port={self.port}", "-N", "-B"]
        env = os.environ | {"MYSQL_PWD": self.password}
        done = subprocess.run(
            [*argv, f"--user={self.user}", "-e", statement],
            env=env,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    @contextmanager
    def database(self) -> Iterator[dict[str, str]]:
        """An empty database; what is yielded is the environment that makes a server use it."""
        name = f"site_{uuid.uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name}")
        try:
            yield self.environment(name)
        finally:
            self.run(f"DROP DATABASE {name}")


@contextmanager
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB with the distribution's defaults, but for one user who may do all."""
    server = MariaDB(port=free_port(), password=uuid.uuid4().hex)
    with workspace("mariadb") as directory:
        data, sock = directory / "data", directory / "socket"
        options = ["--no-defaults", f"--datadir={data}"]
        if os.geteuid() == 0:
            options.append("--user=root")  # it refuses to run as root unless told to
        subprocess.run(
            ["mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        setup = directory / "setup.sql"
        setup.write_text(
            f"CREATE USER {server.user}@'{LOOPBACK}' IDENTIFIED BY '{server.password}';\n"
            f"GRANT ALL ON *.* TO {server.user}@'{LOOPBACK}';\n"
            "CREATE DATABASE harbor;\n"
        )
        setup.chmod(0o600)
        listen = [
            f"--bind-address={LOOPBACK}",
            f"--port={server.port}",
            "--skip-name-resolve",
            f"--socket={sock}",
        ]
        argv = [_daemon("mariadbd"), *options, *listen, f"--init-file={setup}", f"--pid-file={directory}/pid"]
        with running(ServerProcess("mariadbd", argv, directory=directory)) as process:
            process.wait_until(lambda: _accepts(server.port))
            yield server


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


def _daemon(name: str) -> str:
    """Daemons live in /usr/sbin, which is not on everybody's PATH."""
    return shutil.which(name) or f"/usr/sbin/{name}"


# --- Redis ------------------------------------------------------------------------------------------------


@contextmanager
def redis() -> Iterator["Redis"]:
    """A Redis that keeps nothing on disk, and that the test may kill and start again."""
    with workspace("redis") as directory:
        server = Redis(directory)
        server.start()
        try:
            yield server
        finally:
            server.process.kill()


class Redis:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        options = [f"--port {self.port}", f"--bind {LOOPBACK}", "--save ''", "--appendonly no"]
        argv = ["redis-server", *(word for option in options for word in option.replace("''", "").split(" "))]
        self.process = ServerProcess("redis-server", argv, directory=self.directory)
        self.process.wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


# --- rsyslog ----------------------------------------------------------------------------------------------


@contextmanager
def rsyslogd() -> Iterator["Rsyslog"]:
    """An rsyslogd that listens on UDP and TCP, and that the test may kill and start again."""
    with workspace("rsyslog") as directory:
        server = Rsyslog(directory)
        server.start()
        try:
            yield server
        finally:
            server.process.kill()


class Rsyslog:
    FIELDS = ("pri", "timereported:::date-rfc3339", "hostname", "app-name", "msgid", "msg")

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.file = directory / "records"
        line = "\\t".join(f"%{field}%" for field in self.FIELDS)
        (directory / "rsyslog.conf").write_text(
            f'''global(workDirectory="{directory}")
module(load="imudp")
module(load="imtcp")
input(type="imudp" address="{LOOPBACK}" port="{self.port}")
input(type="imtcp" address="{LOOPBACK}" port="{self.port}")
template(name="fields" type="string" string="{line}\\n")
action(type="omfile" file="{self.file}" template="fields")
'''
        )

    def start(self) -> None:
        argv = [_daemon("rsyslogd"), "-n", "-f", "rsyslog.conf", "-i", str(self.directory / "pid")]
        self.process = ServerProcess("rsyslogd", argv, directory=self.directory)
        self.process.wait_until(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0

    def records(self) -> list[dict[str, str]]:
        """What was written, by the names of the fields."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        names = [field.partition(":")[0] for field in self.FIELDS]
        return [dict(zip(names, line.split("\t"), strict=True)) for line in lines]


# --- Docker -----------------------------------------------------------------------------------------------


class DockerRegistry:
    """Debian's docker-registry 2.8 with more top-level `settings`; a test may kill it and start it again."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        self.host = f"{LOOPBACK}:{free_port()}"
        self._directory = directory
        storage = {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}}
        config: dict[str, Any] = {"version": "0.1", "storage": storage, "http": {"addr": self.host}, **settings}
        self._file = directory / "config.yml"
        self._file.write_text(json.dumps(config))  # JSON is YAML

    def start(self) -> None:
        argv = ["docker-registry", "serve", str(self._file)]
        self.server = ServerProcess("docker-registry", argv, directory=self._directory)
        self.server.wait_until(lambda: _answers(f"http://{self.host}/v2/"))

    def kill9(self) -> None:
        self.server.kill()


@contextmanager
def docker_registry_process(**settings: Any) -> Iterator[DockerRegistry]:
    with workspace("registry") as directory:
        registry = DockerRegistry(directory, settings)
        registry.start()
        try:
            yield registry
        except BaseException:
            registry.kill9()
            raise
        if registry.server.process.poll() is None:
            registry.server.stop()


@contextmanager
def docker_registry(**settings: Any) -> Iterator[str]:
    """The same for who only wants to know its host:port."""
    with docker_registry_process(**settings) as registry:
        yield registry.host


@contextmanager
def dockerd(etc: Path | None = None) -> Iterator[str]:
    """A Docker engine of its own that needs no network set-up and runs no container; yields DOCKER_HOST.

    `etc` is what it finds at /etc/docker.
    """
    with workspace("dockerd") as directory:
        host = f"unix://{directory}/docker.sock"
        argv = [
            *_as_root_of_a_namespace(etc),
            _daemon("dockerd"),
            *("--bridge=none", "--iptables=false", "--ip6tables=false"),
            *(f"--data-root={directory}/data", f"--exec-root={directory}/exec", f"--pidfile={directory}/pid"),
            *("--storage-driver=vfs", f"--host={host}", "--group=0"),
        ]
        with running(ServerProcess("dockerd", argv, directory=directory)) as process:
            process.wait_until(lambda: _docker_answers(host))
            yield host


def _as_root_of_a_namespace(etc: Path | None) -> tuple[str, ...]:
    """Without root, a user namespace makes us root enough; there the engine writes to /etc/docker and /run."""
    is_root = os.geteuid() == 0
    if is_root and etc is None:
        return ()
    mounts = [f"mount --bind {etc} /etc/docker" if etc else "mount -t tmpfs tmpfs /etc/docker"]
    if not is_root:
        mounts.append("mount -t tmpfs tmpfs /run")
    private = " && ".join([*mounts, 'exec "$0" "$@"'])
    return ("unshare", *(() if is_root else ("--user", "--map-root-user")), "--mount", "sh", "-c", private)


def own_address() -> str:
    """This machine's address that is not loopback, which clients trust without a certificate."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


def _docker_answers(host: str) -> bool:
    env = os.environ | {"DOCKER_HOST": host}
    return subprocess.run(["docker", "version"], env=env, capture_output=True).returncode == 0


# --- Harborsite -------------------------------------------------------------------------------------------


class Site:
    """A Harborsite in a directory of its own, driven from outside as an operator does."""

    password = "Harbor12345"

    def __init__(
        self, directory: Path, env: Mapping[str, str], settings: Mapping[str, object], inside: Sequence[str] = ()
    ) -> None:
        self.directory = directory
        self.inside = inside  # what runs a command where the site's disk is
        self.data = directory / "data"
        self.port = free_port()
        self.host = f"{settings.get('hostname', LOOPBACK)}:{self.port}"
        self.is_https = settings.get("ui_url_protocol") == "https"
        self.url = f"{'https' if self.is_https else 'http'}://{self.host}"
        self.config = directory / "harbor.cfg"
        self.env = {**env, "HARBOR_CFG": str(self.config), "DJANGO_SETTINGS_MODULE": "harborsite.settings"}
        keys: dict[str, object] = {
            "hostname": LOOPBACK,
            "bind": LOOPBACK,
            "http_port": self.port,
            "data_volume": "./data",
        }
        if self.is_https:
            keys |= {"http_port": 0, "https_port": self.port}
            keys |= {"ssl_cert": "./data/cert/server.crt", "ssl_cert_key": "./data/cert/server.key"}
        self.config.write_text("".join(f"{key} = {value}\n" for key, value in (keys | dict(settings)).items()))

    def manage(self, *arguments: str) -> str:
        """Run one management command and return what it printed."""
        argv = [*self.inside, sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(argv, env=os.environ | self.env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"manage.py {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self) -> None:
        argv = [*self.inside, sys.executable, str(ROOT / "manage.py"), "serve"]
        self.server = ServerProcess("harborsite", argv, directory=self.directory, env=self.env)
        self.server.wait_until(self.healthy)

    def healthy(self) -> bool:
        try:
            context = ssl._create_unverified_context() if self.is_https else None
            with urllib.request.urlopen(f"{self.url}/api/v2.0/health", timeout=5, context=context) as answer:
                return bool(json.load(answer)["status"] == "healthy")
        except (OSError, ValueError, KeyError):
            return False

    def kill9(self) -> None:
        self.server.kill()

    def restart(self) -> None:
        if self.server.process.poll() is None:
            self.server.stop()
        self.start()


@contextmanager
def own_database() -> Iterator[dict[str, str]]:
    """An own database on the server that the tests were told to use, if they were told one."""
    url = os.environ.get("HARBOR_DATABASE", "sqlite")
    if not url.startswith("mysql://"):
        yield {"HARBOR_DATABASE": "sqlite"}
        return
    user, _, place = url.removeprefix("mysql://").partition("@")
    port = int(place.partition("/")[0].partition(":")[2])
    with MariaDB(port=port, password=os.environ["HARBOR_DB_PASSWORD"], user=user).database() as env:
        yield env


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[tuple[str, ...]]:
    """A file system of `size` on `directory`, in a mount namespace of its own; yields the way into it.

    It goes with its last process, so nothing stays mounted whatever happens; without root, the kernel's user
    namespaces let us do the same.
    """
    own_user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    mount = f"mount -t tmpfs -o size={size} tmpfs {directory} && echo mounted && exec sleep 3600"
    argv = ["unshare", *own_user, "--mount", "sh", "-c", mount]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout
        assert keeper.stdout.readline() == "mounted\n"
        user = ("--user", "--preserve-credentials") if own_user else ()
        try:
            yield ("nsenter", f"--target={keeper.pid}", *user, "--mount", "--")
        finally:
            keeper.kill()


@contextmanager
def harborsite(database: Mapping[str, str] | None = None, disk: str = "", **settings: object) -> Iterator[Site]:
    """A running Harborsite; `settings` go to its harbor.cfg.

    `database` is what `MariaDB.database()` yields, `disk` the size of a small disk for its data volume.
    """
    with ExitStack() as stack:
        directory = stack.enter_context(workspace("harborsite"))
        env = stack.enter_context(own_database()) if database is None else database
        (directory / "data").mkdir()
        inside = stack.enter_context(small_disk(directory / "data", disk)) if disk else ()
        site = Site(directory, env, settings, inside)
        if site.is_https:
            site.manage("make_cert")
        site.manage("prepare")
        site.start()
        try:
            yield site
        except BaseException:
            site.kill9()
            raise
        if site.server.process.poll() is None:
            site.server.stop()


def main(service: str, *command: str) -> int:
    """Run `command` with a database server of its own; its exit status is ours."""
    if service != "mariadb" or not command:
        sys.exit("usage: python -m tests.services mariadb COMMAND [ARGUMENT …]")
    with mariadb() as server:
        return subprocess.run(command, env=os.environ | server.environment("harbor")).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
