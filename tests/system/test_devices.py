"""Accounts with several devices, encrypted from device to device: how one lets another in, that each message reaches
each device once, readable only there, whatever is killed, and that a removed one gets nothing more."""
import hashlib
import json
import random
import re
import threading
import time

from harness import Failure, check, check_equal, main, test, until
from terminal import Terminal

WAIT = ("--timeout", "30")
TICK = "✓"


def shown_uri(adding):
    """What `device add` shows, once it does."""
    match = re.search(rb"^tern link '(tern://[^']*)'$", adding.out(), re.MULTILINE)
    return match.group(1).decode() if match else None


def let_in(world, client, home):
    """A further device of a client's account."""
    adding = client.start("device", "add", *WAIT)
    uri = until(lambda: shown_uri(adding), 20, "the URI of a further device")
    further = world.client(home)
    further.run("link", uri, *WAIT)
    adding.expect_code(0)
    return further


def without_secret(uri):
    """The URI of a further device with another secret in it, and the check that belongs to that."""
    text, found = re.subn(r"pair=[0-9a-f]{64}(&code=[0-9a-f]{32})&check=[0-9a-f]{8}$", "pair=" + "0" * 64 + r"\1", uri)
    check_equal(found, 1, "secret and check of %s" % uri)
    return text + "&check=" + hashlib.sha256(text.lower().encode()).hexdigest()[:8]


def listed(client, *arguments):
    return json.loads(client.run("device", "list", "--json", *arguments).out())


def family(world, switch, name, count):
    """An account with so many devices."""
    first = world.linked(switch, name)
    return [first] + [let_in(world, first, "%s-%d" % (name, number)) for number in range(2, count + 1)]


def texts(lines):
    return [line["text"] for line in lines]


def status(client):
    return json.loads(client.run("status", "--json", "--offline").out())


@test
def a_further_device_hears_what_comes_after_it(world):
    switch = world.switch()
    bob = world.linked(switch, "bob")
    alice = world.linked(switch, "alice")
    bob.run("send", "alice", "before", "--wait", "sent", *WAIT)
    other = let_in(world, alice, "alice-2")
    devices = listed(other)["devices"]
    check_equal([(one["device"], one["this"]) for one in devices], [(1, False), (2, True)], "the list")
    bob.run("send", "alice", "after", "--wait", "sent", *WAIT)
    check_equal(texts(other.listen(1)), ["after"], "at the new device")
    check_equal(texts(alice.listen(2)), ["before", "after"], "at the first device")
    other.run("send", "bob", "from the second", "--wait", "sent", *WAIT)
    copy = alice.listen(1)[0]
    check_equal((copy["text"], copy["to"], copy["encrypted"]), ("from the second", "bob", True), "the copy")
    got = bob.listen(1)[0]
    check_equal((got["from"], got["from_device"], got["text"]), ("alice", 2, "from the second"), "at bob")
    check_equal([one["text"] for one in status(other)["sent"]], ["from the second"], "what it says it sent")


@test
def what_one_device_has_read_the_others_show_as_read(world):
    switch = world.switch()
    bob = world.linked(switch, "bob")
    alice, other = family(world, switch, "alice", 2)
    bob.run("send", "alice", "for both", "--wait", "sent", *WAIT)
    for client in (alice, other):
        client.listen(1)
        check_equal([one["count"] for one in status(client)["unread"]], [1], "unread before")
    alice.run("read", "bob", *WAIT)
    until(lambda: alice.run("status") and other.run("status") and not status(other)["unread"], 20, "read there, too")


@test
def a_removed_device_gets_nothing_more(world):
    switch = world.switch()
    bob = world.linked(switch, "bob")
    alice, other = family(world, switch, "alice", 2)
    bob.run("send", "alice", "to two", "--wait", "delivered", "--timeout", "2", code=3)
    other.run("device", "remove", "1", code=1)
    alice.run("device", "remove", "2", *WAIT)
    bob.run("send", "alice", "to one", "--wait", "sent", *WAIT)
    check_equal(texts(alice.listen(2)), ["to two", "to one"], "at the device that is left")
    ended = other.run("listen", "--seconds", "5", code=5)
    check_equal(ended.out(), b"", "at the removed one")
    check("revoked" in ended.err(), "it is told: %s", ended.err())
    third = let_in(world, alice, "alice-3")
    bob.run("send", "alice", "to the third", "--wait", "sent", *WAIT)
    check_equal(texts(third.listen(1)), ["to the third"], "a device that came later")
    alice.run("device", "remove", "9", code=4)


