"""Safety numbers, and account keys that change: `tern verify` and --strict."""

import json
import re

from harness import check, check_equal, main, test
from terminal import Terminal

WAIT = ("--timeout", "20")
LOUD = "THE ACCOUNT KEY OF bob HAS CHANGED"


def says(process, text):
    check(text in process.err(), "does not say '%s': %s", text, process.err())


def number(client, name, code=0, *options):
    return json.loads(client.run("verify", name, "--json", *options, code=code).out())


def compared(client, name, changed=False):
    """A person has looked at the number, and it is the other side's."""
    number(client, name, 1 if changed else 0)
    return number(client, name, 0, "--yes")


def begun_anew(world, switch, name, home, device=1):
    """The account's only device is gone; a new one makes a new account key."""
    switch.ctl("device", "revoke", name, device)
    client = world.client(home)
    client.run("link", switch.ctl("account", "code", name)["accounts"][0]["uri"])
    return client


@test
def both_sides_see_the_same_number(world):
    switch = world.switch()
    alice, bob, carol = world.linked(switch, "alice", "bob", "carol")
    seen, other = number(alice, "bob"), number(bob, "alice")
    check(re.fullmatch("[0-9]{60}", seen["safety_number"]), "60 digits: %r", seen)
    check_equal(seen["safety_number"], other["safety_number"], "the number")
    check(number(alice, "carol")["safety_number"] != seen["safety_number"], "carol's is another")
    check_equal((seen["verified"], seen["changed"]), (False, False), "what is known")
    plain = alice.run("verify", "bob").out().decode()
    digits = " ".join(re.findall("[0-9]{5}", plain))
    check_equal(digits.replace(" ", ""), seen["safety_number"], "in groups of five")
    check("--yes" in plain, "what to do: %s", plain)
    check(alice.run("verify", "bob", "--yes").out().decode().endswith("verified\n"), "marked")
    check_equal(number(alice, "bob")["verified"], True, "marked")
    check_equal(number(bob, "alice")["verified"], False, "the other side has its own mark")
    says(alice.run("verify", "alice", code=1), "is this account")
    says(alice.run("verify", "nobody", code=4), "no such account")
    terminal = Terminal(world, alice.command("verify", "bob"))
    terminal.expect("▀.*▄.*" + seen["safety_number"][:5])
    check_equal(terminal.end(), 0, "the exit status")
    del carol


