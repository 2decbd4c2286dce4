"""What an operator does to a switch: drain, reload, check a configuration, back up, restore, change the
number of shards."""
import json
import os
import shutil
import signal
import stat
import time

import wire
from harness import Process, check, check_equal, main, skip, test, until

TEXTS = ["one", "two", "three"]


def send_all(alice, texts, tick="sent"):
    for text in texts:
        alice.run("send", "bob", text, "--wait", tick, "--timeout", 20)


def texts_of(bob, count):
    return [one["text"] for one in bob.listen(count)]


@test
def a_drain_ends_with_0_and_makes_safe_what_is_in_memory(world):
    if not wire.THERE:
        skip("python3-cryptography is not there")
    switch = world.switch(shards=2, spill_ms=60000)
    alice, bob = (wire.Device(switch.account(name)) for name in ("alice", "bob"))
    at_alice, at_bob = wire.Session(alice, link=True), wire.Session(bob, link=True, auto_ack=False)
    payloads = [b"%d" % number for number in range(100)]
    for payload in payloads:
        at_alice.send(bob.account, payload)
    at_bob.wait_inbox(100)  # and acknowledges none
    at_alice.ping(1)
    check_equal(sum(alice.ticks.values()), 0, "ticks of messages that nobody acknowledged and no disk has")
    check_equal(switch.stat("messages_spilled"), 0, "messages on disk")
    switch.stop()
    switch.restart()
    # alice stays away and sends nothing again: what bob gets, the drain had put on disk.
    bob.inbox, bob.seen = [], {}
    at_bob = wire.Session(bob)
    at_bob.wait_inbox(100)
    check_equal([one.fields["payload"] for one in bob.inbox], payloads, "what bob got")


