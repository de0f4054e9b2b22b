"""`lab/push`: build a small image and push it to the registry of `make demo KEEP=1`."""

from __future__ import annotations

import subprocess

import click

from lab import images
from lab.aws import HOST
from lab.programs import program


def _docker(*argv: str, stdin: bytes | None = None) -> str:
    done = subprocess.run([program("docker"), *argv], input=stdin, capture_output=True)
    if done.returncode:
        raise click.ClickException(f"docker {' '.join(argv)}: {done.stderr.decode().strip()}")
    return done.stdout.decode()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("text")
@click.option("--crash", is_flag=True, help="Make a version that exits with 7 as soon as it starts.")
@click.option("--repository", default="team/web", show_default=True, help="The repository to push to.")
@click.option("--tag", default="latest", show_default=True, help="The tag to push.")
def main(text: str, crash: bool, repository: str, tag: str) -> None:
    """Push a version of a web service that says TEXT; ECR's event of the push follows by itself."""
    name = f"{HOST}/{repository}:{tag}"
    digest = images.docker_push(_docker, name, images.make(text, "crash" if crash else "web"))
    click.echo(f"docker push {name}\n{digest}")


if __name__ == "__main__":
    main(prog_name="lab/push")
