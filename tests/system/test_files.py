"""Files between accounts: `tern send --file` and `tern listen --files`."""

import base64
import hashlib
import json
import os
import random
import time

from harness import check, check_equal, main, test, until
from terminal import Terminal

WAIT = ("--timeout", "60")


def content(size, seed=1):
    return random.Random(seed).randbytes(size)


def says(process, text):
    check(text in process.err(), "does not say '%s': %s", text, process.err())


def folder(world, name):
    path = os.path.join(world.folder, name)
    os.mkdir(path)
    return path


def there(path):
    """What is in the folder, by name: a hash of each."""
    found = {}
    for name in os.listdir(path):
        with open(os.path.join(path, name), "rb") as file:
            found[name] = hashlib.sha256(file.read()).hexdigest()
    return found


def digest(data):
    return hashlib.sha256(data).hexdigest()


def take(client, path, count):
    process = client.run("listen", "--json", "--files", path, "--count", count, "--seconds", "30", seconds=60)
    return [json.loads(line) for line in process.out().splitlines()]


@test
def files_arrive_whole(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    got = folder(world, "got")
    sizes = {"empty": 0, "one byte": 1, "a.bin": 100000, "big.tar.gz": 3000000}
    data = {name: content(size) for name, size in sizes.items()}
    for name in sizes:
        out = alice.run("send", "bob", "--file", world.file(name, data[name]), "--json", *WAIT, seconds=90)
        said = json.loads(out.out())
        check_equal((said["file"], said["bytes"], said["failed"]), (name, sizes[name], 0), "what send says")
        check_equal(said["sent"], said["messages"], "its ticks")
    alice.run("send", "bob", "a text behind them", *WAIT)
    lines = take(bob, got, 5)
    files = {line["file"]: line for line in lines if "file" in line}
    check_equal({name: line["bytes"] for name, line in files.items()}, sizes, "what listen says")
    check_equal(files["a.bin"]["path"], os.path.join(got, "a.bin"), "where it is")
    check_equal([line["text"] for line in lines if "text" in line], ["a text behind them"], "the text")
    check_equal(there(got), {name: digest(data[name]) for name in sizes}, "what is in the folder")
    check_equal(os.stat(os.path.join(got, "a.bin")).st_mode & 0o777, 0o600, "the file's mode")
    status = json.loads(bob.run("status", "--json", "--offline").out())
    check_equal(status["files"], [], "nothing is left in the state")
    sent = json.loads(alice.run("status", "--json").out())["sent"]
    check_equal([one["text"] for one in sent][1], "file one byte, 1 bytes", "one line for each")
    check_equal(sent[3]["tick"], "delivered", "the tick of the largest")


@test
def a_file_stays_until_somebody_takes_it(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    data, got = content(50000), folder(world, "got")
    alice.run("send", "bob", "--file", world.file("a.bin", data), *WAIT)
    line = bob.listen(1)[0]
    check_equal((line["from"], line["file"], line["bytes"]), ("alice", "a.bin", 50000), "the line")
    alice.run("send", "bob", "--file", world.file("a.bin"), *WAIT)
    plain = bob.run("listen", "--count", "1", "--seconds", "20").out().decode()
    check_equal(plain, "alice  file a.bin, 50000 bytes: `tern listen --files FOLDER` takes it\n", "the line")
    check(b"a.bin of alice: 50000 bytes, whole" in bob.run("status", "--offline").out(), "status")
    check_equal(len(json.loads(bob.run("status", "--json", "--offline").out())["files"]), 2, "how many")
    plain = bob.run("listen", "--files", got, "--count", "2", "--seconds", "20").out().decode()
    check_equal(plain, "alice  file %s/a.bin, 50000 bytes\n" % got * 2, "where it is, both times")
    check_equal(there(got), {"a.bin": digest(data)}, "the same file is there once")


@test
def names_and_files_of_others_do_no_harm(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    got = folder(world, "got")
    for name, text in ((".bashrc", b"evil"), ("-rf", b"worse"), ("x\x1b[2J", b"blank"), ("mine", b"theirs")):
        alice.run("send", "bob", "--file", world.file(name, text), *WAIT)
    with open(os.path.join(got, "mine"), "wb") as file:
        file.write(b"mine")
    take(bob, got, 4)
    check_equal(
        there(got),
        {"_bashrc": digest(b"evil"), "_rf": digest(b"worse"), "x_[2J": digest(b"blank"),
         "mine": digest(b"mine"), "mine (2)": digest(b"theirs")},
        "what is in the folder",
    )


@test
def a_name_that_is_no_text_is_told_with_escapes_and_whole(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    name, got = b"caf\xe9.txt", folder(world, "got")
    path = os.path.join(world.folder.encode(), name)
    with open(path, "wb") as file:
        file.write(b"coffee")
    whole = base64.b64encode(name).decode()
    said = json.loads(alice.run("send", "bob", "--file", os.fsdecode(path), "--json", *WAIT).out())
    bob.listen(1)
    [waiting] = json.loads(bob.run("status", "--json").out())["files"]
    [taken] = take(bob, got, 1)
    for one in (said, waiting, taken):
        check_equal((one["file"], one["file_base64"]), ("caf\\xe9.txt", whole), "the name")
    alice.run("send", "bob", "--file", world.file("plain.txt", b"plain"), *WAIT)
    check("file_base64" not in take(bob, got, 1)[0], "a name that is a text has no other form")


@test
def what_can_not_be_sent_is_refused(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    path = world.file("large")
    with open(path, "wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    says(alice.run("send", "bob", "--file", path, code=1), "at most 67108864 (64 MiB)")
    says(alice.run("send", "bob", "--file", world.file("none"), code=1), "No such file")
    says(alice.run("send", "bob", "--file", world.folder, code=1), "regular file")
    says(alice.run("send", "bob", "text", "--file", path, code=2), "do not go together")
    says(alice.run("send", "bob", code=2), "it needs")
    says(alice.run("send", "nobody", "--file", path, code=4), "no such account")
    says(bob.run("listen", "--files", path, code=1), "Not a directory")
    says(bob.run("listen", "--files", world.file("none"), code=1), "No such file")
    check_equal(json.loads(alice.run("status", "--json", "--offline").out())["outbox"], 0, "the outbox")
    check(b"--file" in alice.run("send", "--help").out(), "help names it")


@test
def kills_of_both_ends_do_not_hurt_a_file(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    data, got, draw = content(24000000), folder(world, "got"), random.Random(6)

    def files():
        return json.loads(bob.run("status", "--json", "--offline").out())["files"]

    sending = alice.start("send", "bob", "--file", world.file("big", data))
    until(lambda: json.loads(alice.run("status", "--json", "--offline").out())["sent"], 30, "the outbox")
    seen, pause_s = [], 0.03
    for turn in range(12):
        sending.kill()
        listening = bob.start("listen", "--json", "--files", got)
        sending = alice.start("listen")
        if turn == 3:
            switch.kill()
            switch.restart()
        time.sleep(draw.uniform(0.5, 1.0) * pause_s)
        listening.kill()
        received = max([one["received"] for one in files()], default=0)
        if received == (seen[-1] if seen else 0):  # not long enough to get anything, on this machine
            pause_s = min(1.5 * pause_s, 1.0)
        seen.append(received)
        check(not any(one["broken"] for one in files()), "what is under way: %r", files())
    sending.kill()
    check(any(0 < received < len(data) for received in seen), "it was under way at some time: %r", seen)
    listening = bob.start("listen", "--json", "--files", got)
    alice.run("send", "bob", "the end", "--wait", "delivered", "--timeout", "120", seconds=150)
    until(lambda: there(got) == {"big": digest(data)}, 30, lambda: "what is in the folder: %r" % there(got))
    until(lambda: not files(), 30, "the state to forget it")
    check_equal(listening.stop(), 0, "the listener")


@test
def progress_is_shown_on_a_terminal(world):
    switch = world.switch()
    alice, _ = world.linked(switch, "alice", "bob")
    terminal = Terminal(world, alice.command("send", "bob", "--file", world.file("a", content(400000))))
    terminal.expect("400000 of 400000 bytes sent")
    check_equal(terminal.end(), 0, "the exit status")


main()
