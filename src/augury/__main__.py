"""`python -m augury`: ask a trained predictor from a shell."""

import importlib
import logging
import pkgutil
import sys

import click

from augury import commands
from augury.errors import UserError
from augury.parameters import near_matches


class PredictorCommands(click.Group):
    """One command per module of :mod:`augury.commands`, imported only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the predictors that can be asked."""
        return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a predictor's command."""
        names = self.list_commands(ctx)
        if cmd_name not in names:
            raise click.ClickException(f"There is no predictor '{cmd_name}'. {near_matches(cmd_name, names)}")
        command: click.Command = importlib.import_module(f"{commands.__name__}.{cmd_name}").command
        return command


@click.group()
def cli() -> None:
    """Augury's predictors from the command line; `kedro run` trains them."""


@cli.group(cls=PredictorCommands)
def predict() -> None:
    """Ask a trained predictor."""


def main() -> None:
    """Run the command line; mistakes of the user are one line, not a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        cli(prog_name="python -m augury")
    except UserError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
