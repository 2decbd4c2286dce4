"""A switch that lies to the devices of alice, bob and carol: each lie is noticed by the device and named, and nothing goes
out by it. The devices are tern's, the lies a switch's that has every key of the connection and none of the devices'."""
import json
import re
import struct

import wire
from harness import check, check_equal, main, skip, test, until

try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from liar import Liar
except ImportError:
    Liar = None

WAIT = ("--timeout", "30")
SHORT = ("--timeout", "3")
ALICE, BOB, CAROL, DAVE = 1, 2, 3, 4


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


# A device list, as tools/client/e2e/devicelist.h has it: offsets, and what is signed before it.
LIST_VERSION, LIST_KEY, LIST_COUNT, LIST_ROWS, LIST_SIGNATURE = 10, 26, 58, 60, -64
LIST_DOMAIN = b"tern device list"


def with_another_device(data):
    """The same list, a version later and with a device 9 of the switch's own; the signature is the old one."""
    stranger = struct.pack("<HQ", 9, 1) + bytes(range(32))
    version = struct.unpack_from("<Q", data, LIST_VERSION)[0] + 1
    body = data[:LIST_VERSION] + struct.pack("<Q", version) + data[LIST_KEY - 8 : LIST_COUNT] + struct.pack("<H", 2)
    return body + data[LIST_ROWS:LIST_SIGNATURE] + stranger + data[LIST_SIGNATURE:]


def signed_anew(data):
    """And signed, by an account key of the switch's own."""
    key = Ed25519PrivateKey.generate()
    body = data[:LIST_KEY] + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) + data[LIST_COUNT:LIST_SIGNATURE]
    return body + key.sign(LIST_DOMAIN + body)


def try_list(world, change, why, said):
    """Alice is told of a device 9 of bob's, asks for his list, and gets it changed."""
    liar, (alice, bob) = people(world, "alice", "bob")
    lists, sealed_for = [], set()

    def lie(session, one):
        if one[2] != wire.LIST or struct.unpack_from("<Q", one, 8)[0] != BOB or session.account == BOB:
            return None
        if len(one) > 32 and not liar.answer:
            lists.append(one[32:])
        if not lists or not liar.answer:
            return None
        data = change(lists[0])
        version = struct.unpack_from("<Q", data, LIST_VERSION)[0]
        return [wire.frame(wire.LIST, one[4:16] + struct.pack("<QHHI", version, 0, 0, 0) + data)]

    def answer(session, one):
        targets = struct.unpack_from("<H", one, 52)[0] if one[2] == wire.MESSAGE else 0
        if not targets:
            return None
        at = 56
        while at < len(one):
            sealed_for.add(struct.unpack_from("<H", one, at + 48)[0])
            at += 4 + struct.unpack_from("<H", one, at)[0]
        to, number = struct.unpack_from("<QQ", one, 8)
        return [
            wire.frame(wire.TARGETS, struct.pack("<HHQ4H", 1, 0, to, 9, 0, 0, 0)),
            wire.frame(wire.REFUSED, struct.pack("<HHQQI", 9, 0, to, number, 100)),
        ]

    liar.lie = lie
    alice.run("send", "bob", "before", "--wait", "sent", *WAIT)
    check(lists, "the liar saw no list")
    liar.answer = answer
    held = alice.run("send", "bob", "not for nine", "--wait", "sent", *SHORT, code=3)
    check(why in held.err(), "the command says: %s", held.err())
    err, _ = notices(alice)
    check(said in err, "alice hears: %s", err)
    check_equal(sealed_for, {1}, "devices that alice has sealed something for")
    check_equal(texts(bob, 1), ["before"], "at bob")


@test
def a_list_that_the_account_has_not_signed_is_named_and_not_used(world):
    try_list(
        world,
        with_another_device,
        "not on the account's signed list",
        "tern: bob: the switch handed out a device list that the account has not signed",
    )


@test
def a_list_by_another_account_key_is_shown_before_anything_goes_out(world):
    try_list(
        world,
        lambda data: signed_anew(with_another_device(data)),
        "the account key is another than before",
        "tern: bob: the account key is another than before",
    )


def account_frame(one, account, name):
    """The answer ACCOUNT in place of this one."""
    return wire.frame(wire.ACCOUNT, one[4:8] + struct.pack("<QHBB", account, 0, len(name), 0) + name)


