#!/usr/bin/env python3
"""ternctl against a real switch: every command, with its --json and its exit status.

Devices are played by a few lines of the protocol's plaintext mode, so that what waits and who is connected is known to
the byte.
"""
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time

from harness import check, check_equal, main, skip, test, until

CODES = {"ok": 0, "failed": 1, "usage": 2, "unreachable": 3, "not_found": 4, "exists": 5, "damaged": 6, "busy": 7}
URI = re.compile(rb"tern://127\.0\.0\.1:(\d+)/([a-z0-9._-]+)\?account=(\d+)&key=([0-9a-f]{64})&code=([0-9a-f]{32})\n")
LINK, WELCOME, MESSAGE, RECEIPT = 1, 3, 4, 5


class Device:
    """A device over an unencrypted connection: links itself, sends, waits for frames."""

    def __init__(self, switch, account):
        """account: an entry of `account add` or `account code`, with a code that is not used yet."""
        address = switch.ctl("status")["listen"][1]
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.account, self.bytes = account["account"], b""
        self.socket.sendall(struct.pack("<4sBBBBII", b"TERN", 1, 1, 0, 0, 0, 0))
        check_equal(self.take(16)[5], 0, "the status of the hello")
        self.send(LINK, struct.pack("<HHQQ", 0, 0, self.account, 1) + bytes.fromhex(account["code"]))
        self.number = struct.unpack_from("<H", self.wait(WELCOME), 4)[0]

    def take(self, count):
        while len(self.bytes) < count:
            more = self.socket.recv(65536)
            check(more, "the switch closed the connection")
            self.bytes += more
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken

    def send(self, kind, body):
        frame = struct.pack("<HBB", len(body), kind, 0) + body
        self.socket.sendall(struct.pack("<H", len(frame)) + frame)

    def wait(self, kind):
        """The next frame of this kind, from its start."""
        while True:
            record = self.take(struct.unpack("<H", self.take(2))[0])
            while record:
                size = struct.unpack_from("<H", record)[0] + 4
                frame, record = record[:size], record[size:]
                if frame[2] == kind:
                    return frame

    def send_text(self, to, number, text):
        """Sends a message and waits until it is safe."""
        self.send(MESSAGE, struct.pack("<IQQQQQHHHH", 0, to, number, 0, 0, 0, 0, 0, 0, 0) + text)
        receipt = self.wait(RECEIPT)
        check(receipt[3] & 1, "the receipt says %d, not sent", receipt[3])

    def close(self):
        self.socket.close()

    def wait_closed(self):
        while self.socket.recv(65536):
            pass


def plain_switch(world, **settings):
    return world.switch(plaintext_listen="127.0.0.1:0", **settings)


def added(switch, name):
    return switch.ctl("account", "add", name)["accounts"][0]


def expect(switch, code, *arguments):
    """Fails with this code, as exit status, as sentence and as JSON."""
    process = switch.ctl_raw(*arguments)
    check_equal(process.code(), CODES[code], "the exit status of " + " ".join(arguments))
    check_equal(process.out(), b"", "the output of " + " ".join(arguments))
    check(process.err().startswith("ternctl: ") and process.err().count("\n") == 1, "not one sentence: %s", process.err())
    process = switch.ctl_raw("--json", *arguments)
    check_equal(process.code(), CODES[code], "the exit status of --json " + " ".join(arguments))
    answer = json.loads(process.out().decode())
    check_equal((answer["ok"], answer["code"]), (False, code), " ".join(arguments))
    check(answer["error"], "no sentence in %s", answer)


def said(switch, *arguments):
    process = switch.ctl_raw(*arguments)
    check(process.code() == 0, "ternctl %s exited with %d: %s", " ".join(map(str, arguments)), process.code(),
          process.err())
    return process.out().decode()