@test
def ticks_are_shown_on_the_senders_other_devices_too(world):
    switch = world.switch()
    bob = world.linked(switch, "bob")
    alice, other = family(world, switch, "alice", 2)
    terminal = Terminal(world, other.command("chat", "bob"))
    terminal.expect("> ")
    alice.run("send", "bob", "from the first", "--wait", "sent", *WAIT)
    terminal.expect("from the first *" + TICK)
    check(TICK * 2 not in terminal.text, "two ticks while bob is away: %r", terminal.text[-500:])
    bob.listen(1)
    terminal.expect("from the first *" + TICK * 2)
    bob.run("read", "alice", *WAIT)
    terminal.expect("from the first *\033\\[36m" + TICK * 2)
    terminal.type("\004")
    check_equal(terminal.end(), 0, "exit status of chat")
    check_equal(status(other)["sent"], [], "status shows what its own device sent")


@test
def a_uri_that_was_changed_uses_up_no_code(world):
    switch = world.switch()
    alice = world.linked(switch, "alice")
    adding = alice.start("device", "add", *WAIT)
    uri = until(lambda: shown_uri(adding), 20, "the URI of a further device")
    other = world.client("alice-2")
    for part in ("code", "account-key", "pair"):
        told = other.run("link", re.sub("(?<=&%s=)." % part, lambda at: "1" if at[0] == "0" else "0", uri), code=2)
        check("its code was not used" in told.err().lower(), "it is told: %s", told.err())
    for end in ("&code=", "&check=", "&account-key=", "&pair="):  # a cut one is not an account's first device's
        other.run("link", uri.partition(end)[0], code=2)
    other.run("link", uri, *WAIT)
    adding.expect_code(0)


@test
def who_has_another_secret_is_not_let_in_and_all_are_told(world):
    switch = world.switch()
    alice = world.linked(switch, "alice")
    adding = alice.start("device", "add", *WAIT)
    uri = until(lambda: shown_uri(adding), 20, "the URI of a further device")
    # A device of the account that nobody let in: the switch took its code, but it does not know the secret.
    stranger = world.client("stranger")
    told = stranger.run("link", without_secret(uri), *WAIT, code=4)
    check("device 2, this one" in told.err() and "signed list" in told.err(), "it is told: %s", told.err())
    check("`tern device remove 2`" in told.err(), "what to do: %s", told.err())
    until(lambda: "device 2 is linked at the switch, but is not on the signed list" in adding.err(), 20, "device add tells")
    check(adding.running(), "device add ended with a stranger: %s", adding.out())
    for client, standing, strangers in ((alice, "listed", [2]), (stranger, "refused", [])):
        for said in (listed(client), json.loads(client.run("status", "--json").out())):
            check_equal((said["standing"], said["strangers"]), (standing, strangers), "in %s" % client.name)
        for words in (("device", "list"), ("status",)):
            check(b"`tern device remove 2`" in client.run(*words).out(), "%s of %s", words, client.name)
    check_equal(len(listed(alice)["devices"]), 1, "devices on the list")
    bob = world.linked(switch, "bob")
    bob.run("send", "alice", "not for strangers", "--wait", "sent", *WAIT)
    check_equal(stranger.run("listen", "--seconds", "2").out(), b"", "at the stranger")
    refused = stranger.run("send", "bob", "let me", "--timeout", "2", code=3)
    check("not on its own account's list" in refused.err(), "why it can't send: %s", refused.err())
    adding.stop()
    alice.run("device", "remove", "2", *WAIT)
    check_equal(listed(alice)["strangers"], [], "nobody is left to be removed")
    check("revoked" in stranger.run("status", code=5).err(), "the stranger hears of it")
    let_in(world, alice, "alice-3")


@test
def a_device_that_nobody_was_there_to_let_in_waits(world):
    switch = world.switch()
    alice = world.linked(switch, "alice")
    adding = alice.start("device", "add", *WAIT)
    uri = until(lambda: shown_uri(adding), 20, "the URI of a further device")
    adding.stop()
    other = world.client("alice-2")
    told = other.run("link", uri, "--timeout", "2", code=3)
    check("not on the account's list yet" in told.err(), "it is told: %s", told.err())
    check_equal(json.loads(other.run("status", "--json").out())["standing"], "waits", "and says so")
    alice.run("status")
    until(lambda: listed(other)["standing"] == "listed", 20, "it is let in")