def refused_frame(one, reason):
    """This message of a device is refused for good."""
    return wire.frame(wire.REFUSED, struct.pack("<HH", reason, 0) + one[8:24] + struct.pack("<I", 0))


@test
def a_name_that_is_given_to_another_account_is_told_and_gets_nothing(world):
    liar, (alice, bob, carol) = people(world, "alice", "bob", "carol")
    alice.run("send", "bob", "to bob", "--wait", "sent", *WAIT)
    alice.run("verify", "bob", *WAIT)
    alice.run("verify", "bob", "--yes", *WAIT)

    def answer(session, one):
        """To alice, bob is no more."""
        if one[2] != wire.MESSAGE or session.account == BOB or struct.unpack_from("<Q", one, 8)[0] != BOB:
            return None
        return [refused_frame(one, 1)]

    def lie(session, one):
        """And his name is carol's account's, who works with the switch."""
        if one[2] != wire.ACCOUNT or session.account == BOB:
            return None
        return [account_frame(one, CAROL, b"bob")]

    liar.answer, liar.lie = answer, lie
    alice.run("send", "bob", "is he gone?", *WAIT, code=4)
    held = alice.run("send", "bob", "for bob alone", "--strict", *SHORT, code=3)
    check("THE ACCOUNT KEY OF bob HAS CHANGED" in held.err(), "the command says: %s", held.err())
    err, _ = notices(alice)
    check("tern: bob: the name bob was another account's before" in err, "alice hears: %s", err)
    known = json.loads(alice.run("verify", "bob", "--json", *WAIT, code=1).out())
    check_equal((known["changed"], known["verified"]), (True, False), "what alice knows")
    check_equal(notices(carol)[1], b"", "at carol")
    check_equal(texts(bob, 1), ["to bob"], "at bob")


@test
def a_name_that_is_said_behind_the_list_is_told_before_anything_is_shown(world):
    liar, (alice, bob, carol, dave) = people(world, "alice", "bob", "carol", "dave")
    alice.run("send", "bob", "to bob", "--wait", "sent", *WAIT)
    held = {}

    def lie(session, one):
        """Alice hears of carol's and dave's names behind their lists, and of carol's that it is bob."""
        if session.account != ALICE or one[2] not in (wire.ACCOUNT, wire.LIST):
            return None
        account = struct.unpack_from("<Q", one, 8)[0]
        if account not in (CAROL, DAVE):
            return None
        held.setdefault(account, {})[one[2]] = one
        if len(held[account]) < 2:
            return []
        name = held[account][wire.ACCOUNT]
        return [held[account][wire.LIST], account_frame(name, CAROL, b"bob") if account == CAROL else name]

    liar.lie = lie
    dave.run("send", "alice", "from dave", "--wait", "sent", *WAIT)
    check_equal([(line["from"], line["text"]) for line in alice.listen(1)], [("dave", "from dave")], "at alice")
    carol.run("send", "alice", "from bob", "--wait", "sent", *WAIT)
    err, out = notices(alice)
    check("tern: bob: the name bob was another account's before" in err, "alice hears: %s", err)
    check_equal(out, b"", "what alice is shown")
    check_equal(texts(bob, 1), ["to bob"], "at bob")


@test
def a_person_s_word_is_for_the_number_that_was_shown_alone(world):
    """Between the number's being shown and --yes, the switch gives the name to eve."""
    liar, (alice, bob, eve) = people(world, "ann", "bob", "eve")
    alice.run("send", "bob", "to bob", *WAIT)
    bob.listen(1)
    alice.run("verify", "bob", *WAIT)

    def lie(session, one):
        if session.account != 1:
            return None
        if one[2] == wire.WELCOME:
            return [one, wire.frame(wire.BLOCKED, struct.pack("<HBBQ", 1, 1, 0, 2))]  # bob is no more
        return [one.replace(b"eve", b"bob")] if one[2] == wire.ACCOUNT else None

    def answer(session, one):
        if session.account == 1 and one[2] == wire.LOOKUP and b"bob" in one:
            session.say(session.switch, [one.replace(b"bob", b"eve")])
            return []
        return None

    liar.lie, liar.answer = lie, answer
    alice.run("listen", "--seconds", "1")
    said = json.loads(alice.run("verify", "bob", "--yes", "--json", *WAIT).out())
    check_equal((said["account"], said["verified"]), (2, True), "whom the person's word is for")
    liar.lie = liar.answer = None
    alice.run("send", "bob", "for bob alone", "--strict", *WAIT)
    check_equal([one["text"] for one in bob.listen(1)], ["for bob alone"], "what bob got")
    check_equal(eve.run("listen", "--json", "--seconds", "1").out(), b"", "what eve got")


