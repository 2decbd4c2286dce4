"""`tern export` and `tern import`: a device moves to another home folder."""

import json
import os

from harness import check, check_equal, main, test, until
from terminal import Terminal

WAIT = ("--timeout", "20")
TEXT = "a text that nobody else shall read"


def passphrase(world, name, text):
    return world.file(name, text.encode() + b"\n")


def says(process, text):
    check(text in process.err(), "does not say '%s': %s", text, process.err())


def status(client, *options):
    return json.loads(client.run("status", "--json", "--offline", *options).out())


@test
def a_device_moves_to_another_home(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    file, good = world.file("alice.tern"), passphrase(world, "good", "open sesame")
    alice.run("send", "bob", TEXT, *WAIT)
    bob.run("send", "alice", "kept", *WAIT)
    until(lambda: b"unread    1 of bob" in alice.run("status").out(), 20, "bob's message")
    said = alice.run("export", file, "--new-passphrase-file", good)
    check(b"who has it" in said.out(), "says what it is: %r", said.out())
    check_equal(os.stat(file).st_mode & 0o777, 0o600, "the file's mode")
    with open(file, "rb") as exported:
        check(TEXT.encode() not in exported.read(), "the text is in the file")
    listening = alice.start("listen", "--json")
    until(lambda: switch.stat("connections") == 1, 20, "the connection")
    until(lambda: b"kept" in listening.out(), 20, "what was received")
    moved = world.client("moved")
    moved.run("import", file, "--passphrase-file", good)
    check_equal(status(moved)["sent"][0]["text"], TEXT, "what was sent")
    check_equal([one["text"] for one in moved.listen(1)], ["kept"], "what was received")
    moved.run("send", "bob", "from the new home", *WAIT)
    # The switch lets one of the two in, and the other hears why.
    check_equal(listening.wait(), 5, "the exit status of the older copy")
    says(listening, "another program uses the same device")
    got = bob.listen(2)  # before he answers: the channels of the older copy are over
    bob.run("send", "alice", "to the new home", *WAIT)
    check_equal([one["text"] for one in moved.listen(1)], ["to the new home"], "what came")
    check_equal([one["text"] for one in got], [TEXT, "from the new home"], "what bob got")
    check(got[0]["epoch"] != got[1]["epoch"], "the same epoch: %r", got)
    check_equal(got[0]["from_device"], got[1]["from_device"], "the device")


@test
def what_was_sealed_for_the_older_copy_is_told_and_later_ones_open(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    file, good = world.file("alice.tern"), passphrase(world, "good", "open sesame")
    alice.run("send", "bob", "hello", *WAIT)
    bob.run("send", "alice", "hello to you", *WAIT)
    alice.listen(1)
    bob.listen(1)
    alice.run("export", file, "--new-passphrase-file", good)
    moved = world.client("moved")
    moved.run("import", file, "--passphrase-file", good)
    sending = bob.start("send", "alice", "sealed for the older copy", "--wait", "delivered", *WAIT)
    until(lambda: status(bob)["sent"][-1]["tick"] == "sent", 20, "the switch to have it")
    listening = moved.start("listen", "--json")
    until(lambda: "could not be opened" in listening.err(), 20, lambda: "the notice: %s" % listening.err())
    sending.expect_code(4)
    says(sending, "or did not open there")

    def is_opened():
        bob.start("send", "alice", "for the new one", *WAIT).wait()
        return b"for the new one" in listening.out()

    until(is_opened, 20, lambda: "a message to open: %s" % listening.err(), every_s=0.5)
    listening.stop()


@test
def what_was_not_sent_yet_is_not_sent_twice(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    file, good = world.file("alice.tern"), passphrase(world, "good", "open sesame")
    alice.run("send", "bob", "first", *WAIT)
    switch.kill()
    alice.run("send", "bob", "second", "--timeout", "0.2", code=3)
    alice.run("export", file, "--passphrase-file", good)
    switch.restart()
    alice.run("send", "bob", "third", *WAIT)
    moved = world.client("moved")
    said = moved.run("import", file, "--passphrase-file", good).out().decode()
    check("1 message had no sent tick" in said, "says so: %s", said)
    moved.run("send", "bob", "fourth", *WAIT)
    check_equal([one["text"] for one in bob.listen(4)], ["first", "second", "third", "fourth"], "bob")
    sent = [(one["text"], one["tick"], one.get("reason")) for one in status(moved)["sent"]]
    expected = [("first", "sent", None), ("second", "failed", "exported"), ("fourth", "sent", None)]
    check_equal(sent, expected, "what is known of what was sent")
    check(b"the other copy may have sent it" in moved.run("status", "--offline").out(), "says why")


@test
def a_locked_home_stays_locked(world):
    alice = world.linked(world.switch(), "alice")
    home, good = passphrase(world, "home", "of the home"), passphrase(world, "good", "of the file")
    file = world.file("alice.tern")
    alice.run("lock", "--new-passphrase-file", home)
    says(alice.run("export", file, "--new-passphrase-file", good, code=1), "no terminal to ask on")
    alice.run("export", file, "--passphrase-file", home, "--new-passphrase-file", good)
    moved = world.client("moved")
    says(moved.run("import", file, "--passphrase-file", home, code=1), "the passphrase is wrong")
    moved.run("import", file, "--passphrase-file", good)
    says(moved.run("status", "--offline", code=1), "no terminal to ask on")
    check_equal(status(moved, "--passphrase-file", good)["locked"], True, "the lock")


@test
def what_can_not_be_done_is_said(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    good, file = passphrase(world, "good", "good"), world.file("alice.tern")
    moved = world.client("moved")
    alice.run("export", file, "--passphrase-file", good)
    says(alice.run("export", file, "--passphrase-file", good, code=1), "File exists")
    says(alice.run("export", world.file("none/x"), "--passphrase-file", good, code=1), "No such file")
    says(bob.run("import", file, "--passphrase-file", good, code=1), "is a device already")
    says(moved.run("import", world.file("none"), "--passphrase-file", good, code=1), "No such file")
    says(moved.run("import", good, "--passphrase-file", good, code=1), "not written by `tern export`")
    with open(file, "rb") as whole, open(world.file("cut"), "wb") as cut:
        cut.write(whole.read()[:-1])
    says(moved.run("import", world.file("cut"), "--passphrase-file", good, code=1), "its end is missing")
    check(not os.path.exists(moved.home), "a failed import leaves something behind")
    says(moved.run("status", code=5), "is not linked")
    says(moved.run("export", world.file("y"), "--passphrase-file", good, code=5), "is not linked")
    moved.run("import", file, "--passphrase-file", good)
    check_equal(status(moved)["name"], "alice", "whose it is")


@test
def what_was_killed_is_in_nobodys_way(world):
    alice = world.linked(world.switch(), "alice")
    good, file = passphrase(world, "good", "good"), world.file("alice.tern")
    for _ in range(3):
        exporting = alice.start("export", file, "--passphrase-file", good)
        until(lambda: os.path.exists(file + ".part"), 20, "the export to begin")
        exporting.kill()
        check(not os.path.exists(file), "a part of it has the name of the whole")
    alice.run("export", file, "--passphrase-file", good)
    check(not os.path.exists(file + ".part"), "what was killed is left")
    moved = world.client("moved")
    importing = moved.start("import", file, "--passphrase-file", good)
    until(lambda: os.path.exists(os.path.join(moved.home, "home.lock")), 20, "the import to begin")
    importing.kill()
    moved.run("import", file, "--passphrase-file", good)
    check_equal(status(moved)["name"], "alice", "whose it is")


@test
def passphrases_are_typed(world):
    alice = world.linked(world.switch(), "alice")
    file = world.file("alice.tern")
    terminal = Terminal(world, alice.command("export", file))
    for prompt in ("New passphrase [^:]*: ", "again: "):
        terminal.expect(prompt)
        terminal.type("secret1\n")
    check_equal(terminal.end(), 0, "export's exit status")
    terminal = Terminal(world, world.client("moved").command("import", file))
    terminal.expect("Passphrase [^:]*: ")
    terminal.type("secret1\n")
    check_equal(terminal.end(), 0, "import's exit status")
    check("secret1" not in terminal.text, "it is seen: %r", terminal.text)


main()
