"""A damaged store: what is whole goes on, `ternctl store check` names what is not, `ternctl store salvage`
makes a new store of what is whole."""
import json
import os
import shutil
import signal
import struct
import threading
import time

import wire
from harness import Process, check, check_equal, main, skip, test, until

PAGE_BYTES = 4096
DAMAGED, BUSY, EXISTS, NOT_FOUND = 6, 7, 5, 4


def data_file(switch, environment=0):
    return os.path.join(switch.data, "env-%d" % environment, "data.mdb")


def flip(switch, text):
    """Flips a bit of every copy of a text in the store's file; how many there were."""
    with open(data_file(switch), "r+b") as file:
        data = file.read()
        at, count = data.find(text), 0
        while at >= 0:
            file.seek(at)
            file.write(bytes([data[at] ^ 1]))
            at, count = data.find(text, at + 1), count + 1
    return count


def wipe_page(switch, page):
    with open(data_file(switch), "r+b") as file:
        file.seek(page * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))


def page_of(switch, text):
    """The leaf pages that hold a text, by their form."""
    with open(data_file(switch), "rb") as file:
        data = file.read()
    pages = []
    for page in range(2, len(data) // PAGE_BYTES):
        bytes_ = data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]
        number, _, flags = struct.unpack_from("<QHH", bytes_)
        if number == page and flags & 2 and text in bytes_:
            pages.append(page)
    return pages


def queued(world, texts, **settings):
    """A switch that is stopped, with texts from alice in bob's queue: not encrypted, to be found on a page."""
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(spill_ms=10, **settings)
    bob = world.linked(switch, "bob")
    session = wire.Session(wire.Device(switch.account("alice")), link=True)
    addressed = session.lookup(name="bob")["account"]
    for text in texts:
        session.wait_tick(addressed, session.send(addressed, text.encode()), wire.SENT)
    session.close()
    switch.stop()
    return switch, bob


def check_store(switch, *folder):
    process = switch.ctl_raw("--json", "store", "check", *folder)
    return process.code(), json.loads(process.out().decode())


def salvage(switch, into):
    process = switch.ctl_raw("--json", "store", "salvage", switch.data, into)
    return process.code(), json.loads(process.out().decode())


def kinds(answer):
    return {row["kind"]: row for row in answer["kinds"]}


@test
def a_flipped_value_loses_that_message_only(world):
    switch, bob = queued(world, ["first text", "damageable", "third text"])
    check(flip(switch, b"damageable") > 0, "the text is not in the file")
    code, answer = check_store(switch, switch.data)
    check_equal((code, answer["code"], answer["count"]), (DAMAGED, "damaged", 1), "check without a switch")
    check_equal(answer["findings"][0]["where"], "queue entry 2 of account 1, device 1", "where")
    switch.restart()
    code, answer = check_store(switch)
    check_equal((code, answer["count"]), (DAMAGED, 1), "check with a switch")
    check_equal(answer["findings"][0]["what"], "is damaged", "what")
    lines = switch.ctl_raw("store", "check").out().decode()
    check_equal(lines, "environment 0: queue entry 2 of account 1, device 1 is damaged\n", "for people")
    check_equal([one["text"] for one in bob.listen(2)], ["first text", "third text"], "what bob got")
    check_equal(switch.stat("entries_damaged"), 1, "counted")
    check("queue_entry_damaged account=1 device=1 seq=2" in switch.process.err(), "not logged")


@test
def a_damaged_page_is_named_and_the_rest_is_salvaged(world):
    texts = ["text %02d %s" % (number, "x" * 600) for number in range(24)]
    switch, bob = queued(world, texts)
    pages = page_of(switch, b"text 12")
    check(pages, "no page holds the text")
    for page in pages:
        wipe_page(switch, page)
    code, answer = check_store(switch, switch.data)
    check_equal(code, DAMAGED, "exit status of the check")
    named = [one["where"] for one in answer["findings"]]
    check(any("page %d of env-0/data.mdb" % page in named for page in pages), "named: %s", named)
    into = os.path.join(world.folder, "salvaged")
    code, answer = salvage(switch, into)
    check_equal(code, DAMAGED, "exit status of salvaging")
    check_equal(answer["damaged_pages"], 1, "damaged pages")
    lost = answer["missing"]
    check(0 < lost < 10, "%d are lost", lost)
    check_equal(kinds(answer)["accounts"]["recovered"], 2, "accounts")
    check_equal(kinds(answer)["queue entries"]["recovered"], len(texts) - lost, "entries")
    code, answer = salvage(switch, into)
    check_equal((code, answer["code"]), (EXISTS, "exists"), "into the same folder")
    switch.data = into
    switch.restart()
    check_equal(check_store(switch)[0], 0, "exit status of a check of the new store")
    got = [one["text"] for one in bob.listen(len(texts) - lost)]
    check_equal(got, [text for text in texts if text in got], "order")
    check("text 12" not in " ".join(got), "what was wiped came")