@test
def one_s_own_name_can_be_no_other_s(world):
    """In WELCOME: it would have what is for bob sent to alice's own devices, and stand in link URIs."""
    liar, (alice, bob) = people(world, "ann", "bob")
    alice.run("send", "bob", "first", *WAIT)
    for name in (b"bob", b"';\x1b"):
        liar.lie = lambda session, one, name=name: [one.replace(b"ann", name)] if one[2] == wire.WELCOME else None
        alice.run("listen", "--seconds", "1")
    liar.lie = None
    check_equal(json.loads(alice.run("status", "--json").out())["name"], "ann", "one's own name")
    alice.run("send", "bob", "for bob alone", "--strict", *WAIT)
    check_equal([one["text"] for one in bob.listen(2)], ["first", "for bob alone"], "what bob got")


@test
def a_known_account_that_is_given_another_name_is_told_and_gets_nothing(world):
    liar, (alice, bob) = people(world, "alice", "bob")
    alice.run("send", "bob", "to bob", "--wait", "sent", *WAIT)
    alice.run("verify", "bob", *WAIT)
    alice.run("verify", "bob", "--yes", *WAIT)

    def lie(session, one):
        """Dave is bob's account, which alice has compared numbers with."""
        if one[2] != wire.ACCOUNT or session.account == BOB:
            return None
        return [account_frame(one, BOB, b"dave")]

    liar.lie = lie
    held = alice.run("send", "dave", "for dave alone", "--strict", *SHORT, code=3)
    check("THE ACCOUNT KEY OF dave HAS CHANGED" in held.err(), "the command says: %s", held.err())
    known = json.loads(alice.run("verify", "dave", "--json", *WAIT, code=1).out())
    check_equal((known["changed"], known["verified"]), (True, False), "what alice knows of dave")
    err, _ = notices(alice)
    check("the switch calls this account dave now, and bob before" in err, "alice hears: %s", err)
    check_equal(texts(bob, 1), ["to bob"], "at bob")
    check_equal(notices(bob)[1], b"", "at bob")


@test
def a_message_that_is_repeated_is_shown_once(world):
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
    counted = json.loads(bob.run("status", "--json", "--offline").out())["troubles"]
    check_equal(sorted(counted), ["repeated"], "what bob's device did not take")
    check(counted["repeated"] >= 3 * 3, "it was not counted: %s", counted)


@test
def a_message_that_comes_behind_a_later_one_is_named(world):
    liar, (alice, bob) = people(world, "alice", "bob")
    numbers = {}

    def lie(session, one):
        """The second message is held back until the third has gone by, and comes twice then."""
        if one[2] != wire.MESSAGE or session.account != BOB:
            return None
        numbers.setdefault(struct.unpack_from("<Q", one, 16)[0], one)
        seen = sorted(numbers)
        if len(seen) == 2:
            return []
        return [one, numbers[seen[1]], numbers[seen[1]]] if len(seen) == 3 else None

    liar.lie = lie
    for number in range(3):
        alice.run("send", "bob", "message %d" % number, "--wait", "sent", *WAIT)
    err, out = notices(bob)
    shown = [json.loads(line)["text"] for line in out.splitlines()]
    check_equal(shown, ["message 0", "message 2"], "at bob")
    check_equal(err.count("a message is left out"), 1, "lines of it")
    check("a message is left out: it came behind later ones" in err, "bob hears: %s", err)
    counted = json.loads(bob.run("status", "--json", "--offline").out())["troubles"]
    check_equal(counted.get("reordered"), 1, "what bob's device counts")
    sent = []

    def is_told():
        sent[:] = json.loads(alice.run("status", "--json").out())["sent"]
        return sent[1]["tick"] == "failed"

    until(is_told, 20, lambda: "the second message has failed: %s" % sent, every_s=0.5)
    check_equal(sent[0]["tick"], "delivered", "the first message")


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
