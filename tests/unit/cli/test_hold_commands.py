"""Who holds what, why, since when and until when (D13, D14)."""

import re


def test_a_release_of_what_is_not_held_says_so(swarm, sent, call):
    """D13: it said `released`, twice in a row too, and sent an update."""
    assert call("release", "web").output == "web: was not held\n"
    assert call("release", "--all").output == "nothing was frozen\n"
    assert sent == []
    call("hold", "web")
    assert call("release", "web").output == "web: released\n"
    assert call("release", "web").output == "web: was not held\n"
    told = {"by": "release", "who": "alice@bastion"}
    assert sent == [("update_service", "web", {"deployment": told})]
    call("hold", "web")
    call("release", "web", "--reason", "audit is over")
    assert sent[1:] == [("update_service", "web", {"deployment": told | {"why": "audit is over"}})]


def test_a_second_hold_says_what_it_replaces(swarm, call):
    """D14: it silently replaced the first one's reason."""
    assert call("hold", "web", "--reason", "audit until noon").output == "web: held, audit until noon\n"
    done = call("hold", "web")
    assert re.fullmatch(
        r"this replaces a hold: audit until noon \(by alice@bastion\), since 20\S+ \S+Z\n", done.stderr
    )
    assert done.stdout == "web: held, no reason given\n"


def test_holds_are_listed_with_who_why_and_since_when(swarm, call):
    """D14: nothing told who held it or when."""
    assert call("hold").output == "nothing is held by command\n"
    call("hold", "web", "--reason", "audit", "--for", "2h")
    call("hold", "--all", "--reason", "night")
    freeze, web = call("hold").stdout.splitlines()[1:]
    assert freeze.split()[:3] == ["all", "services", "alice@bastion"]
    assert freeze.split()[-2:] == ["-", "night"]
    assert web.startswith("web")
    assert web.endswith("audit")


def test_a_hold_may_end_by_itself(swarm, call):
    done = call("hold", "web", "--for", "90s", "--reason", "deploying by hand")
    assert re.fullmatch(r"web: held until 20\S+ \S+Z, deploying by hand\n", done.output)
    assert call("hold", "web", "--for", "soon").exit_code == 2