@test
def an_account_lives_from_add_to_remove(world):
    switch = world.switch()
    process = switch.ctl_raw("account", "add", "bob")
    uri = URI.fullmatch(process.out())
    check(uri, "not a URI alone: %r", process.out())
    check_equal(int(uri.group(1)), switch.port, "the port of the URI")
    check_equal(uri.group(4).decode(), switch.ctl("status")["key"], "the key of the URI")
    code = switch.ctl("account", "code", "bob")["accounts"][0]
    check(URI.fullmatch(code["uri"].encode() + b"\n"), "no URI in %s", code)
    check(code["code"] != uri.group(5).decode(), "the same code twice")
    [row] = switch.ctl("account", "list")["accounts"]
    check_equal((row["name"], row["state"], row["devices"], row["connected"]), ("bob", "active", 0, 0), "the list")
    check(abs(row["created_ms"] / 1000 - time.time()) < 600, "created at %s", row["created_ms"])
    check_equal(said(switch, "account", "suspend", "bob").split()[:3], ["bob", "is", "suspended:"], "suspend")
    check_equal(switch.ctl("account", "show", "bob")["state"], "suspended", "the state")
    switch.ctl("account", "resume", "bob")
    check_equal(switch.ctl("account", "show", "bob")["state"], "active", "the state")
    check("bob is removed" in said(switch, "account", "remove", "bob"), "remove does not say what it did")
    check_equal(switch.ctl("account", "list")["accounts"], [], "the list afterwards")


@test
def devices_connections_and_queues_are_shown_and_changed(world):
    switch = plain_switch(world, spill_ms=50)
    bob_account, alice_account = added(switch, "bob"), added(switch, "alice")
    bob, alice = Device(switch, bob_account), Device(switch, alice_account)
    rows = switch.ctl("connection", "list")["connections"]
    check_equal(sorted((row["name"], row["device"], row["state"]) for row in rows),
                [("alice", 1, "open"), ("bob", 1, "open")], "the connections")
    check_equal(said(switch, "connection", "kick", "bob"), "closed 1 connection of bob\n", "kick")
    bob.wait_closed()
    until(lambda: len(switch.ctl("connection", "list")["connections"]) == 1, 10, "bob's connection to go")
    for number in range(1, 4):
        alice.send_text(bob_account["account"], number, b"hello")
    check_equal(switch.ctl("queue", "show", "bob")["devices"], [{"device": 1, "outbox": 0, "queue": 3}], "bob's queue")
    check(re.search(r"^ *1 +0 +3$", said(switch, "queue", "show", "bob"), re.MULTILINE), "the table of bob's queue")
    [device] = switch.ctl("device", "list", "bob")["devices"]
    check_equal((device["device"], device["state"], device["connected"], device["queue"]), (1, "active", False, 3),
                "bob's device")
    check(device["key"][:16] in said(switch, "account", "show", "bob"), "account show does not show the key")
    check_equal(said(switch, "queue", "purge", "bob", 1), "deleted 3 entries of device 1 of bob\n", "purge")
    check_equal(switch.ctl("queue", "purge", "bob")["entries"], 0, "a second purge")
    expect(switch, "exists", "account", "code", "alice")
    why = switch.ctl_raw("account", "code", "alice").err()
    check("tern device add" in why, "it does not say what adds devices: %s", why)
    check_equal(said(switch, "device", "revoke", "alice", 1).split(",")[0], "device 1 of alice is revoked", "revoke")
    alice.wait_closed()
    check_equal(Device(switch, switch.ctl("account", "code", "alice")["accounts"][0]).number, 2, "a new first device")
    expect(switch, "not_found", "device", "revoke", "alice", "3")


@test
def what_goes_wrong_has_its_exit_status(world):
    switch = world.switch()
    switch.account("bob")
    expect(switch, "exists", "account", "add", "bob")
    for command in ("show", "code", "suspend", "resume", "remove"):
        expect(switch, "not_found", "account", command, "nobody")
    expect(switch, "not_found", "device", "revoke", "bob", "7")
    for command in (["queue", "show"], ["queue", "purge"], ["device", "list"], ["connection", "kick"]):
        expect(switch, "not_found", *command, "nobody")
    expect(switch, "usage", "account", "add", "No Name")
    expect(switch, "usage", "account", "ad", "bob")
    expect(switch, "usage", "device", "revoke", "bob", "one")
    expect(switch, "usage", "account", "add", "carol", "--address", "not an address")
    expect(switch, "not_found", "account", "show", "carol")
    switch.stop()
    expect(switch, "unreachable", "status")
    switch.start()
    switch.kill()
    expect(switch, "unreachable", "status")


