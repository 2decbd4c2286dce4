"""The client of wire.py, written from docs/PROTOCOL.md alone, against a switch: whoever follows the page gets
along."""
import ctypes
import ctypes.util
import json
import os
import re
import struct
import time

import wire
from harness import ROOT, Failure, check, check_equal, main, skip, test

PATTERNS = {"IK": wire.IK, "XX": wire.XX}


def needed():
    if not wire.THERE:
        skip("python3-cryptography is not there")


def linked(switch, name, **more):
    device = wire.Device(switch.account(name))
    return device, wire.Session(device, link=True, **more)


def pair(switch):
    alice, at_alice = linked(switch, "alice")
    bob, at_bob = linked(switch, "bob")
    return alice, at_alice, bob, at_bob


def blocks_of_the_page():
    """The hex blocks of the worked session, as (name, bytes) in their order."""
    with open(os.path.join(ROOT, "docs", "PROTOCOL.md"), encoding="utf-8") as file:
        page = file.read()
    return [
        (name, bytes.fromhex(digits))
        for name, digits in re.findall(r"^```\n(.*)\n((?:[0-9a-f][0-9a-f][ \n])+)```$", page, re.MULTILINE)
    ]


@test
def the_worked_session_of_the_page_comes_out_the_same(world):
    needed()
    blocks = blocks_of_the_page()
    keys = dict(blocks)
    static = wire.KeyPair(keys["client, static secret"])
    check_equal(static.public, keys["client, static public"], "the client's public key")
    prologue = keys["client hello"] + keys["switch hello"]
    ephemeral = wire.KeyPair(keys["client, ephemeral secret"])
    handshake = wire.Handshake(
        wire.IK, "ChaChaPoly", prologue, static, keys["switch, static public"], ephemeral
    )
    check_equal(handshake.ik_first().hex(), keys["handshake 1"][2:].hex(), "handshake 1")
    handshake.ik_second(keys["handshake 2"][2:])
    sealing, opening = handshake.split()
    ours = {wire.LINK, wire.ACK, wire.MARK, wire.PING, wire.CLOSE}
    records = 0
    for (name, frames), (record_name, record) in zip(blocks, blocks[1:]):
        if record_name != name + ", record":
            continue
        records += 1
        check_equal(int.from_bytes(record[:2], "little"), len(record) - 2, "length of " + record_name)
        if frames[2] in ours or name == "MESSAGE":
            check_equal(sealing.seal(frames).hex(), record[2:].hex(), record_name)
        else:
            check_equal(opening.open(record[2:]).hex(), frames.hex(), name)
            wire.parse(frames)
    check(records >= 10, "only %d records on the page", records)
    # What the page builds is what we build.
    check_equal(wire.link_frame(1, 0x1122334455667788, bytes(range(0x80, 0x90))), keys["LINK"], "LINK")
    check_equal(wire.message_frame(2, 1, b"hello"), keys["MESSAGE"], "MESSAGE")
    check_equal(wire.ack_frame(3), keys["ACK, three items"], "ACK")
    mark = wire.mark_frame(wire.READ, 2, 1, 0x99AABBCCDDEEFF01, 1, 1, 1)
    check_equal(mark, keys["MARK, read"], "MARK")


@test
def each_pattern_and_cipher_links_and_logs_in(world):
    needed()
    switch = world.switch()
    for pattern_name, pattern in PATTERNS.items():
        for offer, name in ((wire.OFFER_AESGCM, "aes"), (wire.OFFER_CHACHA, "chacha"), (3, "both")):
            what = "%s-%s" % (pattern_name.lower(), name)
            device, session = linked(switch, what, pattern=pattern, ciphers=offer)
            check(session.cipher & offer, "%s: cipher %d was not offered", what, session.cipher)
            check_equal(
                session.wire.server_public, device.uri.key, what + ": the key of the handshake and of the URI"
            )
            check_equal(session.welcome["name"], what, "name in WELCOME")
            check_equal(session.welcome["account"], device.account, "account in WELCOME")
            check(abs(session.welcome["clock_ms"] / 1000 - time.time()) < 5, "the switch's clock is off")
            check_equal(session.ping(0x1122334455667788), 0x1122334455667788, "body of the pong")
            number = device.number
            session.close()
            again = wire.Session(device, pattern=pattern, ciphers=offer)
            check_equal(device.number, number, "device number after a new login")
            check_equal(again.ping(1), 1, "pong")
            again.close()