@test
def clients_come_back_after_a_drain_by_themselves(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    received = world.file("received")
    listening = bob.start("listen", "--output", received)
    alice.run("send", "bob", "before", "--wait", "delivered", "--timeout", 20)
    before = switch.stats()
    switch.ctl("drain")
    check_equal(switch.process.wait(20), 0, "exit status after ternctl drain")
    check_equal(switch.ctl_raw("status").code(), 3, "exit status of ternctl without a switch")
    switch.restart()
    alice.run("send", "bob", "after", "--wait", "delivered", "--timeout", 30, seconds=45)
    check(listening.running(), "listen ended: %s", listening.err())
    with open(received, encoding="utf-8") as file:
        check_equal(file.read(), "before\nafter\n", "what bob got")
    check(before["logins"] >= 1, "nobody had logged in")


@test
def the_number_of_shards_may_change_between_starts(world):
    switch = world.switch(shards=1)
    alice, bob = world.linked(switch, "alice", "bob")
    sent = []
    for shards in ("3", "2", "1"):
        sent.append("to %s shards" % shards)
        send_all(alice, sent[-1:])
        switch.stop()
        switch.options[switch.options.index("--shards") + 1] = shards
        switch.restart()
    check_equal(texts_of(bob, len(sent)), sent, "what bob got")


@test
def sighup_takes_over_what_can_be_reloaded(world):
    switch = world.switch(payload_bytes_max=1000)
    alice, _ = world.linked(switch, "alice", "bob")

    def sends(text_bytes):
        alice.run("status")  # it hears of the limit when it connects
        sending = alice.start("send", "bob", "x" * text_bytes, "--wait", "sent", "--timeout", "10")
        return sending.wait() == 0

    check(not sends(1000), "a payload above the limit was sent")
    switch.settings.update(payload_bytes_max=2000, map_bytes="32M")
    switch.write_config()
    os.kill(switch.pid, signal.SIGHUP)
    until(lambda: sends(1000), 15, "the new limit to count")
    check("map_bytes" in switch.process.err(), "not told that map_bytes needs a restart")
    switch.settings.update(payload_bytes_max=4000)
    switch.write_config()
    switch.ctl("reload")
    check(sends(2000), "the limit of ternctl reload does not count")
    # A file that is wrong changes nothing.
    switch.settings.update(payload_bytes_max="lots")
    switch.write_config()
    process = switch.ctl_raw("reload")
    check(process.code() != 0, "a wrong file was taken")
    check("payload_bytes_max" in process.err() and switch.config in process.err(), "why: %s", process.err())
    check(sends(2000), "a wrong file changed something")


@test
def wrong_settings_name_file_and_line(world):
    switch = world.switch(start=False)
    for text, line, word in (
        ("# a comment\n\nspill_ms = soon\n", 3, "spill_ms"),
        ("no_such_setting = 1\n", 1, "no_such_setting"),
        ("ping_s = 1\nmap_bytes = 1\n", 2, "map_bytes"),
        ("just words\n", 1, ""),
    ):
        path = world.file("wrong.conf", text.encode())
        for more in (["--check-config"], []):
            process = Process(
                world,
                "ternd",
                [
                    os.path.join(switch.build, "ternd"),
                    "--config",
                    path,
                    "--data",
                    world.file("nowhere"),
                    "--listen",
                    "127.0.0.1:0",
                ]
                + more,
            )
            check(process.wait(10) not in (0, None), "%r was accepted", text)
            check(
                "%s:%d" % (path, line) in process.err() and word in process.err(),
                "no file and line for %r: %s",
                text,
                process.err(),
            )
    check(not os.path.exists(world.file("nowhere")), "a wrong configuration made a store")
    right = world.file("right.conf", b"spill_ms = 250\nlisten = 127.0.0.1:0\n")
    process = Process(
        world, "ternd", [os.path.join(switch.build, "ternd"), "--config", right, "--check-config"]
    )
    process.expect_code(0)
    sample = Process(world, "ternd", [os.path.join(switch.build, "ternd"), "--sample-config"])
    sample.expect_code(0)
    process = Process(
        world,
        "ternd",
        [
            os.path.join(switch.build, "ternd"),
            "--check-config",
            "--config",
            world.file("sample.conf", sample.out()),
        ],
    )
    process.expect_code(0)


@test
def secrets_are_for_their_owner_only(world):
    switch = world.switch()
    mode = os.stat(switch.admin)
    check(stat.S_ISSOCK(mode.st_mode), "the admin socket is no socket")
    check_equal(stat.S_IMODE(mode.st_mode), 0o600, "mode of the admin socket")
    keys = [name for name in os.listdir(switch.data) if "key" in name]
    check(keys, "no key file in %s", os.listdir(switch.data))
    check_equal(
        stat.S_IMODE(os.stat(os.path.join(switch.data, keys[0])).st_mode), 0o600, "mode of the key file"
    )
    check_equal(stat.S_IMODE(os.stat(switch.data).st_mode) & 0o077, 0, "mode of the data folder for others")
    uri = switch.account("alice")
    switch.stop()
    check(not os.path.exists(switch.admin), "the admin socket stayed")
    switch.restart()
    key = uri.partition("key=")[2][:64]
    check(key in switch.account("bob"), "the key changed with a restart")
    # A socket that a killed switch left is no hindrance.
    switch.kill()
    switch.restart()
    switch.ctl("status")


@test
def a_backup_of_a_running_switch_can_be_served(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    send_all(alice, TEXTS)
    unused = switch.account("carol")
    folder = world.file("backup")
    switch.ctl("store", "backup", folder)
    switch.ctl("store", "check")
    check_equal(
        switch.ctl_raw("store", "backup", folder).code() != 0, True, "a backup over another was refused"
    )
    address = switch.addresses[0]
    switch.stop()
    restored = world.switch("restored", start=False, listen=(address,))
    shutil.copytree(folder, restored.data)
    restored.start()
    names = json.dumps(restored.ctl("account", "list"))
    check(
        all('"%s"' % name in names for name in ("alice", "bob", "carol")), "accounts of the backup: %s", names
    )
    check_equal(texts_of(bob, len(TEXTS)), TEXTS, "what waited for bob in the backup")
    alice.run("send", "bob", "on the restored switch", "--wait", "sent", "--timeout", 20)
    # One-time codes do not survive a restore: a copy may have been used meanwhile.
    carol = world.client("carol")
    check(carol.start("link", unused).wait() != 0, "a one-time code of the backup linked a device")


@test
def purged_and_removed_messages_fail_for_their_sender(world):
    switch = world.switch(spill_ms=50)
    alice, _ = world.linked(switch, "alice", "bob")
    alice.run("send", "bob", "to be purged", "--wait", "sent", "--timeout", 20)
    until(lambda: switch.stat("messages_spilled") >= 1, 10, "the message to be on disk")
    waiting = alice.start("send", "bob", "this one too", "--wait", "delivered", "--timeout", 20)
    until(lambda: switch.stat("messages_spilled") >= 2, 10, "the second message to be on disk")
    time.sleep(0.3)
    switch.ctl("queue", "purge", "bob")
    check(waiting.wait(25) != 0, "a purged message was delivered")
    check(
        "fail" in waiting.err() or "not delivered" in waiting.err(),
        "tern does not say that it failed: %s",
        waiting.err(),
    )


main()