@test
def lists_longer_than_a_page_come_whole(world):
    switch = world.switch()
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(switch.admin)
        for prefix in ("a", "b", "c"):
            admin.sendall(b'{"command":"account add","prefix":"%s","count":1000}\n' % prefix.encode())
            answer = b""
            while not answer.endswith(b"\n"):
                answer += admin.recv(1 << 20)
            check(json.loads(answer.decode())["ok"], "add said %.200r", answer)
    rows = switch.ctl("account", "list")["accounts"]
    check_equal([row["account"] for row in rows], list(range(1, 3001)), "the accounts")
    check_equal(said(switch, "account", "list").count("\n"), 3001, "lines of the table")


@test
def status_and_stats_are_shown_in_every_form(world):
    switch = world.switch(shards=2)
    switch.account("bob")
    status = switch.ctl("status")
    check_equal((status["pid"], status["draining"], len(status["shards"]), len(status["stores"])),
                (switch.pid, False, 2, 1), "status")
    page = said(switch, "status")
    for part in ("pid %d," % switch.pid, status["listen"][0], status["key"], "well", "messages accepted"):
        check(part in page, "%s is not in:\n%s", part, page)
    stats = switch.ctl("stats")["stats"]
    lines = said(switch, "stats", "--prometheus").splitlines()
    check_equal(len(lines), 3 * len(stats), "lines of the Prometheus text")
    for row, one, two, three in zip(stats, lines[0::3], lines[1::3], lines[2::3]):
        name = "tern_" + row["name"] + ("_total" if row["kind"] == "counter" else "")
        check_equal(one, "# HELP %s %s" % (name, row["help"]), "HELP")
        check_equal(two, "# TYPE %s %s" % (name, row["kind"]), "TYPE")
        check(re.fullmatch(name + r" -?\d+", three), "not a sample: %s", three)
    every = said(switch, "stats", "--all")
    check(all(re.search(r"^%s +-?\d+ " % row["name"], every, re.MULTILINE) for row in stats), "stats --all lacks some")
    check(not re.search(r"^\w+ +0 ", said(switch, "stats"), re.MULTILINE), "stats shows what is zero")


@test
def a_reload_says_what_changed(world):
    switch = world.switch(ping_s=30)
    check_equal(said(switch, "reload"), "0 settings are changed\n", "a reload of the same")
    switch.settings.update(ping_s=40, buffers=1024)
    switch.write_config()
    answer = switch.ctl("reload")
    check_equal((answer["changed_settings"], answer["restart_settings"]), ("ping_s", "buffers"), "the reload")
    switch.settings["ping_s"] = "many"
    switch.write_config()
    expect(switch, "failed", "reload")


@test
def a_backup_made_while_it_runs_is_a_store(world):
    switch = plain_switch(world, spill_ms=50)
    bob, alice = added(switch, "bob"), added(switch, "alice")
    Device(switch, bob).close()
    sender = Device(switch, alice)
    sender.send_text(bob["account"], 1, b"hello")
    # What the sender has not acknowledged, a receipt, comes to the store in its own time: the number may rise.
    check(switch.ctl("store", "check")["records"] > 5, "a check of nothing")
    check(re.fullmatch(r"\d+ records read: all are well\n", said(switch, "store", "check")), "check")
    # ternctl runs in the world's folder, the switch does too, but says so only if the path is made whole.
    check_equal(said(switch, "store", "backup", "copy"), "the store is copied to %s\n" % world.file("copy"), "backup")
    expect(switch, "exists", "store", "backup", "copy")
    copy = world.switch("copy")
    rows = copy.ctl("account", "list")["accounts"]
    check_equal([(row["name"], row["devices"]) for row in rows], [("bob", 1), ("alice", 1)], "the copy's accounts")
    check_equal(copy.ctl("queue", "show", "bob")["devices"][0]["queue"], 1, "what waits in the copy")
    check_equal(copy.ctl("status")["key"], switch.ctl("status")["key"], "the copy's key")
    check(copy.ctl("store", "check")["records"], "nothing in the copy")