@test
def a_store_without_roots_can_not_be_opened_but_salvaged(world):
    texts = ["one", "two", "three"]
    switch, bob = queued(world, texts)
    for page in (0, 1):
        wipe_page(switch, page)
    switch.start(wait=False)
    check(switch.process.wait(20) == 1, "it opened")
    code, answer = check_store(switch, switch.data)
    check_equal(code, DAMAGED, "exit status of the check")
    check("no whole root" in answer["findings"][0]["what"], "found: %s", answer["findings"])
    into = os.path.join(world.folder, "salvaged")
    code, answer = salvage(switch, into)
    check(kinds(answer)["queue entries"]["scan"] >= 3, "entries by scan: %s", answer)
    check_equal(kinds(answer)["link codes"]["recovered"], 0, "codes of a scan")
    switch.data = into
    switch.restart()
    check_equal([one["text"] for one in bob.listen(3)], texts, "what bob got")


class Traffic(threading.Thread):
    """Sends to a device that is away, as fast as ticks come, until told to stop."""

    def __init__(self, sender, recipient):
        super().__init__()
        self.session, self.recipient, self.stopping, self.sent = wire.Session(sender), recipient, False, 0

    def run(self):
        while not self.stopping:
            number = self.session.send(self.recipient.account, b"x" * 300)
            self.session.wait_tick(self.recipient.account, number, wire.SENT)
            self.sent += 1


@test
def a_check_finds_nothing_wrong_while_the_switch_is_busy(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(shards=2, spill_ms=1, store_environments=3)
    alice, bob = wire.Device(switch.account("alice")), wire.Device(switch.account("bob"))
    for device in (alice, bob):
        wire.Session(device, link=True).close()
    traffic = Traffic(alice, bob)
    traffic.start()
    for number in range(8):
        code, answer = check_store(switch)
        check_equal((code, answer.get("findings")), (0, []), "check %d" % number)
        switch.account("account-%d" % number)
    traffic.stopping = True
    traffic.join(20)
    check(traffic.sent > 20, "%d messages only", traffic.sent)
    check(answer["records"] > 20, "the checks saw %d records", answer["records"])


@test
def a_crash_of_the_check_is_a_finding(world):
    switch = world.switch()
    switch.stop()
    os.unlink(data_file(switch))
    os.mkfifo(data_file(switch))  # opening it hangs: time to end the child
    watching = Process(
        world, "ternd-check", [os.path.join(switch.build, "ternd"), "--check-store", switch.data, "--json"]
    )
    children = "/proc/%d/task/%d/children" % (watching.pid, watching.pid)

    def child():
        with open(children, encoding="ascii") as file:
            return file.read().split()

    pid = int(until(child, 10, "the child")[0])
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    check_equal(watching.wait(), DAMAGED, "exit status")
    answer = json.loads(watching.out().decode())
    check("signal 9" in answer["findings"][0]["what"], "found: %s", answer)


@test
def what_is_not_there_or_in_use_is_said(world):
    switch = world.switch()
    nowhere = os.path.join(world.folder, "nowhere")
    code, answer = check_store(switch, nowhere)
    check_equal((code, answer["code"]), (NOT_FOUND, "not_found"), "check of nothing")
    code, answer = salvage(switch, nowhere)
    check_equal((code, answer["code"]), (BUSY, "busy"), "salvaging under a switch")
    check(not os.path.exists(nowhere), "it made the folder all the same")
    code, answer = check_store(switch, switch.data)
    check_equal((code, answer["ok"]), (0, True), "check of a folder in use")
    switch.stop()
    code, answer = salvage(switch, nowhere)
    check_equal((code, answer["ok"], answer["missing"]), (0, True, 0), "salvaging a healthy store")
    shutil.rmtree(nowhere)


main()