@test
def messages_and_three_ticks_go_both_ways(world):
    needed()
    switch = world.switch()
    alice, at_alice, bob, at_bob = pair(switch)
    for sender, at_sender, receiver, at_receiver in (
        (alice, at_alice, bob, at_bob),
        (bob, at_bob, alice, at_alice),
    ):
        before = int(time.time() * 1000)
        number = at_sender.send(receiver.account, b"good day \xf0\x9f\x90\xa6", content_type=3)
        message = at_receiver.wait_inbox(1)[0]
        fields = message.fields
        check_equal(fields["payload"], b"good day \xf0\x9f\x90\xa6", "payload")
        check_equal(
            (fields["sending"], fields["device"], fields["epoch"], fields["addressed"], fields["number"]),
            (sender.account, sender.number, sender.epoch, receiver.account, number),
            "key of the message",
        )
        check_equal(
            (fields["content_type"], fields["targets"], message.flags),
            (3, 0, 0),
            "content type, targets, flags",
        )
        check(
            before - 5000 <= fields["accepted_ms"] <= before + 5000,
            "time of acceptance %d",
            fields["accepted_ms"],
        )
        at_sender.wait_tick(receiver.account, number, wire.SENT | wire.DELIVERED)
        check(not sender.ticks[receiver.account, number] & wire.READ, "read before it was read")
        at_receiver.pump(lambda: not receiver.unconfirmed, what="CONFIRM of delivered")
        at_receiver.read(message)
        at_sender.wait_tick(receiver.account, number, wire.READ)
        at_receiver.pump(lambda: not receiver.unconfirmed, what="CONFIRM of read")
    check_equal(switch.stat("closed_bad_frame"), 0, "bad frames")


@test
def what_was_not_acknowledged_comes_again(world):
    needed()
    switch = world.switch()
    alice, at_alice, bob, at_bob = pair(switch)
    at_bob.auto_ack = False
    numbers = [at_alice.send(bob.account, b"%d" % index) for index in range(20)]
    at_bob.wait_inbox(20)
    at_bob.wire.send_record(wire.ack_frame(5))
    at_alice.wait_tick(bob.account, numbers[4], wire.SENT | wire.DELIVERED)
    at_bob.close()
    at_alice.wait_tick(bob.account, numbers[19], wire.SENT)  # safe in the queue
    check(not alice.ticks[bob.account, numbers[19]] & wire.DELIVERED, "delivered without an acknowledgement")
    again = wire.Session(bob)
    again.pump(lambda: bob.repeats >= 15, what="15 messages again")
    again.ping(1)
    check_equal(bob.repeats, 15, "messages that came again")
    check_equal(len(bob.inbox), 20, "messages")
    at_alice.wait_tick(bob.account, numbers[19], wire.DELIVERED)
    again.pump(lambda: not bob.unconfirmed, what="CONFIRM")


@test
def repeated_marks_and_messages_are_harmless(world):
    needed()
    switch = world.switch()
    alice, at_alice, bob, at_bob = pair(switch)
    number = at_alice.send(bob.account, b"once")
    at_bob.wait_inbox(1)
    mark = bob.unconfirmed[0]
    at_alice.wait_tick(bob.account, number, wire.SENT | wire.DELIVERED)
    at_bob.pump(lambda: not bob.unconfirmed, what="CONFIRM")
    for bit in (wire.DELIVERED, wire.READ, wire.READ):
        bob.unconfirmed.append((bit,) + mark[1:])
        at_bob.close()
        at_bob = wire.Session(bob)
        at_bob.pump(lambda: not bob.unconfirmed, what="CONFIRM of a repeated mark")
    at_alice.wait_tick(bob.account, number, wire.READ)
    # The sender repeats what it has no tick for, as if the tick had been lost with a crash.
    alice.unticked[bob.account, number] = b"once", {}
    alice.ticks.clear()
    at_alice.close()
    at_alice = wire.Session(alice)
    at_alice.wait_tick(bob.account, number, wire.SENT)
    following = at_alice.send(bob.account, b"twice")
    at_bob.wait_inbox(2)
    at_alice.wait_tick(bob.account, following, wire.SENT | wire.DELIVERED)
    check_equal([one.fields["payload"] for one in bob.inbox], [b"once", b"twice"], "what bob got")


