"""Only the two ends can read it: all of ternd's memory, taken while it carries messages, and its whole store are searched
for what was sent, for the keys that it was sealed with and for the devices' secrets. None of it is there; what was sent in
the clear is, so the search finds what there is."""
import hashlib
import hmac
import os
import re
import signal

import wire
from harness import Process, check, check_equal, main, skip, test, until

MESSAGES = 1000
AWAY = 300  # of them, sent while their recipient is away
BURST = 175
PAGE = 4096
KEY_NAMES = "transport identity account root ratchet sending".split()


def secrets_of(world, client, account):
    """The secrets of a home, and of its channel with device 1 of an account: name, bytes; and how far its chain is."""
    command = [os.path.join(world.build, "e2esecrets"), client.home, str(account), "1"]
    process = Process(world, "e2esecrets", command)
    process.expect_code(0)
    words = dict(line.split() for line in process.out().decode().splitlines())
    sent = int(words.pop("sent"))
    return {name: bytes.fromhex(text) for name, text in words.items()}, sent


def message_keys(chain, count):
    """The keys of the next messages of a chain, and the chain behind them: the Double Ratchet's KDF_CK, section 5.2, with
    SHA-256."""
    keys = []
    for _ in range(count):
        keys.append(hmac.new(chain, b"\x01", hashlib.sha256).digest())
        chain = hmac.new(chain, b"\x02", hashlib.sha256).digest()
    return keys, chain


def pages_with_something(data):
    """What is not zero, page by page: neighbours stay together."""
    nothing, runs, begin = bytes(PAGE), [], None
    for at in range(0, len(data), PAGE):
        if data[at : at + PAGE] == nothing[: len(data) - at]:
            if begin is not None:
                runs.append(data[begin:at])
            begin = None
        elif begin is None:
            begin = at
    return runs + ([data[begin:]] if begin is not None else [])


def memory_of(pid):
    """All that a process has in memory, as it is at one moment: it is stopped meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: is_stopped(pid), 10, "the switch to stop")
        return read_memory(pid)
    finally:
        os.kill(pid, signal.SIGCONT)


def is_stopped(pid):
    """With all of its threads."""
    states = []
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/stat" % (pid, task), encoding="ascii") as file:
            states.append(file.read().rpartition(")")[2].split()[0])
    return set(states) == {"T"}


def read_memory(pid):
    runs = []
    with open("/proc/%d/maps" % pid, encoding="ascii") as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            begin, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if "[v" in line or not rights.startswith("r"):
                continue
            at, end = int(begin, 16), int(end, 16)
            while at < end:
                memory.seek(at)
                try:
                    data = memory.read(min(end - at, 1 << 24))
                except OSError:  # of a file, beyond its end; of the ring, which the kernel keeps to itself
                    data = b""
                if not data:
                    break
                runs += pages_with_something(data)
                at += len(data)
    return runs


def files_below(folder):
    runs = []
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb") as file:
                runs += pages_with_something(file.read())
    return runs


def find(runs, needles):
    """Names of what is found."""
    everything = b"\0".join(runs)
    return [name for name, needle in needles.items() if needle in everything]


class Scene:
    """Alice has written to bob, so that there is a channel; bob is away; a stranger sends in the clear."""

    def __init__(self, world):
        if not wire.THERE:
            skip("python3-cryptography is not there")
        self.world = world
        self.switch = world.switch(shards=2, spill_ms=100)
        self.alice, self.bob = world.linked(self.switch, "alice", "bob")
        self.marker = os.urandom(12).hex()
        self.plain = {"clear %s" % name: os.urandom(16).hex().encode() for name in ("live", "queued")}
        self.carol = wire.Device(self.switch.account("carol"))
        self.dave = wire.Device(self.switch.account("dave"))
        wire.Session(self.dave, link=True).close()
        self.stranger = wire.Session(self.carol, link=True)
        self.alice.run("send", "bob", "the first")
        self.bob.listen(1)
        self.bob_account = self.switch.ctl("account", "show", "bob")["account"]
        self.plain_number = self.stranger.send(self.dave.account, self.plain["clear queued"])
        self.stranger.wait_tick(self.dave.account, self.plain_number, wire.SENT)

    def texts(self, begin, end):
        lines = ["%s number %d, which nobody else may read" % (self.marker, number) for number in range(begin, end)]
        return "".join(line + "\n" for line in lines).encode()

    def search(self, needles, what, runs):
        check_equal(find(runs, needles), [], "what is found in %s, %d bytes of it" % (what, sum(map(len, runs))))


def dump_under_load(scene, needles):
    """The rest goes out in bursts, while bob gets what waited for him; in the midst of each the memory is taken."""
    dumps = []
    listening = scene.bob.start("listen", "--count", MESSAGES)
    reading, writing = os.pipe()
    with open(reading, "rb") as texts:
        sending = scene.alice.start("send", "bob", "-", stdin=texts)
    with open(writing, "wb", 0) as pipe:
        for begin in range(AWAY, MESSAGES, BURST):
            before = scene.switch.stat("messages_accepted")
            scene.stranger.send(scene.dave.account, scene.plain["clear live"])
            pipe.write(scene.texts(begin, begin + BURST))
            until(lambda: scene.switch.stat("messages_accepted") > before + BURST // 10, 20, "messages", 0.001)
            dumps.append(memory_of(scene.switch.pid))
    sending.expect_code(0)
    listening.expect_code(0)
    for runs in dumps:
        scene.search(needles, "the memory under load", runs)
    return dumps, listening.out()


@test(build="release")
def nothing_that_was_sent_nor_its_keys_is_in_the_memory_or_the_store_of_the_switch(world):
    scene = Scene(world)
    secrets, sent = secrets_of(world, scene.alice, scene.bob_account)
    check_equal(sorted(secrets), sorted(KEY_NAMES), "alice's secrets")
    check_equal(sent, 1, "messages that alice has sealed for bob")
    keys, after = message_keys(secrets["sending"], MESSAGES)
    needles = {"key of message %d" % number: key for number, key in enumerate(keys)}
    needles.update({"alice's " + name: secret for name, secret in secrets.items()})
    needles["a text"] = scene.marker.encode()
    with open(world.file("texts", scene.texts(0, AWAY)), "rb") as texts:
        scene.alice.run("send", "bob", "-", stdin=texts)
    scene.search(needles, "the memory while bob is away", memory_of(scene.switch.pid))
    store = files_below(scene.switch.data)
    scene.search(needles, "the store", store)
    dumps, heard = dump_under_load(scene, needles)
    check_equal(heard.count(scene.marker.encode()), MESSAGES, "texts that bob has read")
    # These were the keys: the chain is where they lead to.
    now, sent = secrets_of(world, scene.alice, scene.bob_account)
    check_equal((sent, now["sending"]), (MESSAGES + 1, after), "alice's chain")
    # And the search finds what there is: names, and what was sent in the clear.
    names = {"an account's name": b"alice"}
    check(find(store, {"queued": scene.plain["clear queued"]}), "what was sent in the clear is not in the store")
    check(find(store, names), "not even a name is in the store")
    check(all(find(runs, names) for runs in dumps), "not even a name is in the memory")
    clear = {"live": scene.plain["clear live"]}
    check(all(find(runs, clear) for runs in dumps), "what was sent in the clear is not in the memory")
    scene.switch.stop()
    scene.search(needles, "the store when all is over", files_below(scene.switch.data))


main("ternd", "ternctl", "tern", "e2esecrets")