@test
def a_drain_ends_the_switch_and_says_so(world):
    switch = world.switch()
    check_equal(said(switch, "drain"), "the switch is drained and ends\n", "drain")
    switch.process.expect_code(0)
    expect(switch, "unreachable", "drain")


@test
def top_prints_lines_where_nobody_looks(world):
    switch = world.switch()
    lines = said(switch, "top", "--count", 3, "--interval", 0.1).splitlines()
    check_equal(len(lines), 4, "lines with their heading")
    check(all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines[1:]), "not lines: %s", lines)
    process = switch.ctl_raw("--json", "top", "--count", 2, "--interval", 0.1)
    rows = [json.loads(line) for line in process.out().decode().splitlines()]
    check_equal(len(rows), 2, "objects")
    check("messages_accepted" in rows[0]["per_second"], "no rates in %s", rows[0])


@test
def top_draws_over_itself_and_leaves_the_terminal_as_it_was(world):
    switch = world.switch()
    for ending in (b"\x03", b"q"):
        parent, child = pty.openpty()
        before = termios.tcgetattr(child)
        # A session of its own, so that the terminal is its controlling one and Ctrl-C a signal.
        process = subprocess.Popen(["setsid", "--ctty", os.path.join(switch.build, "ternctl"), "--admin", switch.admin,
                                    "top", "--interval", "0.1"], stdin=child, stdout=child, stderr=child,
                                   env=world.environment)
        output = [b""]

        def drawn(count):
            if select.select([parent], [], [], 0)[0]:
                output[0] += os.read(parent, 65536)
            return output[0].count(b"messages accepted") >= count
        until(lambda: drawn(3), 20, lambda: "three views, there is: %r" % output[0])
        check(re.search(rb"\033\[\d+A", output[0]), "no view goes over the one before")
        check(not termios.tcgetattr(child)[3] & termios.ECHO, "keys would show in the view")
        os.write(parent, ending)
        code = until(lambda: drawn(1 << 30) or process.poll() is not None and [process.returncode], 20, "the end of top")
        check_equal(code, [0], "the exit status after %r" % ending)
        check_equal(termios.tcgetattr(child), before, "the terminal's mode")
        os.close(parent)
        os.close(child)


@test
def a_switch_that_hangs_is_given_up(world):
    switch = world.switch()
    os.kill(switch.pid, signal.SIGSTOP)
    try:
        process = switch.ctl_raw("--timeout", "0.3", "account", "list")
    finally:
        os.kill(switch.pid, signal.SIGCONT)
    check_equal(process.code(), CODES["unreachable"], "the exit status")
    check("does not answer in time" in process.err(), "says: %s", process.err())


@test
def another_user_is_told_whose_socket_it_is(world):
    if os.geteuid() != 0:
        skip("only root can try as another user")
    switch = world.switch()
    os.chmod(world.folder, 0o755)
    process = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                              os.path.join(switch.build, "ternctl"), "--admin", switch.admin, "status"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=world.environment, check=False)
    check_equal(process.returncode, CODES["unreachable"], "the exit status")
    check(b"permission denied" in process.stderr and b"user root" in process.stderr, "says: %r", process.stderr)


@test
def help_version_and_manual_need_no_switch(world):
    switch = world.switch(start=False)
    check("account add NAME" in said(switch, "--help"), "help")
    check("Usage: ternctl [OPTION...] queue purge NAME [DEVICE]" in said(switch, "queue", "purge", "--help"), "help of one")
    check(re.fullmatch(r"ternctl \d+\.\d+\.\d+\n", said(switch, "--version")), "version")
    check(said(switch, "--man").startswith(".TH TERNCTL 1 "), "manual")


if __name__ == "__main__":
    main("ternd", "ternctl")
