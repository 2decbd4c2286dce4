"""A switch that lies to the devices of alice, bob and carol: each lie is noticed by the device and named, and nothing goes
out by it. The devices are tern's, the lies a switch's that has every key of the connection and none of the devices'."""
import re
import struct

import wire
from harness import check, check_equal, main, skip, test, until

try:
    from liar import Liar
except ImportError:
    Liar = None

WAIT = ("--timeout", "30")
SHORT = ("--timeout", "3")
BOB = 2


def people(world, *names):
    """A liar, and the only device of each account."""
    if not Liar:
        skip("python3-cryptography is not there")
    switch = world.switch()
    liar = Liar(switch)
    clients = []
    for name in names:
        client = world.client(name)
        client.run("link", liar.uri(switch.account(name)), *WAIT)
        clients.append(client)
    return liar, clients


def notices(client):
    """What the device says of others, and what it shows."""
    process = client.run("listen", "--json", "--seconds", "1")
    return process.err(), process.out()


def texts(client, count):
    return [line["text"] for line in client.listen(count)]


@test
def keys_of_another_device_are_named_and_nothing_is_sealed_with_them(world):
    liar, (alice, bob, carol) = people(world, "alice", "bob", "carol")
    carols = []

    def lie(session, one):
        """Carol's keys for bob's, as soon as they are known."""
        if one[2] != wire.KEYS or len(one) < 32 + 176:
            return None
        account = struct.unpack_from("<Q", one, 8)[0]
        if account == BOB and carols:
            return [one[:40] + carols[0] + one[172:]]
        carols.append(one[40:172])
        return None

    liar.lie = lie
    alice.run("send", "carol", "to carol", "--wait", "delivered", "--timeout", "1", code=3)
    check(carols, "the liar saw no keys")
    alice.run("send", "bob", "for bob alone", "--wait", "sent", *SHORT, code=3)
    err, _ = notices(alice)
    check("tern: bob: the switch handed out keys for device 1 that are not its own" in err, "alice hears: %s", err)
    check_equal(texts(carol, 1), ["to carol"], "at carol")
    check_equal(notices(bob)[1], b"", "at bob")


@test
def a_device_that_is_on_no_signed_list_is_named_and_gets_nothing(world):
    liar, (alice, bob) = people(world, "alice", "bob")
    alice.run("send", "bob", "before", "--wait", "sent", *WAIT)

    def answer(session, one):
        """A ninth device of bob's, for whom alice should encrypt, too."""
        targets = struct.unpack_from("<H", one, 52)[0] if one[2] == wire.MESSAGE else 0
        if not targets:
            return None
        to, number = struct.unpack_from("<QQ", one, 8)
        return [
            wire.frame(wire.TARGETS, struct.pack("<HHQ4H", 1, 0, to, 9, 0, 0, 0)),
            wire.frame(wire.REFUSED, struct.pack("<HHQQI", 9, 0, to, number, 100)),
        ]

    liar.answer = answer
    held = alice.run("send", "bob", "not for nine", "--wait", "sent", *SHORT, code=3)
    check("not on the account's signed list" in held.err(), "the command says: %s", held.err())
    err, _ = notices(alice)
    check("tern: bob: the switch names device 9, which is not on" in err, "alice hears: %s", err)
    liar.answer = None
    check_equal(texts(bob, 1), ["before"], "at bob")


def let_in(liar, client, further):
    adding = client.start("device", "add", *WAIT)

    def shown():
        match = re.search(rb"^tern link '(tern://[^']*)'$", adding.out(), re.MULTILINE)
        return match.group(1).decode() if match else None

    further.run("link", until(shown, 20, "the URI of a further device"), *WAIT)
    adding.expect_code(0)


@test
def an_old_list_is_named_and_not_used(world):
    liar, (alice, bob) = people(world, "alice", "bob")
    lists = []

    def lie(session, one):
        """Bob's list of one device, for ever."""
        if one[2] != wire.LIST or struct.unpack_from("<Q", one, 8)[0] != BOB or session.account == BOB:
            return None
        if len(one) > 32 and not lists:
            lists.append(one)
        request = one[4:8]
        return [lists[0][:4] + request + lists[0][8:]] if lists and liar.lying else None

    liar.lying, liar.lie = False, lie
    alice.run("send", "bob", "to one", "--wait", "sent", *WAIT)
    phone = world.client("bob-2")
    let_in(liar, bob, phone)
    alice.run("send", "bob", "to two", "--wait", "sent", *WAIT)
    check_equal(texts(phone, 1), ["to two"], "at the second device")
    liar.lying = True
    bob.run("device", "remove", "2", *WAIT)
    alice.run("send", "bob", "to one again", "--wait", "sent", *WAIT)
    err, _ = notices(alice)
    check("tern: bob: the switch handed out an older device list than the one known" in err, "alice hears: %s", err)
    check_equal(texts(bob, 3), ["to one", "to two", "to one again"], "at bob")


@test
def a_message_that_is_repeated_or_comes_out_of_order_is_shown_once_or_not_at_all(world):
    liar, (alice, bob) = people(world, "alice", "bob")
    kept = []

    def lie(session, one):
        """Each message three times, and the first again behind all."""
        if one[2] != wire.MESSAGE or session.account != BOB:
            return None
        kept.append(one)
        return [one, one, one] + kept[:1]

    liar.lie = lie
    for number in range(3):
        alice.run("send", "bob", "message %d" % number, "--wait", "sent", *WAIT)
    check_equal(texts(bob, 3), ["message %d" % number for number in range(3)], "at bob")
    check(len(kept) >= 3, "the liar passed on %d messages", len(kept))
    err, out = notices(bob)
    check_equal(out, b"", "shown again")
    check("could not be opened" not in err, "bob hears: %s", err)


@test
def a_message_that_is_changed_or_renumbered_is_named(world):
    liar, (alice, bob) = people(world, "alice", "bob")

    def lie(session, one):
        """The second message is given the number of the fifth, the last byte of the third is another."""
        if one[2] != wire.MESSAGE or session.account != BOB:
            return None
        number = struct.unpack_from("<Q", one, 16)[0]
        if number == 2:
            return [one[:16] + struct.pack("<Q", 5) + one[24:]]
        return [one[:-1] + bytes([one[-1] ^ 1])] if number == 6 else None

    liar.lie = lie
    alice.run("send", "bob", "one", "--wait", "sent", *WAIT)
    check_equal(texts(bob, 1), ["one"], "at bob")
    alice.run("send", "bob", "renumbered", "--wait", "sent", *WAIT)
    err, out = notices(bob)
    check("tern: alice: a message could not be opened: it is not authentic" in err, "bob hears: %s", err)
    check_equal(out, b"", "shown")


main()
