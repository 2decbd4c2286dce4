"""ternd as a process: how it starts, what it tells whom, what it refuses, and how it ends."""
import json
import os
import signal
import socket
import stat
import time

from harness import Process, check, check_equal, main, skip, test, until


def ask(switch, *lines, seconds=20):
    """Raw lines to the admin socket: the answers."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(seconds)
    connection.connect(switch.admin)
    with connection, connection.makefile("rw") as stream:
        answers = []
        for line in lines:
            stream.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
            stream.flush()
            answers.append(json.loads(stream.readline()))
        return answers


def ternd(world, *arguments, environment=None):
    process = Process(world, "ternd", [os.path.join(world.build, "ternd")] + list(arguments), environment=environment)
    process.wait()
    return process


@test
def ready_is_one_line_and_the_rest_is_log(world):
    switch = world.switch(listen=("127.0.0.1:0", "[::1]:0"), options=["--plaintext-listen", "127.0.0.1:0"])
    lines = switch.process.out().decode().splitlines()
    check_equal(len(lines), 1, "lines on standard output")
    check_equal(lines[0].split()[0], "ready", "the word")
    listen = ask(switch, {"command": "status"})[0]["listen"]
    check_equal(listen[0], lines[0].split()[1], "the address")
    check_equal(len(listen), 3, "listeners")
    for address in listen:
        check("address=" + address in switch.process.err(), "the log does not name %s", address)


@test
def hints_come_only_when_asked_for_and_name_the_programs_as_typed(world):
    switch = world.switch(start=False)
    switch.start(environment={"TERN_HINTS": "1"})
    out = until(lambda: "chat" in switch.process.out().decode() and switch.process.out().decode(), 5, "hints")
    check(out.startswith("ready "), "ready comes first: %s", out)
    check("%s/ternctl --admin %s account add alice" % (world.build, switch.admin) in out, "the command as typed: %s", out)


@test
def its_files_are_its_own(world):
    switch = world.switch()
    for path in (switch.admin, os.path.join(switch.data, "server.key")):
        check_equal(stat.S_IMODE(os.lstat(path).st_mode), 0o600, path)
    check_equal(stat.S_IMODE(os.lstat(switch.data).st_mode), 0o700, switch.data)


@test
def the_admin_socket_answers_root_and_its_own_user_only(world):
    if os.geteuid() != 0:
        skip("only root can be somebody else")
    switch = world.switch()
    # Even where the modes would let others in, their user tells.
    os.chmod(world.folder, 0o711)
    os.chmod(switch.admin, 0o666)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setuid(65534)
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(10)
            connection.connect(switch.admin)
            connection.sendall(b'{"command":"status"}\n')
            code = 0 if connection.recv(1) == b"" else 2
        except (BrokenPipeError, ConnectionResetError):
            code = 0
        finally:
            os._exit(code)
    check_equal(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0, "somebody else gets no answer")
    check("admin_refused uid=65534" in switch.process.err(), "the log: %s", switch.process.err())
    check_equal(ask(switch, {"command": "status"})[0]["ok"], True, "root does")


@test
def a_second_switch_on_the_same_folder_is_refused(world):
    switch = world.switch()
    second = ternd(world, "--data", switch.data, "--listen", "127.0.0.1:0", "--admin", world.file("other.sock"))
    check_equal(second.code(), 1, "exit status")
    check("%s is in use by another ternd" % switch.data in second.err(), "the sentence: %s", second.err())
    check_equal(ask(switch, {"command": "status"})[0]["ok"], True, "the first one goes on")


@test
def a_socket_at_which_somebody_answers_is_left_alone(world):
    switch = world.switch()
    second = ternd(world, "--data", world.file("other"), "--listen", "127.0.0.1:0", "--admin", switch.admin)
    check_equal(second.code(), 1, "exit status")
    check("another process answers there" in second.err(), "the sentence: %s", second.err())
    plain = world.file("plain", b"text")
    third = ternd(world, "--data", world.file("third"), "--listen", "127.0.0.1:0", "--admin", plain)
    check_equal(third.code(), 1, "exit status")
    with open(plain, "rb") as file:
        check_equal(file.read(), b"text", "a file that is no socket")
    check_equal(ask(switch, {"command": "status"})[0]["ok"], True, "the first one goes on")


@test
def a_taken_port_and_a_long_path_are_told(world):
    switch = world.switch()
    second = ternd(world, "--data", world.file("other"), "--listen", switch.addresses[0])
    check_equal(second.code(), 1, "exit status")
    check("listen %s: Address already in use" % switch.addresses[0] in second.err(), "the sentence: %s", second.err())
    third = ternd(world, "--data", world.file("third"), "--listen", "127.0.0.1:0", "--admin", "/tmp/" + "x" * 120)
    check("at most 107 bytes" in third.err(), "the sentence: %s", third.err())


@test
def it_starts_again_at_once_after_it_was_killed(world):
    switch = world.switch()
    switch.account("alice")
    for _ in range(3):
        os.kill(switch.pid, signal.SIGKILL)
        switch.start()  # while the kernel may still take the old one down
    check_equal(switch.ctl("account", "show", "alice")["name"], "alice", "the account")


@test
def command_line_mistakes_are_told(world):
    for arguments, code, sentence in (
            (["--shards", "many"], 1, 'shards: "many" is not a number'),
            (["--lissten", "127.0.0.1:1"], 2, "unrecognized option"),
            (["extra"], 2, '"extra" is no option'),
            (["--config", "nowhere.conf"], 1, "nowhere.conf: No such file or directory"),
            (["--plaintext-listen", "0.0.0.0:1"], 1, "not a loopback"),
            (["--check-config", "--ping-s", "500"], 1, "idle_s")):
        process = ternd(world, *arguments)
        check_equal(process.code(), code, "exit status of %s" % arguments)
        check(sentence in process.err(), "%s says: %s", arguments, process.err())
    config = world.file("wrong.conf", b"# one\nshards = 2\nshards = 65\n")
    process = ternd(world, "--config", config, "--check-config")
    check("%s:3: shards: 65 is not in 0 .. 64" % config in process.err(), "the sentence: %s", process.err())


@test
def the_texts_are_whole(world):
    sample = ternd(world, "--sample-config")
    config = world.file("sample.conf", sample.out())
    check_equal(ternd(world, "--config", config, "--check-config").code(), 0, "the sample's check")
    usage = ternd(world, "--help").out().decode()
    manual = ternd(world, "--man").out().decode()
    for line in sample.out().decode().splitlines():
        if line.startswith("#") and not line.startswith("# "):
            name = line[1:].split()[0]
            check("--%s=" % name.replace("_", "-") in usage, "--help lacks %s", name)
            check(".BR %s " % name in manual, "the manual lacks %s", name)
    check(ternd(world, "--version").out().startswith(b"ternd "), "--version")


class Notified:
    """What stands in for systemd."""

    def __init__(self, world):
        self.path = world.file("notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(10)

    def next(self):
        return self.socket.recv(4096).decode()


@test
def systemd_is_told_ready_reloading_and_stopping(world):
    notified = Notified(world)
    switch = world.switch(start=False)
    switch.start(environment={"NOTIFY_SOCKET": notified.path})
    check_equal(notified.next(), "READY=1", "the first word")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    switch.process.send_signal(signal.SIGHUP)
    lines = notified.next().splitlines()
    check_equal(lines[0], "RELOADING=1", "the second word")
    check_equal(lines[1].split("=")[0], "MONOTONIC_USEC", "when")
    check(before <= int(lines[1].split("=")[1]) <= before + 10_000_000, "the time: %s", lines[1])
    check_equal(notified.next(), "READY=1", "the third word")
    switch.stop()
    check_equal(notified.next(), "STOPPING=1", "the last word")


@test
def a_reload_takes_over_what_it_can_and_names_the_rest(world):
    switch = world.switch(code_ttl_s=100)
    switch.settings.update(code_ttl_s=200, advertise="switch.example.org:7440", map_bytes="1G")
    switch.write_config()
    answer = ask(switch, {"command": "reload"})[0]
    check_equal(answer["changed"], 2, "changed")
    check_equal(sorted(answer["changed_settings"].split()), ["advertise", "code_ttl_s"], "their names")
    check_equal(answer["restart"], 1, "need a restart")
    check_equal(answer["restart_settings"], "map_bytes", "its name")
    check_equal(ask(switch, {"command": "account add", "name": "alice"})[0]["address"], "switch.example.org:7440",
                "the address of links")
    switch.settings["ping_s"] = "soon"
    switch.write_config()
    answer = ask(switch, {"command": "reload"})[0]
    check_equal(answer["ok"], False, "a wrong file")
    check('ping_s: "soon" is not a number' in answer["error"], "the sentence: %s", answer["error"])
    check_equal(ask(switch, {"command": "account add", "name": "bob"})[0]["address"], "switch.example.org:7440",
                "everything stays")
    del switch.settings["ping_s"]


@test
def requests_that_are_wrong_are_told_and_harm_nobody(world):
    switch = world.switch()
    for request, code, sentence in (
            ("status", "usage", "not JSON"),
            ({"command": "stat"}, "usage", "there is no command"),
            ({"command": "account add"}, "usage", '"name" is missing'),
            ({"command": "account add", "name": "Alice"}, "usage", "is no name"),
            ({"command": "account add", "name": "a" * 64}, "usage", "1 to 63 bytes"),
            ({"command": "account add", "prefix": "a", "count": 1001}, "usage", "1 to 1000"),
            ({"command": "account add", "prefix": "a" * 61, "count": 1000}, "usage", "is no name"),
            ({"command": "account show", "name": "nobody"}, "not_found", "there is no account nobody"),
            ({"command": "device revoke", "name": "nobody"}, "not_found", "there is no account nobody"),
            ({"command": "account list", "after": -1}, "usage", "whole number"),
            ({"command": "account list", "after": 1.5}, "usage", "whole number"),
            ({"command": "store backup", "folder": "here"}, "usage", "absolute"),
            ({"command": "store backup", "folder": "/" + "x" * 300}, "usage", "bytes")):
        answer = ask(switch, request)[0]
        check_equal((answer["ok"], answer["code"]), (False, code), "the answer to %s" % request)
        check(sentence in answer["error"], "%s: %s", request, answer["error"])
    first, second = ask(switch, {"command": "account add", "name": "alice"}, {"command": "account add", "name": "alice"})
    check_equal((first["ok"], second["code"]), (True, "exists"), "a name twice")
    answers = ask(switch, {"command": "device revoke", "name": "alice"},
                  {"command": "device revoke", "name": "alice", "device": 1},
                  {"command": "connection kick", "name": "alice", "device": 7},
                  {"command": "queue purge", "name": "alice", "device": 7})
    check_equal([answer["code"] for answer in answers], ["usage", "not_found", "not_found", "not_found"], "devices")
    check_equal(answers[3]["error"], "alice has no device 7", "the sentence")


@test
def lists_come_in_pages(world):
    switch = world.switch(shards=2)
    for batch in ("a", "b", "c"):
        answer = ask(switch, {"command": "account add", "prefix": batch, "count": 1000})[0]
        check_equal(len(answer["accounts"]), 1000, "accounts added")
    seen, after, pages = [], 0, 0
    while True:
        page = ask(switch, {"command": "account list", "after": after})[0]
        seen += [row["account"] for row in page["accounts"]]
        pages += 1
        if not page["more"]:
            break
        after = seen[-1]
    check_equal(pages, 3, "pages")
    check_equal(seen, list(range(1, 3001)), "accounts")
    check_equal(ask(switch, {"command": "account remove", "prefix": "b"})[0]["removed"], 1000, "removed")
    check_equal(len(ask(switch, {"command": "account list", "after": 2000})[0]["accounts"]), 1000, "the others")


@test
def many_admin_connections_are_served_and_idle_ones_hold_nobody_up(world):
    switch = world.switch()
    idle = []
    for _ in range(63):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(switch.admin)
        connection.sendall(b'{"command":')  # begun, never ended
        idle.append(connection)
    check_equal(ask(switch, {"command": "status"})[0]["ok"], True, "the 64th")
    late = socket.socket(socket.AF_UNIX)
    extra = socket.socket(socket.AF_UNIX)
    for connection in (late, extra):
        connection.settimeout(10)
        connection.connect(switch.admin)
        connection.sendall(b'{"command":"status"}\n')
    check(b'"ok":true' in late.recv(65536), "the 64th again")
    idle.pop().close()  # makes room for the one in the backlog
    check(b'"ok":true' in extra.recv(65536), "the 65th, when there is room")
    for connection in idle + [late, extra]:
        connection.close()


@test
def a_line_without_end_is_cut_off(world):
    switch = world.switch()
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(switch.admin)
    try:
        for _ in range(6):
            connection.sendall(b"x" * (1 << 20))
    except BrokenPipeError:
        pass
    answer = connection.recv(4096)
    check(b"the line is too long" in answer, "the answer: %s", answer)
    try:
        check_equal(connection.recv(4096), b"", "and the end")
    except ConnectionResetError:
        pass  # it ended before all of the line was read
    connection.close()


@test
def several_requests_at_once_are_answered_in_order(world):
    switch = world.switch()
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(switch.admin)
    connection.sendall(b"".join(b'{"command":"account add","name":"n%d"}\n' % i for i in range(50)))
    connection.shutdown(socket.SHUT_WR)
    with connection.makefile("rb") as stream:
        names = [json.loads(line)["accounts"][0]["name"] for line in stream]
    check_equal(names, ["n%d" % i for i in range(50)], "the answers")
    connection.close()


@test
def a_drain_by_the_admin_answers_when_it_is_done(world):
    switch = world.switch(shards=2)
    connections = [switch.connect() for _ in range(20)]
    check_equal(ask(switch, {"command": "drain"})[0], {"ok": True}, "the answer")
    switch.process.expect_code(0)
    check(not os.path.exists(switch.admin), "the socket file is gone")
    for connection in connections:
        connection.close()


@test
def signals_at_the_same_time_are_one(world):
    for wait_s in (0, 0.001, 0.01):
        switch = world.switch("switch-%g" % wait_s)
        os.kill(switch.pid, signal.SIGSTOP)
        os.kill(switch.pid, signal.SIGTERM)
        if not wait_s:
            os.kill(switch.pid, signal.SIGINT)
        os.kill(switch.pid, signal.SIGCONT)
        time.sleep(wait_s)
        switch.process.send_signal(signal.SIGTERM)
        switch.process.expect_code(0)


if __name__ == "__main__":
    main()
