"""PostgreSQL and MariaDB as Debian has them, each started for a test run on a socket of its own and gone afterwards.

`make databases` fetches what the machine does not have.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from fhir_server.mapping.database import with_driver

ROOT = Path(__file__).parent.parent
FETCHED = Path(os.environ.get("FHIR_DATABASES", ROOT / ".cache/debian/root"))
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu")
NOBODY = "nobody"
SECONDS = 30


def _found(name: str, *folders: str) -> Path | None:
    """A program of the machine, or of the packages that were fetched."""
    there = [Path(each) for each in [shutil.which(name)] if each]
    for root in (Path("/"), FETCHED):
        there += [path for folder in folders for path in sorted(root.glob(f"{folder}/{name}"), reverse=True)]
    return next((path.resolve() for path in there if path.exists()), None)


@contextmanager
def _running(command: list[str | Path], folder: Path, stop: int, user: str | None = None) -> Iterator[None]:
    libraries = ":".join(str(FETCHED / each) for each in LIBRARIES)
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, user=user, cwd=folder)
    try:
        yield
    finally:
        server.send_signal(stop)
        server.wait(SECONDS)


def _answers(url: str, folder: Path, socket: str) -> None:
    """Waits until the server does."""
    engine, until = create_engine(with_driver(url), poolclass=NullPool), time.monotonic() + SECONDS
    while time.monotonic() < until:
        time.sleep(0.05)
        if (folder / socket).exists():
            with suppress(SQLAlchemyError), engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                return
    pytest.fail(f"The database does not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")


@contextmanager
def postgresql(folder: Path) -> Iterator[Callable[[str], str]]:
    initdb = _found("initdb", "usr/lib/postgresql/*/bin")
    if initdb is None:
        pytest.skip("there is no PostgreSQL here; `make databases` fetches it from Debian")
    user = NOBODY if os.geteuid() == 0 else None
    if user:  # It refuses to run as root.
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    data = folder / "data"
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(str(FETCHED / each) for each in LIBRARIES)}
    command = [initdb, "--pgdata", data, "--username=test", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    try:
        subprocess.run(
            [*command, "--locale=C.UTF-8"], capture_output=True, user=user, cwd=folder, env=environment, check=True
        )
    except (OSError, subprocess.CalledProcessError) as fault:
        pytest.skip(f"PostgreSQL cannot be set up here: {getattr(fault, 'stderr', fault)!r}")
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": folder,
        "port": 5432,
        "fsync": "off",
        "shared_buffers": "32MB",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    url = f"postgresql://test@/{{}}?host={folder}"
    at_once = signal.SIGINT
    with _running([initdb.with_name("postgres"), "-D", data, *options], folder, at_once, user):
        _answers(url.format("postgres"), folder, ".s.PGSQL.5432")
        yield _maker(url, "postgres", "CREATE DATABASE {}")


@contextmanager
def mariadb(folder: Path) -> Iterator[Callable[[str], str]]:
    """Without the tables that it keeps its users in: nobody else reaches the socket."""
    server = _found("mariadbd", "usr/sbin")
    if server is None:
        pytest.skip("there is no MariaDB here; `make databases` fetches it from Debian")
    data, share = folder / "data", server.parents[1] / "share/mysql"
    data.mkdir()
    settings = {
        "datadir": data,
        "socket": folder / "socket",
        "pid-file": folder / "pid",
        "tmpdir": folder,
        "lc-messages-dir": share,
        "character-sets-dir": share / "charsets",
        "innodb-buffer-pool-size": "32M",
        "innodb-log-file-size": "8M",
        "innodb-flush-log-at-trx-commit": 0,
        "innodb-flush-method": "nosync",
        "character-set-server": "utf8mb4",
        "innodb-file-per-table": 0,
    }
    options = ["--no-defaults", "--skip-grant-tables", "--skip-networking", "--skip-log-bin"]
    options += [f"--{name}={value}" for name, value in settings.items()]
    if os.geteuid() == 0:
        options.append("--user=root")
    url = f"mariadb://test@localhost/{{}}?unix_socket={folder}/socket"
    with _running([server, *options], folder, signal.SIGKILL):
        _answers(url.format(""), folder, "socket")
        yield _maker(url, "", "CREATE DATABASE {}")


def _maker(url: str, first: str, statement: str) -> Callable[[str], str]:
    """Makes a new database of that name and says its URL."""

    def make(name: str) -> str:
        engine = create_engine(with_driver(url.format(first)), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement.format(name)))
        engine.dispose()
        return url.format(name)

    return make


@contextmanager
def running(name: str) -> Iterator[Callable[[str], str]]:
    """What makes a database in a server of this kind, as long as it is needed."""
    folder = Path(tempfile.mkdtemp(prefix="fhir-", dir="/tmp"))
    try:
        with {"postgresql": postgresql, "mariadb": mariadb}[name](folder) as make:
            yield make
    finally:
        shutil.rmtree(folder, ignore_errors=True)