@test
def a_changed_key_is_told_before_anything_goes(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    alice.run("send", "bob", "to the first key", *WAIT)
    bob.listen(1)
    before = compared(alice, "bob")
    again = begun_anew(world, switch, "bob", "bob-again")
    said = alice.run("send", "bob", "to the new key", "--wait", "sent", *WAIT)
    says(said, LOUD)
    check_equal([one["text"] for one in again.listen(1)], ["to the new key"], "what bob got")
    after = number(alice, "bob")
    check_equal((after["verified"], after["changed"]), (False, False), "it is believed, not verified")
    check(after["safety_number"] != before["safety_number"], "the number is another")
    check_equal(after["safety_number"], number(again, "alice")["safety_number"], "the number, both sides")
    check(LOUD not in alice.run("send", "bob", "once more", *WAIT).err(), "it is told once")


@test
def strict_sends_nothing_to_a_key_that_changed(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    alice.run("send", "bob", "to the first key", *WAIT)
    bob.listen(1)
    again = begun_anew(world, switch, "bob", "bob-again")
    for _ in range(2):
        held = alice.run("send", "bob", "for whom?", "--strict", "--timeout", "4", code=3)
        says(held, LOUD)
        says(held, "compare safety numbers")
    check_equal(again.run("listen", "--json", "--seconds", "1").out(), b"", "what the new key got")
    said = alice.run("verify", "bob", code=1)
    says(said, LOUD)
    check_equal(number(alice, "bob", 1)["changed"], True, "still changed")
    seen = compared(alice, "bob", changed=True)
    check_equal((seen["verified"], seen["changed"]), (True, False), "accepted by a person")
    check_equal(seen["safety_number"], number(again, "alice")["safety_number"], "the number")
    said = alice.run("send", "bob", "to bob, as he is", "--strict", *WAIT)
    check(LOUD not in said.err(), "it is accepted, and not told again: %s", said.err())
    texts = [one["text"] for one in again.listen(3)]
    check_equal(texts, ["for whom?", "for whom?", "to bob, as he is"], "what bob got")


@test
def what_strict_holds_goes_with_no_other_command(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    alice.run("send", "bob", "to the first key", *WAIT)
    bob.listen(1)
    again = begun_anew(world, switch, "bob", "bob-again")
    switch.stop()
    with open(world.file("line", b"strict\n"), "rb") as file:
        alice.run("chat", "bob", "--strict", stdin=file, code=3)  # and nobody hears of the key yet
    switch.restart()
    for what in (("plain",), ("--file", world.file("f", b"in it"))):
        held = alice.run("send", "bob", *what, "--timeout", "3", code=3)
        says(held, LOUD)
        says(held, "nothing goes to bob until `tern verify bob --yes`")
    with open(world.file("line", b"chatted\n"), "rb") as file:
        held = alice.run("chat", "bob", stdin=file, code=3)
    says(held, "THE ACCOUNT KEY HAS CHANGED")
    says(held, "nothing goes until `tern verify bob --yes`")
    alice.run("listen", "--seconds", "1")
    check_equal(again.run("listen", "--json", "--seconds", "1").out(), b"", "what the new key got")
    compared(alice, "bob", changed=True)
    alice.run("send", "bob", "last", *WAIT)
    got = [line.get("text", line.get("file")) for line in again.listen(5)]
    check_equal(got, ["strict", "plain", "f", "chatted", "last"], "what bob got")
    third = begun_anew(world, switch, "bob", "bob-a-third-time", 2)
    with open(world.file("line", b"chatted\n"), "rb") as file:
        says(alice.run("chat", "bob", stdin=file), "THE ACCOUNT KEY HAS CHANGED")
    check_equal([one["text"] for one in third.listen(1)], ["chatted"], "without anything strict that waits")


@test
def a_number_that_was_not_shown_is_not_marked(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    shown = number(alice, "bob")
    again = begun_anew(world, switch, "bob", "bob-again")
    refused = alice.run("verify", "bob", "--yes", "--json", code=1)
    says(refused, "the number is not one that was shown before")
    seen = json.loads(refused.out())
    check(seen["safety_number"] != shown["safety_number"], "the new number is shown: %r", seen)
    check_equal((seen["verified"], seen["changed"]), (False, True), "what was not compared")
    seen = number(alice, "bob", 0, "--yes")
    check_equal((seen["verified"], seen["changed"]), (True, False), "what was shown then")
    check_equal(seen["safety_number"], number(again, "alice")["safety_number"], "the number, both sides")
    del bob


def given_anew(world, switch, name, home):
    """The account is removed, and another one made with its name."""
    switch.ctl("account", "remove", name)
    client = world.client(home)
    client.run("link", switch.account(name))
    return client


@test
def a_name_that_is_another_account_s_is_told_before_anything_goes(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    alice.run("send", "bob", "to the first bob", *WAIT)
    bob.listen(1)
    before = compared(alice, "bob")
    another = given_anew(world, switch, "bob", "another-bob")
    says(alice.run("send", "bob", "is he there?", *WAIT, code=4), "no such account")
    said = alice.run("send", "bob", "to the other bob", *WAIT)
    says(said, LOUD)
    check_equal([one["text"] for one in another.listen(1)], ["to the other bob"], "what bob got")
    after = number(alice, "bob")
    check(after["account"] != before["account"], "the account is another: %r", after)
    check_equal((after["verified"], after["changed"]), (False, False), "it is believed, not verified")
    check_equal(after["safety_number"], number(another, "alice")["safety_number"], "the number, both sides")
    check(LOUD not in alice.run("send", "bob", "once more", *WAIT).err(), "it is told once")
    says(alice.run("listen", "--seconds", "1"), "the name bob was another account's before")


@test
def strict_sends_nothing_to_another_account_of_a_known_name(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    alice.run("send", "bob", "to the first bob", *WAIT)
    bob.listen(1)
    compared(alice, "bob")
    another = given_anew(world, switch, "bob", "another-bob")
    says(alice.run("send", "bob", "is he there?", "--strict", *WAIT, code=4), "no such account")
    held = alice.run("send", "bob", "--file", world.file("f", b"for whom?"), "--strict", "--timeout", "3", code=3)
    says(held, LOUD)
    held = alice.run("send", "bob", "plain", "--timeout", "3", code=3)
    says(held, "nothing goes to bob until `tern verify bob --yes`")
    check_equal(another.run("listen", "--json", "--seconds", "1").out(), b"", "what the new account got")
    says(alice.run("verify", "bob", "--yes", code=1), "the number is not one that was shown before")
    seen = number(alice, "bob", 1)
    check_equal((seen["verified"], seen["changed"]), (False, True), "what is known")
    check_equal(seen["safety_number"], number(another, "alice")["safety_number"], "the number, both sides")
    seen = compared(alice, "bob", changed=True)
    check_equal((seen["verified"], seen["changed"]), (True, False), "accepted by a person")
    said = alice.run("send", "bob", "to bob, whoever he is", "--strict", *WAIT)
    check(LOUD not in said.err(), "it is accepted, and not told again: %s", said.err())
    got = [line.get("text", line.get("file")) for line in another.listen(3)]
    check_equal(got, ["f", "plain", "to bob, whoever he is"], "what bob got")


@test
def what_another_account_of_a_known_name_sends_waits(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    alice.run("send", "bob", "to the first bob", *WAIT)
    bob.listen(1)
    another = given_anew(world, switch, "bob", "another-bob")
    another.run("send", "alice", "it is me, bob", "--wait", "sent", *WAIT)
    heard = alice.run("listen", "--json", "--seconds", "3")
    says(heard, "tern: bob: the name bob was another account's before")
    check_equal(heard.out(), b"", "shown before anybody looked")
    waiting = json.loads(alice.run("status", "--json").out())["waiting"]
    check_equal([(one["name"], one["count"], one["changed"]) for one in waiting], [("bob", 1, True)], "what waits")
    plain = alice.run("status").out().decode()
    check("waiting   1 of bob: the account key is another than before" in plain, "status says: %s", plain)
    compared(alice, "bob", changed=True)
    check_equal([one["text"] for one in alice.listen(1)], ["it is me, bob"], "what waited")
    check_equal(json.loads(alice.run("status", "--json").out())["waiting"], [], "what waits still")


main()
