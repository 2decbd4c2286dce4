"""The end-to-end encryption of tools/client/e2e against Debian's python3-x3dh, python3-doubleratchet and
python3-xeddsa, in both directions: what one end seals, the other opens, whatever was lost, repeated or overtaken.

`test_e2e.py --record FILE` writes a run of it as a transcript for e2evec to replay: tests/vectors/e2e.txt.
"""
import importlib.metadata
import os
import random
import secrets
import subprocess
import sys

import correspondent
from harness import ASAN, check, check_equal, main, skip, test

ALICE, BOB = (7, 1), (9, 3)


def needed():
    if not correspondent.THERE:
        skip("python3-x3dh, python3-doubleratchet or python3-xeddsa is not there: %s" % correspondent.LACKING)


def digits(data):
    return data.hex() or "-"


class Ours:
    """e2evec: one end, one channel."""

    def __init__(self, account, device, one_time=True, log=None):
        program = [os.path.join(ASAN, "e2evec")]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.account, self.device, self.log = account, device, log
        one_time_secret = digits(secrets.token_bytes(32)) if one_time else "-"
        self.bundle_bytes = bytes.fromhex(
            self.say("become", account, device, fresh(), fresh(), one_time_secret)
        )
        self.identity = self.bundle_bytes[:32]

    def say(self, *words):
        line = " ".join(map(str, words))
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if self.log:
            self.log.write("> %s\n< %s\n" % (line, answer))
        return answer

    def bundle(self):
        return self.bundle_bytes

    def know(self, remote):
        check_equal(self.say("know", remote[0], remote[1], remote[2].hex()), "ok", "know")

    def initiate(self, bundle):
        check_equal(self.say("initiate", bundle.hex(), fresh(), fresh()), "ok", "initiate")

    def seal(self, label, text):
        return bytes.fromhex(self.say("seal", *label, secrets.token_hex(24), digits(text)))

    def open(self, label, sealed):
        answer = self.say("open", *label, fresh(), sealed.hex())
        if answer.startswith("error"):
            raise ValueError(answer)
        return b"" if answer == "-" else bytes.fromhex(answer)

    def close(self):
        self.process.stdin.close()
        check_equal(self.process.wait(), 0, "e2evec's exit status")


def fresh():
    return secrets.token_hex(32)


def ends(ours_begins, one_time=True, log=None):
    """Ours and theirs, who know each other; the one that begins has the other's bundle."""
    ours = Ours(*ALICE, one_time=one_time, log=log)
    theirs = correspondent.Correspondent(*BOB, one_time=one_time)
    ours.know(BOB + (theirs.identity,))
    theirs.remote = ALICE + (ours.identity,)
    begins, other = (ours, theirs) if ours_begins else (theirs, ours)
    begins.initiate(other.bundle())
    return ours, theirs, begins


def label(to, number):
    return (to, 5, number, 0)


class Schedule:
    """Messages under way in both directions, in any order, with losses and repetitions."""

    def __init__(self, choose, first, second, sizes):
        self.choose, self.ends, self.way, self.sizes = choose, (first, second), ([], []), sizes
        self.count, self.opened, self.repeated = 0, 0, 0
        self.may_seal = [True, False]

    def seal(self, index):
        self.count += 1
        to = self.ends[1 - index].account
        text = secrets.token_bytes(self.choose.choice(self.sizes))
        sealed = self.ends[index].seal(label(to, self.count), text)
        self.way[index].append((label(to, self.count), text, sealed))

    def deliver(self, index, losses):
        way, other = self.way[index], self.ends[1 - index]
        item = way[self.choose.randrange(len(way))]
        if not (losses and self.choose.random() < 0.1):
            check_equal(other.open(item[0], item[2]), item[1], "the text of message %d" % item[0][2])
            self.opened += 1
            self.may_seal[1 - index] = True
            if losses and self.choose.random() < 0.2:
                self.repeat(other, item)
        way.remove(item)

    def repeat(self, other, item):
        try:
            other.open(item[0], item[2])
        except Exception:  # each implementation has its own
            self.repeated += 1
            return
        check(False, "message %d was opened twice", item[0][2])

    def run(self, steps, losses=True):
        for _ in range(steps):
            index = self.choose.randrange(2)
            if self.choose.random() < 0.5 and self.may_seal[index]:
                self.seal(index)
            elif self.way[index]:
                self.deliver(index, losses)
        for index in (0, 1):
            while self.way[index]:
                self.deliver(index, losses)


SIZES = (0, 1, 15, 255, 256, 1000, 5000, 60000)


