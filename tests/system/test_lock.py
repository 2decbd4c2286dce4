"""A home folder locked with a passphrase: `tern lock`, `tern unlock`, and every other command on it."""

import json
import os
import subprocess
import time

from harness import check, check_equal, main, test, until
from terminal import Terminal

WAIT = ("--timeout", "20")
TEXT = "a text that nobody else shall read"


def passphrase(world, name, text):
    return world.file(name, text.encode() + b"\n")


def is_in_files(client, text):
    """Whether any file of the home has this text in it."""
    for where, _, names in os.walk(client.home):
        for name in names:
            with open(os.path.join(where, name), "rb") as file:
                if text.encode() in file.read():
                    return True
    return False


def says(process, text):
    check(text in process.err(), "does not say '%s': %s", text, process.err())


@test
def a_locked_home_works_with_its_passphrase(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    good, wrong = passphrase(world, "good", "open sesame"), passphrase(world, "wrong", "open says me")
    alice.run("send", "bob", TEXT, *WAIT)
    bob.run("listen", "--count", "1", "--seconds", "20")
    check(is_in_files(alice, TEXT) and is_in_files(bob, TEXT), "the text is there before")
    for client in (alice, bob):
        client.run("lock", "--new-passphrase-file", good)
        check(not is_in_files(client, TEXT), "the text is in a file of %s", client.name)
    says(alice.run("send", "bob", "without", code=1), "no terminal to ask on")
    says(alice.run("send", "bob", "without", code=1), "the passphrase of %s is wanted" % alice.home)
    says(alice.run("send", "bob", "wrong", "--passphrase-file", wrong, code=1), "the passphrase is wrong")
    listening = bob.start("listen", "--passphrase-file", good)
    until(lambda: switch.stat("connections") == 1, 20, "bob's connection")
    alice.run("send", "bob", "second " + TEXT, "--wait", "delivered", "--passphrase-file", good, *WAIT)
    # Another command works beside the listener, and takes over from it when it is killed.
    bob.run("send", "alice", "from bob", "--passphrase-file", good, *WAIT)
    listening.kill()
    bob.run("send", "alice", "from bob, later", "--passphrase-file", good, *WAIT)
    got = alice.run("listen", "--json", "--count", "2", "--seconds", "20", "--passphrase-file", good)
    texts = [json.loads(line)["text"] for line in got.out().splitlines()]
    check_equal(texts, ["from bob", "from bob, later"], "what alice got")
    status = json.loads(alice.run("status", "--json", "--offline", "--passphrase-file", good).out())
    check_equal([one["text"] for one in status["sent"]], [TEXT, "second " + TEXT], "what alice sent")
    check_equal((status["locked"], status["sent"][0]["tick"]), (True, "delivered"), "alice's status")
    check(not is_in_files(alice, TEXT) and not is_in_files(bob, TEXT), "the text is in a file")
    alice.run("unlock", "--passphrase-file", good)
    check_equal(json.loads(alice.run("status", "--json", "--offline").out())["locked"], False, "the lock")
    check(is_in_files(alice, TEXT), "the text is back")


@test
def another_passphrase_takes_the_place_of_the_first(world):
    alice = world.linked(world.switch(), "alice")
    first, second = passphrase(world, "first", "first"), passphrase(world, "second", "second")
    says(alice.run("lock", "--new-passphrase-file", passphrase(world, "empty", ""), code=1), "empty")
    says(alice.run("lock", "--new-passphrase-file", passphrase(world, "long", "x" * 1025), code=1), "1024")
    says(alice.run("lock", "--new-passphrase-file", world.file("none"), code=1), "No such file")
    alice.run("lock", "--passphrase-file", first)
    says(alice.run("lock", "--passphrase-file", first, code=1), "is locked already")
    changes = ("lock", "--passphrase-file", second, "--new-passphrase-file", first)
    says(alice.run(*changes, code=1), "the passphrase is wrong")
    alice.run("lock", "--passphrase-file", first, "--new-passphrase-file", second)
    says(alice.run("status", "--passphrase-file", first, code=1), "the passphrase is wrong")
    alice.run("status", "--passphrase-file", second)
    says(alice.run("unlock", "--passphrase-file", first, code=1), "the passphrase is wrong")
    alice.run("unlock", "--passphrase-file", second)
    alice.run("unlock")
    alice.run("status")


@test
def a_home_in_use_is_not_locked(world):
    alice = world.linked(world.switch(), "alice")
    good = passphrase(world, "good", "good")
    listening = alice.start("listen")
    until(lambda: b"connected by another" in alice.run("status", "--offline").out(), 20, "the listener")
    says(alice.run("lock", "--new-passphrase-file", good, code=1), "other tern commands run")
    listening.stop()
    alice.run("lock", "--new-passphrase-file", good)
    says(world.client("nobody").run("lock", "--new-passphrase-file", good, code=5), "is not linked")


@test
def a_passphrase_that_is_typed_is_not_seen(world):
    alice = world.linked(world.switch(), "alice")

    def typed(*words, code=0, prompts=()):
        terminal = Terminal(world, alice.command(*words))
        for prompt, text in prompts:
            terminal.expect(prompt)
            terminal.type(text + "\n")
            terminal.text = ""
        check_equal(terminal.end(), code, "the exit status")
        for _, text in prompts:
            check(text not in terminal.text, "%r is seen: %r", text, terminal.text)

    typed("lock", code=1, prompts=(("New passphrase [^:]*: ", "secret1"), ("again: ", "secret2")))
    typed("lock", prompts=(("New passphrase [^:]*: ", "secret1"), ("again: ", "secret1")))
    typed("status", "--offline", prompts=(("Passphrase [^:]*: ", "secret1"),))
    typed("status", "--offline", code=1, prompts=(("Passphrase [^:]*: ", "secret2"),))
    typed("unlock", prompts=(("Passphrase [^:]*: ", "secret1"),))


@test
def locking_that_is_killed_has_happened_or_not(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    good = passphrase(world, "good", "good")
    texts = ["%d %s" % (number, TEXT) for number in range(1000)]
    with open(world.file("texts", "\n".join(texts).encode()), "rb") as stdin:
        alice.run("send", "bob", "-", "--timeout", "60", stdin=stdin, seconds=90)
    took_s, is_locked, outcomes = {}, False, set()
    for command in ("lock", "unlock"):
        start = time.monotonic()
        alice.run(command, "--passphrase-file", good)
        took_s[command] = time.monotonic() - start
    for part in (0.1, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 5.0):
        command = "unlock" if is_locked else "lock"
        process = subprocess.Popen(
            alice.command(command, "--passphrase-file", good), stdout=subprocess.DEVNULL
        )
        time.sleep(part * took_s[command])
        process.kill()
        process.wait()
        status = alice.start("status", "--json", "--offline", "--last", "1000", "--passphrase-file", good)
        status.expect_code(0)
        status = json.loads(status.out())
        outcomes.add(status["locked"] != is_locked)
        is_locked = status["locked"]
        check_equal([one["text"] for one in status["sent"]], texts, "what alice sent")
        check(is_locked != is_in_files(alice, TEXT), "locked: %s, and the text is to be read: %s",
              is_locked, not is_locked)
    check_equal(outcomes, {False, True}, "some were killed before, some after")
    alice.run("send", "bob", "after all", *WAIT, "--passphrase-file", good)


@test
def a_state_that_others_may_read_is_refused(world):
    alice = world.linked(world.switch(), "alice")
    path = os.path.join(alice.home, "data.mdb")
    check_equal(os.stat(path).st_mode & 0o777, 0o600, "the file's mode")
    os.chmod(path, 0o644)
    says(alice.run("status", "--offline", code=1), "others than you may read")
    os.chmod(path, 0o600)
    alice.run("status", "--offline")
    alice.run("lock", "--new-passphrase-file", passphrase(world, "good", "good"))
    check_equal(os.stat(path).st_mode & 0o777, 0o600, "the locked file's mode")


main()