@test
def the_list_is_the_switchs_or_says_of_when_it_is(world):
    switch = world.switch()
    alice, other = family(world, switch, "alice", 2)
    let_in(world, alice, "alice-3")
    said = listed(other)
    check_equal([one["device"] for one in said["devices"]], [1, 2, 3], "what the second hears of")
    check(said["current"], "it was asked for: %s", said)
    switch.stop()
    away = listed(other)
    check_equal((away["devices"], away["current"]), (said["devices"], False), "without the switch")
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", away["as_of"]), "when it was asked: %s", away)
    check(("as of %s; switch not reached" % away["as_of"]).encode() in other.run("device", "list").out(), "in words")


class Listening:
    """A device whose `listen` is killed again and again, its messages in a file."""

    def __init__(self, world, client, name):
        self.world, self.client, self.path = world, client, world.file("got-" + name)
        self.process = None
        self.start()

    def start(self):
        self.process = self.client.start("listen", "--output", self.path)

    def die(self):
        self.process.kill()
        self.start()

    def lines(self):
        try:
            with open(self.path, "rb") as file:
                return file.read().decode().splitlines()
        except FileNotFoundError:
            return []


class Sending(threading.Thread):
    """Sends numbered texts, one command after the other; some of the commands are killed."""

    def __init__(self, client, to, name, seed):
        super().__init__(daemon=True)
        self.client, self.to, self.label = client, to, name
        self.random, self.failure, self.stopping = random.Random(seed), None, False

    def send(self, number):
        text = "%s %03d" % (self.label, number)
        process = self.client.start("send", self.to, text, *WAIT)
        if self.random.random() < 0.3:
            time.sleep(self.random.random() * 0.1)
            process.kill()
        else:
            process.wait(60)

    def run(self):
        try:
            for number in range(1000):
                if self.stopping:
                    break
                self.send(number)
        except Failure as failure:
            self.failure = failure


def sent_by(client):
    """What the state of a device has as sent: a killed command may have ended before it put its text there."""
    return [one["text"] for one in json.loads(client.run("status", "--json", "--last", "1000").out())["sent"]]


@test(build="release")
def every_message_reaches_every_device_once_whatever_is_killed(world):
    switch = world.switch(shards=2, spill_ms=50)
    alices, bobs = family(world, switch, "alice", 3), family(world, switch, "bob", 3)
    listening = {
        name: Listening(world, client, name)
        for names, clients in (("alice", alices), ("bob", bobs))
        for name, client in (("%s-%d" % (names, number), client) for number, client in enumerate(clients, 1))
    }
    sending = [Sending(client, "bob", "alice-%d" % number, number) for number, client in enumerate(alices, 1)]
    sending += [Sending(client, "alice", "bob-%d" % number, 9 + number) for number, client in enumerate(bobs, 1)]
    for one in sending:
        one.start()
    for death in range(20):
        time.sleep(0.25)
        if death % 5 == 4:
            switch.kill()
            switch.restart()
        else:
            sorted(listening.items())[death % len(listening)][1].die()
    for one in sending:
        one.stopping = True
    for one in sending:
        one.join()
        if one.failure:
            raise one.failure
    expected = {}  # recipient account -> texts of each sending device, in order
    for name, clients, to in (("alice", alices, "bob"), ("bob", bobs, "alice")):
        for number, client in enumerate(clients, 1):
            until(lambda: status(client)["outbox"] == 0, 60, "everything of %s-%d sent" % (name, number), 0.5)
            expected.setdefault(to, {})["%s-%d" % (name, number)] = sent_by(client)
    for to in ("alice", "bob"):
        for number in (1, 2, 3):
            one = listening["%s-%d" % (to, number)]
            total = sum(len(texts_) for texts_ in expected[to].values())
            check(total > 30, "too little was sent: %d", total)
            until(lambda: len(one.lines()) >= total, 60, lambda: "%d of %d at %s-%d" % (len(one.lines()), total, to, number))
            for sender, texts_ in expected[to].items():
                got = [line for line in one.lines() if line.startswith(sender + " ")]
                check_equal(got, texts_, "what %s-%d got of %s" % (to, number, sender))
            check_equal(len(one.lines()), total, "lines at %s-%d" % (to, number))
    for client in alices + bobs:
        until(lambda: all(tick == "delivered" for tick in ticks(client)), 30, lambda: "two ticks: %s" % ticks(client), 0.5)


def ticks(client):
    return [one["tick"] for one in json.loads(client.run("status", "--json", "--last", "1000").out())["sent"]]


@test
def a_terminal_shows_the_uri_as_a_qr_code_too(world):
    bob = world.linked(world.switch(), "bob")
    terminal = Terminal(world, bob.command("device", "add", "--timeout", "2"))
    terminal.expect("▀.*▄.*tern link 'tern://127.0.0.1:\\d+/bob")
    check_equal(terminal.end(), 3, "the exit status when nobody comes")


main()
