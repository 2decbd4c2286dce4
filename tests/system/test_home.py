"""Several tern commands on one home folder: one device, one session, whichever command comes and goes or is
killed."""

import json
import os

from harness import check, check_equal, main, test, until

WAIT = ("--timeout", "20")


def lines(process):
    return process.out().decode().splitlines()


def await_lines(process, count, what):
    until(lambda: len(lines(process)) >= count, 20, lambda: "%s: %r" % (what, lines(process)))


@test
def commands_work_while_another_one_listens(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    before = switch.stat("sessions_replaced")
    listening = {client: client.start("listen") for client in (alice, bob)}
    for number in range(10):
        alice.run("send", "bob", "to bob %d" % number, "--wait", "delivered", *WAIT)
        bob.run("send", "alice", "to alice %d" % number, "--wait", "delivered", *WAIT)
    sending = alice.start("send", "bob", "read me", "--wait", "read", *WAIT)
    await_lines(listening[bob], 11, "what bob got")
    bob.run("read", "alice")
    sending.expect_code(0)
    check_equal(
        lines(listening[bob]), ["to bob %d" % number for number in range(10)] + ["read me"], "what bob got"
    )
    check_equal(lines(listening[alice]), ["to alice %d" % number for number in range(10)], "what alice got")
    bob.run("block", "alice")
    alice.run("send", "bob", "not for him", code=4)
    bob.run("unblock", "alice")
    check_equal(switch.stat("sessions_replaced"), before, "no command takes the session of another")
    check(bob.start("listen").wait() == 1, "two listeners on one home")


@test
def whoever_is_left_takes_over_when_the_holder_is_killed(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    for number in range(8):
        holder = bob.start("listen")
        until(lambda: switch.stat("connections") == 1, 10, "bob's connection")
        # Alice is away: delivered comes only after the holder is gone and the sender holds the connection itself.
        sending = bob.start("send", "alice", "number %d" % number, "--wait", "delivered", *WAIT)
        until(lambda: bob_sent(bob, number), 10, "the sent tick")
        holder.kill()
        check_equal([one["text"] for one in alice.listen(1)], ["number %d" % number], "what alice got")
        sending.expect_code(0)


def bob_sent(bob, number):
    status = json.loads(bob.run("status", "--json", "--offline").out().decode())
    return len(status["sent"]) == number + 1 and status["sent"][-1]["tick"] == "sent"


@test
def what_a_killed_sender_left_is_sent_by_the_next_command(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    alice.run("send", "bob", "first", *WAIT)
    switch.kill()
    sending = alice.start("send", "bob", "second", *WAIT)
    until(lambda: json.loads(alice.run("status", "--json", "--offline").out())["outbox"] == 1, 10, "the outbox")
    sending.kill()
    left = alice.run("send", "bob", "third", "--timeout", "0.5", code=3)
    check("kept and sent" in left.err(), "does not say what becomes of it: %s", left.err())
    switch.restart()
    alice.run("send", "bob", "fourth", *WAIT)
    check_equal(
        [one["text"] for one in bob.listen(4)], ["first", "second", "third", "fourth"], "what bob got"
    )


@test
def a_file_that_was_rotated_or_emptied_is_not_cut(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    path = os.path.join(world.folder, "inbox")

    def write(*texts):
        for text in texts:
            alice.run("send", "bob", text, *WAIT)
        bob.run("listen", "--output", path, "--count", len(texts), "--seconds", 15)

    def there():
        with open(path, "rb") as file:
            return file.read()

    write("one", " ")
    check_equal(there(), b"one\n \n", "the file")
    killed = bob.start("listen", "--output", path)
    until(lambda: switch.stat("connections") == 1, 10, "bob's connection")
    killed.kill()
    with open(path, "ab") as file:
        file.write(b"torn")
    write("two")
    check_equal(there(), b"one\n \ntwo\n", "what was appended without being committed is cut off")
    with open(path, "ab") as file:
        file.write(b"a note\n")
    write("three")
    check_equal(there(), b"one\n \ntwo\na note\nthree\n", "what somebody appended to a file that nobody writes")
    os.rename(path, path + ".1")
    with open(path, "wb") as file:
        file.write(b"a longer text of somebody else's\n")
    write("four")
    check_equal(there(), b"a longer text of somebody else's\nfour\n", "a file put in its place")
    with open(path, "wb"):
        pass
    write("five")
    check_equal(there(), b"five\n", "a file that was emptied")


@test
def a_message_of_no_text_is_not_sent(world):
    switch = world.switch()
    alice, _ = world.linked(switch, "alice", "bob")
    process = alice.run("send", "bob", "", code=2)
    check("a message of no text is not sent" in process.err(), "says: %s", process.err())
    check_equal(json.loads(alice.run("status", "--json", "--offline").out())["sent"], [], "what was sent")


@test
def what_is_no_file_is_not_written_to(world):
    bob = world.linked(world.switch(), "bob")
    path = os.path.join(world.folder, "pipe")
    os.mkfifo(path)
    process = bob.run("listen", "--output", path, code=1)
    check("it has to be a regular file" in process.err(), "says: %s", process.err())


@test
def a_new_file_that_got_the_inode_of_an_old_one_is_not_cut(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    path = os.path.join(world.folder, "inbox")
    alice.run("send", "bob", "one", *WAIT)
    bob.run("listen", "--output", path, "--count", 1, "--seconds", 15)
    diary = b"a diary of many lines\n" * 100
    for _ in range(20):  # file systems give the number of a file that is gone to one that comes
        os.unlink(path)
        with open(path, "wb") as file:
            file.write(diary)
        bob.run("listen", "--output", path, "--seconds", 0)
        with open(path, "rb") as file:
            check_equal(file.read(), diary, "the new file")



@test
def a_name_given_to_a_new_account_is_asked_for_again(world):
    switch = world.switch()
    alice, dave = world.linked(switch, "alice", "dave")
    alice.run("send", "dave", "to the first", "--wait", "sent", *WAIT)
    switch.ctl("account", "remove", "dave")
    again = world.client("dave-again")
    again.run("link", switch.account("dave"))
    refused = alice.run("send", "dave", "to the first, who is gone", *WAIT, code=4)
    check("no such account" in refused.err(), "does not say why: %s", refused.err())
    alice.run("send", "dave", "to the second", "--wait", "sent", *WAIT)
    check_equal([one["text"] for one in again.listen(1)], ["to the second"], "what the new dave got")
    switch.ctl("account", "remove", "dave")
    third = world.client("dave-the-third")
    third.run("link", switch.account("dave"))
    alice.run("block", "dave", *WAIT, code=4)
    alice.run("block", "dave", *WAIT)
    third.run("send", "alice", "blocked", *WAIT, code=4)



@test
def a_linked_home_is_not_linked_again(world):
    switch = world.switch()
    dave = world.linked(switch, "dave")
    for name in ("erin", "dave"):
        if name == "erin":
            uri = switch.account(name)
        else:
            switch.ctl("device", "revoke", "dave", "1")
            uri = switch.ctl("account", "code", "dave")["accounts"][0]["uri"]
        again = dave.run("link", uri, code=1)
        check("is linked already, as dave, device 1" in again.err(), "does not say so: %s", again.err())
        check("--home" in again.err(), "does not say what to do: %s", again.err())
        other = world.client("another-" + name)
        check("linked as " + name in other.run("link", uri).out().decode(), "the URI is still good")



@test
def status_says_connected_only_where_a_tern_is(world):
    switch = world.switch()
    alice = world.linked(switch, "alice")

    def is_connected(*options):
        words = b"connected by another tern" in alice.run("status", *options).out()
        in_json = json.loads(alice.run("status", "--json", *options).out())["connected"]
        return words, in_json

    check_equal(is_connected("--offline"), (False, False), "offline, with nobody there")
    check_equal(is_connected(), (False, True), "on its own")
    alice.start("listen")
    until(lambda: switch.stat("connections") == 1, 10, "the connection")
    check_equal(is_connected("--offline"), (True, True), "offline, beside a listener")
    check_equal(is_connected(), (True, True), "beside a listener")



@test
def lines_behind_one_that_is_too_long_are_sent(world):
    switch = world.switch(payload_bytes_max=1000)
    alice, bob = world.linked(switch, "alice", "bob")
    # Of 1,000 bytes of payload 213 go to the encryption, a frame for the one device, and padding.
    lines = [b"one", b"x" * 788, b"three", b"x" * 900000, b"five", b"y" * 787, b"x" * 5000]
    with open(world.file("lines", b"\n".join(lines)), "rb") as file:
        sending = alice.run("send", "bob", "-", *WAIT, stdin=file, code=1)
    told = [line.split(" is longer")[0] for line in sending.err().splitlines() if "is not sent" in line]
    check_equal(told, ["tern: message %d" % number for number in (2, 4, 7)], "what it says")
    check_equal([one["text"] for one in bob.listen(3)], ["one", "three", "five"], "what bob got first")
    check_equal([one["text"] for one in bob.listen(1)], ["y" * 787], "what bob got last")


main()
