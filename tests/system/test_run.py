"""What a newcomer types: the commands that `make run` prints, `make demo`, `make install`."""
import os
import re
import shlex

from harness import RELEASE, ROOT, Process, check, check_equal, main, test, until
from terminal import Terminal


def make(world, *arguments):
    """make as the one who runs the tests called it: with the same compiler, or everything were built anew."""
    chosen = [
        word for word in os.environ.get("MAKEFLAGS", "").split() if re.match(r"(CC|CFLAGS|PKG_CONFIG)=", word)
    ]
    command = ["make", "-C", ROOT, "--no-print-directory", "WITHOUT_DEPS=1", "BUILD=" + RELEASE]
    return Process(
        world, "make", command + chosen + list(arguments), environment={"MAKEFLAGS": "", "MAKELEVEL": "0"}
    )


@test(build="release")
def the_printed_commands_work_as_printed(world):
    """ternd with the hints of `make run`, not `make run` itself: its port and folder may be in use."""
    switch = world.switch(start=False)
    switch.start(environment={"TERN_HINTS": "1"})
    text = switch.process.out().decode() + switch.process.err()
    commands = [line.strip() for line in text.splitlines() if re.match(r"\s+\S*\b(tern|ternctl) --", line)]
    check(len(commands) >= 4, "commands printed: %s", text)
    listening = None
    for command in commands:
        if " chat " in command:
            terminal = Terminal(world, ["sh", "-c", command])
            terminal.expect("> ")
            terminal.type("As printed.\r")
            terminal.expect("As printed\\. *✓")
            terminal.type("\004")
            code = terminal.end()
            check(code == 0, "exit status %d of %s: %r", code, command, terminal.text)
            continue
        process = Process(world, "typed", ["sh", "-c", command])
        if " listen" in command:
            listening = process
        else:
            check_equal(process.wait(), 0, "exit status of: %s\n%s" % (command, process.err()))
    check(listening, "no listen among %s", commands)
    until(lambda: b"As printed." in listening.out(), 20, "what was typed at listen")


@test(build="release")
def the_demo_ends_well(world):
    process = make(world, "demo")
    process.expect_code(0, 120)
    out = process.out().decode()
    for tick in ("✓ ", "✓✓ ", "\033[36m✓✓"):
        check(tick in out, "no %r in the demo: %s", tick, out[-1500:])


@test(build="release")
def install_puts_what_it_should(world):
    folder = world.file("root")
    make(world, "install", "DESTDIR=" + folder, "PREFIX=/usr").expect_code(0, 120)
    for name in ("ternd", "ternctl", "tern", "ternbench"):
        path = os.path.join(folder, "usr/bin", name)
        check(os.access(path, os.X_OK), "%s is not there", path)
        process = Process(world, name, [path, "--version"])
        check_equal(process.wait(), 0, "exit status of %s --version" % name)
        check(process.out().startswith(name.encode() + b" "), "%s --version says %s", name, process.out())
    for name in ("man8/ternd.8", "man1/ternctl.1", "man1/tern.1"):
        path = os.path.join(folder, "usr/share/man", name)
        check(os.path.exists(path) and os.path.getsize(path) > 500, "no manual page %s", path)
    unit = os.path.join(folder, "lib/systemd/system/ternd.service")
    with open(unit, encoding="utf-8") as file:
        text = file.read()
    start = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE).group(1)
    check_equal(shlex.split(start)[0], "/usr/bin/ternd", "program of the unit")
    sample = os.path.join(folder, "usr/share/doc/tern/ternd.conf")
    process = Process(
        world, "ternd", [os.path.join(folder, "usr/bin/ternd"), "--config", sample, "--check-config"]
    )
    process.expect_code(0)
    make(world, "uninstall", "DESTDIR=" + folder, "PREFIX=/usr").expect_code(0, 120)
    left = [name for _, _, names in os.walk(folder) for name in names]
    check_equal(left, [], "left by uninstall")


main("ternd", "ternctl", "tern", "ternbench")
