"""The `deployer` command. What needs Celery or AWS is imported by the command that needs it, so that
`deployer --help` stays quick."""

from __future__ import annotations

from typing import Any

import click

from deployer import __version__
from deployer.cli import act, approve, ecs, holds, logs, look, policy, serve
from deployer.cli.views.output import speak_any_locale

# What other tools call it, and what Docker itself does: no second command for the same thing.
ELSEWHERE = {
    "ps": "the tasks of a service are listed by `docker service ps SERVICE`",
    "diff": "`deployer reconcile --dry-run` lists what runs beside what the registries have",
    "deploy": "`deployer update SERVICE` deploys what the tag points to now",
    "undo": "`deployer rollback SERVICE` goes back to the image before",
}


class _Main(click.Group):
    """The group of all commands."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find a command; say of an unknown one what is meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as fault:
            from deployer.model.suggest import did_you_mean

            name = args[0]
            if hint := ELSEWHERE.get(name):
                ctx.fail(f"No such command {name!r}; {hint}.")
            ctx.fail(f"{fault.message.split('.', 1)[0]}{did_you_mean(name, self.commands)}")

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command."""
        speak_any_locale()
        return super().main(*args, **kwargs)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deployer")
def main() -> None:
    """Deploy to Docker Swarm or Amazon ECS what is pushed to AWS ECR.

    The worker is started with `celery -A deployer worker`. Settings are DEPLOYER_* variables
    (docs/reference.md), exit codes and JSON are in docs/commands.md.
    """


for _command in (
    act.update,
    act.rollback,
    holds.hold,
    holds.release,
    approve.approve,
    act.reconcile,
    look.status,
    look.history,
    look.explain,
    look.doctor,
    logs.logs,
    policy.policy,
    serve.bridge,
    serve.webhook,
    serve.health,
    ecs.ecs,
    ecs.ecs_deploy,
):
    main.add_command(_command)


@main.command(short_help="Print the script that completes this command.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes this command in SHELL; docs/install.md says where it goes."""
    from click.shell_completion import get_completion_class

    if made := get_completion_class(shell):
        click.echo(made(main, {}, "deployer", "_DEPLOYER_COMPLETE").source())