def run_schedule(ours_begins, one_time, seed, steps=150, log=None, losses=True, sizes=SIZES):
    choose = random.Random(seed)
    ours, theirs, begins = ends(ours_begins, one_time, log)
    schedule = Schedule(choose, begins, theirs if ours_begins else ours, sizes)
    schedule.seal(0)
    schedule.run(steps, losses)
    ours.close()
    check(schedule.opened > steps / 5, "only %d of %d messages were opened", schedule.opened, schedule.count)
    check(schedule.repeated > 0 or not losses, "nothing was repeated")
    return schedule


@test
def what_we_begin_they_carry_on(world):
    needed()
    for seed in range(20):
        run_schedule(True, True, seed)


@test
def what_they_begin_we_carry_on(world):
    needed()
    for seed in range(20):
        run_schedule(False, True, seed)


@test
def without_a_one_time_prekey_both_ways(world):
    needed()
    run_schedule(True, False, 11)
    run_schedule(False, False, 12)


@test
def what_is_sealed_with_a_message_can_not_be_changed(world):
    needed()
    for ours_begins in (True, False):
        ours, theirs, begins = ends(ours_begins)
        other = theirs if ours_begins else ours
        named = label(other.account, 1)
        sealed = begins.seal(named, b"text")
        for position, wrong in enumerate(((8, 5, 1, 0), (9, 6, 1, 0), (9, 5, 2, 0), (9, 5, 1, 1))):
            try:
                other.open(wrong, sealed)
            except Exception:
                continue
            check(False, "field %d of the label is not sealed with the message", position)
        check_equal(other.open(named, sealed), b"text", "the text")
        ours.close()


@test
def their_signatures_are_ours(world):
    """XEdDSA's Ed25519 under the bundle, and Ed25519 of python3-cryptography under the device list."""
    needed()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    ours = Ours(*ALICE)
    bundle = ours.bundle()
    check(
        correspondent.xeddsa.ed25519_verify(bundle[68:132], bundle[:32], b"tern signed pre-key" + bundle[36:68]),
        "our signed pre-key's signature",
    )
    forged = bytearray(correspondent.Correspondent(*BOB).bundle())
    ours.know(BOB + (bytes(forged[:32]),))
    forged[40] ^= 1
    check_equal(ours.say("initiate", forged.hex(), fresh(), fresh()), "error EKEYREJECTED", "a forged bundle")
    seed = secrets.token_bytes(32)
    signed = bytes.fromhex(ours.say("list", 7, 2, 1700000000, seed.hex(), 1, 1600000000, ours.identity.hex()))
    key = Ed25519PublicKey.from_public_bytes(signed[26:58])
    key.verify(signed[-64:], b"tern device list" + signed[:-64])
    try:
        key.verify(signed[-64:], signed[:-64])
        check(False, "the label is not signed")
    except InvalidSignature:
        pass
    check_equal(ours.say("read_list", 7, signed.hex()), "2", "the list's version")
    ours.close()


def safety_number(one, other):
    """As libsignal's NumericFingerprintGenerator does it."""
    import hashlib

    halves = []
    for account, key in (one, other):
        key = b"\x01" + key
        digest = b"\0\0" + key + account.to_bytes(8, "little")
        for _ in range(5200):
            digest = hashlib.sha512(digest + key).digest()
        chunks = [int.from_bytes(digest[at : at + 5], "big") % 100000 for at in range(0, 30, 5)]
        halves.append("".join("%05d" % chunk for chunk in chunks))
    return "".join(sorted(halves))


@test
def safety_numbers_are_the_same_on_both_sides(world):
    ours = Ours(*ALICE)
    for _ in range(3):
        one, other = (7, secrets.token_bytes(32)), (9, secrets.token_bytes(32))
        expected = safety_number(one, other)
        for first, second in ((one, other), (other, one)):
            got = ours.say("safety", first[0], first[1].hex(), second[0], second[1].hex())
            check_equal(got, expected, "the safety number")
    ours.close()


def record(path):
    """Everything is delivered, so that everything we sealed was opened by them."""
    packages = " ".join(
        "%s %s" % (name, importlib.metadata.version(name)) for name in ("X3DH", "DoubleRatchet", "XEdDSA")
    )
    with open(path, "w", encoding="utf-8") as log:
        log.write(
            "# Recorded by `tests/system/test_e2e.py --record`: e2evec's side of channels with Debian's Python\n"
            "# packages %s. What they sealed, e2evec opened, and the other way round.\n" % packages
        )
        for seed in range(4):
            ours_begins, one_time = seed < 2, seed % 2 == 0
            log.write("# %s begin" % ("we" if ours_begins else "they"))
            log.write(", with a one-time pre-key\n" if one_time else ", without a one-time pre-key\n")
            run_schedule(ours_begins, one_time, seed, 40, log, losses=False, sizes=(0, 1, 15, 255, 256))


if sys.argv[1:2] == ["--record"]:
    record(sys.argv[2])
else:
    main("e2evec")
