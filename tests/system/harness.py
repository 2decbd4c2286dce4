"""What every system test stands on: real switches and real clients in a folder of their own, ended whatever
happens.

A test file holds functions marked @test and ends with main():

    from harness import main, test

    @test
    def two_accounts_talk(world):
        switch = world.switch()
        alice, bob = world.linked(switch, "alice", "bob")
        alice.run("send", "bob", "hello", "--wait", "sent")

Each test gets a World: a folder and the processes in it. When a test ends, well or not, every process it left
is ended by its process id; a switch that is still up has to drain and exit with 0. A sanitizer report of any
process fails the test. Of a failed test the end of every process's output is printed.

From the environment: TERN_BUILD is the folder of the programs under test (sanitizers), TERN_RELEASE that of
the release build, for tests under load. By hand:
TERN_BUILD=build/asan TERN_RELEASE=build python3 tests/system/test_X.py [NAME]
"""
import atexit
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELEASE = os.path.abspath(os.environ.get("TERN_RELEASE") or os.path.join(ROOT, "build"))
ASAN = os.path.abspath(os.environ.get("TERN_BUILD") or os.path.join(ROOT, "build", "asan"))
START_S = 20.0
STOP_S = 20.0
COMMAND_S = 30.0
LOG_LINES_MAX = 25
REPORTS_MAX = 12  # of programs other than switches

sys.dont_write_bytecode = True


class Failure(Exception):
    """What a test expected did not come."""


class Skipped(Exception):
    """What a test needs is not there."""


def skip(reason):
    raise Skipped(reason)


def check(condition, text, *values):
    if not condition:
        raise Failure(text % values if values else text)


def check_equal(got, expected, what):
    if got != expected:
        raise Failure("%s: got %.300r, expected %.300r" % (what, got, expected))


