"""`python -m augury`: ask a trained predictor from a shell, let it answer over HTTP, look after registered models."""

import importlib
import logging
import pkgutil
import sys
from types import ModuleType
from typing import Any, ClassVar

import click

from augury import commands, services
from augury.errors import UserError
from augury.extras import missing_extra
from augury.parameters import near_matches


class PredictorCommands(click.Group):
    """One command per module of a package, imported only when it is asked for."""

    def __init__(self, *args: Any, package: ModuleType, kind: str = "predictor", **attributes: Any) -> None:
        """Take the package, for example :mod:`augury.commands`, and what a person calls one of its modules."""
        super().__init__(*args, **attributes)
        self._package = package
        self._kind = kind

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the predictors that the package knows."""
        return sorted(module.name for module in pkgutil.iter_modules(self._package.__path__) if not module.ispkg)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a predictor's command."""
        names = self.list_commands(ctx)
        if cmd_name not in names:
            raise click.ClickException(f"There is no {self._kind} '{cmd_name}'. {near_matches(cmd_name, names)}")
        command: click.Command = importlib.import_module(f"{self._package.__name__}.{cmd_name}").command
        return command


class RootCommands(click.Group):
    """Commands of modules of their own too, imported only when they are asked for: some need Kedro's settings."""

    ELSEWHERE: ClassVar = {
        "models": "augury.registry_commands",
        "rollback": "augury.registry_commands",
        "rollout": "augury.rollout_commands",
        "schedule": "augury.schedule_commands",
        "store": "augury.store_commands",
        "telemetry": "augury.telemetry_commands",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted([*super().list_commands(ctx), *self.ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command."""
        if cmd_name not in self.ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(self.ELSEWHERE[cmd_name]), cmd_name)
        return command


@click.group(cls=RootCommands)
def cli() -> None:
    """Augury's predictors from the command line; `kedro run` trains them."""


@cli.group(cls=PredictorCommands, package=commands)
def predict() -> None:
    """Ask a trained predictor."""


@cli.group(cls=PredictorCommands, package=services, kind="service")
def serve() -> None:
    """Answer over HTTP with a trained predictor."""


def main() -> None:
    """Run the command line; mistakes of the user are one line, not a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        cli(prog_name="python -m augury")
    except UserError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except ImportError as error:
        hint = missing_extra(error)
        if hint is None:
            raise
        click.echo(f"Error: {hint}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