@test
def a_backlog_comes_in_order_and_before_what_is_new(world):
    needed()
    switch = world.switch()
    alice, at_alice, bob, at_bob = pair(switch)
    at_bob.close()
    for index in range(300):
        last = at_alice.send(bob.account, b"%d" % index)
    at_alice.wait_tick(bob.account, last, wire.SENT)
    at_bob = wire.Session(bob)
    for index in range(300, 400):
        last = at_alice.send(bob.account, b"%d" % index)
    at_bob.wait_inbox(400)
    at_alice.wait_tick(bob.account, last, wire.SENT | wire.DELIVERED)
    check_equal(
        [one.fields["payload"] for one in bob.inbox], [b"%d" % index for index in range(400)], "order"
    )


@test
def every_device_learns_and_copies_are_not_delivered(world):
    needed()
    switch = world.switch()
    alice, at_alice, bob, at_bob = pair(switch)
    other = wire.Device(at_alice.further_device())
    at_other = wire.Session(other, link=True)
    check(
        other.number != alice.number and other.account == alice.account,
        "a further device of the same account",
    )
    at_bob.close()
    number = at_alice.send(bob.account, b"to bob")
    copy = at_other.wait_inbox(1)[0].fields
    check_equal(
        (copy["addressed"], copy["sending"], copy["device"]),
        (bob.account, alice.account, alice.number),
        "the copy",
    )
    at_alice.wait_tick(bob.account, number, wire.SENT)
    at_alice.ping(1)
    check_equal(
        alice.ticks[bob.account, number],
        wire.SENT,
        "bits while bob is away: the copy makes nothing delivered",
    )

    def receipts(bits):
        got = 0
        for one in at_other.frames:
            if one.type == wire.RECEIPT and one.fields["first"] <= number <= one.fields["last"]:
                got |= one.flags
        return got & bits == bits

    at_other.pump(lambda: receipts(wire.SENT), what="sent at the other device")
    at_other.close()
    at_bob = wire.Session(bob)
    at_bob.wait_inbox(1)
    at_alice.wait_tick(bob.account, number, wire.DELIVERED)
    at_other = wire.Session(other)
    at_other.pump(
        lambda: receipts(wire.DELIVERED), what="delivered at the other device, which was away meanwhile"
    )


@test
def accounts_are_looked_up_and_blocked(world):
    needed()
    switch = world.switch()
    alice, at_alice, bob, at_bob = pair(switch)
    by_name = at_alice.lookup(name="bob")
    check_equal((by_name["status"], by_name["account"], by_name["name"]), (0, bob.account, "bob"), "by name")
    by_number = at_alice.lookup(account=bob.account, request=99)
    check_equal((by_number["status"], by_number["name"]), (0, "bob"), "by number")
    for name in ("nobody", "../x", "B"):
        status = wire.REFUSALS[at_alice.lookup(name=name)["status"]]
        check_equal(status, "no_account", "status of %r" % name)

    check_equal(
        at_bob.block(alice.account), dict(status=0, block=1, zero=0, account=alice.account), "BLOCKED"
    )
    number = at_alice.send(bob.account, b"do you hear me?")
    refused = at_alice.wait_frame(wire.REFUSED).fields
    check_equal(
        (wire.REFUSALS[refused["reason"]], refused["addressed"], refused["number"], refused["retry_ms"]),
        ("blocked", bob.account, number, 0),
        "REFUSED",
    )
    at_alice.give_up(bob.account, number)
    at_bob.close()
    at_bob = wire.Session(bob)  # a block stays
    at_alice.send(bob.account, b"and now?")
    check_equal(
        wire.REFUSALS[at_alice.wait_frame(wire.REFUSED).fields["reason"]], "blocked", "after bob came again"
    )
    at_alice.give_up(bob.account, number + 1)
    check_equal(at_bob.block(alice.account, False)["status"], 0, "unblocking")
    number = at_alice.send(bob.account, b"at last")
    check_equal(at_bob.wait_inbox(1)[0].fields["payload"], b"at last", "what bob got")
    at_alice.wait_tick(bob.account, number, wire.SENT | wire.DELIVERED)


@test
def final_refusals_do_not_touch_what_follows(world):
    needed()
    switch = world.switch(payload_bytes_max=1000)
    alice, at_alice, bob, at_bob = pair(switch)
    lonely = wire.parse_uri(switch.account("lonely")).account
    check_equal(at_alice.welcome["payload_max"], 1000, "largest payload in WELCOME")
    for addressed, payload, reason in (
        (bob.account, bytes(1001), "too_large"),
        (1 << 60, b"x", "no_account"),
        (lonely, b"x", "no_device"),
    ):
        number = at_alice.send(addressed, payload)
        refused = at_alice.wait_frame(wire.REFUSED).fields
        check_equal(
            (wire.REFUSALS[refused["reason"]], refused["number"], refused["addressed"]),
            (reason, number, addressed),
            "REFUSED",
        )
        at_alice.give_up(addressed, number)
    number = at_alice.send(bob.account, bytes(1000))
    at_bob.wait_inbox(1)
    at_alice.wait_tick(bob.account, number, wire.SENT | wire.DELIVERED)
    check_equal(len(bob.inbox[0].fields["payload"]), 1000, "bytes of the largest payload")