def until(condition, seconds, what, every_s=0.02):
    """Waits until condition() is true and returns what it returned; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(
                "waited %.1f s for this in vain: %s" % (seconds, what() if callable(what) else what)
            )
        time.sleep(every_s)


class Process:
    """A program that runs, its output in files."""

    def __init__(self, world, name, command, stdin=None, environment=None):
        world.serial += 1
        self.name, self.command = name, command
        stem = os.path.join(world.folder, "%02d-%s" % (world.serial, name))
        self.out_path, self.err_path = stem + ".out", stem + ".err"
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.popen = subprocess.Popen(
                command,
                stdin=stdin if stdin is not None else subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=world.folder,
                env=dict(world.environment, **(environment or {})),
            )
        self.pid = self.popen.pid
        world.processes.append(self)

    def out(self):
        with open(self.out_path, "rb") as file:
            return file.read()

    def err(self):
        with open(self.err_path, "rb") as file:
            return file.read().decode("utf-8", "replace")

    def running(self):
        return self.popen.poll() is None

    def code(self):
        return self.popen.poll()

    def send_signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def kill(self):
        """kill -9, and waits for the end."""
        self.send_signal(signal.SIGKILL)
        self.popen.wait()

    def wait(self, seconds=COMMAND_S):
        try:
            return self.popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(
                "%s did not end within %.0f s: %s" % (self.name, seconds, " ".join(self.command))
            ) from None

    def stop(self, seconds=STOP_S):
        """SIGTERM, and waits for the end; returns the exit status."""
        self.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def expect_code(self, code, seconds=COMMAND_S):
        got = self.wait(seconds)
        if got != code:
            raise Failure(
                "%s exited with %d, not %d: %s\n%s"
                % (self.name, got, code, " ".join(self.command), self.err())
            )

    def report(self):
        status = "running" if self.running() else "exit %s" % self.code()
        lines = ["--- %s (%s): %.250s" % (self.name, status, " ".join(self.command))]
        for what, data in (("out", self.out().decode("utf-8", "replace")), ("err", self.err())):
            tail = data.splitlines()[-LOG_LINES_MAX:]
            lines += ["    %s: %.300s" % (what, line) for line in tail]
        return "\n".join(lines)


class Switch:
    """A ternd with a store folder of its own. It may be killed and started again: the port stays."""

    def __init__(self, world, name, build, listen, settings, command_prefix, options):
        self.world, self.name, self.build = world, name, build
        self.listen, self.settings, self.options = listen, dict(settings), list(options)
        self.command_prefix = list(command_prefix)
        self.data = os.path.join(world.folder, name)
        self.admin = os.path.join(world.folder, name + ".sock")
        self.config = os.path.join(world.folder, name + ".conf")
        self.addresses, self.process = [], None

    def write_config(self):
        with open(self.config, "w", encoding="utf-8") as file:
            for key, value in self.settings.items():
                for one in value if isinstance(value, (list, tuple)) else [value]:
                    file.write("%s = %s\n" % (key, one))

    def command(self):
        self.write_config()
        command = self.command_prefix + [
            os.path.join(self.build, "ternd"),
            "--config",
            self.config,
            "--data",
            self.data,
            "--admin",
            self.admin,
        ]
        for address in self.listen:
            command += ["--listen", address]
        return command + self.options

    def start(self, wait=True, environment=None):
        self.process = Process(self.world, self.name, self.command(), environment=environment)
        if wait:
            self.wait_ready()
        return self

    def ready_addresses(self):
        """The addresses of the `ready` line, which is one whole line, or an empty list."""
        for line in self.process.out().decode("utf-8", "replace").splitlines(True):
            if line.startswith("ready ") and line.endswith("\n"):
                return line.split()[1:]
        return []

    def wait_ready(self, seconds=START_S):
        def ready():
            if not self.process.running():
                values = self.name, self.process.code(), self.process.err()[-2000:]
                raise Failure("%s ended with %s before it was ready\n%s" % values)
            return self.ready_addresses()

        until(ready, seconds, "the ready line of " + self.name)
        # The ready line has the first address, the log has them all. The next start takes the same ports, so
        # that clients find the switch again.
        self.addresses = re.findall(r" listening address=(\S+)", self.process.err())
        check_equal(self.addresses[0], self.ready_addresses()[0], "address of the ready line")
        self.listen = self.addresses[: len(self.listen)]

    @property
    def port(self):
        return int(self.addresses[0].rpartition(":")[2])

    @property
    def pid(self):
        """The process id of ternd itself, also where a tracer runs it."""
        if not self.command_prefix:
            return self.process.pid
        children = "/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)
        with open(children, encoding="ascii") as file:
            return int(file.read().split()[0])

    def connect(self, seconds=COMMAND_S):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def kill(self):
        self.process.kill()

    def stop(self):
        """SIGTERM: drains. Fails unless it exits with 0."""
        code = self.process.stop()
        check(
            code == 0, "%s exited with %d when told to drain\n%s", self.name, code, self.process.err()[-2000:]
        )

    def restart(self):
        """Starts it again at the same address after kill() or stop()."""
        return self.start()

    def ctl_raw(self, *arguments, seconds=COMMAND_S):
        """ternctl as typed: the finished process."""
        process = Process(
            self.world,
            "ternctl",
            [os.path.join(self.build, "ternctl"), "--admin", self.admin]
            + [str(argument) for argument in arguments],
        )
        process.wait(seconds)
        return process

    def ctl(self, *arguments, seconds=COMMAND_S):
        """ternctl --json: what it answered. Fails unless it exits with 0."""
        process = self.ctl_raw("--json", *arguments, seconds=seconds)
        if process.code() != 0:
            raise Failure(
                "ternctl %s exited with %d: %s%s"
                % (" ".join(map(str, arguments)), process.code(), process.out().decode(), process.err())
            )
        return json.loads(process.out().decode())

    def account(self, name):
        """Adds an account; the link URI of its first device, as ternctl prints it alone."""
        process = self.ctl_raw("account", "add", name)
        check(process.code() == 0, "account add %s exited with %d: %s", name, process.code(), process.err())
        return process.out().decode().strip()

    def stats(self):
        """Every counter by name."""
        answer = self.ctl("stats")
        counters = answer.get("stats", answer.get("counters", answer))
        if isinstance(counters, list):
            return {row["name"]: int(row["value"]) for row in counters}
        return {
            name: int(value["value"] if isinstance(value, dict) else value)
            for name, value in counters.items()
            if name != "ok"
        }

    def stat(self, name):
        return self.stats()[name]

    def wait_stat(self, name, least, seconds=10.0):
        until(
            lambda: self.stat(name) >= least,
            seconds,
            lambda: "%s >= %d, it is %d" % (name, least, self.stat(name)),
            0.1,
        )


class Client:
    """A home folder of tern, one device."""

    def __init__(self, world, name, build):
        self.world, self.name, self.build = world, name, build
        self.home = os.path.join(world.folder, "home-" + name)

    def command(self, *arguments):
        words = [str(argument) for argument in arguments]
        return [os.path.join(self.build, "tern"), "--home", self.home] + words

    def start(self, *arguments, stdin=None):
        """tern in the background."""
        return Process(self.world, "tern-" + self.name, self.command(*arguments), stdin=stdin)

    def run(self, *arguments, stdin=None, code=0, seconds=COMMAND_S):
        """tern in the foreground; fails unless it exits with `code`, returns the finished process."""
        process = self.start(*arguments, stdin=stdin)
        process.expect_code(code, seconds)
        return process

    def listen(self, count=1, seconds=15):
        """Takes `count` messages and returns them as the lines `listen --json` prints."""
        process = self.run("listen", "--json", "--count", count, "--seconds", seconds, seconds=seconds + 15)
        return [json.loads(line) for line in process.out().splitlines()]


class World:
    """A folder and the processes in it, for one test."""

    def __init__(self, name, build=None):
        self.folder = tempfile.mkdtemp(prefix="t-", dir=os.environ.get("TMPDIR"))
        self.name, self.build = name, build or ASAN
        self.processes, self.switches, self.terminals, self.serial = [], [], [], 0
        self.environment = dict(os.environ)
        # Nothing of the machine's or the caller's own clients is touched.
        for variable in ("XDG_DATA_HOME", "HOME"):
            self.environment[variable] = self.folder
        self.environment.pop("NOTIFY_SOCKET", None)
        self.reports = self.sanitizer_options()

    def sanitizer_options(self):
        """Where the sanitizers write: as the runner says, or into the folder of the test."""
        options = self.environment.get("ASAN_OPTIONS", "")
        if "log_path=" in options:
            return options.partition("log_path=")[2].partition(":")[0]
        path = os.path.join(self.folder, "sanitizer")
        self.environment["ASAN_OPTIONS"] = "detect_leaks=1:detect_stack_use_after_return=1:log_path=" + path
        self.environment["UBSAN_OPTIONS"] = "print_stacktrace=1:log_path=" + path
        return path

    def sanitizer_reports(self):
        return sorted(glob.glob(self.reports + "*"))

    def switch(
        self,
        name="switch",
        build=None,
        shards=1,
        listen=("127.0.0.1:0",),
        start=True,
        command_prefix=(),
        options=(),
        **settings
    ):
        """A ternd. Settings go into its configuration file."""
        options = ["--shards", str(shards)] + list(options)
        switch = Switch(self, name, build or self.build, list(listen), settings, command_prefix, options)
        self.switches.append(switch)
        return switch.start() if start else switch

    def client(self, name, build=None):
        """A home folder without a device in it."""
        return Client(self, name, build or self.build)

    def linked(self, switch, *names):
        """Accounts with one linked device each."""
        clients = []
        for name in names:
            client = self.client(name)
            client.run("link", switch.account(name))
            clients.append(client)
        return clients[0] if len(names) == 1 else clients

    def file(self, name, data=None):
        path = os.path.join(self.folder, name)
        if data is not None:
            with open(path, "wb") as file:
                file.write(data)
        return path

    def end_processes(self):
        """Ends what is left, by process id. Returns what is wrong with how the switches ended."""
        wrong = []
        for terminal in self.terminals:
            terminal.kill()
        self.terminals = []
        for process in self.processes:
            if process not in [switch.process for switch in self.switches]:
                process.kill()
        for switch in self.switches:
            if switch.process and switch.process.running():
                try:
                    switch.stop()
                except Failure as failure:
                    wrong.append(str(failure))
                switch.process.kill()
        for process in self.processes:
            # What kills by itself is a crash; -9 and -15 were ours.
            if process.code() is not None and process.code() < 0 and process.code() not in (-9, -15, -2):
                wrong.append("%s died of signal %d" % (process.name, -process.code()))
        return wrong

    def report(self):
        switches = [
            process for process in self.processes if process.name in {switch.name for switch in self.switches}
        ]
        others = [process for process in self.processes if process not in switches]
        return "\n".join(process.report() for process in switches + others[-REPORTS_MAX:])

    def remove(self):
        if os.environ.get("TERN_KEEP"):
            print("# kept: " + self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


# --- running the tests of a file ----------------------------------------------------------------------------

_tests = []
_world = None


def test(function=None, *, build=None):
    """Marks a test. build="release": the world's programs are the release build's."""

    def mark(marked):
        _tests.append((marked, RELEASE if build == "release" else ASAN))
        return marked

    return mark(function) if function else mark


def _end_world():
    global _world
    if _world:
        for process in _world.terminals + _world.processes:
            process.kill()
        _world.remove()
        _world = None


def _run(function, build):
    """One test: (verdict, reason)."""
    global _world
    _world = world = World(function.__name__, build)
    before = set(world.sanitizer_reports())
    verdict, reason = "ok", ""
    try:
        function(world)
    except Skipped as skipped:
        verdict, reason = "skip", str(skipped)
    except Failure as failure:
        verdict, reason = "not ok", str(failure)
        where = traceback.extract_tb(failure.__traceback__)
        reason += "".join(
            "\n    at %s:%d" % (os.path.basename(frame.filename), frame.lineno) for frame in where[1:]
        )
    except Exception:  # pylint: disable=broad-except # whatever a test throws, the next one runs
        verdict, reason = "not ok", traceback.format_exc()
    wrong = world.end_processes()
    reports = [path for path in world.sanitizer_reports() if path not in before]
    for path in reports:
        with open(path, encoding="utf-8", errors="replace") as file:
            wrong.append(file.read())
    if wrong:
        verdict, reason = "not ok", "\n".join(([reason] if verdict == "not ok" else []) + wrong)
    if verdict == "not ok":
        reason += "\n" + world.report()
    world.remove()
    _world = None
    return verdict, reason


def _without_address_randomisation():
    """Some kernels place mappings where the sanitizers keep their shadow. The runner has done this."""
    if os.environ.get("TERN_TESTS_FIXED") or not shutil.which("setarch"):
        return
    os.environ["TERN_TESTS_FIXED"] = "1"
    if subprocess.call(["setarch", "-R", "true"], stderr=subprocess.DEVNULL) == 0:
        os.execvp("setarch", ["setarch", "-R", sys.executable] + sys.argv)


def main(*needed):
    """Runs the tests of the file, or those whose names contain the argument. `needed`: programs it can't do
    without."""
    _without_address_randomisation()
    missing = [
        name
        for name in needed or ("ternd", "ternctl", "tern")
        if not os.access(os.path.join(ASAN, name), os.X_OK)
    ]
    if missing:
        print("not ok start %s is not in %s" % (", ".join(missing), ASAN))
        sys.exit(1)
    atexit.register(_end_world)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    for function, build in _tests:
        if only not in function.__name__:
            continue
        start = time.monotonic()
        verdict, reason = _run(function, build)
        counts[verdict] += 1
        first, _, rest = reason.partition("\n")
        print("%s %s %s" % (verdict, function.__name__, first or "# %.1f s" % (time.monotonic() - start)))
        for line in rest.splitlines():
            print("    " + line)
        sys.stdout.flush()
    sys.exit(1 if counts["not ok"] else 77 if not counts["ok"] else 0)
