"""The command policy test."""

from __future__ import annotations

import click

from deployer.cli import options
from deployer.cli.faults import plainly
from deployer.cli.views import output


@click.group()
def policy() -> None:
    """Try tag policies (label deployer.policy)."""


@policy.command("test", short_help="Show which of the tags POLICY would follow, and why.")
@click.argument("policy")
@click.argument("tags", nargs=-1, required=True, metavar="TAG...")
@click.option("--current", help="The tag that runs; the first TAG if not given.")
@click.option("--order", help="Label deployer.order.")
@click.option("--allow-tags", help="Label deployer.allow-tags.")
@click.option("--ignore-tags", help="Label deployer.ignore-tags.")
@click.option("--prerelease", help="Label deployer.prerelease.")
@options.json_option
@plainly
def policy_test(
    policy: str, tags: tuple[str, ...], current: str | None, as_json: bool, **labels: str | None
) -> None:
    """Show which of the tags POLICY would follow, and why; they count as pushed in the order given.

    A TAG may also be an image, of which its tag counts.

    For instance: deployer policy test "semver:^1.2" 1.2.0 1.10.0 2.0.0
    """
    from deployer.policies.tag_policy import Policy, explain

    tags = tuple(map(_tag, tags))
    current = _tag(current or tags[0])
    given = {f"deployer.{name.replace('_', '-')}": value for name, value in labels.items() if value}
    lines = explain(Policy.of({"deployer.policy": policy} | given), current, tags)
    if as_json:
        output.as_json({"policy": policy, "current": current, "lines": lines})
        return
    for line in lines:
        click.echo(line)


def _tag(text: str) -> str:
    """Return the tag of an image, or the text itself where it is a bare tag."""
    return text.partition("@")[0].rpartition("/")[2].rpartition(":")[2]