@test
def a_code_links_one_key_and_only_once(world):
    needed()
    switch = world.switch()
    device, session = linked(switch, "alice")
    number = device.number
    session.close()
    again = wire.Session(device, link=True)  # it crashed before it stored WELCOME
    check_equal(device.number, number, "device number of a repeated LINK")
    again.close()
    thief = wire.Device(device.uri)
    try:
        wire.Session(thief, link=True)
    except wire.Ended as ended:
        check_equal(ended.close, "bad_code", "reason")
    else:
        raise Failure("another key linked with a used code")


@test
def a_newer_session_replaces_the_older(world):
    needed()
    switch = world.switch()
    alice, at_alice, bob, at_bob = pair(switch)
    at_bob.auto_ack = False
    at_alice.send(bob.account, b"one")
    at_bob.wait_inbox(1)
    newer = wire.Session(bob)
    check_equal(at_bob.wire.wait_end(), "replaced", "reason of the older session")
    newer.pump(lambda: bob.repeats == 1, what="what the older session had not acknowledged")
    at_alice.wait_tick(bob.account, 1, wire.SENT | wire.DELIVERED)
    check_equal(switch.stat("sessions_replaced"), 1, "sessions_replaced")


@test
def ternd_and_tern_and_the_stranger_understand_each_other(world):
    needed()
    switch = world.switch()
    carol = world.linked(switch, "carol")
    alice, at_alice = linked(switch, "alice")
    number = at_alice.send(at_alice.lookup(name="carol")["account"], "grüße".encode())
    listened = carol.listen(1)
    check_equal(len(listened), 1, "messages at carol")
    check("grüße" in json.dumps(listened[0], ensure_ascii=False), "carol got %r", listened[0])
    addressed = at_alice.lookup(name="carol")["account"]
    at_alice.wait_tick(addressed, number, wire.SENT | wire.DELIVERED)
    carol.run("read", "alice")
    at_alice.wait_tick(addressed, number, wire.READ)

    check_equal(listened[0]["encrypted"], False, "what carol is told of its encryption")
    refused = carol.run("send", "alice", "and back", "--timeout", 20, code=4)
    check("no device that takes encrypted messages" in refused.err(), "why not: %s", refused.err())


def sealed_many(cipher, plaintext, count):
    """`count` records of the same plaintext. By libsodium, which tern needs anyway: a million of them take
    python3-cryptography ten times as long."""
    encrypt = ctypes.CDLL(ctypes.util.find_library("sodium")).crypto_aead_chacha20poly1305_ietf_encrypt
    sealed = ctypes.create_string_buffer(len(plaintext) + 16)
    bytes_of, no = ctypes.c_ulonglong, None
    sizes = bytes_of(len(plaintext)), bytes_of(0)
    length = struct.pack("<H", len(sealed))
    records = []
    for nonce in range(cipher.nonce, cipher.nonce + count):
        encrypt(sealed, no, plaintext, sizes[0], no, sizes[1], no, struct.pack("<IQ", 0, nonce), cipher.key)
        records += (length, sealed.raw)
    cipher.nonce += count
    return b"".join(records)


@test(build="release")
def keys_are_renewed_after_a_million_records(world):
    needed()
    switch = world.switch()
    device, session = linked(switch, "alice", ciphers=wire.OFFER_CHACHA)
    unknown = wire.frame(200, b"")
    records = wire.REKEY_RECORDS - 5 - session.wire.sent_records
    for at in range(0, records, 4096):
        count = min(4096, records - at)
        session.wire.send(sealed_many(session.wire.sealing, unknown, count))
        session.wire.sent_records += count
    for value in range(10):
        check_equal(session.ping(value), value, "pong %d around the new key" % value)
    check(session.wire.sent_records > wire.REKEY_RECORDS, "not enough records")
    check_equal(switch.stat("closed_record_forged"), 0, "forged records")
    check(switch.stat("frames_unknown") >= records, "not every record was counted")


main()
